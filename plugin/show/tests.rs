//! What a user reads, whole.

use std::time::Duration;

use insta::assert_snapshot;

use super::*;
use crate::engine::Time;

fn at(seconds: u64) -> Time {
    Time::default() + Duration::from_secs(seconds)
}

fn node(name: &str, state: &'static str, detail: &str, needs: &[&str]) -> NodeStatus {
    NodeStatus {
        name: name.to_owned(),
        wanted: format!("job {name} healthy"),
        state,
        detail: detail.to_owned(),
        seen: Vec::new(),
        since: at(100),
        gives_up: (state != "satisfied").then(|| at(400)),
        on_timeout: "fail",
        depends_on: needs.iter().map(|need| (*need).to_owned()).collect(),
        hint: (state == "gated").then(|| format!("look with `nomad job status {name}`")),
    }
}

fn shop() -> Status {
    Status {
        now: at(150),
        began: at(90),
        run: None,
        task: "shop/web/after-db".to_owned(),
        alloc: "61d0c2aa".to_owned(),
        nodes: Box::new([
            node("postgres", "satisfied", "deployment 7c41f0ab, 2 of 2 healthy", &[]),
            node("redis", "gated", "no job has this ID yet", &[]),
            node("migrate", "blocked", "waits for redis", &["postgres", "redis"]),
        ]),
        notes: vec!["a note".to_owned()],
        ending: None,
    }
}

#[test]
fn tree_shows_each_step_under_what_it_depends_on() {
    assert_snapshot!(tree(&shop()), @"
    shop/web/after-db
        postgres: satisfied for 50s: deployment 7c41f0ab, 2 of 2 healthy
        redis: gated for 50s: no job has this ID yet; gives up in 4m 10s
            migrate (after postgres too): blocked for 50s: waits for redis; gives up in 4m 10s
    ");
}

#[test]
fn a_step_that_needs_several_is_drawn_once_and_says_the_others() {
    let mut diamond = shop();
    diamond.nodes = Box::new([
        node("db", "satisfied", "unchanged", &[]),
        node("db_setup", "satisfied", "done", &["db"]),
        node("api", "gated", "0 of 1 healthy", &["db", "db_setup"]),
        node("worker", "working", "is being submitted", &["db", "db_setup"]),
        node("web", "blocked", "waits for api, worker", &["api", "worker"]),
    ]);
    assert_snapshot!(tree(&diamond), @"
    shop/web/after-db
        db: satisfied for 50s: unchanged
            db_setup: satisfied for 50s: done
                api: gated for 50s: 0 of 1 healthy; gives up in 4m 10s
                worker: working for 50s: is being submitted; gives up in 4m 10s
                    web (after api too): blocked for 50s: waits for api, worker; gives up in 4m 10s
    ");
}

#[test]
fn why_names_each_step_that_holds_the_gate() {
    assert_snapshot!(why(&shop()), @"
    redis: gated
        awaited   job redis healthy
        seen      no job has this ID yet
        since     50s ago
        until     4m 10s from now, then fail
        help      look with `nomad job status redis`
    migrate: blocked: waits for redis
    note: a note
    ");
}

#[test]
fn why_of_a_gate_that_has_ended() {
    let mut ended = shop();
    ended.nodes = Box::new([node("postgres", "satisfied", "healthy", &[])]);
    ended.notes.clear();
    assert_snapshot!(why(&ended), @"nothing is awaited any more");
    ended.ending = Some("open after 1m".to_owned());
    assert_snapshot!(why(&ended), @"open after 1m");
}

#[test]
fn status_shows_all_steps_in_columns() {
    assert_snapshot!(status(&shop()), @"
    Task          = shop/web/after-db
    Allocation    = 61d0c2aa
    Elapsed       = 1m

    Step      State      Since  Detail
    postgres  satisfied  50s    deployment 7c41f0ab, 2 of 2 healthy
    redis     gated      50s    no job has this ID yet; until 4m 10s from now
    migrate   blocked    50s    waits for redis; until 4m 10s from now
    ");
    let mut ended = shop();
    ended.ending = Some("stopped".to_owned());
    assert!(status(&ended).contains("\nEnded         = stopped\n\n"));
}
