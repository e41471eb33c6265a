//! A run that goes on in a new process keeps its deadlines.

use super::*;
use crate::cluster::sample::service;

fn recovered(after: u64) -> (Engine, Time) {
    let began = Time::from_unix_millis(1_000_000);
    let plan = plan(&json!({"postgres": {"timeout": "1m"}}));
    let deadlines = deadlines(&plan, began);
    let now = began + Duration::from_secs(after);
    (Engine::gate(plan, place(), &deadlines, now), now)
}

fn finished(actions: &[Action]) -> Option<&Outcome> {
    actions.iter().find_map(|action| match action {
        Action::Finish(outcome) => Some(outcome),
        _ => None,
    })
}

#[test]
fn a_recovered_gate_gives_up_at_the_instant_it_always_had() {
    let (mut engine, now) = recovered(45);
    assert_eq!(finished(&engine.step(now, Event::Started)), None);
    let before = engine.step(now + Duration::from_millis(14_999), Event::Tick);
    assert_eq!(finished(&before), None);
    let at = engine.step(now + Duration::from_secs(15), Event::Tick);
    assert!(matches!(finished(&at), Some(Outcome::Failed(_))), "{at:?}");
}

#[test]
fn a_gate_whose_time_was_over_while_nobody_ran_it_gives_up_and_does_not_open() {
    let (mut engine, now) = recovered(61);
    let actions = engine.step(now, Event::Started);
    assert!(matches!(finished(&actions), Some(Outcome::Failed(_))), "{actions:?}");
    let late = engine.step(
        now,
        Event::Seen(JobKey::new("default", "postgres"), Arc::new(service(1).with("a", |_| ()).seen())),
    );
    assert_eq!(late, []);
}

#[test]
fn what_was_approved_before_counts_when_it_is_its_turn_and_only_that() {
    let began = Time::from_unix_millis(1_000_000);
    let plan = plan(&json!({
        "db": {}, "release": {"approval": "it is announced", "depends_on": ["db"]}, "late": {"approval": "all are in bed"},
    }));
    let deadlines = deadlines(&plan, began);
    let approved = ["release", "db"].map(|name| (name.to_owned(), Approved { by: Some("kim".to_owned()) }));
    let mut engine = Engine::gate(plan, place(), &deadlines, began).with_approvals(approved.into());
    engine.step(began, Event::Started);
    engine.step(began, Event::Seen(JobKey::new("default", "shop"), Arc::new(own_job().seen())));
    assert_eq!(engine.approvals(), ["late"]);
    let states =
        |engine: &Engine| engine.status(began).nodes.iter().map(|node| node.state).collect::<Vec<_>>();
    assert_eq!(states(&engine), ["gated", "gated", "blocked"]);
    let healthy = Arc::new(service(1).with("a", |_| ()).seen());
    let actions = engine.step(began, Event::Seen(JobKey::new("default", "db"), healthy));
    assert_eq!(finished(&actions), None, "late is still awaited");
    assert_eq!(states(&engine), ["satisfied", "gated", "satisfied"]);
    let actions = engine.step(began, Event::Approved { name: "late".to_owned(), by: None });
    assert_eq!(finished(&actions), Some(&Outcome::Done));
    let Some(Action::KeepApprovals(kept)) = actions.first() else { panic!("{actions:?}") };
    assert!(["release", "late"].iter().all(|name| kept.contains_key(*name)), "all of it: {kept:?}");
}

#[test]
fn a_step_without_a_deadline_is_over_at_once() {
    let now = Time::from_unix_millis(1_000_000);
    let mut engine = Engine::gate(plan(&json!({"postgres": {}})), place(), &BTreeMap::new(), now);
    assert!(matches!(finished(&engine.step(now, Event::Started)), Some(Outcome::Failed(_))));
}

#[test]
fn an_instant_keeps_its_milliseconds() {
    assert_eq!(Time::from_unix_millis(1_700_000_000_123).unix_millis(), 1_700_000_000_123);
    assert_ne!(Time::from_unix_millis(7), Time::default());
}

#[test]
fn durations_are_spoken_in_two_units() {
    let spoken = [0, 59, 60, 61, 3599, 3600, 3660, 3661, 90_000, 86_461]
        .map(|s| Spoken(Duration::from_secs(s)).to_string());
    assert_eq!(spoken, ["0s", "59s", "1m", "1m 1s", "59m 59s", "1h", "1h 1m", "1h 1m", "1d 1h", "1d"]);
    assert_eq!(Spoken(Duration::from_millis(999)).to_string(), "0s");
}
