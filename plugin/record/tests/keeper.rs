//! The record against a Nomad that fails at any request, and leaders that die there.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    nomad::{
        Asker, Client, Token,
        fake::{self, Answer, FakeNomad},
    },
    record::{Candidate, Keeper, Note, Refusal, Remembered},
};

const RUN: &str = "0000beef";

fn client(fake: &FakeNomad) -> Client {
    let asker = Asker::Task { job: crate::cluster::JobKey::new("default", "shop"), task: "tree".to_owned() };
    Client::new(fake.endpoint(), Token::new("t")).in_the_name_of(asker)
}

fn candidate(alloc: &str) -> Candidate {
    Candidate {
        tree: "default/shop".into(),
        namespace: "default".into(),
        job: "shop".to_owned(),
        alloc: alloc.into(),
        task: "tree".to_owned(),
        since: (1_000, "a while ago".to_owned()),
        led_before: None,
        process: None,
    }
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// Takes the lead, however long that takes.
async fn take(fake: &FakeNomad, alloc: &str) -> (Keeper, Remembered) {
    for _ in 0..60 {
        match Keeper::take(&client(fake), candidate(alloc)).await {
            Ok(taken) => return taken,
            Err(Refusal::NotFreeYet(_) | Refusal::Nomad(_)) => seconds(1).await,
            Err(refusal) => panic!("{refusal}"),
        }
    }
    panic!("never free");
}

/// What the run remembers after each group: names, values and sizes differ, and some outgrow their chunks.
fn groups() -> Vec<Vec<Note>> {
    let note = |name: usize, n: usize, weight: usize| Note {
        name: format!("step{name}"),
        value: json!({ "n": n, "text": "x".repeat(weight) }),
    };
    vec![
        vec![note(0, 1, 10), note(1, 2, 7000), note(2, 3, 6000)],
        vec![note(3, 4, 7000), note(1, 5, 7500), note(0, 6, 20)],
        vec![note(4, 7, 8000), note(5, 8, 8000), note(6, 9, 8000), note(2, 10, 10)],
        vec![note(0, 11, 10)],
    ]
}

/// What is remembered when the first `n` notes are.
fn after(n: usize) -> Vec<(String, Value)> {
    let mut known: Vec<(String, Value)> = Vec::new();
    for note in groups().concat().into_iter().take(n) {
        known.retain(|(name, _)| *name != note.name);
        known.push((note.name, note.value));
    }
    known
}

fn known(remembered: &Remembered) -> Vec<(String, Value)> {
    remembered.notes.iter().map(|note| (note.name.clone(), note.value.clone())).collect()
}

/// A run, from its beginning to its end: how many notes are acknowledged. Ends at the first trouble unless it is
/// `persistent`.
async fn run(fake: &FakeNomad, keeper: &mut Keeper, is_persistent: bool) -> Result<usize, usize> {
    let client = client(fake);
    let mut acknowledged = 0;
    while let Err(refusal) = keeper.begin(&client, RUN.into(), "digest".to_owned()).await {
        assert!(matches!(refusal, Refusal::Nomad(_)), "{refusal}");
        if !is_persistent {
            return Err(0);
        }
    }
    for group in groups() {
        let n = group.len();
        let mut result = keeper.append(&client, group).await;
        while let Err(refusal) = result {
            assert!(matches!(refusal, Refusal::Nomad(_)), "{refusal}");
            if !is_persistent {
                return Err(acknowledged);
            }
            result = keeper.append(&client, Vec::new()).await;
        }
        acknowledged += n;
        keeper.renew(&client).await.ok();
    }
    Ok(acknowledged)
}

#[tokio::test(start_paused = true)]
async fn a_record_is_read_as_it_was_written_by_whoever_comes_next() {
    let fake = FakeNomad::start();
    let (mut keeper, remembered) = take(&fake, "a").await;
    assert_eq!((remembered, keeper.epoch()), (Remembered::default(), 1));
    assert_eq!(run(&fake, &mut keeper, false).await, Ok(11));
    keeper.release(&client(&fake)).await.unwrap();
    let began = tokio::time::Instant::now();
    let (next, remembered) = take(&fake, "b").await;
    assert_eq!(began.elapsed(), Duration::ZERO, "it was released");
    assert_eq!((known(&remembered), next.epoch()), (after(11), 2));
    assert_eq!(remembered.run, Some((RUN.into(), "digest".to_owned())));
    let paths: Vec<String> = fake.state().variables("default").into_iter().map(|(path, _)| path).collect();
    insta::assert_snapshot!(paths.join("\n"), @"
    dtree/default/shop/~lock
    dtree/default/shop/~run
    dtree/default/shop/~run/1
    dtree/default/shop/~run/2
    dtree/default/shop/~run/3
    ");
    // Another run remembers nothing of this one.
    let mut next = next;
    next.begin(&client(&fake), "0000cafe".into(), "other".to_owned()).await.unwrap();
    let note = Note { name: "only".to_owned(), value: json!(1) };
    next.append(&client(&fake), vec![note.clone()]).await.unwrap();
    next.release(&client(&fake)).await.unwrap();
    let (_, remembered) = take(&fake, "c").await;
    assert_eq!(remembered.notes, [note]);
}

#[tokio::test(start_paused = true)]
async fn a_run_goes_on_after_a_fault_at_any_request() {
    for fault in [Answer::Gone, Answer::AppliedThenGone, Answer::UnderWay] {
        let mut n = 0;
        loop {
            let fake = FakeNomad::start();
            fake.answer_nth(n, fault.clone());
            let (mut keeper, _) = take(&fake, "a").await;
            assert_eq!(run(&fake, &mut keeper, true).await, Ok(11), "request {n}");
            fake.land();
            keeper.append(&client(&fake), Vec::new()).await.unwrap();
            keeper.release(&client(&fake)).await.ok();
            let has_come = !fake.is_nth_to_come();
            fake.answer_truly();
            fake.land();
            let (_, remembered) = take(&fake, "b").await;
            assert_eq!(known(&remembered), after(11), "request {n}");
            if !has_come {
                break;
            }
            n += 1;
        }
        assert!(n > 15, "{n} requests");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_over_at_any_request_forgets_nothing_and_the_one_before_writes_nothing_more() {
    for fault in [Answer::Gone, Answer::AppliedThenGone, Answer::UnderWay] {
        for next in ["a", "b"] {
            let mut n = 0;
            loop {
                let fake = FakeNomad::start();
                let (mut former, _) = take(&fake, "a").await;
                fake.answer_nth(n, fault.clone());
                let came_to = run(&fake, &mut former, false).await;
                let is_over = fake.is_nth_to_come();
                fake.answer_truly();
                // Its process is gone, but not what it sent.
                let (_leader, remembered) = take(&fake, next).await;
                let acknowledged = came_to.unwrap_or_else(|acknowledged| acknowledged);
                let found = known(&remembered);
                let stands = (acknowledged..=11).find(|n| after(*n) == found);
                assert!(stands.is_some(), "request {n}, {acknowledged} acknowledged: {found:?}");
                let before = fake.state().variables("default");
                fake.land();
                let late = Note { name: "late".to_owned(), value: json!("late") };
                let lost = former.append(&client(&fake), vec![late]).await;
                if remembered.run.is_some() {
                    assert!(matches!(lost, Err(Refusal::Lost(_))), "request {n}: {lost:?}");
                }
                assert_eq!(fake.state().variables("default"), before, "request {n}");
                if next == "b" {
                    let lost = former.renew(&client(&fake)).await;
                    assert!(matches!(lost, Err(Refusal::Lost(_))), "request {n}: {lost:?}");
                }
                if is_over {
                    break;
                }
                n += 1;
            }
            assert!(n > 10, "{n} requests");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_under_way_while_another_takes_over_is_seen_or_fails() {
    // It arrives after each of the requests of the one who takes over.
    for n in 0..20 {
        let fake = FakeNomad::start();
        let (mut former, _) = take(&fake, "a").await;
        assert_eq!(run(&fake, &mut former, false).await, Ok(11));
        former.release(&client(&fake)).await.unwrap();
        fake.answer_nth(0, Answer::UnderWay);
        let late = Note { name: "late".to_owned(), value: json!("late") };
        former.append(&client(&fake), vec![late.clone()]).await.unwrap_err();
        fake.answer_nth(n, Answer::LandThenTruth);
        let (mut leader, remembered) = take(&fake, "b").await;
        let is_seen = remembered.notes.contains(&late);
        leader.append(&client(&fake), vec![Note { name: "new".to_owned(), value: json!(1) }]).await.unwrap();
        fake.land();
        leader.release(&client(&fake)).await.unwrap();
        let (_, remembered) = take(&fake, "c").await;
        assert_eq!(remembered.notes.contains(&late), is_seen, "request {n}");
        assert_eq!(remembered.notes.len(), after(11).len() + 1 + usize::from(is_seen));
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_was_lost_to_nobody_is_taken_again() {
    let fake = FakeNomad::start();
    let (mut keeper, _) = take(&fake, "a").await;
    run(&fake, &mut keeper, false).await.unwrap();
    seconds(60).await;
    keeper.renew(&client(&fake)).await.unwrap();
    // Someone takes all of it away.
    let paths: Vec<String> = fake.state().variables("default").into_iter().map(|(path, _)| path).collect();
    for path in &paths {
        fake.state().forget_variable("default", path);
    }
    keeper.renew(&client(&fake)).await.unwrap();
    let again: Vec<String> = fake.state().variables("default").into_iter().map(|(path, _)| path).collect();
    assert_eq!(again, paths);
    // Only a part of it, which the next write finds.
    fake.state().forget_variable("default", "dtree/default/shop/~run/1");
    fake.state().forget_variable("default", "dtree/default/shop/~run");
    let notes = vec![Note { name: "more".to_owned(), value: json!("x".repeat(7000)) }; 3];
    keeper.append(&client(&fake), notes.clone()).await.unwrap();
    keeper.release(&client(&fake)).await.unwrap();
    let (_, remembered) = take(&fake, "b").await;
    assert_eq!(known(&remembered)[..7], after(11)[..]);
    assert_eq!(remembered.notes.last(), notes.last());
}

#[tokio::test(start_paused = true)]
async fn who_leads_is_named_and_who_has_ended_is_waited_for() {
    let fake = FakeNomad::start();
    fake.transact(|write| write.allocation(fake::allocation("default", "shop", "a", 0, "running")));
    let (_keeper, _) = take(&fake, "a").await;
    let refused = Keeper::take(&client(&fake), candidate("b")).await.unwrap_err();
    insta::assert_snapshot!(refused, @"allocation a of job shop has led tree default/shop since a while ago and is still there, and two runs of a tree at once would be in each other's way: wait for its end, or end it (`nomad alloc stop a`), and run the tree again");
    assert!(matches!(refused, Refusal::Led(_)));
    fake.transact(|write| write.client_update("a", |alloc| alloc["ClientStatus"] = json!("lost")));
    let waits = Keeper::take(&client(&fake), candidate("b")).await.unwrap_err();
    insta::assert_snapshot!(waits, @"allocation a of job shop has led tree default/shop since a while ago and has ended; waits until its lock is free, 21s at most");
    assert!(matches!(waits, Refusal::NotFreeYet(_)));
    let began = tokio::time::Instant::now();
    take(&fake, "b").await;
    assert!(began.elapsed() <= Duration::from_secs(22));
    // One that is alive, but whose task has ended.
    fake.transact(|write| {
        let mut ended = fake::allocation("default", "shop", "b", 0, "running");
        ended["TaskStates"]["tree"] = json!({"State": "dead", "Failed": true, "Restarts": 0, "Events": []});
        write.allocation(ended);
    });
    let waits = Keeper::take(&client(&fake), candidate("c")).await.unwrap_err();
    assert!(matches!(waits, Refusal::NotFreeYet(_)), "{waits}");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_goes_on_leaves_alone_what_another_has_taken_over() {
    let fake = FakeNomad::start();
    let (former, _) = take(&fake, "a").await;
    let epoch = former.epoch();
    let again = Candidate { led_before: Some(epoch), ..candidate("a") };
    Keeper::take(&client(&fake), again.clone()).await.unwrap();
    former.release(&client(&fake)).await.unwrap();
    let (next, _) = take(&fake, "b").await;
    next.release(&client(&fake)).await.unwrap();
    let before = fake.state().variables("default");
    let lost = Keeper::take(&client(&fake), again).await.unwrap_err();
    assert!(matches!(lost, Refusal::Lost(_)), "{lost}");
    assert_eq!(fake.state().variables("default"), before);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_understood_is_left_alone_and_said() {
    let fake = FakeNomad::start();
    let (mut keeper, _) = take(&fake, "a").await;
    run(&fake, &mut keeper, false).await.unwrap();
    keeper.release(&client(&fake)).await.unwrap();
    let mut told = Vec::new();
    for (path, change) in [("~run", ("version", "2")), ("~run", ("epoch", "x")), ("~run/2", ("notes", "["))] {
        let path = format!("dtree/default/shop/{path}");
        let client = client(&fake);
        let found = client.variable(&"default".into(), &path).await.unwrap().unwrap();
        let mut items = found.items.clone();
        items.insert(change.0.to_owned(), change.1.to_owned());
        client.put_variable(&"default".into(), &path, &items, crate::nomad::Cas::Any).await.unwrap();
        let refused = Keeper::take(&client, candidate("b")).await.unwrap_err();
        assert!(matches!(refused, Refusal::Unread(_)), "{refused}");
        told.push(refused.to_string());
        client.put_variable(&"default".into(), &path, &found.items, crate::nomad::Cas::Any).await.unwrap();
    }
    fake.state().forget_variable("default", "dtree/default/shop/~run/1");
    told.push(Keeper::take(&client(&fake), candidate("b")).await.unwrap_err().to_string());
    // What it says to do helps.
    fake.state().forget_variable("default", "dtree/default/shop/~run");
    let (mut keeper, remembered) = take(&fake, "b").await;
    assert_eq!(remembered, Remembered::default());
    run(&fake, &mut keeper, false).await.unwrap();
    keeper.release(&client(&fake)).await.unwrap();
    assert_eq!(known(&take(&fake, "c").await.1), after(11));
    insta::assert_snapshot!(told.join("\n"), @"
    the record `dtree/default/shop/~run` in Nomad's Variables has version 2, and this dtree knows version 1: a later dtree keeps it, so update the plugin on this client to that one
    the record `dtree/default/shop/~run` in Nomad's Variables is damaged (epoch), so what its run did is not known: `nomad var purge -namespace default dtree/default/shop/~run`, and the tree begins anew and finds what it submitted by its marks
    the record `dtree/default/shop/~run/2` in Nomad's Variables is damaged (notes), so what its run did is not known: `nomad var purge -namespace default dtree/default/shop/~run`, and the tree begins anew and finds what it submitted by its marks
    the record `dtree/default/shop/~run/1` in Nomad's Variables is damaged (all of it is gone), so what its run did is not known: `nomad var purge -namespace default dtree/default/shop/~run`, and the tree begins anew and finds what it submitted by its marks
    ");
}

#[tokio::test(start_paused = true)]
async fn the_history_keeps_each_run_once_whatever_happens_to_its_writes() {
    for fault in [Answer::Gone, Answer::AppliedThenGone] {
        for n in 0..2 {
            let fake = FakeNomad::start();
            let (keeper, _) = take(&fake, "a").await;
            let add = async |run: u64| {
                keeper.add_history(&client(&fake), json!({ "run": run, "good": true }), 2).await
            };
            add(1).await.unwrap();
            fake.answer_nth(n, fault.clone());
            while add(2).await.is_err() {}
            add(2).await.unwrap();
            add(3).await.unwrap();
            let runs =
                client(&fake).variable(&"default".into(), "dtree/default/shop/~history").await.unwrap();
            assert_eq!(runs.unwrap().items["runs"], r#"[{"good":true,"run":2},{"good":true,"run":3}]"#);
        }
    }
}
