//! A tree may do what its job may do. All of this is with ACLs on.

use serde_json::json;

use crate::harness::Options;
use crate::story::{Hook, Job, Node, SOON, Shared, Story, Tree};

static CLUSTER: Shared = Shared::new(|| Options { acl: true, ..Options::default() });

/// What the README gives to a tree.
pub(crate) fn policy() -> String {
    let readme = include_str!("../README.md");
    let (_, rest) = readme.split_once("# tree-submit.hcl\n").expect("the README has a policy for trees");
    rest.split_once("```").expect("a block ends").0.to_owned()
}

/// The same without the right to keep a record.
pub(crate) fn policy_without_variables() -> String {
    let policy = policy();
    let (without, _) = policy.split_once("  variables").expect("it has them");
    format!("{without}}}")
}

/// Attaches a policy to the job of a tree.
pub(crate) fn allow(story: &Story, tree: &str, rules: &str) {
    allow_as(story, tree, "at-home", rules);
}

/// The same under a name of its own.
fn allow_as(story: &Story, tree: &str, name: &str, rules: &str) {
    let name = format!("{tree}-submits-{name}");
    let attached = json!({ "Namespace": "default", "JobID": tree });
    let policy = json!({ "Name": name, "Rules": rules, "JobACL": attached });
    story.post(&format!("/v1/acl/policy/{name}"), &policy);
}

#[test]
fn the_policy_of_the_readme_is_all_a_tree_needs() {
    let story = CLUSTER.story();
    let [db, web, setup, check, bad] = ["db", "web", "setup", "check", "bad"].map(|name| story.id(name));
    let id = story.id("tree");
    allow(&story, &id, &policy());
    let tree = Tree::new(&id)
        .node(Node::of(&Job::service(&db)).post(Hook::of(&Job::batch(&setup))))
        .node(Node::of(&Job::service(&web)).after(&[&db]).pre(Hook::of(&Job::batch(&check))));
    story.run_tree(&tree);
    story.tree(&id).succeeds(SOON);
    story.main(&web).runs(SOON);
    let before = [&db, &web].map(|id| story.stamp(id));

    // That hooks have run is written into a variable, and read from there.
    story.run_tree(&tree.clone().run("2"));
    story.tree(&id).succeeds(SOON);
    assert_eq!([&db, &web].map(|id| story.stamp(id)), before);
    story.hook_job_ids(&id, &setup, 1);

    // The last words of what failed are read from its log.
    let failing = Hook::of(&Job::batch(&bad).script("echo the disk is full >&2; exit 3"));
    let last = story.id("last");
    story.run_tree(&tree.node(Node::of(&Job::service(&last)).post(failing)).run("3"));
    story.tree(&id).fails(SOON);
    story.tree(&id).says(SOON, "the disk is full");
}

#[test]
fn a_tree_without_a_policy_begins_nothing_and_says_which_one_it_lacks() {
    let story = CLUSTER.story();
    let (db, web) = (story.id("db"), story.id("web"));
    let tree = Tree::new(&story.id("tree"))
        .node(Node::of(&Job::service(&db)))
        .node(Node::of(&Job::service(&web)).after(&[&db]));
    story.run_tree(&tree);
    story.tree(&tree.id).fails(SOON);
    let message = story.tree(&tree.id).says(SOON, "nothing was begun");
    assert!(message.contains("submit-job") && message.contains("nomad acl policy apply"), "{message}");
    story.were_never_registered(&[&db, &web]);
}

#[test]
fn a_tree_that_may_look_but_not_submit_begins_nothing() {
    let story = CLUSTER.story();
    let db = story.id("db");
    let tree = Tree::new(&story.id("tree")).node(Node::of(&Job::service(&db)));
    allow(&story, &tree.id, &policy().replace(", \"submit-job\"", ", \"parse-job\""));
    story.run_tree(&tree);
    story.tree(&tree.id).fails(SOON);
    let message = story.tree(&tree.id).says(SOON, "nothing was begun");
    assert!(message.contains("submit-job"), "{message}");
    story.were_never_registered(&[&db]);
}

#[test]
fn a_tree_submits_into_no_namespace_that_its_job_may_not_use() {
    let story = CLUSTER.story();
    let (db, secret, vault) = (story.id("db"), story.make_namespace("secret"), story.id("vault"));
    let tree = Tree::new(&story.id("tree"))
        .node(Node::of(&Job::service(&db)))
        .node(Node::of(&Job::service(&vault).namespace(&secret)).after(&[&db]));
    allow(&story, &tree.id, &policy());
    story.run_tree(&tree);
    story.tree(&tree.id).fails(SOON);
    let message = story.tree(&tree.id).says(SOON, "nothing was begun");
    assert!(message.contains(&secret), "{message}");
    story.were_never_registered(&[&db, &vault]);
}

#[test]
fn a_tree_submits_into_another_namespace_when_its_job_may() {
    let story = CLUSTER.story();
    let (db, web, data) = (story.id("db"), story.id("web"), story.make_namespace("data"));
    let setup = story.id("setup");
    let tree = Tree::new(&story.id("tree"))
        .node(Node::of(&Job::service(&db).namespace(&data)).post(Hook::of(&Job::batch(&setup))))
        .node(Node::of(&Job::service(&web)).after(&[&db]));
    allow(&story, &tree.id, &policy());
    allow_as(&story, &tree.id, "abroad", &policy().replace("\"default\"", &format!("{data:?}")));
    story.run_tree(&tree);
    story.tree(&tree.id).succeeds(SOON);
    story.main(&web).runs(SOON);
}

#[test]
fn a_tree_without_an_identity_says_which_lines_to_add() {
    let story = CLUSTER.story();
    let db = story.id("db");
    let tree = Tree::new(&story.id("tree")).node(Node::of(&Job::service(&db)));
    allow(&story, &tree.id, &policy());
    let identity = "identity {\n        file = true\n      }";
    let hcl = tree.hcl();
    assert!(hcl.contains(identity), "{hcl}");
    let parsed = story.cluster().parse(&hcl.replace(identity, ""), "").expect("it is a good jobspec");
    story.register_tree(&parsed);
    story.tree(&tree.id).says(SOON, "identity");
    story.were_never_registered(&[&db]);
}

#[test]
fn a_tree_that_may_keep_no_records_runs_and_says_what_is_lost_by_it() {
    let story = CLUSTER.story();
    let [db, setup] = ["db", "setup"].map(|name| story.id(name));
    let id = story.id("tree");
    allow(&story, &id, &policy_without_variables());
    let tree = Tree::new(&id).node(Node::of(&Job::service(&db)).post(Hook::of(&Job::batch(&setup))));
    story.run_tree(&tree);
    story.tree(&id).succeeds(SOON);
    let told = story.tree(&id).says(SOON, "because Nomad's Variables are refused");
    assert!(told.contains("variables { path \"dtree/*\""), "{told}");
}

#[test]
fn a_tree_that_may_not_read_who_waits_stops_nothing_and_says_which_lines_it_lacks() {
    let story = CLUSTER.story();
    let db = story.id("db");
    let id = story.id("tree");
    let (without, _) =
        policy().split_once("  variables").map(|(a, b)| (a.to_owned(), b.to_owned())).expect("both");
    allow(&story, &id, &format!("{without}}}"));
    let tree = Tree::new(&id).node(Node::of(&Job::service(&db)));
    story.run_tree(&tree);
    story.tree(&id).succeeds(SOON);
    let before = story.stamp(&db);
    story.run_tree(&tree.clone().stopped("").run("2"));
    story.tree(&id).fails(SOON);
    let message = story.tree(&id).says(SOON, "failed after");
    assert!(message.contains(&format!("whether another tree waits for job {db}")), "{message}");
    assert!(message.contains("read the variable"), "a list shows nothing, and no refusal: {message}");
    assert!(message.contains("variables { path \"dtree/*\""), "{message}");
    assert_eq!(story.stamp(&db), before);

    story.is_judged_up_to_now();
    allow(&story, &id, &policy());
    story.run_tree(&tree.stopped("purge = true").run("3"));
    story.tree(&id).succeeds(SOON);
    story.were_never_registered(&[&db]);
}
