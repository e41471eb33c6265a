//! The record of a tree's run stands in Nomad's Variables, and one allocation leads the tree.

use serde_json::Value;

use crate::harness::Options;
use crate::story::{Midway, Places, SOON, Story};

/// The items of a variable of a tree.
fn items(story: &Story, tree: &str, what: &str) -> Value {
    story.get(&format!("/v1/var/dtree/default/{tree}/{what}"))["Items"].clone()
}

#[test]
fn the_record_of_a_killed_tree_stands_in_variables_and_its_end_in_the_history() {
    let story = Story::alone(Options::default());
    let midway = Midway::begin(&story, &Places::default());
    let tree = midway.tree.id.clone();
    let before = items(&story, &tree, "~run");
    story.kill_plugin();
    story.within(SOON, "the next process to lead", || match items(&story, &tree, "~run") {
        after if after["epoch"] == "2" => Ok(()),
        after => Err(after.to_string()),
    });
    let after = items(&story, &tree, "~run");
    assert_eq!((&after["run"], &after["holder"]), (&before["run"], &before["holder"]));
    midway.ends_well(&story);
    story.had_one_run(&tree, before["run"].as_str().expect("a run has a name"));
    let runs = items(&story, &tree, "~history")["runs"].clone();
    let runs: Value = serde_json::from_str(runs.as_str().expect("it has ended")).expect("a list");
    assert_eq!((&runs[0]["run"], &runs[0]["good"]), (&before["run"], &Value::Bool(true)));
    assert_eq!(runs[1], Value::Null);
    let lock = story.get(&format!("/v1/var/dtree/default/{tree}/~lock"));
    assert_eq!(lock["Lock"], Value::Null, "it was let go");
}
