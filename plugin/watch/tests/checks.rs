//! The checks of allocations, asked while somebody waits for their job to be healthy.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Stage, all_within, blind, present, sees, stage, stage_with_acls};
use crate::{
    cluster::{Blindness, JobKey, LiveChecks, Sight},
    nomad::fake::{self, Answer},
    watch::Asks,
};

const NEEDED: Duration = Duration::from_secs(2);
const CHECKS: &str = "/v1/client/allocation/a1/checks";

fn with_checks(stage: Stage, checks: usize) -> Stage {
    stage.fake.transact(|write| write.register(fake::checked_job("shop", "db", checks)));
    stage.fake.transact(|write| write.allocation(fake::allocation("shop", "db", "a1", 1, "running")));
    stage
}

fn checked() -> Stage {
    with_checks(stage(), 1)
}

/// What is said of the checks of `a1`; `None` while nothing is.
fn said(key: &JobKey, sight: &Sight) -> Option<LiveChecks> {
    present(key, sight)?.live.get(&"a1".into()).cloned()
}

fn passing(key: &JobKey, sight: &Sight) -> Option<Duration> {
    match said(key, sight)? {
        LiveChecks::Passing { lasted } => Some(lasted),
        LiveChecks::Pending | LiveChecks::Failing { .. } | LiveChecks::Unknown(_) => None,
    }
}

fn long_enough(key: &JobKey, sight: &Sight) -> Option<()> {
    (passing(key, sight)? >= NEEDED).then_some(())
}

fn is(wanted: LiveChecks) -> impl Fn(&JobKey, &Sight) -> Option<()> {
    move |key, sight| (said(key, sight)? == wanted).then_some(())
}

fn asked(stage: &Stage) -> usize {
    stage.paths().iter().filter(|path| path.ends_with("/checks")).count()
}

fn restart(stage: &Stage) {
    stage.fake.transact(|write| {
        write.client_update("a1", |allocation| allocation["TaskStates"]["t"]["Restarts"] = json!(1));
    });
}

#[tokio::test(start_paused = true)]
async fn passing_is_told_at_first_and_at_the_very_moment_it_has_lasted_long_enough() {
    let stage = checked();
    let mut subscription = stage.asks("gate", None, &["db"]);
    sees(&mut subscription, is(LiveChecks::Pending)).await;
    sleep(Duration::from_millis(730)).await;
    stage.fake.health_checks("a1", &[("http", "success")]);
    let began = Instant::now();
    assert_eq!(sees(&mut subscription, passing).await, Duration::ZERO);
    let first = Instant::now();
    assert!(first - began <= Duration::from_millis(110), "{:?}", first - began);
    sees(&mut subscription, long_enough).await;
    assert_eq!((Instant::now() - first).as_millis(), NEEDED.as_millis());
    assert!(all_within(&mut subscription, 60).await.is_empty(), "nothing changes any more");
}

#[tokio::test(start_paused = true)]
async fn each_check_must_be_there_and_pass() {
    let stage = with_checks(stage(), 2);
    let mut subscription = stage.asks("gate", None, &["db"]);
    stage.fake.health_checks("a1", &[("http", "success")]);
    sees(&mut subscription, is(LiveChecks::Pending)).await;
    stage.fake.health_checks("a1", &[("http", "success"), ("tcp", "pending")]);
    assert!(all_within(&mut subscription, 5).await.is_empty());
    stage.fake.health_checks("a1", &[("http", "success"), ("tcp", "failure")]);
    let output = "it is a failure".to_owned();
    sees(&mut subscription, is(LiveChecks::Failing { check: "tcp".to_owned(), output })).await;
    stage.fake.health_checks("a1", &[("http", "success"), ("tcp", "success")]);
    sees(&mut subscription, long_enough).await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_or_a_restart_in_the_middle_begins_it_anew() {
    for fails in [true, false] {
        let stage = checked();
        let mut subscription = stage.asks("gate", None, &["db"]);
        stage.fake.health_checks("a1", &[("http", "success")]);
        sees(&mut subscription, passing).await;
        sleep(Duration::from_millis(1500)).await;
        if fails {
            stage.fake.health_checks("a1", &[("http", "failure")]);
            sleep(Duration::from_millis(150)).await;
            stage.fake.health_checks("a1", &[("http", "success")]);
        } else {
            restart(&stage);
        }
        let again = Instant::now();
        sees(&mut subscription, long_enough).await;
        assert!(Instant::now() - again >= NEEDED, "{fails}: {:?}", Instant::now() - again);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_from_before_a_restart_counts_for_nothing() {
    let stage = checked();
    stage.fake.health_checks("a1", &[("http", "success")]);
    stage.fake.answer(CHECKS, Answer::Late(Duration::from_millis(400)));
    let mut subscription = stage.asks("gate", None, &["db"]);
    sees(&mut subscription, |key, sight| present(key, sight).map(drop)).await;
    sleep(Duration::from_millis(200)).await;
    restart(&stage);
    // The first answer comes in 200 ms, that of who is asked then in 600.
    let began = Instant::now();
    sees(&mut subscription, passing).await;
    assert!(Instant::now() - began >= Duration::from_millis(600), "{:?}", Instant::now() - began);
}

#[tokio::test(start_paused = true)]
async fn what_passed_before_a_restart_has_to_pass_again() {
    let stage = checked();
    let both = |tcp| [("s", "http", "success"), ("s", "tcp", tcp)];
    stage.fake.checks_at("a1", 100, &both("success"));
    let mut subscription = stage.asks("gate", None, &["db"]);
    sees(&mut subscription, long_enough).await;
    stage.fake.transact(|write| {
        write.client_update("a1", |allocation| {
            let again = json!({ "State": "running", "Failed": false, "Restarts": 1, "Events": null,
                "StartedAt": "1970-01-01T00:01:40.9Z" });
            allocation["TaskStates"]["t"] = again;
        });
    });
    // Of the second in which it started, too, nobody knows of which process it was.
    sees(&mut subscription, is(LiveChecks::Pending)).await;
    assert!(all_within(&mut subscription, 60).await.is_empty());
    stage.fake.checks_at("a1", 100, &both("failure"));
    let output = "it is a failure".to_owned();
    sees(&mut subscription, is(LiveChecks::Failing { check: "tcp".to_owned(), output })).await;
    stage.fake.checks_at("a1", 101, &both("success"));
    assert_eq!(sees(&mut subscription, passing).await, Duration::ZERO);
    sees(&mut subscription, long_enough).await;
}

#[tokio::test(start_paused = true)]
async fn another_version_begins_it_anew() {
    let stage = checked();
    stage.fake.health_checks("a1", &[("http", "success")]);
    let mut subscription = stage.asks("gate", None, &["db"]);
    sees(&mut subscription, long_enough).await;
    stage.fake.transact(|write| write.register(fake::checked_job("shop", "db", 1)));
    stage.fake.transact(|write| write.allocation(fake::allocation("shop", "db", "a1", 2, "running")));
    let again = Instant::now();
    assert_eq!(sees(&mut subscription, passing).await, Duration::ZERO);
    sees(&mut subscription, long_enough).await;
    assert!(Instant::now() - again >= NEEDED);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_turns_bad_later_is_seen_within_the_second() {
    let stage = checked();
    stage.fake.health_checks("a1", &[("http", "success")]);
    let healthy = |healthy| {
        move |write: &mut fake::Write<'_>| {
            write.client_update("a1", |a| a["DeploymentStatus"] = json!({ "Healthy": healthy }));
        }
    };
    stage.fake.transact(healthy(true));
    let mut subscription = stage.asks("gate", None, &["db"]);
    sees(&mut subscription, long_enough).await;
    sleep(Duration::from_mins(5)).await;
    asked(&stage);
    sleep(Duration::from_mins(1)).await;
    assert!((55..=65).contains(&asked(&stage)), "once a second when it is healthy by both");
    stage.fake.health_checks("a1", &[("http", "failure")]);
    let began = Instant::now();
    let output = "it is a failure".to_owned();
    sees(&mut subscription, is(LiveChecks::Failing { check: "http".to_owned(), output })).await;
    assert!(Instant::now() - began <= Duration::from_millis(1100));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_for_those_who_do_not_wait_for_health() {
    let stage = checked();
    let mut idle = stage.subscribe("idle", None, &["db"]);
    sees(&mut idle, present).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(asked(&stage), 0);

    let mut gate = stage.asks("gate", None, &["db"]);
    sees(&mut gate, said).await;
    drop(gate);
    sees(&mut idle, |key, sight| present(key, sight)?.live.is_empty().then_some(())).await;
    stage.paths();
    sleep(Duration::from_secs(5)).await;
    assert_eq!(asked(&stage), 0, "who asked has gone");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_of_what_cannot_tell() {
    let stage = stage();
    let mut without = stage.asks("gate", None, &["db"]);
    sees(&mut without, present).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(asked(&stage), 0, "no checks");
    let stage = with_checks(stage, 1);
    stage.fake.transact(|write| {
        write.client_update("a1", |allocation| allocation["TaskStates"]["t"]["State"] = "pending".into());
    });
    asked(&stage);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(asked(&stage), 0, "its main task does not run");
}

#[tokio::test(start_paused = true)]
async fn one_asks_for_all_who_wait_and_many_allocations_are_asked_more_seldom() {
    let stage = checked();
    for n in 2..=30 {
        let allocation = fake::allocation("shop", "db", &format!("a{n}"), 1, "running");
        stage.fake.transact(|write| write.allocation(allocation));
    }
    let mut gates = Vec::new();
    for n in 0..5 {
        gates.push(stage.asks(&format!("gate-{n}"), None, &["db"]));
    }
    for gate in &mut gates {
        sees(gate, said).await;
    }
    asked(&stage);
    sleep(Duration::from_secs(10)).await;
    let n = asked(&stage);
    assert!((450..=501).contains(&n), "{n} in 10 s");
}

#[tokio::test(start_paused = true)]
async fn one_allocation_is_asked_ten_times_a_second_at_most() {
    let stage = checked();
    let mut gate = stage.asks("gate", None, &["db"]);
    sees(&mut gate, said).await;
    asked(&stage);
    sleep(Duration::from_secs(10)).await;
    let n = asked(&stage);
    assert!((95..=101).contains(&n), "{n} in 10 s");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_asked_is_unknown_and_begins_anew() {
    for answer in [
        Answer::Text(404, "No path to node".to_owned()),
        Answer::Text(500, "EOF".to_owned()),
        Answer::Text(403, "Permission denied".to_owned()),
        Answer::Gone,
        Answer::Late(Duration::from_mins(1)),
    ] {
        let stage = checked();
        stage.fake.health_checks("a1", &[("http", "success")]);
        let mut subscription = stage.asks("gate", None, &["db"]);
        sees(&mut subscription, passing).await;
        sleep(Duration::from_millis(1500)).await;
        stage.fake.answer(CHECKS, answer);
        let why = |key: &JobKey, sight: &Sight| match said(key, sight)? {
            LiveChecks::Unknown(why) => Some(why),
            LiveChecks::Passing { lasted } => panic!("it has lasted {lasted:?} without an answer"),
            LiveChecks::Pending | LiveChecks::Failing { .. } => None,
        };
        assert!(!sees(&mut subscription, why).await.is_empty());
        let again = Instant::now();
        stage.fake.answer_truly();
        sees(&mut subscription, long_enough).await;
        assert!(Instant::now() - again >= NEEDED);
    }
}

#[tokio::test(start_paused = true)]
async fn with_a_credential_checks_are_shown_to_those_who_may_see_the_job() {
    let stage = with_checks(stage_with_acls(&["plugin", "alice"]), 1).with_credential();
    stage.fake.health_checks("a1", &[("http", "success")]);
    let mut alice = stage.asks("alice", Some("alice"), &["db"]);
    let mut bob = stage.asks("bob", Some("bob"), &["db"]);
    sees(&mut alice, long_enough).await;
    sees(&mut bob, blind(Blindness::Denied)).await;
    let shown = all_within(&mut bob, 30).await;
    assert!(shown.iter().all(|sight| matches!(**sight, Sight::Unseen(_))), "{shown:?}");
    let tokens: Vec<String> = stage
        .fake
        .take_requests()
        .into_iter()
        .filter(|seen| seen.path.ends_with("/checks"))
        .map(|seen| seen.token)
        .collect();
    assert!(!tokens.is_empty() && tokens.iter().all(|token| token == "plugin"), "{tokens:?}");
}

#[tokio::test(start_paused = true)]
async fn jobs_that_are_wanted_later_are_asked_where_that_was_said() {
    for later in [true, false] {
        let stage = checked();
        stage.fake.health_checks("a1", &[("http", "success")]);
        let asks = Asks { later, ..Asks::default() };
        let mut tree = stage.watch.subscribe(stage.viewer("tree", None), [].into(), asks);
        tree.also([JobKey::new("shop", "db")].into());
        sees(&mut tree, present).await;
        sleep_until(Instant::now() + Duration::from_secs(5)).await;
        assert_eq!(asked(&stage) > 0, later);
    }
}
