//! Hooks run once for each rollout of their job, before it or after it, and their result decides.

use serde_json::{Value, json};

use crate::harness::Options;
use crate::oracle;
use crate::story::{Hook, Job, Node, SOON, Shared, Story, Tally, Tree};

static CLUSTER: Shared = Shared::new(Options::default);

/// What a tree with one hook is told by: `db` with the hook, and `web` after it.
struct Cast {
    tree: Tree,
    db: String,
    web: String,
    hook: String,
}

/// With a post hook that does `script`, and `more` inside of its block.
fn cast(story: &Story, script: &str, more: &str) -> Cast {
    let (db, web, hook) = (story.id("db"), story.id("web"), story.id("setup"));
    let setup = Hook::of(&Job::batch(&hook).script(script)).with(more);
    let tree = Tree::new(&story.id("tree"))
        .node(Node::of(&Job::service(&db)).post(setup))
        .node(Node::of(&Job::service(&web)).after(&[&db]));
    Cast { tree, db, web, hook }
}

#[test]
fn a_failing_hook_fails_the_tree_with_its_exit_code_and_last_words() {
    let story = CLUSTER.story();
    let Cast { tree, db, web, hook } = cast(&story, "echo first; echo the disk is full >&2; exit 3", "");
    story.run_tree(&tree);
    story.tree(&tree.id).fails(SOON);
    let message = story.tree(&tree.id).says(SOON, "failed after");
    for part in ["exited with 3", "the disk is full", &hook, &format!("because {hook} failed: {web}")] {
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
    story.were_never_registered(&[&web]);
    // What runs goes on, and what failed can be looked at.
    story.main(&db).runs(SOON);
    let jobs = story.hook_job_ids(&tree.id, &hook, 1);
    story.has_stopped(&jobs[0]);
}

#[test]
fn a_hook_that_hangs_is_stopped_at_its_time_limit() {
    let story = CLUSTER.story();
    let Cast { tree, web, hook, .. } = cast(&story, "echo it is stuck; exec sleep 1000", "timeout = \"8s\"");
    story.run_tree(&tree);
    story.tree(&tree.id).fails(SOON);
    let message = story.tree(&tree.id).says(SOON, "failed after");
    assert!(message.contains("8s") && message.contains("it is stuck"), "{message}");
    story.were_never_registered(&[&web]);
    let jobs = story.hook_job_ids(&tree.id, &hook, 1);
    story.has_stopped(&jobs[0]);
}

#[test]
fn a_hook_is_tried_again_as_often_as_it_may() {
    let story = CLUSTER.story();
    let tally = story.tally("tries");
    let third = format!("[ $(wc -l < {}) -ge 3 ]", tally.path().display());
    let Cast { tree, web, hook, .. } = cast(&story, &tally.script("x", &third), "retries = 2");
    story.run_tree(&tree);
    story.tree(&tree.id).succeeds(SOON);
    story.main(&web).runs(SOON);
    assert_eq!(tally.lines().len(), 3);
    story.hook_job_ids(&tree.id, &hook, 3);
}

#[test]
fn a_hook_that_fails_each_time_is_given_up() {
    let story = CLUSTER.story();
    let tally = story.tally("tries");
    let Cast { tree, web, .. } = cast(&story, &tally.script("x", "exit 4"), "retries = 1");
    story.run_tree(&tree);
    story.tree(&tree.id).fails(SOON);
    let message = story.tree(&tree.id).says(SOON, "failed after");
    assert!(message.contains("2 times") && message.contains("exited with 4"), "{message}");
    assert_eq!(tally.lines().len(), 2);
    story.were_never_registered(&[&web]);
}

#[test]
fn a_hook_that_may_fail_holds_nobody_back() {
    let story = CLUSTER.story();
    let Cast { tree, web, .. } = cast(&story, "exit 1", "on_failure = \"continue\"");
    story.run_tree(&tree);
    story.tree(&tree.id).succeeds(SOON);
    story.main(&web).runs(SOON);
}

#[test]
fn a_job_waits_for_its_pre_hook() {
    let story = CLUSTER.story();
    let (db, web, check, flag) = (story.id("db"), story.id("web"), story.id("check"), story.flag("check"));
    let tree = Tree::new(&story.id("tree")).node(Node::of(&Job::service(&db))).node(
        Node::of(&Job::service(&web))
            .after(&[&db])
            .pre(Hook::of(&Job::batch(&check).script_after(&flag, "exit 0"))),
    );
    story.run_tree(&tree);
    let jobs = story.hook_job_ids(&tree.id, &check, 1);
    story.main(&jobs[0]).runs(SOON);
    story.were_never_registered(&[&web]);
    story.tree(&tree.id).still_waits();

    flag.raise();
    story.tree(&tree.id).succeeds(SOON);
    story.main(&web).runs(SOON);
}

#[test]
fn behind_a_failing_pre_hook_the_job_is_not_touched() {
    let story = CLUSTER.story();
    let (db, check) = (story.id("db"), story.id("check"));
    let node = |release: &str, script: &str| {
        Node::of(&Job::service(&db).meta(release)).pre(Hook::of(&Job::batch(&check).script(script)))
    };
    let tree = Tree::new(&story.id("tree"));
    story.run_tree(&tree.clone().node(node("1", "exit 0")));
    story.tree(&tree.id).succeeds(SOON);
    let before = story.stamp(&db);

    story.run_tree(&tree.clone().node(node("2", "exit 5")).run("2"));
    story.tree(&tree.id).fails(SOON);
    story.tree(&tree.id).says(SOON, "exited with 5");
    assert_eq!(story.stamp(&db), before);
}

#[test]
fn hooks_of_one_job_run_in_the_order_of_their_depends_on() {
    let story = CLUSTER.story();
    let (db, schema, rows) = (story.id("db"), story.id("schema"), story.id("rows"));
    let flag = story.flag("schema");
    let tree = Tree::new(&story.id("tree")).node(
        Node::of(&Job::service(&db))
            .post(Hook::of(&Job::batch(&rows)).with(&format!("depends_on = [\"{schema}\"]")))
            .post(Hook::of(&Job::batch(&schema).script_after(&flag, "exit 0"))),
    );
    story.run_tree(&tree);
    let jobs = story.hook_job_ids(&tree.id, &schema, 1);
    story.main(&jobs[0]).runs(SOON);
    assert_eq!(story.hook_jobs(&tree.id, &rows), Vec::<Value>::new());

    flag.raise();
    story.tree(&tree.id).succeeds(SOON);
    story.hook_job_ids(&tree.id, &rows, 1);
}

#[test]
fn a_hook_that_went_well_is_gone_and_does_not_run_again() {
    let story = CLUSTER.story();
    let (db, setup, tally) = (story.id("db"), story.id("setup"), story.tally("runs"));
    let node = |release: &str| {
        let job = Job::batch(&setup).script(&tally.script("x", "exit 0"));
        Node::of(&Job::service(&db).meta(release)).post(Hook::of(&job).retain("failed"))
    };
    let tree = Tree::new(&story.id("tree"));
    story.run_tree(&tree.clone().node(node("1")));
    story.tree(&tree.id).succeeds(SOON);
    assert_eq!(story.hook_jobs(&tree.id, &setup), Vec::<Value>::new());
    assert_eq!(tally.lines().len(), 1);

    story.run_tree(&tree.clone().node(node("1")).run("2"));
    story.tree(&tree.id).succeeds(SOON);
    assert_eq!(tally.lines().len(), 1, "nothing has changed");

    story.run_tree(&tree.clone().node(node("2")).run("3"));
    story.tree(&tree.id).succeeds(SOON);
    assert_eq!(tally.lines().len(), 2, "its job has changed");
}

#[test]
fn a_failed_post_hook_runs_again_in_the_next_run_although_its_job_is_unchanged() {
    let story = CLUSTER.story();
    let (tally, may) = (story.tally("runs"), story.flag("may"));
    let script = tally.script("x", &format!("[ -e {} ]", may.0.display()));
    let Cast { tree, db, web, .. } = cast(&story, &script, "");
    story.run_tree(&tree);
    story.tree(&tree.id).fails(SOON);
    let before = story.stamp(&db);
    assert_eq!(tally.lines().len(), 1);

    may.raise();
    story.run_tree(&tree.clone().run("2"));
    story.tree(&tree.id).succeeds(SOON);
    story.main(&web).runs(SOON);
    assert_eq!(tally.lines().len(), 2);
    assert_eq!(story.stamp(&db), before);
}

#[test]
fn a_hook_that_somebody_stops_has_failed() {
    let story = CLUSTER.story();
    let Cast { tree, web, hook, .. } = cast(&story, "exec sleep 1000", "");
    story.run_tree(&tree);
    let jobs = story.hook_job_ids(&tree.id, &hook, 1);
    story.main(&jobs[0]).runs(SOON);
    story.stop(&jobs[0]);
    story.tree(&tree.id).fails(SOON);
    story.tree(&tree.id).says(SOON, "stopped by someone else");
    story.were_never_registered(&[&web]);
}

#[test]
fn a_hook_that_somebody_purges_has_failed() {
    let story = CLUSTER.story();
    let Cast { tree, web, hook, .. } = cast(&story, "exec sleep 1000", "");
    story.run_tree(&tree);
    let jobs = story.hook_job_ids(&tree.id, &hook, 1);
    story.within(SOON, "the tree to see it run", || {
        let (_, said) = story.tree(&tree.id).exec(&["why"]);
        if said.contains("1 running") { Ok(()) } else { Err(said) }
    });
    story.purge(&jobs[0]);
    story.tree(&tree.id).fails(SOON);
    story.tree(&tree.id).says(SOON, "purged by someone else");
    story.were_never_registered(&[&web]);
}

/// A job that is run by dispatching it: it writes down what it was given.
fn parameterized(story: &Story, id: &str, tally: &Tally) -> Value {
    let path = tally.path().display();
    let payload = format!("cat $NOMAD_TASK_DIR/payload >> {path}");
    let job = Job::batch(id).script(&tally.script("$NOMAD_META_release", &payload));
    story.cluster().parse(&job.parameterized("release").payload().hcl(), "").expect("it is a good jobspec")
}

#[test]
fn a_dispatched_hook_sees_its_meta_and_payload() {
    let story = CLUSTER.story();
    let (db, web, migrate, tally) =
        (story.id("db"), story.id("web"), story.id("migrate"), story.tally("migrated"));
    story.register(&parameterized(&story, &migrate, &tally));
    let hook_label = story.id("hook");
    let hook = Hook::dispatch(&hook_label, &migrate)
        .with("meta = {\n release = \"v7\"\n }")
        .with("payload = \"all tables\"");
    let tree = Tree::new(&story.id("tree"))
        .node(Node::of(&Job::service(&db)).post(hook))
        .node(Node::of(&Job::service(&web)).after(&[&db]));
    story.run_tree(&tree);
    story.tree(&tree.id).succeeds(SOON);
    assert_eq!(tally.text(), "v7\nall tables");

    story.run_tree(&tree.clone().run("2"));
    story.tree(&tree.id).succeeds(SOON);
    assert_eq!(tally.text(), "v7\nall tables", "only once");

    let record = oracle::trees::Record::read(story.cluster().api(), "default", &tree.id)
        .expect("Nomad shows its records");
    assert_eq!(record.of[&hook_label].len(), 1, "the oracle knows of the child: {:?}", record.of);
}

#[test]
fn a_job_of_the_tree_can_be_dispatched_by_a_hook_of_another() {
    let story = CLUSTER.story();
    let (db, migrate, tally) = (story.id("db"), story.id("migrate"), story.tally("migrated"));
    let parsed = parameterized(&story, &migrate, &tally);
    let hook = Hook::dispatch(&story.id("hook"), &migrate)
        .with("meta = {\n release = \"v8\"\n }")
        .with("payload = \"p\"");
    let text = json!({ "Job": parsed }).to_string();
    let tree = Tree::new(&story.id("tree"))
        .node(Node::of_text(&migrate, &text).registering(&migrate, "default"))
        .node(Node::of(&Job::service(&db)).after(&[&migrate]).post(hook));
    story.run_tree(&tree);
    story.tree(&tree.id).succeeds(SOON);
    assert_eq!(tally.text(), "v8\np");
}
