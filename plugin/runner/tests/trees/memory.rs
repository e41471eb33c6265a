//! What is remembered: in the journal, by the next process, and in the cluster when all else is lost.

use super::*;

#[tokio::test(start_paused = true)]
async fn nothing_is_begun_before_the_journal_can_be_written() {
    let stage = Stage::of(&shop()).without_variables();
    // Something of this name is in the way of a new journal, and cannot be removed as a file.
    let run = stage.process(false);
    let obstacle = stage.task_dir().join("dtree/journal.new");
    std::fs::create_dir(&obstacle).unwrap();
    seconds(20).await;
    assert_eq!(stage.writes(), "");
    let notes = run.running.status().notes.join("\n");
    assert!(notes.contains("nothing is begun before the run's record can be written"), "{notes}");
    std::fs::remove_dir(&obstacle).unwrap();
    stage.healthy("postgres").await;
    stage.goes_on(&run).await;
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_is_full_stops_what_would_have_to_be_remembered() {
    let stage = Stage::of(&shop()).without_variables();
    let run = stage.process(false);
    stage.appears("postgres").await;
    seconds(1).await;
    run.crash().await;
    let path = stage.task_dir().join("dtree/journal");
    let mut journal = std::fs::read_to_string(&path).unwrap();
    let last = journal.lines().last().unwrap().to_owned() + "\n";
    while journal.len() + last.len() <= 1 << 20 {
        journal.push_str(&last);
    }
    std::fs::write(&path, journal).unwrap();
    stage.writes();
    let run = stage.process(true);
    stage.healthy("postgres").await;
    seconds(60).await;
    assert_eq!(run.running.ending(), None);
    assert_eq!(stage.writes(), "", "a hook was launched without being remembered");
    let told = run.diary.text();
    assert!(
        told.contains("event") && told.contains("the run's record cannot be written, and nothing is begun"),
        "{told}"
    );
    run.running.stop();
    assert_eq!(run.running.ended().await, Ending::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_recovered_run_goes_on_and_keeps_its_time_limits() {
    let stage = Stage::of(&shop());
    let run = stage.process(false);
    stage.healthy("postgres").await;
    let hook = stage.appears("setup-").await;
    seconds(5).await;
    let gives_up = |run: &Process| {
        let status = run.running.status();
        status.nodes.iter().find(|node| node.name == "setup").and_then(|node| node.gives_up)
    };
    let deadline = gives_up(&run);
    assert!(deadline.is_some(), "{}", run.diary.text());
    run.crash().await;
    stage.writes();
    let run = stage.process(true);
    seconds(2).await;
    assert_eq!(gives_up(&run), deadline);
    assert_eq!(stage.goes_on(&run).await, hook);
    insta::assert_snapshot!(stage.writes(), @"
    POST jobs api 200
    PUT var/dtree/default/shop/default/postgres  200
    DELETE job/setup-shop-9f05bf4f-1  200
    ");
    // Nomad did not hear of it: the next process says the same, and does nothing.
    let run = stage.process(true);
    run.is_done().await;
    assert_eq!(stage.writes(), "");
}

#[tokio::test(start_paused = true)]
async fn a_restarted_run_with_other_jobspecs_begins_anew() {
    let stage = Stage::of(&shop());
    let run = stage.process(false);
    stage.healthy("postgres").await;
    stage.ends("setup-", 0).await;
    stage.appears("api").await;
    seconds(1).await;
    run.crash().await;
    stage.writes();
    let mut api = fake::job("default", "api");
    api["TaskGroups"][0]["Tasks"][0]["Driver"] = "exec".into();
    stage.file("api", &api);
    let run = stage.process(false);
    seconds(2).await;
    stage.healthy("api").await;
    run.is_done().await;
    insta::assert_snapshot!(stage.writes(), @"POST jobs api 200");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_has_lost_its_memory_finds_in_the_cluster_what_it_did() {
    let stage = Stage::of(&shop());
    let run = stage.process(false);
    stage.healthy("postgres").await;
    let hook = stage.appears("setup-").await;
    seconds(1).await;
    run.crash().await;
    stage.writes();
    // All of it, in the cluster and in the task's directory.
    std::fs::remove_dir_all(stage.task_dir().join("dtree")).unwrap();
    let variables = stage.fake.state().variables("default");
    for (path, _) in variables {
        stage.fake.state().forget_variable("default", &path);
    }
    let run = stage.process(false);
    seconds(5).await;
    assert_eq!(stage.writes(), "");
    assert_eq!(stage.goes_on(&run).await, hook);
    insta::assert_snapshot!(stage.writes(), @"
    POST jobs api 200
    PUT var/dtree/default/shop/default/postgres  200
    DELETE job/setup-shop-9f05bf4f-1  200
    ");
}

#[tokio::test(start_paused = true)]
async fn what_nothing_follows_from_is_written_with_what_comes_soon_after() {
    let names: Vec<String> = (0..20).map(|n| format!("job-{n}")).collect();
    let jobs: serde_json::Map<String, Value> =
        names.iter().map(|name| (name.clone(), json!({"jobspec": format!("local/{name}")}))).collect();
    let stage = Stage::of(&json!({"job": jobs, "max_parallel": 20}));
    for name in &names {
        stage.file(name, &fake::job("default", name));
    }
    let run = stage.process(false);
    for name in &names {
        stage.appears(name).await;
    }
    seconds(1).await;
    let writes = stage.fake.take_writes();
    let of_record = writes.iter().filter(|write| write.path.contains("/shop/~run/")).count();
    assert_eq!(writes.iter().filter(|write| write.path == "/v1/jobs").count(), 20);
    // How each of them was found, that it is being submitted, and that it was.
    assert!((1..=6).contains(&of_record), "{of_record} writes of what became of 20 jobs");
    for name in &names {
        stage.healthy(name).await;
    }
    run.is_done().await;
}
