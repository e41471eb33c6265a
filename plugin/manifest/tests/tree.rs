//! Trees: what users can write of jobs and hooks, and what they are told when it is wrong.

use std::time::Duration;

use insta::assert_snapshot;
use serde_json::json;

use super::{problems, read};
use crate::manifest::{
    AtLeast, Hook, JobNode, Launch, Moment, OnBlocked, OnFailure, OnHookFailure, Ready, Retain, Source, Stop,
    Tree, Until, Verb,
};

fn map(key: &str, value: &str) -> std::collections::BTreeMap<String, String> {
    [(key.to_owned(), value.to_owned())].into()
}

fn tree(config: &serde_json::Value) -> Tree {
    let (manifest, problems) = read(config);
    assert_eq!(problems.to_string(), "no problem");
    *manifest.tree.unwrap()
}

#[test]
fn a_bare_tree_has_the_defaults() {
    let config = json!({"wait": {}, "job": {"api": {
        "jobspec": "local/api.hcl", "vars": null, "ready": null, "pre": {"check": {"jobspec": "x"}}, "post": {},
    }}, "max_parallel": null});
    let expected = Tree {
        verb: Verb::Run,
        stop: Stop::default(),
        on_failure: OnFailure::Finish,
        max_parallel: 10,
        timeout: None,
        jobs: [(
            "api".to_owned(),
            JobNode {
                jobspec: "local/api.hcl".to_owned(),
                vars: [].into(),
                namespace: None,
                depends_on: vec![],
                ready: Ready {
                    until: None,
                    at_least: None,
                    group: None,
                    stable_for: Duration::ZERO,
                    timeout: None,
                    on_blocked: OnBlocked::Wait,
                },
                exclusive: None,
                adopt: false,
                outputs: [].into(),
            },
        )]
        .into(),
        hooks: [(
            "check".to_owned(),
            Hook {
                of: Some("api".to_owned()),
                moment: Moment::Pre,
                launch: Launch::Jobspec { jobspec: "x".to_owned(), vars: [].into() },
                namespace: None,
                meta: [].into(),
                depends_on: vec![],
                once: None,
                timeout: Duration::from_mins(10),
                retries: 0,
                on_failure: OnHookFailure::Fail,
                retain: Retain::Failed,
                outputs: [].into(),
            },
        )]
        .into(),
        webhooks: [].into(),
        context: [].into(),
    };
    assert_eq!(tree(&config), expected);
}

#[test]
fn every_attribute_of_a_tree_arrives() {
    let config = json!({
        "on_failure": "cancel", "max_parallel": 7, "timeout": "30m",
        "wait": {"redis": {}},
        "job": {"postgres": {
            "jobspec": "/local/postgres.hcl", "vars": {"port": "5432"}, "namespace": "data",
            "depends_on": ["redis"], "exclusive": "db", "adopt": true,
            "ready": {
                "until": "running", "at_least": "50%", "group": "db", "stable_for": "10s", "timeout": "2m",
                "on_blocked": "fail",
            },
            "pre": {"check": {
                "jobspec": "local/check.hcl", "vars": {"x": "1"}, "meta": {"k": "v"}, "namespace": "ops",
                "depends_on": ["other"], "timeout": "1m", "retries": "2", "on_failure": "continue",
                "retain": "all",
            }},
            "post": {"team/setup": {"dispatch": "setup", "payload": "text", "meta": {"m.n": ""}, "retries": 3.0}},
        }},
    });
    let (manifest, problems) = read(&config);
    assert_eq!(problems.to_string(), "no problem");
    assert_eq!(manifest.waits.keys().collect::<Vec<_>>(), ["redis"]);
    let tree = *manifest.tree.unwrap();
    assert_eq!((tree.on_failure, tree.max_parallel), (OnFailure::Cancel, 7));
    assert_eq!(tree.timeout, Some(Duration::from_mins(30)));
    let expected = JobNode {
        jobspec: "/local/postgres.hcl".to_owned(),
        vars: map("port", "5432"),
        namespace: Some("data".into()),
        depends_on: vec!["redis".to_owned()],
        ready: Ready {
            until: Some(Until::Running),
            at_least: Some(AtLeast::Percent(50)),
            group: Some("db".to_owned()),
            stable_for: Duration::from_secs(10),
            timeout: Some(Duration::from_mins(2)),
            on_blocked: OnBlocked::Fail,
        },
        exclusive: Some("db".to_owned()),
        adopt: true,
        outputs: [].into(),
    };
    assert_eq!(tree.jobs["postgres"], expected);
    let expected = Hook {
        of: Some("postgres".to_owned()),
        moment: Moment::Pre,
        launch: Launch::Jobspec { jobspec: "local/check.hcl".to_owned(), vars: map("x", "1") },
        namespace: Some("ops".into()),
        meta: map("k", "v"),
        depends_on: vec!["other".to_owned()],
        once: None,
        timeout: Duration::from_mins(1),
        retries: 2,
        on_failure: OnHookFailure::Continue,
        retain: Retain::All,
        outputs: [].into(),
    };
    assert_eq!(tree.hooks["check"], expected);
    let post = &tree.hooks["team/setup"];
    assert_eq!(post.launch, Launch::Dispatch { job: "setup".into(), payload: "text".to_owned() });
    assert_eq!((post.moment, post.retries, &post.meta), (Moment::Post, 3, &map("m.n", "")));
}

#[test]
fn all_problems_of_a_tree_are_told_at_once() {
    let config = json!({
        "on_failure": "finnish", "max_parallel": 0, "timeout": "0s",
        "wait": {"redis": {"until": "helthy"}},
        "job": {
            "": {"jobspec": ""},
            "api": {
                "vars": {"good": "1", "a b": "2"}, "namespace": "*", "exclusive": "", "ready": {
                    "until": "absent", "at_least": "0", "group": "a b", "stable_for": "31d", "timeout": "soon",
                    "on_blocked": "giveup",
                },
                "pre": {
                    "a b": {"jobspec": "../x", "retries": 101, "on_failure": "contniue", "retain": "some"},
                    "": {"dispatch": "", "meta": {"dtree_tree": "x", "": ""}, "payload": "x".repeat(16_385)},
                },
                "post": {
                    "x".repeat(65): {"jobspec": "/etc/x", "timeout": "0s", "retries": 1.5},
                },
            },
            "db": {"jobspec": "local/db.hcl", "ready": {"until": "runing"}},
        },
    });
    assert_snapshot!(problems(&config), @r#"
    32 problems:
    pre "" of job "api": job "" has the same label (wait, job and all hook blocks share their labels in a task: rename one)
    wait "redis": until = "helthy" is none of running, healthy, complete, failed, finished, stopped, absent (did you mean "healthy"?)
    config: on_failure = "finnish" is none of finish, continue, cancel (did you mean "finish"?)
    config: max_parallel = 0 is no whole number from 1 to 1000
    config: timeout = "0s" leaves no time to wait; write "1s" or more
    job "": the label is empty
    job "": jobspec = "" names no file; write a path in the task's directory, like "local/x.nomad.hcl"
    job "api": jobspec is missing (write the path of its jobspec: `jobspec = "local/api.nomad.hcl"`)
    job "api": vars has "a b", which no variable is called: letters, digits, `_` and `-`, and no digit first
    job "api": namespace = "*" cannot be one: up to 128 letters, digits and dashes, and one namespace only
    job "api": exclusive is empty
    ready of job "api": until = "absent" makes no sense of a job that was just submitted (write one of running, healthy, complete, finished)
    ready of job "api": at_least = "0" is neither a number from 1 on, like "2", nor a share from 1% to 100%, like "50%"
    ready of job "api": group = "a b" has a blank in it, which no name in Nomad has
    ready of job "api": stable_for = "31d" is more than 30 days
    ready of job "api": timeout = "soon" is not a duration; write it like "90s", "5m" or "1h30m"
    ready of job "api": on_blocked = "giveup" is none of wait, fail
    pre "" of job "api": the label is empty
    pre "" of job "api": payload has 16385 bytes, and Nomad dispatches no more than 16384
    pre "" of job "api": dispatch is empty
    pre "" of job "api": meta has a key without a name
    pre "" of job "api": meta has "dtree_tree", but keys with dtree_ are dtree's own marks
    pre "a b" of job "api": the label = "a b" becomes part of a job's ID: write it with letters, digits, `-`, `_`, `.` and `/` only
    pre "a b" of job "api": jobspec = "../x" leads out of the task's directory; let a template or artifact block bring the file to "local/"
    pre "a b" of job "api": retries = 101 is no whole number from 0 to 100
    pre "a b" of job "api": on_failure = "contniue" is none of fail, continue (did you mean "continue"?)
    pre "a b" of job "api": retain = "some" is none of failed, all, none
    post "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" of job "api": the label has 65 characters, and at most 64 fit into a job's ID
    post "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" of job "api": jobspec = "/etc/x" is not in the task's directory, of which "/local/", "/secrets/" and "/alloc/" can be read; let a template or artifact block bring the file to "local/"
    post "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" of job "api": timeout = "0s" leaves no time to wait; write "1s" or more
    post "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" of job "api": retries = 1.5 is no whole number from 0 to 100
    ready of job "db": until = "runing" is none of running, healthy, complete, finished (did you mean "running"?)
    "#);
}

#[test]
fn contradictions_of_a_hook_are_named_as_a_pair() {
    let config = json!({"job": {"api": {"jobspec": "x", "pre": {
        "both": {"jobspec": "x", "dispatch": "y"},
        "dispatched": {"dispatch": "y", "vars": {"a": "1"}},
        "neither": {},
        "nothing": {"payload": ""},
        "run": {"jobspec": "x", "payload": ""},
    }}}});
    assert_snapshot!(problems(&config), @r#"
    5 problems:
    pre "both" of job "api": jobspec and dispatch contradict each other: one runs a jobspec, the other a job that is registered already
    pre "dispatched" of job "api": vars and dispatch contradict each other: a registered job has no variables any more; give it meta
    pre "neither" of job "api": has nothing to run (write the path of a batch jobspec, `jobspec = "local/neither.nomad.hcl"`, or the ID of a parameterized job, `dispatch = "neither"`)
    pre "nothing" of job "api": has nothing to run (write the path of a batch jobspec, `jobspec = "local/nothing.nomad.hcl"`, or the ID of a parameterized job, `dispatch = "nothing"`)
    pre "run" of job "api": payload and jobspec contradict each other: only a dispatched job takes one
    "#);
}

#[test]
fn one_label_for_two_blocks_is_told_with_both_places() {
    let config = json!({
        "wait": {"redis": {}},
        "job": {
            "api": {"jobspec": "x", "pre": {"api": {"jobspec": "x"}, "seed": {"jobspec": "x"}}},
            "db": {"jobspec": "x", "pre": {"both": {"jobspec": "x"}}, "post": {"both": {"jobspec": "x"}}},
            "redis": {"jobspec": "x", "post": {"seed": {"jobspec": "x"}}},
        },
    });
    assert_snapshot!(problems(&config), @r#"
    4 problems:
    pre "api" of job "api": job "api" has the same label (wait, job and all hook blocks share their labels in a task: rename one)
    post "both" of job "db": pre "both" of job "db" has the same label (wait, job and all hook blocks share their labels in a task: rename one)
    job "redis": wait "redis" has the same label (wait, job and all hook blocks share their labels in a task: rename one)
    post "seed" of job "redis": pre "seed" of job "api" has the same label (wait, job and all hook blocks share their labels in a task: rename one)
    "#);
}

#[test]
fn what_is_said_of_a_tree_needs_one() {
    let config = json!({"wait": {"a": {}}, "on_failure": "finish", "max_parallel": 3, "timeout": "1h"});
    assert_snapshot!(problems(&config), @"
    3 problems:
    config: on_failure is about jobs and hooks, and there is no `job` or `hook` block (take it away; what it means for one wait is written into the `wait` block)
    config: max_parallel is about jobs and hooks, and there is no `job` or `hook` block (take it away; what it means for one wait is written into the `wait` block)
    config: timeout is about jobs and hooks, and there is no `job` or `hook` block (take it away; what it means for one wait is written into the `wait` block)
    ");
}

#[test]
fn a_gate_is_not_larger_for_the_trees_there_are() {
    let (gate, problems) = read(&json!({"wait": {"a": {}}}));
    assert!(problems.is_empty(), "{problems}");
    assert_eq!(gate.tree, None);
    let without = size_of_val(&gate.waits);
    assert_eq!(size_of_val(&gate), without + size_of::<usize>());
}

#[test]
fn a_key_of_once_must_tell_releases_apart() {
    let hook = |once: &str| json!({"hook": {"migrate": {"dispatch": "m", "once": once}}});
    assert_eq!(tree(&hook("v7")).hooks["migrate"].once.as_deref(), Some("v7"));
    assert_snapshot!(problems(&hook("")), @r#"hook "migrate": once is empty, so it would run once and never again, for whatever release (give it a key that changes when it must run again, like `once = "${NOMAD_META_release}"`, and see that it has a value)"#);
    assert_snapshot!(problems(&hook(" ")), @r#"hook "migrate": once is empty, so it would run once and never again, for whatever release (give it a key that changes when it must run again, like `once = "${NOMAD_META_release}"`, and see that it has a value)"#);
    assert_snapshot!(problems(&hook("${NOMAD_META_relaese}")), @r#"hook "migrate": once = "${NOMAD_META_relaese}" is no key: Nomad found no value for it (a name in `${…}` must be that of the task's environment or meta)"#);
    assert_snapshot!(problems(&hook(&"x".repeat(1025))), @r#"hook "migrate": once has 1025 bytes, and a key may have 1024"#);
}

#[test]
fn a_webhook_is_read_and_its_address_never_told() {
    let with = |webhook: serde_json::Value| json!({"job": {"api": {"jobspec": "local/api"}}, "webhook": {"chat": webhook}});
    let chat = tree(&with(json!({"url": "http://chat:8080/s3cret?x", "on": ["failure"], "timeout": "3s"})));
    let chat = &chat.webhooks["chat"];
    assert_eq!((chat.host.as_str(), chat.wants(true), chat.wants(false)), ("chat:8080", false, true));
    assert!(!format!("{chat:?}").contains("s3cret"), "{chat:?}");
    let bad = [
        json!({}),
        json!({"url": "ftp://chat/s3cret"}),
        json!({"url": "chat/s3cret", "on": [], "timeout": "2m"}),
        json!({"url": "http:///s3cret", "on": ["faliure"]}),
        json!({"url": "http://me:s3cret@chat/", "headers": {"a b": "x", "x": "s3cret\n"}}),
    ];
    let told: Vec<String> = bad.into_iter().map(|webhook| problems(&with(webhook))).collect();
    assert!(!told.concat().contains("s3cret"), "{told:?}");
    assert_snapshot!(told.join("\n"), @r#"
    webhook "chat": has no url (write `url = "http://HOST/PATH"`)
    webhook "chat": url is no address: it begins with `http://` or `https://`
    3 problems:
    webhook "chat": url is no address: it begins with `http://` or `https://`
    webhook "chat": on is empty, so it would never be sent
    webhook "chat": timeout is more than 1m for one try
    2 problems:
    webhook "chat": url has no host that could be looked up
    webhook "chat": on has "faliure", which is none of success, failure
    3 problems:
    webhook "chat": url has a user in it; write it as a header: `headers = { Authorization = "…" }`
    webhook "chat": headers has "a b", of which HTTP can make no header
    webhook "chat": headers has "x", of which HTTP can make no header
    "#);
}

#[test]
fn outputs_and_context_arrive() {
    let tree = tree(&json!({
        "context": {"zone": "eu-1", "empty": ""},
        "job": {"db": {
            "jobspec": "x",
            "outputs": {
                "address": "service:pg:address", "port": "service:${JOB}-pg:port", "secret": "variable:nomad/jobs/db#pass#1",
                "release": "meta:release.name",
            },
            "post": {"seed": {"jobspec": "x", "outputs": {"rows": "variable:seed#rows"}}},
        }},
        "hook": {"migrate": {"dispatch": "m", "outputs": {"schema": "variable:db#schema"}}},
    }));
    let sources = |outputs: &std::collections::BTreeMap<String, Source>| {
        outputs.iter().map(|(name, source)| format!("{name} = {source:?}")).collect::<Vec<_>>().join("\n")
    };
    assert_snapshot!(sources(&tree.jobs["db"].outputs), @r#"
    address = Service { name: "pg", part: Address }
    port = Service { name: "${JOB}-pg", part: Port }
    release = Meta { key: "release.name" }
    secret = Variable { path: "nomad/jobs/db#pass", key: "1" }
    "#);
    assert_eq!(sources(&tree.hooks["seed"].outputs), r#"rows = Variable { path: "seed", key: "rows" }"#);
    assert_eq!(sources(&tree.hooks["migrate"].outputs), r#"schema = Variable { path: "db", key: "schema" }"#);
    assert_eq!(
        tree.context,
        [("empty".to_owned(), String::new()), ("zone".to_owned(), "eu-1".to_owned())].into()
    );
}

#[test]
fn outputs_and_context_that_make_no_sense_are_told() {
    let told = problems(&json!({
        "context": {"a.b": "x", "c": "$(db.port)"},
        "job": {"db": {
            "jobspec": "x",
            "outputs": {
                "id": "meta:x", "a b": "meta:x", "": "meta:y", "c": "service:pg", "d": "service:pg:host", "e": "service::port",
                "f": "variable:a/b", "g": "variable:#x", "h": "variable:a//b#x", "i": "variable:a#", "j": "meta:",
                "k": "consul:pg:port", "l": "pg:port", "m": "",
            },
            "pre": {"check": {"jobspec": "x", "outputs": {"a": "variable:a#b"}}},
            "post": {"seed": {"jobspec": "x", "outputs": {"exit_code": "variable:a#b", "p": "service:pg:port"}}},
        }},
        "after_failure": {"alarm": {"jobspec": "x", "outputs": {"a": "meta:b"}}},
    }));
    assert_snapshot!(told, @r#"
    20 problems:
    config: context has "a.b", which no reference can name: letters, digits, `_` and `-`
    config: context: c has `$(` in it, and a value of context is taken as it is (write the reference where the value is used)
    job "db": outputs has "", which no output is called: letters, digits, `_` and `-`
    job "db": outputs has "a b", which no output is called: letters, digits, `_` and `-`
    job "db": outputs: c = "service:pg" does not say which service, and what of it (write "service:NAME:address", "service:NAME:port", "variable:PATH#KEY" or "meta:KEY")
    job "db": outputs: d = "service:pg:host" asks for what is neither the address nor the port of a service (write "service:NAME:address", "service:NAME:port", "variable:PATH#KEY" or "meta:KEY")
    job "db": outputs: e = "service::port" does not say which service, and what of it (write "service:NAME:address", "service:NAME:port", "variable:PATH#KEY" or "meta:KEY")
    job "db": outputs: f = "variable:a/b" does not say which item of the variable (write "service:NAME:address", "service:NAME:port", "variable:PATH#KEY" or "meta:KEY")
    job "db": outputs: g = "variable:#x" is no path of a variable and a key (write "service:NAME:address", "service:NAME:port", "variable:PATH#KEY" or "meta:KEY")
    job "db": outputs: h = "variable:a//b#x" is no path of a variable and a key (write "service:NAME:address", "service:NAME:port", "variable:PATH#KEY" or "meta:KEY")
    job "db": outputs: i = "variable:a#" is no path of a variable and a key (write "service:NAME:address", "service:NAME:port", "variable:PATH#KEY" or "meta:KEY")
    job "db": outputs has "id", which it has by itself (give yours another name)
    job "db": outputs: j = "meta:" does not say which key of the meta (write "service:NAME:address", "service:NAME:port", "variable:PATH#KEY" or "meta:KEY")
    job "db": outputs: k = "consul:pg:port" asks Consul, which dtree does not look at (let the job register the service with `provider = "nomad"`)
    job "db": outputs: l = "pg:port" is no source (write "service:NAME:address", "service:NAME:port", "variable:PATH#KEY" or "meta:KEY")
    job "db": outputs: m = "" is no source (write "service:NAME:address", "service:NAME:port", "variable:PATH#KEY" or "meta:KEY")
    pre "check" of job "db": pre hooks have no outputs (take it away: only jobs, `hook` blocks and post hooks have outputs)
    post "seed" of job "db": outputs has "exit_code", which it has by itself (give yours another name)
    post "seed" of job "db": outputs: p = "service:pg:port" asks for what is gone when a hook has ended (let it write a variable: "variable:PATH#KEY")
    after_failure "alarm": after_failure hooks have no outputs (take it away: only jobs, `hook` blocks and post hooks have outputs)
    "#);
    assert_snapshot!(problems(&json!({"wait": {"db": {}}, "context": {"a": "b"}})), @"config: context is about jobs and hooks, and there is no `job` or `hook` block (take it away; what it means for one wait is written into the `wait` block)");
}
