//! Nomad answers with errors, late, or not at all.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_is_an_error_has_no_second_effect() {
    let stage = Stage::of(&shop());
    // Applied, and answered with what a lost leader says; then a connection that breaks.
    let lost = Answer::AppliedThen(500, "No cluster leader".to_owned());
    stage.fake.answer_next_write("/v1/jobs", lost.clone());
    let run = stage.process(false);
    stage.healthy("postgres").await;
    stage.fake.answer_next_write("/v1/jobs", Answer::AppliedThenGone);
    let hook = stage.ends("setup-", 0).await;
    stage.fake.answer_next_write(&format!("/v1/job/{hook}"), lost.clone());
    stage.fake.answer_next_write("/v1/jobs", Answer::Gone);
    stage.healthy("api").await;
    run.is_done().await;
    insta::assert_snapshot!(stage.writes(), @"
    POST jobs postgres 200
    POST jobs postgres 500
    POST jobs postgres 500
    POST jobs setup-shop-9f05bf4f-1 200
    PUT var/dtree/default/shop/default/postgres  200
    DELETE job/setup-shop-9f05bf4f-1  200
    DELETE job/setup-shop-9f05bf4f-1  200
    POST jobs api 200
    ");
}

#[tokio::test(start_paused = true)]
async fn a_dispatch_whose_answer_was_lost_runs_once() {
    let config = json!({"job": {"postgres": {"jobspec": "local/postgres", "post": {
        "setup": {"dispatch": "migrate", "meta": {"to": "7"}, "payload": "all"},
    }}}});
    let stage = Stage::of(&config);
    let mut parent = batch("migrate");
    parent["ParameterizedJob"] = json!({"Payload": "optional", "MetaRequired": ["to"], "MetaOptional": []});
    stage.fake.transact(|write| write.register(parent));
    stage.fake.answer_next_write("/v1/job/migrate/dispatch", Answer::AppliedThenGone);
    let run = stage.process(false);
    stage.healthy("postgres").await;
    stage.ends("migrate/dispatch-", 0).await;
    run.is_done().await;
    let writes = stage.writes();
    let children = stage.fake.job_ids("default").into_iter().filter(|id| id.starts_with("migrate/")).count();
    assert!(children <= 1, "{writes}");
    insta::assert_snapshot!(writes, @"
    POST jobs postgres 200
    POST job/migrate/dispatch  200
    POST job/migrate/dispatch  200
    PUT var/dtree/default/shop/default/postgres  200
    DELETE job/migrate%2Fdispatch-23-fa4e  200
    ");
}

#[tokio::test(start_paused = true)]
async fn a_tree_whose_variables_are_refused_runs_and_says_what_is_lost_by_it() {
    let stage = Stage::of(&shop()).without_variables();
    let run = stage.process(false);
    stage.healthy("postgres").await;
    stage.appears("setup-").await;
    let note = run.running.status().notes.join("\n");
    insta::assert_snapshot!(note, @"its record is kept in the task's directory, because Nomad's Variables are refused: on another client it could not go on, two runs at once are not kept apart, and there is no history; Nomad does not know task `gate` of job `shop` by its token, so it may not read the variable `dtree/default/shop/~run`: Permission denied; add to task `gate` of job `shop`: identity { file = true }");
    run.crash().await;
    let run = stage.process(true);
    stage.goes_on(&run).await;
    let told = run.diary.text();
    assert!(told.contains(&format!("event 0 of 3 satisfied · {note}")) || told.contains(&note), "{told}");
    insta::assert_snapshot!(stage.writes(), @"
    POST jobs postgres 200
    POST jobs setup-shop-cca8ebdd-1 200
    POST jobs api 200
    ");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_may_not_be_written_is_told_and_the_hook_is_found_by_its_job() {
    let stage = Stage::of(&shop());
    let run = stage.process(false);
    stage.healthy("postgres").await;
    let record = "/v1/var/dtree/default/shop/default/postgres";
    stage.fake.answer_next_write(record, Answer::Text(403, "Permission denied".to_owned()));
    stage.goes_on(&run).await;
    let told = run.diary.text();
    assert!(told.contains("so the next run looks for their jobs"), "{told}");
    insta::assert_snapshot!(stage.writes(), @"
    POST jobs postgres 200
    POST jobs setup-shop-9f05bf4f-1 200
    POST jobs api 200
    ");
    // The next run launches nothing; it writes down what this one could not, and clears up.
    let again = stage.process(false);
    again.is_done().await;
    insta::assert_snapshot!(stage.writes(), @"
    PUT var/dtree/default/shop/default/postgres  200
    DELETE job/setup-shop-9f05bf4f-1  200
    ");
}

#[tokio::test(start_paused = true)]
async fn a_nomad_that_answers_errors_for_nine_minutes_is_waited_for_and_nothing_is_done_twice() {
    let stage = Stage::of(&shop());
    let run = stage.process(false);
    stage.healthy("postgres").await;
    stage.appears("setup-").await;
    seconds(1).await;
    stage.fake.answer("/v1/", Answer::Text(500, "No cluster leader".to_owned()));
    stage.fake.end_streams();
    seconds(540).await;
    assert_eq!(run.running.ending(), None, "{}", run.diary.text());
    stage.fake.answer_truly();
    stage.goes_on(&run).await;
    insta::assert_snapshot!(stage.writes(), @"
    POST jobs postgres 200
    POST jobs setup-shop-9f05bf4f-1 200
    POST jobs api 200
    PUT var/dtree/default/shop/default/postgres  200
    DELETE job/setup-shop-9f05bf4f-1  200
    ");
}

#[tokio::test(start_paused = true)]
async fn a_launch_that_arrives_when_its_hook_has_run_already_does_not_run_it_again() {
    // How often the process dies after the launch had no answer.
    for n_crashes in [0, 1, 2] {
        let stage = Stage::of(&shop());
        let mut run = stage.process(false);
        stage.appears("postgres").await;
        stage.fake.answer_next_write("/v1/jobs", Answer::UnderWay);
        stage.healthy("postgres").await;
        for _ in 0..n_crashes {
            stage.appears("setup-").await;
            seconds(1).await;
            run.crash().await;
            run = stage.process(true);
        }
        let hook = stage.goes_on(&run).await;
        assert_eq!(stage.fake.land(), 0, "{n_crashes}");
        assert_eq!(stage.fake.job("default", &hook).unwrap()["Stop"], true, "{n_crashes}");
    }
}
