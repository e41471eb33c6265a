//! When two jobs are the same.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::jobspec::hash::{drop_nulls, of_dispatch, of_hook, of_job};

fn job() -> Value {
    json!({
        "ID": "api", "Type": "service", "Namespace": "shop", "Meta": {"a": "1"},
        "TaskGroups": [{
            "Name": "web", "Count": 2, "Meta": {"b": ""},
            "Tasks": [{
                "Name": "t", "Driver": "docker", "Env": {"A": "x", "EMPTY": ""},
                "Config": {"image": "nginx", "nested": [{"flag": false, "n": 0, "none": null}]},
            }],
        }],
    })
}

/// The places of a job that belong to Nomad's schema.
const SCHEMA: &[&str] = &["", "/TaskGroups/0", "/TaskGroups/0/Tasks/0"];
/// Those whose keys are the author's.
const FREE: &[&str] = &[
    "/Meta",
    "/TaskGroups/0/Meta",
    "/TaskGroups/0/Tasks/0/Env",
    "/TaskGroups/0/Tasks/0/Config",
    "/TaskGroups/0/Tasks/0/Config/nested/0",
];

fn with(at: &str, key: &str, value: Value) -> Value {
    let mut job = job();
    job.pointer_mut(at).unwrap().as_object_mut().unwrap().insert(key.to_owned(), value);
    job
}

fn nothing() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!(false)),
        Just(json!(0)),
        Just(json!(0.0)),
        Just(json!("")),
        Just(json!([])),
        Just(json!({})),
        Just(json!({"Deeper": {"Deepest": null}, "List": []})),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf =
        prop_oneof![nothing(), any::<i32>().prop_map(|n| json!(n)), "[a-z]{1,5}".prop_map(|s| json!(s))];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::btree_map("[A-Za-z]{1,6}", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// The text of a value with the keys of every map backwards.
fn backwards(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let fields: Vec<String> =
                map.iter().rev().map(|(key, value)| format!("{}:{}", json!(key), backwards(value))).collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(backwards).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

proptest! {
    #[test]
    fn the_order_of_keys_does_not_count(value in value()) {
        let job = with("/TaskGroups/0/Tasks/0", "Anything", value);
        let again: Value = serde_json::from_str(&backwards(&job)).unwrap();
        prop_assert_eq!(of_job(&job), of_job(&again));
    }

    #[test]
    fn a_field_that_says_nothing_does_not_count(at in prop::sample::select(SCHEMA), key in "New[A-Z][a-z]{1,5}", nothing in nothing()) {
        prop_assert_eq!(of_job(&with(at, &key, nothing)), of_job(&job()));
    }

    #[test]
    fn every_change_in_an_authors_map_counts(at in prop::sample::select(FREE), key in "[a-zA-Z]{1,6}", value in value()) {
        let changed = with(at, &key, value);
        prop_assume!(changed != job());
        prop_assert_ne!(of_job(&changed), of_job(&job()));
    }

    #[test]
    fn a_field_that_says_something_counts(at in prop::sample::select(SCHEMA), key in "New[A-Z][a-z]{1,5}", n in 1..100_i64) {
        prop_assert_ne!(of_job(&with(at, &key, json!(n))), of_job(&job()));
    }
}

#[test]
fn a_key_that_is_taken_away_from_an_authors_map_counts() {
    for at in FREE {
        let keys: Vec<String> = job().pointer(at).unwrap().as_object().unwrap().keys().cloned().collect();
        for key in keys {
            let mut job = job();
            job.pointer_mut(at).unwrap().as_object_mut().unwrap().remove(&key);
            assert_ne!(of_job(&job), of_job(&self::job()), "{at}/{key}");
        }
    }
}

#[test]
fn nulls_are_dropped_but_not_the_authors() {
    let mut job = json!({
        "ID": "a", "Region": null, "Meta": null, "Update": {"Canary": null, "Stagger": 0},
        "TaskGroups": [{"Count": null, "Tasks": [{
            "Env": {}, "Config": {"x": null, "y": [{"z": null}]}, "Templates": [{"EmbeddedTmpl": "", "Wait": null}],
        }]}],
    });
    let before = of_job(&job);
    drop_nulls(&mut job);
    let kept = json!({
        "ID": "a", "Update": {"Stagger": 0},
        "TaskGroups": [{"Tasks": [{
            "Env": {}, "Config": {"x": null, "y": [{"z": null}]}, "Templates": [{"EmbeddedTmpl": ""}],
        }]}],
    });
    assert_eq!(job, kept);
    assert_eq!(of_job(&job), before);
}

#[test]
fn what_a_server_says_does_not_count() {
    for (key, value) in [
        ("Status", json!("running")),
        ("Version", json!(7)),
        ("CreateIndex", json!(7)),
        ("ModifyIndex", json!(8)),
        ("JobModifyIndex", json!(9)),
        ("SubmitTime", json!(1_700_000_000)),
        ("Stable", json!(true)),
        ("Stop", json!(true)),
        ("VersionTag", json!({"Name": "x"})),
        ("NomadTokenID", json!("x")),
    ] {
        assert_eq!(of_job(&with("", key, value.clone())), of_job(&job()), "{key}");
        assert_ne!(of_job(&with("/Meta", key, value)), of_job(&job()), "{key} in meta");
    }
}

#[test]
fn zero_counts_where_it_is_not_the_same_as_nothing() {
    for (at, key, value) in [
        ("/TaskGroups/0", "Update", json!({"AutoRevert": false})),
        ("", "Priority", json!(0)),
        ("", "ParameterizedJob", json!({"Payload": ""})),
        ("/TaskGroups/0", "Scaling", json!({"Enabled": false})),
        ("/TaskGroups/0/Tasks/0", "KillTimeout", json!(0)),
    ] {
        assert_ne!(of_job(&with(at, key, value)), of_job(&job()), "{key}");
    }
    let none = with("/TaskGroups/0", "Count", json!(0));
    let unsaid = with("/TaskGroups/0", "Count", Value::Null);
    assert_ne!(of_job(&none), of_job(&unsaid));
}

#[test]
fn a_hooks_hash_is_made_from_what_it_runs_and_what_it_is_given() {
    let hashes = [
        of_job(&job()),
        of_hook(&job(), &json!({})),
        of_hook(&job(), &json!({"a": "1"})),
        of_hook(&with("", "Priority", json!(9)), &json!({"a": "1"})),
        of_dispatch("shop/a", &json!({}), ""),
        of_dispatch("shop/b", &json!({}), ""),
        of_dispatch("shop/a", &json!({"a": "1"}), ""),
        of_dispatch("shop/a", &json!({}), "x"),
    ];
    for (n, hash) in hashes.iter().enumerate() {
        assert!(hash.as_str().len() == 64 && !hashes[..n].contains(hash), "{n}");
    }
}

/// A change of this hash replaces the allocations of every service of every tree there is.
#[test]
fn the_hash_of_a_job_stays_the_same_in_later_versions() {
    insta::assert_snapshot!(of_job(&job()), @"0efcb5b88a63f2549878c4fadeb44bb96426f3aa58f2557070845d830c9d257b");
}
