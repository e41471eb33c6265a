//! Health at the speed of its source: what an allocation's own checks say, before and after Nomad's verdict.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use crate::harness::{Options, seconds};
use crate::story::{Job, SOON, Shared, Story, Switch, http_check};

static CLUSTER: Shared = Shared::new(Options::default);

/// Nomad notes a task's end down a little after the driver has ended it, and times are rounded.
const CLOCKS: Duration = Duration::from_millis(20);

/// A service with a check that must pass for so long, and what it checks, off.
fn checked(story: &Story, name: &str, min_healthy: &str) -> (String, Switch) {
    let (id, switch) = (story.id(name), Switch::new());
    story.run(&Job::service(&id).check(switch.port()).min_healthy(min_healthy));
    story.main(&id).runs(SOON);
    (id, switch)
}

/// A service with a gate of this configuration, which waits when this returns.
fn waiting(story: &Story, name: &str, config: &str, says: &str) -> String {
    let id = story.id(name);
    story.run(&Job::service(&id).gate(config));
    story.gate(&id).says(SOON, says);
    story.gate(&id).still_waits();
    id
}

/// How long after `since` the gate of a job has opened.
fn opened_after(story: &Story, id: &str, since: jiff::Timestamp) -> Duration {
    let after = story.gate(id).ended().duration_since(since);
    Duration::try_from(after).unwrap_or_else(|_| panic!("{id} opened before, {after}\n{}", story.report()))
}

/// Waits until `why` of a gate says all of these words, and none of those.
#[track_caller]
fn explains(story: &Story, id: &str, words: &[&str], but_not: &[&str]) {
    story.within(SOON, &format!("why of {id} to say {words:?}, but not {but_not:?}"), || {
        let (_, said) = story.gate(id).exec(&["why"]);
        let is_so = words.iter().all(|words| said.contains(words))
            && !but_not.iter().any(|words| said.contains(words));
        if is_so { Ok(()) } else { Err(said) }
    });
}

/// The file with the log of a gate, which can be read while Nomad is away.
fn log_of(story: &Story, id: &str) -> PathBuf {
    let allocation = story.gate(id).allocation();
    story.cluster().dir().join(format!("a/data/alloc/{allocation}/alloc/logs/gate.stdout.0"))
}

/// Waits until the log of a gate has these words. Quicker than to ask by a command.
#[track_caller]
fn logs(story: &Story, log: &Path, words: &str) {
    story.within(SOON, &format!("{} to have {words:?}", log.display()), || {
        let log = std::fs::read_to_string(log).map_err(|error| error.to_string())?;
        if log.contains(words) { Ok(()) } else { Err(log) }
    });
}

/// Waits until Nomad's client says this of the check of a job.
#[track_caller]
fn check_is(story: &Story, id: &str, status: &str) {
    let path = format!("/v1/client/allocation/{}/checks", story.main(id).allocation());
    story.within(SOON, &format!("the check of {id} to be a {status}"), || {
        let found = story.get(&path);
        let is_so = found
            .as_object()
            .is_some_and(|all| !all.is_empty() && all.values().all(|check| check["Status"] == status));
        if is_so { Ok(()) } else { Err(found.to_string()) }
    });
}

#[test]
fn a_gate_opens_when_the_checks_have_passed_for_their_time_and_before_nomad_says_so() {
    let story = CLUSTER.story();
    let (db, switch) = checked(&story, "db", "3s");
    let live = waiting(&story, "live", &format!("wait \"{db}\" {{}}"), &db);
    let nomad = waiting(&story, "nomad", &format!("wait \"{db}\" {{\n source = \"nomad\"\n }}"), &db);

    switch.turn_on();
    story.main(&live).runs(SOON);
    story.main(&nomad).runs(SOON);
    let passed = switch.passed().expect("its check passes");
    let after = opened_after(&story, &live, passed);
    assert!(after >= seconds(3), "after {after:?}\n{}", story.report());
    assert!(story.gate(&live).ended() < story.gate(&nomad).ended(), "{}", story.report());
    story.is_healthy(&db);
}

#[test]
fn a_negation_stays_shut_until_the_checks_have_answered() {
    let story = CLUSTER.story();
    let (db, switch) = checked(&story, "db", "300ms");
    switch.turn_on();
    story.is_healthy(&db);
    let config = format!("wait \"{db}\" {{}}\nwait \"gone\" {{\n when = \"!{db}\"\n}}");
    let web = waiting(&story, "web", &config, &db);
    logs(&story, &log_of(&story, &web), "1 of 1 healthy");
    story.gate(&web).still_waits();

    story.stop(&db);
    story.gate(&web).succeeds(SOON);
    story.main(&web).runs(SOON);
}

#[test]
fn a_check_that_turns_bad_after_the_deployment_is_seen_while_another_wait_is_open() {
    let story = CLUSTER.story();
    let (db, switch) = checked(&story, "db", "300ms");
    switch.turn_on();
    story.is_healthy(&db);
    let (seed, flag) = (story.id("seed"), story.flag("seed"));
    story.run(&Job::batch(&seed).script_after(&flag, "exit 0"));
    let web = waiting(&story, "web", &format!("wait \"{db}\" {{}}\nwait \"{seed}\" {{}}"), &seed);
    let (db_waits, seed_waits) = (format!("{db}: gated"), format!("{seed}: gated"));
    explains(&story, &web, &[&seed_waits], &[&db_waits]);

    switch.turn_off();
    explains(&story, &web, &[&db_waits, "fails", "503"], &[]);
    flag.raise();
    story.main(&seed).succeeds(SOON);
    story.is_dead(&seed);
    explains(&story, &web, &["503"], &[&seed_waits]);
    story.gate(&web).still_waits();
    story.main(&web).has_never_started();

    switch.turn_on();
    story.gate(&web).succeeds(SOON);
    story.main(&web).runs(SOON);
}

#[test]
fn who_asks_for_nomads_word_is_not_told_what_came_after_it() {
    let story = CLUSTER.story();
    let (db, switch) = checked(&story, "db", "300ms");
    switch.turn_on();
    story.is_healthy(&db);
    let live = story.id("live");
    switch.turn_off();
    check_is(&story, &db, "failure");
    story.run(&Job::service(&live).gate(&format!("wait \"{db}\" {{}}")));
    story.gate(&live).says(SOON, "fails");

    let nomad = story.id("nomad");
    story.run(&Job::service(&nomad).gate(&format!("wait \"{db}\" {{\n source = \"nomad\"\n }}")));
    story.main(&nomad).runs(SOON);
    story.gate(&live).still_waits();
    story.main(&live).has_never_started();
}

#[test]
fn of_three_instances_two_are_enough_while_one_fails() {
    let story = CLUSTER.story();
    let (db, two, all) = (story.id("db"), story.id("two"), story.id("all"));
    story.run(&Job::service(&db).count(3).check_each().min_healthy("1s"));
    let ports: Vec<u16> = story.within(SOON, "three allocations with a port each", || {
        let port = |allocation: &serde_json::Value| {
            let path = format!("/v1/allocation/{}", allocation["ID"].as_str()?);
            let ports = story.get(&path)["AllocatedResources"]["Shared"]["Ports"].take();
            u16::try_from(ports[0]["Value"].as_u64()?).ok()
        };
        let found: Vec<u16> = story.allocations(&db)?.iter().filter_map(port).collect();
        if found.len() == 3 { Ok(found) } else { Err(format!("{found:?}")) }
    });
    let switches: Vec<Switch> = ports.into_iter().map(Switch::at).collect();
    story.run(&Job::service(&two).gate(&format!("wait \"{db}\" {{\n at_least = \"2\"\n }}")));
    story.run(&Job::service(&all).gate(&format!("wait \"{db}\" {{}}")));
    switches[0].turn_on();
    story.n_healthy(&db, 1);
    story.gate(&two).still_waits();

    switches[2].turn_on();
    story.gate(&two).succeeds(SOON);
    story.main(&two).runs(SOON);
    explains(&story, &all, &["2 of 3 healthy", "503"], &[]);
    story.gate(&all).still_waits();
    story.main(&all).has_never_started();
}

#[test]
fn a_restart_in_the_middle_begins_the_time_anew() {
    let story = CLUSTER.story();
    let (db, switch) = checked(&story, "db", "10s");
    let web = waiting(&story, "web", &format!("wait \"{db}\" {{}}"), &db);
    let (log, first) = (log_of(&story, &web), story.main(&db).started());
    let restart = format!("/v1/client/allocation/{}/restart", story.main(&db).allocation());
    switch.turn_on();
    logs(&story, &log, "its checks pass, and must for 10s");
    story.post(&restart, &json!({ "TaskName": "main" }));

    story.gate(&web).succeeds(SOON);
    let again = story.main(&db).started();
    assert!(again > first, "it was not restarted: {first}, {again}");
    let after = opened_after(&story, &web, again) + CLOCKS;
    assert!(after >= seconds(10), "after {after:?}\n{}", story.report());
}

#[test]
fn while_the_agent_is_away_nothing_counts() {
    let story = Story::alone(Options::default());
    let (db, switch) = checked(&story, "db", "10s");
    let web = waiting(&story, "web", &format!("wait \"{db}\" {{}}"), &db);
    let log = log_of(&story, &web);
    switch.turn_on();
    logs(&story, &log, "its checks pass, and must for 10s");

    story.agent(|agent| agent.freeze(true));
    let frozen = jiff::Timestamp::now();
    std::thread::sleep(seconds(20));
    let said = std::fs::read_to_string(&log).expect("it was just there");
    story.agent(|agent| agent.freeze(false));
    assert!(said.contains("cannot be asked"), "{said}");
    assert!(!said.contains("open after"), "it opened while nobody could be asked: {said}");

    story.gate(&web).succeeds(SOON);
    let after = opened_after(&story, &web, frozen) + CLOCKS;
    assert!(after >= seconds(20), "after {after:?}\n{}", story.report());
    story.main(&web).runs(SOON);
}

/// Two services on these ports. A check of the first runs each second and restarts the tasks once it fails; one of the second
/// runs every twenty seconds.
fn checked_twice(quick: u16, slow: u16) -> String {
    format!(
        r#"network {{
      port "quick" {{
        static = {quick}
      }}
      port "slow" {{
        static = {slow}
      }}
    }}

    service {{
      port     = "quick"
      provider = "nomad"

      {}
    }}

    service {{
      name     = "slow"
      port     = "slow"
      provider = "nomad"

      {}
    }}"#,
        http_check("1s", "check_restart {\n          limit = 1\n          grace = \"1s\"\n        }"),
        http_check("20s", "")
    )
}

#[test]
fn after_a_restart_by_a_check_all_of_them_have_to_pass_again() {
    let story = CLUSTER.story();
    let (db, web, quick, slow) = (story.id("db"), story.id("web"), Switch::new(), Switch::new());
    quick.turn_on();
    slow.turn_on();
    story.run(&Job::service(&db).restarts(9).group(&checked_twice(quick.port(), slow.port())));
    story.is_healthy(&db);
    quick.turn_off();
    story.within(SOON, "the check to restart its task", || match story.main(&db).state()? {
        state if state["Restarts"].as_u64() > Some(0) => Ok(()),
        state => Err(state["Restarts"].to_string()),
    });
    quick.turn_on();
    // Nomad acts upon a result a second late at most.
    story.within(SOON, "the task to run on", || match story.main(&db).state()? {
        state if state["State"] == "running" && story.main(&db).age() > seconds(3) => Ok(()),
        state => Err(state.to_string()),
    });
    check_is(&story, &db, "success");
    let again = story.main(&db).started();

    // All is well but for one result that is older than the task.
    story.run(&Job::service(&web).gate(&format!("wait \"{db}\" {{}}")));
    story.gate(&web).succeeds(SOON);
    assert_eq!(story.main(&db).started(), again, "{}", story.report());
    let asked = slow.answered().into_iter().find(|at| *at > again).expect("it was asked");
    assert!(story.gate(&web).ended() >= asked, "asked at {asked}\n{}", story.report());
    story.main(&web).runs(SOON);
}
