//! One leads a tree: the others wait, are refused, or go on where it has ended.

use super::*;

fn history(stage: &Stage) -> Vec<Value> {
    let variables = stage.fake.state().variables("default");
    let found = variables.into_iter().find(|(path, _)| path.ends_with("~history"));
    let runs = found.map_or(Value::Null, |(_, items)| items["runs"].clone());
    serde_json::from_str(runs.as_str().unwrap_or("[]")).unwrap()
}

fn header(stage: &Stage, item: &str) -> String {
    let variables = stage.fake.state().variables("default");
    let found = variables.into_iter().find(|(path, _)| path.ends_with("~run")).unwrap();
    found.1[item].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_process_has_died_goes_on_in_another_allocation_as_the_same_run() {
    let stage = Stage::of(&shop());
    let run = stage.process(false);
    stage.healthy("postgres").await;
    let hook = stage.appears("setup-").await;
    seconds(1).await;
    let id = header(&stage, "run");
    run.crash().await;
    stage.writes();
    // Another client, with another directory; Nomad does not know the allocation any more.
    std::fs::remove_dir_all(stage.task_dir().join("dtree")).unwrap();
    let run = stage.process_of("next", false);
    seconds(5).await;
    let waits = run.running.status().notes.join("\n");
    assert!(waits.contains("allocation own of job shop has led tree default/shop since"), "{waits}");
    assert!(waits.contains("waits until its lock is free, 21s at most"), "{waits}");
    assert_eq!(stage.writes(), "");
    assert_eq!(stage.goes_on(&run).await, hook);
    insta::assert_snapshot!(stage.writes(), @"
    POST jobs api 200
    PUT var/dtree/default/shop/default/postgres  200
    DELETE job/setup-shop-9f05bf4f-1  200
    ");
    assert_eq!((header(&stage, "run"), header(&stage, "holder")), (id.clone(), "next".to_owned()));
    let runs = history(&stage);
    assert_eq!(runs.len(), 1);
    assert_eq!(
        (&runs[0]["run"], &runs[0]["good"], &runs[0]["alloc"]),
        (&json!(id), &json!(true), &json!("next"))
    );
    assert!(runs[0]["message"].as_str().unwrap().starts_with("done after"), "{runs:?}");
    // The next one is another run, and need not wait.
    let again = stage.process_of("third", false);
    again.is_done().await;
    assert_eq!(stage.writes(), "");
    assert_ne!(header(&stage, "run"), id);
    assert_eq!(history(&stage).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_second_run_is_refused_with_the_name_of_the_first() {
    let stage = Stage::of(&shop());
    stage.fake.transact(|write| write.allocation(fake::allocation("default", "shop", "own", 0, "running")));
    let run = stage.process(false);
    stage.healthy("postgres").await;
    stage.appears("setup-").await;
    let second = stage.process_of("second", false);
    let message = second.fails().await;
    assert!(message.starts_with("nothing was begun: allocation own of job shop has led tree"), "{message}");
    assert!(message.contains("nomad alloc stop own"), "{message}");
    stage.goes_on(&run).await;
    assert_eq!(history(&stage).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_run_lets_the_lock_go_and_the_next_goes_on_at_once() {
    let stage = Stage::of(&shop());
    let run = stage.process(false);
    stage.healthy("postgres").await;
    let hook = stage.appears("setup-").await;
    seconds(1).await;
    let id = header(&stage, "run");
    run.running.stop();
    assert_eq!(run.running.ended().await, Ending::Stopped);
    let began = tokio::time::Instant::now();
    let next = stage.process_of("next", false);
    assert_eq!(stage.goes_on(&next).await, hook);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(header(&stage, "run"), id);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_has_lost_the_lead_begins_nothing_more() {
    let stage = Stage::of(&shop());
    let run = stage.process(false);
    stage.healthy("postgres").await;
    stage.appears("setup-").await;
    seconds(1).await;
    // Its requests do not get through, and another takes over.
    stage.fake.answer("/v1/var", Answer::Text(500, "No cluster leader".to_owned()));
    seconds(22).await;
    stage.fake.answer_truly();
    let next = stage.process_of("next", false);
    let message = run.fails().await;
    assert!(message.contains("allocation next of job shop has taken over tree default/shop"), "{message}");
    stage.goes_on(&next).await;
    assert_eq!(history(&stage).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_while_the_lock_is_not_certain() {
    let stage = Stage::of(&shop());
    let run = stage.process(false);
    stage.appears("postgres").await;
    seconds(1).await;
    let lock = "/v1/var/dtree/default/shop/~lock";
    stage.fake.answer(lock, Answer::Text(500, "No cluster leader".to_owned()));
    seconds(8).await;
    stage.writes();
    stage.healthy("postgres").await;
    seconds(3).await;
    assert_eq!(stage.writes(), "");
    let status = format!("{:?}", run.running.status());
    assert!(status.contains("nothing is begun before it is renewed"), "{status}");
    stage.fake.answer_truly();
    stage.goes_on(&run).await;
}

#[tokio::test(start_paused = true)]
async fn a_record_of_a_newer_version_is_refused_and_left_alone() {
    let stage = Stage::of(&shop());
    let client = viewer(&stage.fake, &placed()).client().unwrap();
    let newer = [("version".to_owned(), "2".to_owned())].into();
    let path = "dtree/default/shop/~run";
    client.put_variable(&"default".into(), path, &newer, nomad::Cas::Absent).await.unwrap();
    let message = stage.process(false).fails().await;
    insta::assert_snapshot!(message, @"nothing was begun: the record `dtree/default/shop/~run` in Nomad's Variables has version 2, and this dtree knows version 1: a later dtree keeps it, so update the plugin on this client to that one");
    assert_eq!(client.variable(&"default".into(), path).await.unwrap().unwrap().items, newer);
}

#[tokio::test(start_paused = true)]
async fn steps_that_begin_together_are_one_write() {
    let jobs: serde_json::Map<String, Value> =
        (0..10).map(|n| (format!("j{n}"), json!({"jobspec": format!("local/j{n}")}))).collect();
    let stage = Stage::of(&json!({"job": jobs}));
    for n in 0..10 {
        stage.file(&format!("j{n}"), &fake::job("default", &format!("j{n}")));
    }
    let run = stage.process(false);
    for n in 0..10 {
        stage.healthy(&format!("j{n}")).await;
    }
    run.is_done().await;
    let writes = stage.fake.take_writes();
    let records = writes.iter().filter(|write| write.path.contains("~run/")).count();
    assert!(records <= 15, "{records}");
}
