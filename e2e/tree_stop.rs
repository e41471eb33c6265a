//! A tree is stopped by its own verb: jobs in reverse order, hooks around them, and nothing that somebody still needs.

use serde_json::Value;

use crate::harness::{Options, seconds};
use crate::story::{Hook, Job, Node, SOON, Shared, Story, Tree};

static CLUSTER: Shared = Shared::new(Options::default);

/// `web` needs `api` needs `db`; each takes its time to end.
struct Stack {
    db: String,
    api: String,
    web: String,
    tree: Tree,
}

/// Ends half a second after it is told to.
const SLOW: &str = "trap 'sleep 0.5; exit 0' INT; while :; do sleep 0.05; done";

fn stack(story: &Story) -> Stack {
    let [db, api, web] = ["db", "api", "web"].map(|name| story.id(name));
    let job = |id: &str| Job::service(id).script(SLOW);
    let tree = Tree::new(&story.id("tree"))
        .node(Node::of(&job(&db)))
        .node(Node::of(&job(&api)).after(&[&db]))
        .node(Node::of(&job(&web)).after(&[&api]));
    Stack { db, api, web, tree }
}

/// Brings a tree up.
fn up(story: &Story, tree: &Tree) {
    story.run_tree(tree);
    story.tree(&tree.id).succeeds(SOON);
}

/// Stops it, with this inside of the `stop` block, and gives its last words.
#[track_caller]
fn down(story: &Story, tree: &Tree, stop: &str, run: &str) -> String {
    story.run_tree(&tree.clone().stopped(stop).run(run));
    story.tree(&tree.id).succeeds(SOON);
    story.tree(&tree.id).logs_at_its_end("done after")
}

/// The same for a stop that fails.
#[track_caller]
fn refused(story: &Story, tree: &Tree, stop: &str, run: &str) -> String {
    story.run_tree(&tree.clone().stopped(stop).run(run));
    story.tree(&tree.id).fails(SOON);
    story.tree(&tree.id).says(SOON, "failed after")
}

/// When a job was stopped, and when the last of its tasks ended, in nanoseconds.
fn stop_and_end(story: &Story, id: &str) -> (i128, i128) {
    let stopped = story.versions(id).into_iter().find(|version| version["Stop"] == true);
    let at = stopped.and_then(|version| version["SubmitTime"].as_i64()).expect("it was stopped");
    let time = |value: &Value| {
        let text = value.as_str().expect("it has ended");
        text.parse::<jiff::Timestamp>().expect("Nomad writes times").as_nanosecond()
    };
    let ends = story.allocations(id).expect("Nomad shows them");
    let ends = ends.iter().map(|allocation| time(&allocation["TaskStates"]["main"]["FinishedAt"]));
    (i128::from(at), ends.max().expect("there is one"))
}

#[test]
fn each_job_is_gone_before_what_it_depends_on_is_stopped_and_a_run_brings_all_up_again() {
    let story = CLUSTER.story();
    let Stack { db, api, web, tree } = stack(&story);
    up(&story, &tree);
    let said = down(&story, &tree, "", "2");
    assert!(said.contains(&format!("stopped {web}, {api}, {db}")), "{said}");
    for id in [&db, &api, &web] {
        story.has_stopped(id);
    }
    let [web_times, api_times, db_times] = [&web, &api, &db].map(|id| stop_and_end(&story, id));
    assert!(web_times.1 <= api_times.0, "api at {api_times:?}, but web at {web_times:?}");
    assert!(api_times.1 <= db_times.0, "db at {db_times:?}, but api at {api_times:?}");

    let before = [&db, &api, &web].map(|id| story.stamp(id));
    let said = down(&story, &tree, "", "3");
    assert!(said.contains("3 were stopped already"), "{said}");
    assert_eq!([&db, &api, &web].map(|id| story.stamp(id)), before, "a second stop changes nothing");

    up(&story, &tree.clone().run("4"));
    for id in [&db, &api, &web] {
        story.main(id).runs(SOON);
    }
}

#[test]
fn a_purge_leaves_nothing_behind_not_even_its_records() {
    let story = CLUSTER.story();
    let (db, web, seed) = (story.id("db"), story.id("web"), story.id("seed"));
    let tree = Tree::new(&story.id("tree"))
        .node(Node::of(&Job::service(&db)).post(Hook::of(&Job::batch(&seed)).retain("failed")))
        .node(Node::of(&Job::service(&web)).after(&[&db]));
    up(&story, &tree);
    let records = || story.get(&format!("/v1/vars?prefix=dtree/default/{}/default/", tree.id));
    let of_db = |records: &Value| records.to_string().contains(&format!("default/{db}\""));
    assert!(of_db(&records()), "{}", records());
    story.is_judged_up_to_now();

    let said = down(&story, &tree, "purge = true", "2");
    assert!(said.contains(&format!("stopped and purged {web}, {db}")), "{said}");
    story.were_never_registered(&[&db, &web]);
    assert!(!of_db(&records()), "{}", records());

    up(&story, &tree.clone().run("3"));
    story.main(&web).runs(SOON);
}

#[test]
fn what_an_excluded_job_depends_on_is_refused_with_both_names() {
    let story = CLUSTER.story();
    let Stack { db, api, web, tree } = stack(&story);
    up(&story, &tree);
    let before = [&db, &api, &web].map(|id| story.stamp(id));
    let said = refused(&story, &tree, &format!("exclude = [\"{api}\"]"), "2");
    assert!(said.contains(&format!("{api} is excluded, still runs, and depends on {db}")), "{said}");
    assert_eq!([&db, &api, &web].map(|id| story.stamp(id)), before);

    let said = down(&story, &tree, &format!("exclude = [\"{db}\"]"), "3");
    assert!(said.contains(&format!("kept {db}: excluded")), "{said}");
    story.main(&db).runs(SOON);
    for id in [&api, &web] {
        story.has_stopped(id);
    }
}

#[test]
fn a_target_is_stopped_alone_or_with_what_nothing_else_needs() {
    let story = CLUSTER.story();
    let Stack { db, api, web, tree } = stack(&story);
    let mail = story.id("mail");
    let tree = tree.node(Node::of(&Job::service(&mail)).after(&[&db]));
    up(&story, &tree);
    let said = refused(&story, &tree, &format!("target = \"{api}\""), "2");
    assert!(said.contains(&format!("{web} still runs, and depends on {api}")), "{said}");

    let before = [&db, &api].map(|id| story.stamp(id));
    down(&story, &tree, &format!("target = \"{web}\""), "3");
    story.has_stopped(&web);
    assert_eq!([&db, &api].map(|id| story.stamp(id)), before);

    let block = format!("target = \"{web}\"\n with_dependencies = true");
    let said = down(&story, &tree, &block, "4");
    assert!(said.contains(&format!("kept {db}: {mail} still runs, and needs it")), "{said}");
    story.has_stopped(&api);
    story.main(&db).runs(SOON);
}

#[test]
fn a_job_that_another_tree_waits_for_stays_until_that_tree_is_stopped() {
    let story = CLUSTER.story();
    let (db, web, other) = (story.id("db"), story.id("web"), story.id("other"));
    let first = Tree::new(&story.id("tree"))
        .node(Node::of(&Job::service(&db)))
        .node(Node::of(&Job::service(&web)).after(&[&db]));
    let second = Tree::new(&story.id("second"))
        .option(&format!("wait \"shared\" {{\n job = \"{db}\"\n }}"))
        .node(Node::of(&Job::service(&other)).after(&["shared"]));
    up(&story, &first);
    up(&story, &second);

    let before = story.stamp(&db);
    let said = down(&story, &first, "", "2");
    assert!(said.contains(&format!("kept {db}: tree default/{} waits for it", second.id)), "{said}");
    assert_eq!(story.stamp(&db), before);
    story.has_stopped(&web);

    down(&story, &second, "", "2");
    story.has_stopped(&other);
    let said = down(&story, &first, "", "3");
    assert!(said.contains(&format!("stopped {db}")), "{said}");
    story.has_stopped(&db);
}

#[test]
fn hooks_around_a_stop_run_once_although_the_plugin_is_killed() {
    let story = Story::alone(Options::default());
    let (db, api, tally) = (story.id("db"), story.id("api"), story.tally("tally"));
    let [before, after] = ["before", "after"].map(|name| (story.id(name), story.flag(name)));
    let hook = |(id, flag): &(String, crate::story::Flag)| {
        let until = format!("until [ -e {} ]; do sleep 0.05; done", flag.0.display());
        Hook::of(&Job::batch(id).script(&tally.script(id, &until)))
    };
    let tree = Tree::new(&story.id("tree")).node(Node::of(&Job::service(&db))).node(
        Node::of(&Job::service(&api).script(SLOW))
            .after(&[&db])
            .pre_stop(hook(&before))
            .post_stop(hook(&after)),
    );
    up(&story, &tree);
    assert_eq!(tally.lines(), Vec::<String>::new(), "a run runs no hooks of a stop");

    story.run_tree(&tree.clone().stopped("").run("2"));
    let jobs = story.hook_job_ids(&tree.id, &before.0, 1);
    story.main(&jobs[0]).runs(SOON);
    story.kill_plugin();
    story.main(&api).runs(SOON);
    assert_ne!(story.job(&api).expect("it is registered")["Stop"], true, "not before its hook");
    before.1.raise();
    let jobs = story.hook_job_ids(&tree.id, &after.0, 1);
    story.main(&jobs[0]).runs(SOON);
    story.has_stopped(&api);
    story.kill_plugin();
    assert_ne!(story.job(&db).expect("it is registered")["Stop"], true, "not before that hook");
    after.1.raise();
    story.tree(&tree.id).succeeds(seconds(120));
    story.has_stopped(&db);
    let mut expected = vec![before.0.clone(), after.0.clone()];
    expected.sort();
    assert_eq!(tally.lines(), expected);

    let said = down(&story, &tree, "", "3");
    assert!(said.contains("2 were stopped already"), "{said}");
    assert_eq!(tally.lines(), expected);
}

#[test]
fn behind_a_failing_pre_stop_hook_nothing_is_stopped() {
    let story = CLUSTER.story();
    let (db, api, drain, may) = (story.id("db"), story.id("api"), story.id("drain"), story.flag("may"));
    let script = format!("[ -e {} ] || exit 5", may.0.display());
    let tree = Tree::new(&story.id("tree")).node(Node::of(&Job::service(&db))).node(
        Node::of(&Job::service(&api)).after(&[&db]).pre_stop(Hook::of(&Job::batch(&drain).script(&script))),
    );
    up(&story, &tree);
    let before = [&db, &api].map(|id| story.stamp(id));
    let said = refused(&story, &tree, "", "2");
    assert!(said.contains("exited with 5") && said.contains(&format!("because {drain} failed")), "{said}");
    assert_eq!([&db, &api].map(|id| story.stamp(id)), before);

    may.raise();
    down(&story, &tree, "", "3");
    for id in [&api, &db] {
        story.has_stopped(id);
    }
}

#[test]
fn a_job_of_somebody_else_is_left_alone() {
    let story = CLUSTER.story();
    let Stack { db, api, web, tree } = stack(&story);
    up(&story, &tree);
    story.is_judged_up_to_now();
    story.purge(&web);
    story.run(&Job::service(&web));
    story.main(&web).runs(SOON);
    let before = story.stamp(&web);
    let said = down(&story, &tree, "purge = true", "2");
    assert!(said.contains(&format!("kept {web}")), "{said}");
    assert_eq!(story.stamp(&web), before);
    story.were_never_registered(&[&db, &api]);
}

#[test]
fn a_job_that_does_not_go_in_time_fails_the_stop_with_its_allocation() {
    let story = CLUSTER.story();
    let (db, api) = (story.id("db"), story.id("api"));
    let stubborn = Job::service(&api).script("trap '' INT; while :; do sleep 0.05; done").kill_timeout("8s");
    let tree = Tree::new(&story.id("tree"))
        .node(Node::of(&Job::service(&db)))
        .node(Node::of(&stubborn).after(&[&db]));
    up(&story, &tree);
    let alloc = story.stamp(&api).allocations.remove(0);
    let said = refused(&story, &tree, "timeout = \"2s\"", "2");
    assert!(said.contains("not gone within 2s") && said.contains(&alloc[..8]), "{said}");
    story.main(&db).runs(SOON);
    // The next stop waits for it.
    down(&story, &tree, "timeout = \"1m\"", "3");
    story.has_stopped(&db);
}
