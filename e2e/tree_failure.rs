//! What fails, by itself or for want of time, ends the run, or a part of it, as `on_failure` says.

use crate::harness::{Options, seconds};
use crate::story::{Flag, Hook, Job, Node, SOON, Shared, Story, Tree};

static CLUSTER: Shared = Shared::new(Options::default);

/// A branch that fails, one that is under way meanwhile, and what depends on each.
struct Branches {
    tree: Tree,
    slow: Flag,
    behind_bad: String,
    slow_id: String,
    behind_slow: String,
}

fn branches(story: &Story, policy: &str) -> Branches {
    let [bad_id, behind_bad, slow_id, behind_slow] =
        ["bad", "behind-bad", "slow", "behind-slow"].map(|name| story.id(name));
    let (bad, slow) = (story.flag("bad"), story.flag("slow"));
    let tree = Tree::new(&story.id("tree"))
        .option(&format!("on_failure = \"{policy}\""))
        .node(Node::of(&Job::batch(&bad_id).script_after(&bad, "exit 9")))
        .node(Node::of(&Job::service(&behind_bad)).after(&[&bad_id]))
        .node(Node::of(&Job::service(&slow_id).held_back_by(&slow)))
        .node(Node::of(&Job::service(&behind_slow)).after(&[&slow_id]));
    story.run_tree(&tree);
    story.main(&bad_id).runs(SOON);
    story.task(&slow_id, "slow").runs(SOON);
    bad.raise();
    story.main(&bad_id).fails(SOON);
    Branches { tree, slow, behind_bad, slow_id, behind_slow }
}

#[test]
fn finish_lets_end_what_is_under_way_and_begins_nothing_new() {
    let story = CLUSTER.story();
    let Branches { tree, slow, behind_bad, slow_id, behind_slow } = branches(&story, "finish");
    story.tree(&tree.id).says(SOON, "nothing new is begun");
    story.tree(&tree.id).still_waits();

    slow.of(0).raise();
    story.tree(&tree.id).fails(SOON);
    let message = story.tree(&tree.id).says(SOON, "failed after");
    for part in ["exited with 9", &behind_bad, &behind_slow, &format!("ready: {slow_id}")] {
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
    story.main(&slow_id).runs(SOON);
    story.were_never_registered(&[&behind_bad, &behind_slow]);
}

#[test]
fn continue_goes_on_with_what_does_not_depend_on_the_failure() {
    let story = CLUSTER.story();
    let Branches { tree, slow, behind_bad, behind_slow, .. } = branches(&story, "continue");
    story.tree(&tree.id).says(SOON, "exited with 9");
    slow.of(0).raise();
    story.tree(&tree.id).fails(SOON);
    story.tree(&tree.id).says(SOON, &format!("failed: {behind_bad}"));
    story.main(&behind_slow).runs(SOON);
    story.were_never_registered(&[&behind_bad]);
}

#[test]
fn cancel_waits_for_nothing_more() {
    let story = CLUSTER.story();
    let Branches { tree, slow_id, behind_bad, behind_slow, .. } = branches(&story, "cancel");
    story.tree(&tree.id).fails(SOON);
    let message = story.tree(&tree.id).says(SOON, "failed after");
    assert!(message.contains("exited with 9") && message.contains("it is submitted"), "{message}");
    // What was submitted stays.
    story.task(&slow_id, "slow").runs(SOON);
    story.were_never_registered(&[&behind_bad, &behind_slow]);
}

#[test]
fn cancel_stops_the_hooks_that_run() {
    let story = CLUSTER.story();
    let (bad, db, setup) = (story.id("bad"), story.id("db"), story.id("setup"));
    let flag = story.flag("bad");
    let tree = Tree::new(&story.id("tree"))
        .option("on_failure = \"cancel\"")
        .node(Node::of(&Job::batch(&bad).script_after(&flag, "exit 9")))
        .node(Node::of(&Job::service(&db)).post(Hook::of(&Job::batch(&setup).script("exec sleep 1000"))));
    story.run_tree(&tree);
    let jobs = story.hook_job_ids(&tree.id, &setup, 1);
    story.main(&jobs[0]).runs(SOON);
    flag.raise();
    story.tree(&tree.id).fails(SOON);
    story.has_stopped(&jobs[0]);
    story.main(&db).runs(SOON);
}

#[test]
fn a_run_that_takes_too_long_is_given_up_and_its_hooks_are_stopped() {
    let story = CLUSTER.story();
    let (db, setup, web) = (story.id("db"), story.id("setup"), story.id("web"));
    let tree = Tree::new(&story.id("tree"))
        .option("timeout = \"20s\"")
        .node(Node::of(&Job::service(&db)).post(Hook::of(&Job::batch(&setup).script("exec sleep 1000"))))
        .node(Node::of(&Job::service(&web)).after(&[&db]));
    story.run_tree(&tree);
    let jobs = story.hook_job_ids(&tree.id, &setup, 1);
    story.tree(&tree.id).fails(SOON);
    story.tree(&tree.id).has_lasted(seconds(20));
    story.tree(&tree.id).says(SOON, "not done within 20s");
    story.has_stopped(&jobs[0]);
    story.were_never_registered(&[&web]);
}
