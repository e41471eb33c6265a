//! Whatever dies or is stopped while a tree runs: it goes on, and nothing is done twice.

use std::thread;
use std::time::{Duration, SystemTime};

use crate::harness::{Options, seconds};
use crate::story::{Hook, Job, Midway, Node, Places, SOON, Story, Tally, Tree};

/// Kills of the plugin in one story.
const KILLS: usize = 10;

/// The ways in which the hooks of a row run.
const MOMENTS: [&str; 3] = ["pre", "post", "dispatched"];

/// Registers the job that the hooks of a row dispatch: it writes the line that it is given.
fn register_dispatched(story: &Story, tally: &Tally) -> String {
    let id = story.id("dispatched");
    story.run(&Job::batch(&id).script(&tally.script("$NOMAD_META_line", "sleep 0.2")).parameterized("line"));
    id
}

/// So many jobs in a row, each with a hook before it and two after it, one of which is dispatched. Another release
/// changes all of them. Of every other job the hooks that went well are purged.
fn row(story: &Story, n: usize, release: usize, tally: &Tally) -> Tree {
    let ids: Vec<String> = (0..n).map(|n| story.id(&format!("j{n}"))).collect();
    let mut tree = Tree::new(&story.id("tree")).run(&release.to_string());
    for (n, id) in ids.iter().enumerate() {
        let retain = if n % 2 == 0 { "all" } else { "failed" };
        let hook = |moment: &str| {
            let script = tally.script(&format!("{release}-{n}-{moment}"), "sleep 0.2");
            Hook::of(&Job::batch(&format!("{moment}-{id}")).script(&script)).retain(retain)
        };
        let line = format!("meta = {{\n line = \"{release}-{n}-dispatched\"\n }}");
        let dispatched =
            Hook::dispatch(&format!("dispatched-{id}"), &story.id("dispatched")).with(&line).retain(retain);
        let mut node = Node::of(&Job::service(id).meta(&release.to_string()))
            .pre(hook("pre"))
            .post(hook("post"))
            .post(dispatched);
        if let Some(before) = n.checked_sub(1) {
            node = node.after(&[&ids[before]]);
        }
        tree = tree.node(node);
    }
    tree
}

/// What the hooks of a row have written when each has run once.
fn once_each(n: usize, releases: usize) -> Vec<String> {
    let mut lines: Vec<String> = (1..=releases)
        .flat_map(|release| (0..n).flat_map(move |n| MOMENTS.map(|moment| format!("{release}-{n}-{moment}"))))
        .collect();
    lines.sort();
    lines
}

/// Up to a second, by chance.
fn moment() -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is later than 1970");
    Duration::from_millis(u64::from(now.subsec_micros() % 1000))
}

#[test]
fn a_tree_whose_plugin_is_killed_at_ten_random_moments_does_nothing_twice() {
    let story = Story::alone(Options::default());
    let tally = story.tally("tally");
    register_dispatched(&story, &tally);
    let (n, mut kills, mut release) = (3, 0, 0);
    while kills < KILLS {
        release += 1;
        let tree = row(&story, n, release, &tally);
        story.run_tree(&tree);
        loop {
            thread::sleep(moment());
            let state = story.tree(&tree.id).state().unwrap_or_default();
            if state["State"] == "dead" || kills == KILLS {
                break;
            }
            story.kill_plugin();
            kills += 1;
        }
        story.tree(&tree.id).succeeds(seconds(240));
    }
    assert_eq!(tally.lines(), once_each(n, release));
}

/// A tree is in the middle of its run; then the disaster strikes.
fn trees_survive(disaster: fn(&Story)) {
    let story = Story::alone(Options { restartable: true, ..Options::default() });
    let midway = Midway::begin(&story, &Places::default());

    disaster(&story);

    story.within(SOON, "the tree to answer again", || match story.tree(&midway.tree.id).exec(&["why"]) {
        (0, said) if said.contains(&midway.hooks[0]) => Ok(()),
        (code, said) => Err(format!("{code}: {said}")),
    });
    midway.ends_well(&story);
}

#[test]
fn trees_survive_kill_9_of_the_plugin() {
    trees_survive(Story::kill_plugin);
}

#[test]
fn trees_survive_kill_9_of_the_agent() {
    trees_survive(Story::kill_agent);
}

#[test]
fn trees_survive_kill_9_of_plugin_and_agent() {
    trees_survive(Story::kill_agent_and_plugin);
}

#[test]
fn trees_survive_a_graceful_restart_of_the_agent() {
    trees_survive(Story::restart_agent);
}

#[test]
fn a_hooks_time_limit_keeps_its_instant_when_the_plugin_is_killed() {
    let story = Story::alone(Options::default());
    let (db, setup) = (story.id("db"), story.id("setup"));
    let hook = Hook::of(&Job::batch(&setup).script("exec sleep 1000")).with("timeout = \"15s\"");
    let tree = Tree::new(&story.id("tree")).node(Node::of(&Job::service(&db)).post(hook));
    story.run_tree(&tree);
    let hooks = story.hook_job_ids(&tree.id, &setup, 1);
    story.within(SOON, "some of the time to be over", || {
        story.main(&hooks[0]).state()?;
        let age = story.main(&hooks[0]).age();
        if age > seconds(9) { Ok(()) } else { Err(format!("{age:?}")) }
    });
    let struck = jiff::Timestamp::now();
    story.kill_plugin();
    story.tree(&tree.id).fails(SOON);
    story.tree(&tree.id).says(SOON, "15s");
    let ended = story.tree(&tree.id).ended();
    assert!(ended < struck + seconds(15), "its time began anew: struck at {struck}, it ended at {ended}");
}

#[test]
fn stopping_a_tree_leaves_its_jobs_and_stops_its_hook() {
    let story = Story::alone(Options::default());
    let midway = Midway::begin(&story, &Places::default());
    let Midway { tree, db, web, flag, tally, hooks, before, .. } = &midway;

    story.stop(&tree.id);
    story.within(SOON, "the hook to be stopped", || {
        let job = story.job(&hooks[0])?;
        let state = story.main(&hooks[0]).state()?;
        let is_over = job["Stop"] == true && state["State"] == "dead";
        if is_over { Ok(()) } else { Err(format!("{} {}", job["Stop"], state["State"])) }
    });
    story.is_dead(&tree.id);
    assert_eq!(story.stamp(db), *before);
    story.main(db).runs(SOON);
    story.were_never_registered(&[web]);

    // Who comes next goes on.
    flag.raise();
    story.run_tree(tree);
    story.tree(&tree.id).succeeds(SOON);
    story.main(web).runs(SOON);
    assert_eq!(story.stamp(db), *before);
    assert_eq!(tally.lines(), ["setup", "setup"], "once stopped, once to its end");
}

#[test]
fn purging_a_tree_stops_its_hook_too() {
    let story = Story::alone(Options::default());
    let midway = Midway::begin(&story, &Places::default());
    let Midway { tree, db, hooks, before, .. } = &midway;

    story.purge(&tree.id);
    story.within(SOON, "the hook to be stopped", || {
        let job = story.job(&hooks[0])?;
        if job["Stop"] == true { Ok(()) } else { Err(format!("{}", job["Stop"])) }
    });
    assert_eq!(story.stamp(db), *before);
    story.main(db).runs(SOON);
}

#[test]
fn a_tree_that_is_restarted_in_the_middle_goes_on() {
    let story = Story::alone(Options::default());
    let midway = Midway::begin(&story, &Places::default());
    story.tree(&midway.tree.id).restart_all_tasks();
    story.tree(&midway.tree.id).runs(SOON);
    midway.ends_well(&story);
}
