//! When a job of a tree counts as ready, what it waits for beside other jobs, and what others do to it meanwhile.

use serde_json::json;

use crate::harness::{Options, seconds};
use crate::oracle;
use crate::story::{Hook, Job, Node, SOON, Shared, Story, Switch, Tree};

static CLUSTER: Shared = Shared::new(Options::default);

/// `first`, and `web` after it.
fn before_web(story: &Story, first: Node, label: &str) -> (Tree, String) {
    let web = story.id("web");
    let tree = Tree::new(&story.id("tree")).node(first).node(Node::of(&Job::service(&web)).after(&[label]));
    (tree, web)
}

#[test]
fn a_job_with_a_check_is_ready_when_the_check_passes() {
    let story = CLUSTER.story();
    let (db, switch) = (story.id("db"), Switch::new());
    let (tree, web) = before_web(&story, Node::of(&Job::service(&db).check(switch.port())), &db);
    story.run_tree(&tree);
    story.main(&db).runs(SOON);
    story.tree(&tree.id).still_waits();
    story.were_never_registered(&[&web]);

    switch.turn_on();
    story.tree(&tree.id).succeeds(SOON);
}

#[test]
fn a_batch_job_is_ready_when_it_is_complete() {
    let story = CLUSTER.story();
    let (seed, flag) = (story.id("seed"), story.flag("seed"));
    let (tree, web) = before_web(&story, Node::of(&Job::batch(&seed).script_after(&flag, "exit 0")), &seed);
    story.run_tree(&tree);
    story.main(&seed).runs(SOON);
    story.were_never_registered(&[&web]);

    flag.raise();
    story.tree(&tree.id).succeeds(SOON);
    let before = story.stamp(&seed);
    story.run_tree(&tree.clone().run("2"));
    story.tree(&tree.id).succeeds(SOON);
    assert_eq!(story.stamp(&seed), before, "a complete batch job does not run again");
}

#[test]
fn system_and_sysbatch_jobs_can_be_of_a_tree() {
    let story = CLUSTER.story();
    let (agent, sweep, web) = (story.id("agent"), story.id("sweep"), story.id("web"));
    let tree = Tree::new(&story.id("tree"))
        .node(Node::of(&Job::system(&agent)))
        .node(Node::of(&Job::sysbatch(&sweep)).after(&[&agent]))
        .node(Node::of(&Job::service(&web)).after(&[&sweep]));
    story.run_tree(&tree);
    story.tree(&tree.id).succeeds(seconds(120));
    let before = [&agent, &sweep, &web].map(|id| story.stamp(id));
    story.run_tree(&tree.clone().run("2"));
    story.tree(&tree.id).succeeds(SOON);
    assert_eq!([&agent, &sweep, &web].map(|id| story.stamp(id)), before);
}

#[test]
fn two_of_three_are_enough_when_ready_says_so() {
    let story = CLUSTER.story();
    let (db, flag) = (story.id("db"), story.flag("db"));
    let job = Job::service(&db).count(3).held_back_by(&flag);
    let (tree, web) = before_web(&story, Node::of(&job).with("ready {\n at_least = \"2\"\n }"), &db);
    story.run_tree(&tree);
    flag.of(0).raise();
    story.n_healthy(&db, 1);
    story.were_never_registered(&[&web]);

    flag.of(1).raise();
    story.tree(&tree.id).succeeds(SOON);
    story.n_healthy(&db, 2);
}

#[test]
fn ready_can_ask_that_it_stays_so() {
    let story = CLUSTER.story();
    let db = story.id("db");
    let ready = "ready {\n stable_for = \"6s\"\n }";
    let (tree, _) = before_web(&story, Node::of(&Job::service(&db)).with(ready), &db);
    story.run_tree(&tree);
    story.tree(&tree.id).succeeds(SOON);
    assert!(story.tree(&tree.id).lasted() > seconds(6), "{:?}", story.tree(&tree.id).lasted());
}

#[test]
fn a_job_that_is_not_ready_in_time_fails_and_stays() {
    let story = CLUSTER.story();
    let (db, flag) = (story.id("db"), story.flag("db"));
    let job = Job::service(&db).held_back_by(&flag);
    let (tree, web) = before_web(&story, Node::of(&job).with("ready {\n timeout = \"5s\"\n }"), &db);
    story.run_tree(&tree);
    story.tree(&tree.id).fails(SOON);
    story.tree(&tree.id).says(SOON, "not within 5s");
    story.tree(&tree.id).has_lasted(seconds(5));
    story.were_never_registered(&[&web]);
    story.task(&db, "slow").runs(SOON);
}

#[test]
fn a_job_that_there_is_no_room_for_fails_at_once_when_ready_says_so() {
    let story = CLUSTER.story();
    let db = story.id("db");
    let ready = "ready {\n on_blocked = \"fail\"\n }";
    let (tree, web) = before_web(&story, Node::of(&Job::service(&db).too_big()).with(ready), &db);
    story.run_tree(&tree);
    story.tree(&tree.id).fails(SOON);
    story.tree(&tree.id).says(SOON, "memory");
    story.were_never_registered(&[&web]);
}

#[test]
fn jobs_with_the_same_exclusive_are_never_under_way_at_the_same_time() {
    let story = CLUSTER.story();
    let (left, right, flag) = (story.id("left"), story.id("right"), story.flag("sides"));
    let node = |id: &str| Node::of(&Job::service(id).held_back_by(&flag)).with("exclusive = \"disk\"");
    let tree = Tree::new(&story.id("tree")).node(node(&left)).node(node(&right));
    story.run_tree(&tree);
    story.task(&left, "slow").runs(SOON);
    story.were_never_registered(&[&right]);
    let (_, said) = story.tree(&tree.id).exec(&["why"]);
    assert!(said.contains("exclusive"), "{said}");

    flag.of(0).raise();
    story.tree(&tree.id).succeeds(SOON);
    let healthy = story.allocations(&left).expect("it is placed")[0]["DeploymentStatus"]["Timestamp"].clone();
    let healthy: jiff::Timestamp = healthy.as_str().and_then(|at| at.parse().ok()).expect("it is healthy");
    let submitted = story.job(&right).expect("it is there")["SubmitTime"].as_i64().expect("it has a time");
    assert!(healthy.as_nanosecond() <= submitted.into(), "{healthy} {submitted}");
}

#[test]
fn a_tree_can_wait_for_a_job_of_others() {
    let story = CLUSTER.story();
    let (other, web) = (story.id("other"), story.id("web"));
    let tree = Tree::new(&story.id("tree"))
        .option(&format!("wait \"{other}\" {{}}"))
        .node(Node::of(&Job::service(&web)).after(&[&other]));
    story.run_tree(&tree);
    story.tree(&tree.id).says(SOON, &other);
    story.were_never_registered(&[&web]);

    story.run(&Job::service(&other));
    story.tree(&tree.id).succeeds(SOON);
    story.main(&web).runs(SOON);
}

#[test]
fn a_new_version_that_does_not_become_healthy_fails_the_tree() {
    let story = CLUSTER.story();
    let db = story.id("db");
    let (tree, web) = before_web(&story, Node::of(&Job::service(&db)), &db);
    story.run_tree(&tree);
    story.tree(&tree.id).succeeds(SOON);
    let before = story.stamp(&web);
    let quick =
        Job::service(&db).script("exit 7").hcl().replace("\"9m\"", "\"8s\"").replace("\"10m\"", "\"9s\"");
    let tree = tree
        .replace(Node::of_text(&db, &quick).registering(&db, "default"))
        .replace(Node::of(&Job::service(&web).meta("2")).after(&[&db]));
    story.run_tree(&tree.run("2"));
    let id = story.id("tree");
    story.tree(&id).fails(seconds(120));
    let message = story.tree(&id).says(SOON, "failed after");
    assert!(message.contains(&db) && message.contains("deployment"), "{message}");
    assert_eq!(story.stamp(&web), before);
}

#[test]
fn a_job_that_somebody_changes_meanwhile_fails_its_tree_and_is_not_changed_back() {
    let story = CLUSTER.story();
    let (db, flag) = (story.id("db"), story.flag("db"));
    let (tree, web) = before_web(&story, Node::of(&Job::service(&db).held_back_by(&flag)), &db);
    story.run_tree(&tree);
    story.task(&db, "slow").runs(SOON);
    story.run(&Job::service(&db).meta("by hand"));
    story.tree(&tree.id).fails(SOON);
    story.tree(&tree.id).says(SOON, "replaced by version 1, which this tree did not submit");
    assert_eq!(story.stamp(&db).version, json!(1));
    story.were_never_registered(&[&web]);
}

#[test]
fn a_job_that_somebody_purges_meanwhile_fails_its_tree() {
    let story = CLUSTER.story();
    let (db, flag) = (story.id("db"), story.flag("db"));
    let (tree, web) = before_web(&story, Node::of(&Job::service(&db).held_back_by(&flag)), &db);
    story.run_tree(&tree);
    story.task(&db, "slow").runs(SOON);
    story.within(SOON, "the tree to see it", || {
        let (_, said) = story.tree(&tree.id).exec(&["why"]);
        if said.contains("deployment") { Ok(()) } else { Err(said) }
    });
    story.purge(&db);
    story.tree(&tree.id).fails(SOON);
    let message = story.tree(&tree.id).says(SOON, "failed after");
    assert!(message.contains(&db) && message.contains("someone else"), "{message}");
    story.were_never_registered(&[&db, &web]);
}

#[test]
fn the_oracle_sees_a_job_that_came_before_its_time() {
    let story = CLUSTER.story();
    let (db, setup, web, flag) = (story.id("db"), story.id("setup"), story.id("web"), story.flag("db"));
    let tree = Tree::new(&story.id("tree"))
        .node(Node::of(&Job::service(&db).held_back_by(&flag)).post(Hook::of(&Job::batch(&setup))))
        .node(Node::of(&Job::service(&web)).after(&[&db]));
    story.run_tree(&tree);
    story.task(&db, "slow").runs(SOON);
    // Someone forges the tree's hand.
    let mut forged = story.cluster().parse(&Job::service(&web).hcl(), "").expect("it is a good jobspec");
    forged["Meta"] = json!({
        "dtree_tree": format!("default/{}", tree.id), "dtree_node": web, "dtree_spec": "forged",
    });
    story.register(&forged);
    flag.of(0).raise();
    story.tree(&tree.id).succeeds(SOON);

    story.excuse(&tree.id, "it was not the tree that submitted early");
    let record = oracle::trees::Record::read(story.cluster().api(), "default", &tree.id)
        .expect("Nomad shows its records");
    let findings = oracle::trees::judge(&record, 0);
    let early = |needed: &str| {
        let start = format!("{web}, version 0, was submitted early: {db}: {needed}");
        findings.iter().any(|finding| finding.starts_with(&start))
    };
    assert!(early("0 of 1"), "{findings:?}");
    assert_eq!(record.of.len(), 3, "{:?}", record.of);
}
