//! A hook that runs once: its record is kept in Nomad, and everybody follows it.

use super::*;

const VARIABLE: &str = "/v1/var/dtree/~once/setup/v7";

fn once() -> Stage {
    Stage::of(&json!({"hook": {"setup": {"jobspec": "local/setup", "once": "v7"}}}))
}

#[tokio::test(start_paused = true)]
async fn what_runs_once_is_written_down_and_the_next_run_takes_its_result() {
    let stage = once();
    let run = stage.process(false);
    stage.ends("setup-once-", 0).await;
    run.is_done().await;
    insta::assert_snapshot!(stage.writes(), @"
    PUT var/dtree/~once/setup/v7  409
    PUT var/dtree/~once/setup/v7  200
    POST jobs setup-once-b995e0ad74012f4b-1 200
    PUT var/dtree/~once/setup/v7  200
    PUT var/dtree/~once/setup/v7  200
    DELETE job/setup-once-b995e0ad74012f4b-1  200
    ");
    let again = stage.process(false);
    again.is_done().await;
    assert!(again.diary.text().contains("ran before for the same key"), "{}", again.diary.text());
    insta::assert_snapshot!(stage.writes(), @"PUT var/dtree/~once/setup/v7  409");
}

#[tokio::test(start_paused = true)]
async fn a_write_of_the_record_whose_answer_was_lost_is_read_back() {
    let stage = once();
    let run = stage.process(false);
    stage.fake.answer_next_write("/v1/jobs", Answer::AppliedThenGone);
    let hook = stage.appears("setup-once-").await;
    stage.fake.answer_next_write(VARIABLE, Answer::AppliedThenGone);
    seconds(5).await;
    assert!(run.diary.text().contains("0 of 1 complete"), "{}", run.diary.text());
    run.crash().await;
    let run = stage.process(true);
    seconds(1).await;
    stage.fake.answer_next_write(VARIABLE, Answer::AppliedThen(500, "No cluster leader".to_owned()));
    assert_eq!(stage.ends("setup-once-", 0).await, hook);
    run.is_done().await;
    let jobs = stage.fake.job_ids("default").into_iter().filter(|id| id.starts_with("setup-once-")).count();
    assert_eq!(jobs, 1, "{}", stage.writes());
}

#[tokio::test(start_paused = true)]
async fn a_record_that_may_not_be_written_is_told_before_anything_is_launched() {
    let stage = once();
    stage.fake.answer_next_write(VARIABLE, Answer::Text(403, "Permission denied".to_owned()));
    let run = stage.process(false);
    let message = run.fails().await;
    assert!(
        message.starts_with("nothing was begun") && message.contains("dtree/~once/setup/v7"),
        "{message}"
    );
    assert!(stage.fake.job_ids("default").iter().all(|id| !id.starts_with("setup-once-")));
}
