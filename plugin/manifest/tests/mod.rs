//! What users can write, and what they are told when it is wrong.

mod paths;
mod stop;
mod tree;

use std::time::Duration;

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::*;

fn read(config: &Value) -> (Manifest, Problems) {
    Manifest::from_msgpack(&rmp_serde::to_vec(config).unwrap())
}

fn problems(config: &Value) -> String {
    read(config).1.to_string()
}

fn only_wait(config: &Value) -> Wait {
    let (manifest, problems) = read(config);
    assert_eq!(problems.to_string(), "no problem");
    *manifest.waits.into_values().next().unwrap()
}

#[test]
fn a_bare_wait_is_for_the_job_of_its_label_for_five_minutes() {
    let wait = only_wait(&json!({"wait": {"postgres": {"job": null, "until": null}}}));
    let expected = Wait {
        subject: Subject::Job {
            job: "postgres".into(),
            namespace: None,
            group: None,
            source: HealthSource::Live,
        },
        until: None,
        at_least: None,
        any_version: false,
        timeout: Duration::from_mins(5),
        on_timeout: OnTimeout::Fail,
        on_blocked: OnBlocked::Wait,
        depends_on: Vec::new(),
    };
    assert_eq!(wait, expected);
}

#[test]
fn every_attribute_arrives() {
    let wait = only_wait(&json!({"wait": {"db": {
        "job": "postgres", "namespace": "data", "group": "primary", "until": "running", "at_least": "50%",
        "any_version": true, "source": "nomad", "timeout": "1h30m", "on_timeout": "continue", "on_blocked": "fail",
        "depends_on": ["net"],
    }}}));
    let expected = Wait {
        subject: Subject::Job {
            job: "postgres".into(),
            namespace: Some("data".into()),
            group: Some("primary".to_owned()),
            source: HealthSource::Nomad,
        },
        until: Some(Until::Running),
        at_least: Some(AtLeast::Percent(50)),
        any_version: true,
        timeout: Duration::from_mins(90),
        on_timeout: OnTimeout::Continue,
        on_blocked: OnBlocked::Fail,
        depends_on: vec!["net".to_owned()],
    };
    assert_eq!(wait, expected);
    let wait = only_wait(&json!({"wait": {"ready": {"task": "proxy", "until": "running"}}}));
    assert_eq!(wait.subject, Subject::Task { task: "proxy".to_owned() });
}

#[test]
fn all_problems_of_all_blocks_are_told_at_once() {
    assert_snapshot!(problems(&json!({"wait": {
        "a b": {},
        "api": {"until": "healty", "timeout": "5 minits", "at_least": "150%", "on_timeout": "abort"},
        "cache": {"on_blocked": "give up", "namespace": "*", "group": "", "job": "x y"},
        "": {"timeout": "0s"},
    }})), @r#"
    11 problems:
    wait "": timeout = "0s" leaves no time to wait; write "1s" or more
    wait "": the label is empty
    wait "a b": the label = "a b" has a blank in it, which no name in Nomad has
    wait "api": until = "healty" is none of running, healthy, complete, failed, finished, stopped, absent (did you mean "healthy"?)
    wait "api": at_least = "150%" is neither a number from 1 on, like "2", nor a share from 1% to 100%, like "50%"
    wait "api": timeout = "5 minits" is not a duration; write it like "90s", "5m" or "1h30m"
    wait "api": on_timeout = "abort" is none of fail, continue
    wait "cache": on_blocked = "give up" is none of wait, fail
    wait "cache": job = "x y" has a blank in it, which no name in Nomad has
    wait "cache": namespace = "*" cannot be one: up to 128 letters, digits and dashes, and one namespace only
    wait "cache": group is empty
    "#);
}

#[test]
fn contradictions_are_named_as_a_pair() {
    assert_snapshot!(problems(&json!({"wait": {
        "own": {
            "task": "proxy", "job": "api", "namespace": "data", "group": "web", "at_least": "2",
            "any_version": true, "on_blocked": "fail", "until": "absent",
        },
        "gone": {"until": "stopped", "group": "web", "at_least": "1", "any_version": true, "on_blocked": "fail"},
        "bad": {"until": "failed", "at_least": "1"},
    }})), @r#"
    16 problems:
    wait "bad": at_least and until = "failed" contradict each other: one failure fails the job
    wait "gone": group and until = "stopped" contradict each other: a job is stopped or absent as a whole
    wait "gone": at_least and until = "stopped" contradict each other: a job is stopped or absent as a whole
    wait "gone": any_version and until = "stopped" contradict each other: a job is stopped or absent as a whole
    wait "gone": on_blocked and until = "stopped" contradict each other: a job is stopped or absent as a whole
    wait "own": job and task contradict each other: a task of the own allocation is no job
    wait "own": namespace and task contradict each other: a task of the own allocation is no job
    wait "own": group and task contradict each other: a task of the own allocation is no job
    wait "own": at_least and task contradict each other: a task of the own allocation is no job
    wait "own": any_version and task contradict each other: a task of the own allocation is no job
    wait "own": on_blocked and task contradict each other: a task of the own allocation is no job
    wait "own": until = "absent" and task contradict each other: a task can be awaited until running, healthy or complete
    wait "own": group and until = "absent" contradict each other: a job is stopped or absent as a whole
    wait "own": at_least and until = "absent" contradict each other: a job is stopped or absent as a whole
    wait "own": any_version and until = "absent" contradict each other: a job is stopped or absent as a whole
    wait "own": on_blocked and until = "absent" contradict each other: a job is stopped or absent as a whole
    "#);
}

#[test]
fn at_least_takes_a_count_or_a_share() {
    let good = ["1", "2", "1%", "50%", "100%"].map(|text| AtLeast::from_text(text).is_some());
    assert_eq!(good, [true; 5]);
    let bad = ["0", "0%", "101%", "-1", "1.5", "", "%", "two"].map(|text| AtLeast::from_text(text).is_some());
    assert_eq!(bad, [false; 8]);
}

#[test]
fn a_share_is_rounded_up() {
    let half = AtLeast::Percent(50);
    assert_eq!([0, 1, 2, 3, 4].map(|wanted| half.of(wanted)), [0, 1, 1, 2, 2]);
    assert_eq!(AtLeast::Percent(100).of(3), 3);
    assert_eq!(AtLeast::Count(2).of(5), 2);
}

#[test]
fn durations_have_a_range() {
    assert_eq!(value::duration("0.5s"), Ok(Duration::from_millis(500)));
    assert_eq!(value::duration("30d"), Ok(Duration::from_hours(720)));
    assert_snapshot!(value::duration("31d").unwrap_err(), @r#""31d" is more than 30 days"#);
    assert_snapshot!(value::duration("0").unwrap_err(), @r#""0" leaves no time to wait; write "1s" or more"#);
    assert_snapshot!(value::duration("").unwrap_err(), @r#""" is not a duration; write it like "90s", "5m" or "1h30m""#);
}

#[test]
fn nothing_to_do_is_a_problem() {
    assert_snapshot!(problems(&json!({"wait": {}})), @r#"config: nothing to wait for, to submit or to run (name each job the group needs: `wait "postgres" {}`, or each to submit: `job "postgres" { jobspec = "local/postgres.nomad.hcl" }`, or each to run: `hook "migrate" { dispatch = "db-migrate" }`)"#);
    assert_eq!(problems(&json!({"wait": {}})), problems(&json!({"job": {}, "timeout": null})));
    assert_eq!(problems(&json!({"wait": {}})), problems(&json!({})));
}

#[test]
fn unknown_keys_and_garbage_are_problems() {
    assert_snapshot!(problems(&json!({"wiat": {}})), @"config: cannot be read: unknown field `wiat`, expected one of `wait`, `job`, `hook`, `after_success`, `after_failure`, `webhook`, `verb`, `stop`, `on_failure`, `max_parallel`, `timeout`, `context`");
    assert_snapshot!(problems(&json!({"wait": {"a": {"untill": "healthy"}}})), @"config: cannot be read: unknown field `untill`, expected one of `job`, `namespace`, `group`, `task`, `until`, `at_least`, `any_version`, `source`, `timeout`, `on_timeout`, `on_blocked`, `depends_on`");
    assert_snapshot!(problems(&json!({"wait": {"a": {"until": 5}}})), @"config: cannot be read: invalid type: integer `5`, expected a string");
    assert_snapshot!(Manifest::from_msgpack(&[]).1, @"config: cannot be read: IO error while reading marker: failed to fill whole buffer");
    assert_snapshot!(Manifest::from_msgpack(&[0xc1, 0xff]).1, @"config: cannot be read: wrong msgpack marker Reserved");
}

/// A body of the schema, and the names of the blocks and labels around it.
type Inner = (schema::Body, Vec<&'static str>);

/// Each body of the schema.
fn bodies() -> Vec<Inner> {
    fn below(body: schema::Body, path: &[&'static str], all: &mut Vec<Inner>) {
        all.push((body, path.to_vec()));
        for block in body.blocks {
            let inner = [path, &[block.name], if block.label.is_some() { &["a"] } else { &[] }].concat();
            below(block.body, &inner, all);
        }
    }
    let mut all = Vec::new();
    below(schema::MANIFEST, &[], &mut all);
    assert!(all.iter().any(|(_, path)| *path == ["job", "a", "post_stop", "a"]), "{all:?}");
    all
}

/// A manifest with `body` at `path`.
fn around(path: &[&str], body: Value) -> Value {
    path.iter().rev().fold(body, |body, name| json!({ *name: body }))
}

#[test]
fn the_schema_lists_exactly_what_the_reader_takes() {
    for (body, path) in bodies() {
        let blocks = body.blocks.iter().map(|block| block.name);
        let names: Vec<&str> = body.attributes.iter().map(|attribute| attribute.name).chain(blocks).collect();
        for name in &names {
            let nothing = problems(&around(&path, json!({*name: null})));
            assert!(!nothing.contains("cannot be read"), "{name}: {nothing}");
        }
        let unknown = problems(&around(&path, json!({"": null})));
        for name in &names {
            assert!(unknown.contains(&format!("`{name}`")), "{unknown} lacks {name}");
        }
        assert_eq!(unknown.matches('`').count(), 2 * (names.len() + 1), "{unknown}");
    }
}

#[test]
fn every_kind_of_attribute_is_read_as_the_schema_says() {
    for (body, path) in bodies() {
        for attribute in body.attributes {
            let good = match attribute.kind {
                schema::Kind::Text => json!("x"),
                schema::Kind::Bool => json!(true),
                schema::Kind::Number => json!(7),
                schema::Kind::TextList => json!(["x"]),
                schema::Kind::TextMap => json!({"x": "y"}),
            };
            let told = problems(&around(&path, json!({attribute.name: good})));
            assert!(!told.contains("cannot be read"), "{}: {told}", attribute.name);
        }
    }
}
