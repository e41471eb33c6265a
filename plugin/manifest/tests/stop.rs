//! What users can write of a stop, and what they are told when it is wrong.

use std::time::Duration;

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::{problems, read};
use crate::manifest::{Stop, Tree, Verb};

fn tree(verb: &Value, stop: &Value) -> Value {
    json!({
        "verb": verb, "stop": stop, "wait": {"redis": {}},
        "job": {"postgres": {"jobspec": "x"}, "api": {"jobspec": "x"}},
    })
}

fn read_tree(config: &Value) -> Tree {
    let (manifest, problems) = read(config);
    assert_eq!(problems.to_string(), "no problem");
    *manifest.tree.unwrap()
}

#[test]
fn every_attribute_of_a_stop_arrives_and_has_its_default() {
    let bare = read_tree(&tree(&Value::Null, &Value::Null));
    assert_eq!((bare.verb, bare.stop), (Verb::Run, Stop::default()));

    let block = json!({"purge": true, "exclude": ["api"], "timeout": "90s"});
    let stop = Stop {
        purge: true,
        exclude: vec!["api".to_owned()],
        timeout: Duration::from_secs(90),
        ..Stop::default()
    };
    for (word, verb) in [("run", Verb::Run), ("stop", Verb::Stop)] {
        let tree = read_tree(&tree(&json!(word), &block));
        assert_eq!((tree.verb, tree.stop), (verb, stop.clone()), "it may stand there always");
    }

    let block = json!({"target": "api", "with_dependencies": true, "exclude": [], "purge": null});
    let stop = Stop { target: Some("api".to_owned()), with_dependencies: true, ..Stop::default() };
    assert_eq!(read_tree(&tree(&json!("stop"), &block)).stop, stop);
}

#[test]
fn what_makes_no_sense_of_a_stop_is_told_at_once() {
    let block = json!({
        "exclude": ["postgers", "redis"], "target": "zzz", "with_dependencies": true, "timeout": "0s",
    });
    assert_snapshot!(problems(&tree(&json!("halt"), &block)), @r#"
    6 problems:
    config: verb = "halt" is none of run, stop
    stop: exclude names "postgers", which is no job of this tree (did you mean "postgres"?)
    stop: exclude names "redis", which is no job of this tree
    stop: target names "zzz", which is no job of this tree
    stop: exclude and target contradict each other: with a target nothing else is stopped that has to be excluded
    stop: timeout = "0s" leaves no time to wait; write "1s" or more
    "#);
    assert_snapshot!(problems(&tree(&json!("stop"), &json!({"with_dependencies": true}))), @r#"stop: with_dependencies is about a target, and there is none (name one, `target = "…"`, or take it away: without a target all jobs are stopped)"#);
    assert_snapshot!(problems(&tree(&json!("stop"), &json!({"exclude": ["api"], "target": "api"}))), @"stop: exclude and target contradict each other: with a target nothing else is stopped that has to be excluded");
}

#[test]
fn only_a_tree_can_be_stopped() {
    let gate = json!({"verb": "stop", "stop": {"target": "x"}, "wait": {"redis": {}}});
    assert_snapshot!(problems(&gate), @"
    2 problems:
    config: verb is about the jobs of a tree, and there is no `job` block (take it away: only what a tree has submitted can be stopped by it)
    config: stop is about the jobs of a tree, and there is no `job` block (take it away: only what a tree has submitted can be stopped by it)
    ");
    let hook = json!({"verb": "run", "hook": {"migrate": {"dispatch": "m"}}});
    assert_snapshot!(problems(&hook), @"config: verb is about the jobs of a tree, and there is no `job` block (take it away: only what a tree has submitted can be stopped by it)");
}
