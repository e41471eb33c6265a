//! A client that a tree or its hook is on is drained: what has run is not run twice.

use crate::harness::Options;
use crate::story::{Hook, Job, Midway, Node, Places, SOON, Story, Tree};

/// Keeps a job on one client.
fn on(client: &str) -> String {
    format!(
        "constraint {{\n      attribute = \"${{node.unique.name}}\"\n      value     = \"{client}\"\n    }}"
    )
}

/// Keeps a job on one client while it can be.
fn best_on(client: &str) -> String {
    let weighted = format!("value     = \"{client}\"\n      weight    = 100");
    on("").replace("constraint", "affinity").replace("value     = \"\"", &weighted)
}

/// A cluster of two clients.
fn with_two_clients() -> Story {
    let story = Story::alone(Options::default());
    story.cluster().join_client().unwrap_or_else(|why| panic!("there is no second client: {why}"));
    story
}

/// A tree on client `a`, in the middle of its run, whose services are on client `b` and whose hook is on this one.
fn midway_on(story: &Story, client: &str) -> Midway {
    Midway::begin(story, &Places { tree: best_on("a"), services: on("b"), hook: on(client), again: false })
}

/// Client `a`, on which the newest allocation of a job is, is to be empty within so many seconds.
fn drain(story: &Story, job: &str, seconds: u64) {
    let placed = story.allocations(job).expect("it is placed");
    assert_eq!(placed[0]["NodeName"], "a");
    story.drain_client_of(job, seconds);
}

#[test]
fn a_drain_lets_a_tree_and_its_hook_run_to_their_end() {
    let story = with_two_clients();
    let midway = midway_on(&story, "a");
    drain(&story, &midway.tree.id, 3600);
    story.within(SOON, "the client to be drained", || {
        let nodes = story.get("/v1/nodes");
        let is_draining = nodes.as_array().into_iter().flatten().any(|node| node["Drain"] == true);
        if is_draining { Ok(()) } else { Err(nodes.to_string()) }
    });
    story.tree(&midway.tree.id).still_waits();
    story.main(&midway.hooks[0]).still_waits();
    midway.ends_well(&story);
}

#[test]
fn a_tree_that_a_drain_has_ended_goes_on_in_the_next_run() {
    let story = with_two_clients();
    let midway = midway_on(&story, "b");
    let Midway { tree, hooks, .. } = &midway;
    let hook = story.stamp(&hooks[0]);
    drain(&story, &tree.id, 1);
    story.within(SOON, "the tree to be ended", || match story.tree(&tree.id).state()? {
        state if state["State"] == "dead" => Ok(()),
        state => Err(state["State"].to_string()),
    });
    // Nomad (1.11) does not place a batch job again that it had to drain.
    assert_eq!(story.stamp(&hooks[0]), hook);
    story.main(&hooks[0]).still_waits();
    story.run_tree(&tree.clone().run("2"));
    story.tree(&tree.id).says(SOON, "0 of 1 complete, 1 running");
    assert_eq!(story.stamp(&hooks[0]), hook);
    midway.ends_well(&story);
}

#[test]
fn a_hook_that_a_drain_has_ended_is_not_run_twice() {
    // The tree itself would be ended too, so it is on the other client.
    let story = with_two_clients();
    let (db, setup) = (story.id("db"), story.id("setup"));
    let hook = Job::batch(&setup).script("exec sleep 1000").group(&best_on("a"));
    let tree = Tree::new(&story.id("tree"))
        .group(&on("b"))
        .node(Node::of(&Job::service(&db).group(&on("b"))).post(Hook::of(&hook).with("timeout = \"15s\"")));
    story.run_tree(&tree);
    let hooks = story.hook_job_ids(&tree.id, &setup, 1);
    story.main(&hooks[0]).runs(SOON);
    drain(&story, &hooks[0], 1);
    // Nomad (1.11) does not place a batch job again that it had to drain, and calls it complete.
    story.tree(&tree.id).fails(SOON);
    story.tree(&tree.id).says(SOON, &hooks[0]);
    assert_eq!(story.hook_job_ids(&tree.id, &setup, 1), hooks);
    assert_eq!(story.allocations(&hooks[0]).expect("it was placed").len(), 1);
}
