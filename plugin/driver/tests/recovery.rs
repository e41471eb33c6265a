//! A task in a new process.

use std::{collections::BTreeMap, fs};

use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    exec::session,
    host::{Host, SOON},
};
use crate::{
    driver::{
        handle::Handle,
        pb::drivers::{StartTaskRequest, TaskConfig, TaskHandle},
    },
    engine::Time,
    manifest::{Hook, JobNode, Manifest, Template},
};

/// A handle as a restarted agent gives it back: without the task's configuration.
fn as_after_a_restart(handle: TaskHandle) -> TaskHandle {
    let config = handle.config.map(|config| TaskConfig { msgpack_driver_config: Vec::new(), ..config });
    TaskHandle { config, ..handle }
}

#[tokio::test]
async fn a_gate_goes_on_in_a_new_process_without_its_configuration() {
    let handle = Host::start().await.start_gate("a/gate/1").await;
    let mut host = Host::start().await;
    host.recover(Some(as_after_a_restart(handle))).await.unwrap();
    assert!(host.is_waiting("a/gate/1").await);
}

#[tokio::test]
async fn a_recovery_does_not_begin_a_deadline_anew() {
    let mut host = Host::start().await;
    let config = json!({"wait": {"postgres": {"timeout": "1h"}}});
    let handle = host.start_with("a/gate/1", &config).await.unwrap();
    let mut state = Handle::from_bytes(&handle.driver_state).unwrap();
    *state.deadlines.get_mut("postgres").unwrap() = Time::from_unix_millis(1);
    let handle = TaskHandle { driver_state: state.to_bytes().unwrap(), ..handle };

    let mut host = Host::start().await;
    host.recover(Some(handle)).await.unwrap();
    assert_eq!(host.result("a/gate/1").await.exit_code, 1);
}

#[tokio::test]
async fn what_was_approved_counts_in_a_new_process_and_not_when_the_task_is_started_anew() {
    let mut first = Host::start().await;
    fs::create_dir(first.alloc.path().join("gate")).unwrap();
    let config = json!({"wait": {
        "go": {"approval": "it is announced"}, "late": {"approval": "all are in bed"},
    }});
    let handle = first.start_with("a/gate/1", &config).await.unwrap();
    let (stdout, _, _) = session(&mut first, "approve go --by kim", false).await;
    assert_eq!(stdout, "go is approved\n");

    let mut next = Host::start().await;
    next.recover(Some(as_after_a_restart(handle.clone()))).await.unwrap();
    let (why, _, _) = session(&mut next, "why", false).await;
    assert!(why.contains("approve late") && !why.contains("approve go"), "{why}");
    let (status, _, _) = session(&mut next, "status", false).await;
    assert!(status.contains("approved by kim"), "{status}");

    let mut anew = Host::start().await;
    let task = handle.config.clone();
    anew.driver.start_task(StartTaskRequest { task }).await.unwrap();
    let (why, _, _) = session(&mut anew, "why", false).await;
    assert!(why.contains("approve late") && why.contains("approve go"), "{why}");
}

#[tokio::test]
async fn a_task_that_this_process_still_has_is_not_run_twice() {
    let mut host = Host::start().await;
    let handle = host.start_gate("a/gate/1").await;
    let log = || fs::read_to_string(host.alloc.path().join("alloc/logs/gate.stdout.0")).unwrap_or_default();
    let begun = async {
        while !log().contains("looking at Nomad") {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, begun).await.unwrap();
    host.recover(Some(as_after_a_restart(handle.clone()))).await.unwrap();
    // It is known, so what the handle says does not matter.
    host.recover(Some(TaskHandle { driver_state: Vec::new(), ..handle })).await.unwrap();
    assert!(host.is_waiting("a/gate/1").await);
    let log = fs::read_to_string(host.alloc.path().join("alloc/logs/gate.stdout.0")).unwrap();
    assert_eq!(log.matches("looking at Nomad").count(), 1, "{log}");

    // Nor one that ended while the agent was away: its result is kept.
    let config = json!({"wait": {"postgres": {"timeout": "1ms"}}});
    let handle = host.start_with("a/gate/2", &config).await.unwrap();
    assert_eq!(host.result("a/gate/2").await.exit_code, 1);
    host.recover(Some(handle)).await.unwrap();
    assert_eq!(host.result("a/gate/2").await.exit_code, 1);
}

#[tokio::test]
async fn state_that_is_not_understood_is_refused_and_can_be_destroyed_and_started_anew() {
    let mut host = Host::start().await;
    let handle = host.start_gate("a/gate/1").await;
    host.destroy("a/gate/1").await;

    let state = |driver_state: &[u8]| TaskHandle { driver_state: driver_state.to_vec(), ..handle.clone() };
    let named = |value: Value| state(&rmp_serde::to_vec_named(&value).unwrap());
    let half = &handle.driver_state[..handle.driver_state.len() / 2];
    let longer = [handle.driver_state.as_slice(), &[0]].concat();
    let handles = [
        None,
        Some(TaskHandle::default()),
        Some(state(&[])),
        Some(state(&[0xc1, 0xff])),
        Some(state(half)),
        Some(state(&longer)),
        Some(named(json!({}))),
        Some(named(json!({"version": 5, "manifest": {"waits": {}, "tree": null}, "deadlines": {}}))),
        Some(named(json!({"version": 2, "manifest": {"waits": {}}, "deadlines": {}}))),
        Some(named(json!({"version": 1}))),
        Some(named(json!({"version": 1, "manifest": {"waits": {}}, "deadlines": {}}))),
        Some(named(json!({"version": 1, "manifest": {"waits": {}}, "deadlines": {}, "more": 1}))),
        Some(state(&rmp_serde::to_vec(&Handle::from_bytes(&handle.driver_state).unwrap()).unwrap())),
    ];
    let mut told = Vec::new();
    for handle in handles {
        told.push(host.recover(handle).await.unwrap_err().message().to_owned());
    }
    insta::assert_snapshot!(told.join("\n"), @"
    there is no handle to recover from
    this task's handle has no configuration
    this task's stored state cannot be read: IO error while reading marker: failed to fill whole buffer
    this task's stored state cannot be read: wrong msgpack marker Reserved
    this task's stored state cannot be read: IO error while reading data: unexpected end of file
    this task's stored state contradicts itself: its version would have been written in another way
    this task's stored state cannot be read: missing field `version`
    this task's stored state has version 5, and this dtree knows the versions 1 to 4
    this task's stored state contradicts itself: its version would have been written in another way
    this task's stored state cannot be read: missing field `manifest`
    this task's stored state contradicts itself: its version would have been written in another way
    this task's stored state cannot be read: unknown field `more`, expected one of `version`, `manifest`, `deadlines`
    this task's stored state cannot be read: array had incorrect length, expected 1
    ");

    let mut without_deadline = Handle::from_bytes(&handle.driver_state).unwrap();
    without_deadline.deadlines.clear();
    let error = host.recover(Some(state(&without_deadline.to_bytes().unwrap()))).await.unwrap_err();
    assert!(error.message().contains("deadlines"), "a wait without a deadline could open at once: {error}");

    let for_nothing = Handle::new(Manifest::default(), BTreeMap::new());
    let error = host.recover(Some(state(&for_nothing.to_bytes().unwrap()))).await.unwrap_err();
    assert!(error.message().contains("waits for nothing"), "it would open at once: {error}");

    host.start_gate("a/gate/1").await;
}

/// What a handle of version 1 says. The bytes are those that this version's first build wrote.
fn first_handle() -> Handle {
    let config = json!({"wait": {
        "own": {"task": "proxy", "until": "running"},
        "postgres": {
            "job": "pg", "namespace": "data", "group": "primary", "until": "healthy", "at_least": "50%",
            "any_version": true, "timeout": "1h30m", "on_timeout": "continue", "on_blocked": "fail",
            "depends_on": ["own", "redis"],
        },
        "redis": {"at_least": "2", "until": "complete"},
    }});
    let deadlines =
        [("own", 1_795_158_842_042), ("postgres", 1_795_164_242_042), ("redis", 1_795_158_842_042)];
    handle_of(&config, &deadlines)
}

/// What a handle of version 2 says: every kind of value that a tree has.
fn second_handle() -> Handle {
    let config = json!({
        "on_failure": "cancel", "max_parallel": 7, "timeout": "30m",
        "wait": {"redis": {"at_least": "2"}},
        "job": {
            "postgres": {
                "jobspec": "local/postgres.nomad.hcl", "vars": {"port": "5432"}, "namespace": "data",
                "depends_on": ["redis"], "exclusive": "db", "adopt": true,
                "ready": {
                    "until": "running", "at_least": "50%", "group": "db", "stable_for": "10s",
                    "timeout": "2m", "on_blocked": "fail",
                },
                "pre": {"check": {
                    "jobspec": "local/check.nomad.hcl", "vars": {"x": "1"}, "meta": {"k": "v"},
                    "namespace": "ops", "timeout": "1m", "retries": 2, "on_failure": "continue",
                    "retain": "none",
                }},
                "post": {"setup": {"dispatch": "setup", "payload": "text", "depends_on": ["other"]}},
            },
            "api": {"jobspec": "local/api.nomad.hcl", "depends_on": ["postgres"]},
        },
    });
    handle_of(&config, &[("redis", 1_795_158_842_042)])
}

/// Hooks that belong to no job, the hooks around a stop and after a run, outputs and context.
fn third_handle() -> Handle {
    let config = json!({
        "wait": {"redis": {"timeout": "1h"}},
        "context": {"zone": "eu-1"},
        "hook": {"migrate": {
            "dispatch": "db-migrate", "once": "v7", "depends_on": ["redis"],
            "outputs": {"schema": "variable:db/schema#name"},
        }},
        "job": {"api": {
            "vars": {"schema": "$(migrate.schema)"},
            "outputs": {"port": "service:api:port", "address": "service:api:address", "release": "meta:release"},
            "jobspec": "local/api.nomad.hcl", "depends_on": ["migrate"],
            "pre_stop": {"drain": {"jobspec": "local/drain.nomad.hcl"}},
            "post_stop": {"archive": {"jobspec": "local/archive.nomad.hcl"}},
        }},
        "after_success": {"tell": {"dispatch": "chat"}},
        "webhook": {"chat": {"url": "http://chat.example:8080/hooks/x", "headers": {"X-Key": "y"}, "on": ["failure"]}},
        "after_failure": {"alarm": {"dispatch": "pager", "retries": 3}},
        "verb": "stop",
        "stop": {"purge": true, "target": "api", "with_dependencies": true, "timeout": "2m"},
    });
    handle_of(&config, &[("redis", 1_795_158_842_042)])
}

/// Waits for everything that can be waited for, with all that can be said of them.
fn fourth_handle() -> Handle {
    let config = json!({"wait": {
        "db": {"meta": {"release": "v7"}, "source": "nomad", "stable_for": "10s"},
        "csi": {"scope": "client", "optional": true},
        "web": {"service": "web", "namespace": "ops", "tags": ["a", "b"], "at_least": "2"},
        "mail": {"service": "smtp", "provider": "consul"},
        "port": {"tcp": "10.0.0.1:5432"},
        "page": {"http": "http://10.0.0.1:80/health", "status": 204, "contains": "ok", "interval": "1s"},
        "name": {"dns": "db.service.consul"},
        "flag": {"variable": "db/flags", "namespace": "data", "key": "ready", "equals": "yes"},
        "lock": {"consul_key": "db/lock", "equals": "free"},
        "word": {"approval": "the release is announced", "timeout": "1h"},
        "all": {"when": "db && (web || mail) && !lock", "depends_on": ["word"]},
    }});
    let names = ["all", "csi", "db", "flag", "lock", "mail", "name", "page", "port", "web", "word"];
    handle_of(&config, &names.map(|name| (name, 1_795_158_842_042)))
}

fn handle_of(config: &Value, deadlines: &[(&str, u64)]) -> Handle {
    let (manifest, problems) = Manifest::from_msgpack(&rmp_serde::to_vec_named(config).unwrap());
    assert!(problems.is_empty(), "{problems}");
    let deadlines =
        deadlines.iter().map(|(name, at)| ((*name).to_owned(), Time::from_unix_millis(*at))).collect();
    Handle::new(manifest, deadlines)
}

const FIRST_BYTES: &[u8] = include_bytes!("../fixtures/handle-v1.msgpack");
const SECOND_BYTES: &[u8] = include_bytes!("../fixtures/handle-v2.msgpack");
const THIRD_BYTES: &[u8] = include_bytes!("../fixtures/handle-v3.msgpack");
const FOURTH_BYTES: &[u8] = include_bytes!("../fixtures/handle-v4.msgpack");

#[test]
fn the_first_handle_is_still_read() {
    assert_eq!(Handle::from_bytes(FIRST_BYTES).unwrap(), first_handle());
}

#[test]
fn the_second_handle_is_still_read() {
    assert_eq!(Handle::from_bytes(SECOND_BYTES).unwrap(), second_handle());
}

#[test]
fn what_was_a_text_in_the_second_handle_is_still_one() {
    let mut state: Value = rmp_serde::from_slice(SECOND_BYTES).unwrap();
    let text = |text: &str| Value::String(text.to_owned());
    for path in [
        "jobs/postgres/vars/port",
        "hooks/check/launch/jobspec/vars/x",
        "hooks/setup/launch/dispatch/payload",
    ] {
        *state.pointer_mut(&format!("/manifest/tree/{path}")).unwrap() = text("$(date)");
    }
    *state.pointer_mut("/manifest/tree/hooks/check/meta/k").unwrap() = text("$$(x");
    let handle = Handle::from_bytes(&rmp_serde::to_vec_named(&state).unwrap()).unwrap();
    let tree = handle.manifest.tree.unwrap();
    let texts: Vec<_> = tree
        .jobs
        .values()
        .flat_map(JobNode::texts)
        .chain(tree.hooks.values().flat_map(Hook::texts))
        .collect();
    assert!(texts.len() > 3);
    assert!(texts.iter().all(|(_, text)| Template::read(text).unwrap().references().next().is_none()));
    assert_eq!(tree.jobs["postgres"].vars["port"], "$$(date)");
    assert_eq!(tree.hooks["check"].meta["k"], "$$$(x");
}

#[test]
fn the_third_handle_is_still_read() {
    assert_eq!(Handle::from_bytes(THIRD_BYTES).unwrap(), third_handle());
}

#[test]
fn the_fourth_handle_is_still_read_and_written() {
    assert_eq!(Handle::from_bytes(FOURTH_BYTES).unwrap(), fourth_handle());
    assert_eq!(fourth_handle().to_bytes().unwrap(), FOURTH_BYTES);
}

#[test]
fn a_tree_needs_no_deadlines_in_its_handle_and_a_gate_does() {
    let Handle { manifest, .. } = second_handle();
    let tree = Handle::new(manifest, BTreeMap::new());
    assert_eq!(Handle::from_bytes(&tree.to_bytes().unwrap()).unwrap(), tree);
    let Handle { manifest, .. } = first_handle();
    let gate = Handle::new(manifest, BTreeMap::new());
    assert!(Handle::from_bytes(&gate.to_bytes().unwrap()).is_err());

    let mut of_others = second_handle();
    of_others.deadlines.insert("postgres".to_owned(), Time::from_unix_millis(1));
    assert!(Handle::from_bytes(&of_others.to_bytes().unwrap()).is_err());
    let mut without_jobs = second_handle();
    let tree = without_jobs.manifest.tree.as_mut().unwrap();
    tree.jobs.clear();
    tree.hooks.clear();
    assert!(Handle::from_bytes(&without_jobs.to_bytes().unwrap()).is_err());
}

/// Every key of every map in `state`, as a path of keys and positions.
fn keys(state: &Value) -> Vec<String> {
    let inner = |name: String, state: &Value| {
        let below = keys(state).into_iter().map(|path| format!("/{name}{path}")).collect::<Vec<_>>();
        [format!("/{name}")].into_iter().chain(below)
    };
    match state {
        Value::Object(map) => map.iter().flat_map(|(key, state)| inner(key.clone(), state)).collect(),
        Value::Array(list) => {
            let below = list.iter().enumerate();
            below.flat_map(|(n, state)| inner(n.to_string(), state).skip(1)).collect()
        }
        _ => Vec::new(),
    }
}

/// serde takes an absent optional value for `None`: a wait in the wrong namespace, or for fewer groups.
#[test]
fn a_handle_without_one_of_its_keys_is_refused() {
    for bytes in [FIRST_BYTES, SECOND_BYTES, THIRD_BYTES, FOURTH_BYTES] {
        let state: Value = rmp_serde::from_slice(bytes).unwrap();
        // What the user named may be absent: a wait, a job, a hook, a variable, a key of the meta.
        let names = [
            "waits",
            "deadlines",
            "jobs",
            "hooks",
            "webhooks",
            "headers",
            "vars",
            "meta",
            "outputs",
            "context",
        ];
        // What is written only where it is used: its absence says something.
        let used = ["meta", "scope", "source", "stable_for", "optional"];
        let keys: Vec<String> = keys(&state)
            .into_iter()
            .filter(|path| !path.rsplit('/').nth(1).is_some_and(|map| names.contains(&map)))
            .filter(|path| {
                bytes != FOURTH_BYTES || !used.iter().any(|key| path.ends_with(&format!("/{key}")))
            })
            .collect();
        assert!(keys.len() > 20, "{keys:?}");
        for path in keys {
            let mut state = state.clone();
            let (map, key) = path.rsplit_once('/').unwrap();
            state.pointer_mut(map).unwrap().as_object_mut().unwrap().remove(key).unwrap();
            let bytes = rmp_serde::to_vec_named(&state).unwrap();
            assert!(Handle::from_bytes(&bytes).is_err(), "without {path}");
        }
        assert!(bytes.iter().enumerate().all(|(n, _)| Handle::from_bytes(&bytes[..n]).is_err()));
    }
}
