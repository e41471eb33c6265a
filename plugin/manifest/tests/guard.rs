use super::*;
use crate::manifest::{Guard, OnLoss};

fn guard_of(wait: &Value) -> Guard {
    only_wait(&json!({"wait": {"db": wait}})).guard.unwrap()
}

fn problems_of(config: &Value) -> String {
    read(config).1.to_string()
}

#[test]
fn what_makes_a_guard_arrives_and_has_its_default() {
    let bare = Guard {
        on_loss: OnLoss::Hold,
        grace: Duration::from_secs(10),
        signal: None,
        tasks: Vec::new(),
        max_actions: 3,
        period: Duration::from_mins(10),
    };
    assert_eq!(guard_of(&json!({"on_loss": "hold"})), bare);
    let signal = guard_of(&json!({"on_loss": "signal"}));
    assert_eq!(signal.signal.as_deref(), Some("SIGHUP"));
    let full = json!({
        "on_loss": "signal", "grace": "1m", "signal": "SIGUSR1", "tasks": ["api", "web"], "max_actions": 100,
        "period": "1h",
    });
    let full = guard_of(&full);
    assert_eq!((full.grace, full.period), (Duration::from_mins(1), Duration::from_hours(1)));
    assert_eq!((full.max_actions, full.tasks), (100, vec!["api".to_owned(), "web".to_owned()]));
    assert_eq!(full.signal.as_deref(), Some("SIGUSR1"));
    assert!(only_wait(&json!({"wait": {"db": {}}})).guard.is_none());
    let any_version = |wait: Value| only_wait(&json!({"wait": {"db": wait}})).any_version;
    assert!(any_version(json!({"on_loss": "hold"})) && !any_version(json!({})));
    assert!(!any_version(json!({"on_loss": "hold", "any_version": false})));
    assert!(any_version(json!({"on_loss": "hold", "until": "stopped"})), "it contradicts nothing by itself");
}

#[test]
fn what_makes_no_sense_of_a_guard_is_told_at_once() {
    insta::assert_snapshot!(problems_of(&json!({"wait": {
        "a": {"on_loss": "hold", "timeout": "5m", "on_timeout": "fail", "on_blocked": "fail"},
        "b": {"on_loss": "report", "max_actions": 3, "period": "1m", "tasks": ["x"], "signal": "SIGHUP"},
        "c": {"on_loss": "restart", "tasks": ["x"], "signal": "SIGHUP"},
        "d": {"on_loss": "signal", "signal": "SIGHOP", "tasks": [], "grace": "0s", "max_actions": 0, "period": "0.5s"},
        "e": {"on_loss": "stop", "grace": "soon", "max_actions": 101, "tasks": ["a b"]},
    }})), @r#"
    18 problems:
    wait "a": timeout and on_loss contradict each other: a guard watches until it is stopped, and has no time limit
    wait "a": on_timeout and on_loss contradict each other: a guard watches until it is stopped, and has no time limit
    wait "a": on_blocked and on_loss contradict each other: a guard watches until it is stopped, and has no time limit
    wait "b": tasks and on_loss = "report" contradict each other: a report sends nothing, and is not counted
    wait "b": signal and on_loss = "report" contradict each other: a report sends nothing, and is not counted
    wait "b": max_actions and on_loss = "report" contradict each other: a report sends nothing, and is not counted
    wait "b": period and on_loss = "report" contradict each other: a report sends nothing, and is not counted
    wait "c": tasks and on_loss = "restart" contradict each other: the whole allocation is restarted
    wait "c": signal and on_loss = "restart" contradict each other: the whole allocation is restarted
    wait "d": grace is less than "1s", in which nothing can be seen for certain
    wait "d": signal = "SIGHOP" is none of SIGABRT, SIGALRM, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGSTOP, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH (did you mean "SIGHUP"?)
    wait "d": tasks is empty, so nobody would be signalled (name tasks of the group, or take it away: then all main tasks are signalled)
    wait "d": max_actions = 0 is no whole number from 1 to 100
    wait "d": period is less than "1s"
    wait "e": on_loss = "stop" is none of report, signal, restart, hold
    wait "e": grace = "soon" is not a duration; write it like "90s", "5m" or "1h30m"
    wait "e": a member of tasks = "a b" has a blank in it, which no name in Nomad has
    wait "e": max_actions = 101 is no whole number from 1 to 100
    "#);
    insta::assert_snapshot!(problems_of(&json!({"wait": {
        "f": {"grace": "1m", "signal": "SIGHUP", "tasks": ["x"], "max_actions": 3, "period": "1m"},
    }})), @r#"
    5 problems:
    wait "f": tasks is about what a guard does, and there is no on_loss (add `on_loss = "report"` or another of report, signal, restart, hold, or take tasks away)
    wait "f": signal is about what a guard does, and there is no on_loss (add `on_loss = "report"` or another of report, signal, restart, hold, or take signal away)
    wait "f": max_actions is about what a guard does, and there is no on_loss (add `on_loss = "report"` or another of report, signal, restart, hold, or take max_actions away)
    wait "f": period is about what a guard does, and there is no on_loss (add `on_loss = "report"` or another of report, signal, restart, hold, or take period away)
    wait "f": grace is about what a guard does, and there is no on_loss (add `on_loss = "report"` or another of report, signal, restart, hold, or take grace away)
    "#);
}

#[test]
fn a_task_is_a_gate_a_guard_or_a_tree() {
    insta::assert_snapshot!(problems_of(&json!({"wait": {
        "a": {"on_loss": "hold"},
        "b": {},
        "c": {},
    }})), @r#"config: wait "a" has on_loss, and these have not: "b", "c" (a task holds its group back or keeps watch: give on_loss to all waits of a guard, and put the others into a gate)"#);
    insta::assert_snapshot!(problems_of(&json!({
        "wait": {"a": {"on_loss": "hold"}},
        "hook": {"h": {"dispatch": "x"}},
    })), @r#"wait "a": on_loss contradicts the `job` or `hook` blocks beside it (a guard is a task of its own: a sidecar with the waits that have on_loss)"#);
}
