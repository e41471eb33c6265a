//! Whatever dies, moves or fills up while a tree runs: it goes on, and nothing is done twice.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::harness::{Agent, Options, seconds};
use crate::story::{Flag, Hook, Job, Node, SOON, Story, Tree};

/// Kills of the plugin in one story.
const KILLS: usize = 10;

/// The server's agent.
fn agent<T>(story: &Story, act: impl FnOnce(&mut Agent) -> T) -> T {
    act(&mut story.cluster().agents()[0])
}

fn kill_plugin(story: &Story) {
    let before = agent(story, |agent| agent.plugin_pids());
    agent(story, |agent| agent.kill_plugin());
    story.within(SOON, "another plugin process", || {
        let now = agent(story, |agent| agent.plugin_pids());
        if now.iter().any(|pid| !before.contains(pid)) { Ok(()) } else { Err(format!("{now:?}")) }
    });
}

fn start_again(story: &Story) {
    story.cluster().start_again().unwrap_or_else(|why| panic!("the agent does not come back: {why}"));
}

/// A file that gets a line each time that something runs.
#[derive(Debug, Clone)]
struct Tally(Flag);

impl Tally {
    /// A script that first adds the line `what`.
    fn script(&self, what: &str, then: &str) -> String {
        format!("echo {what} >> {}; {then}", self.0.0.display())
    }

    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.0.0).unwrap_or_default();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

/// The ways in which the hooks of a row run.
const MOMENTS: [&str; 3] = ["pre", "post", "dispatched"];

/// Registers the job that the hooks of a row dispatch: it writes the line that it is given.
fn register_dispatched(story: &Story, tally: &Tally) -> String {
    let id = story.id("dispatched");
    let hcl = Job::batch(&id)
        .script(&tally.script("$NOMAD_META_line", "sleep 0.2"))
        .hcl()
        .replace("group \"g\"", "parameterized {\n    meta_required = [\"line\"]\n  }\n\n  group \"g\"");
    story.register(&story.cluster().parse(&hcl, "").expect("it is a good jobspec"));
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
    let tally = Tally(story.flag("tally"));
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
            kill_plugin(&story);
            kills += 1;
        }
        story.tree(&tree.id).succeeds(seconds(90));
    }
    assert_eq!(tally.lines(), once_each(n, release));
}

/// A row is under way, with a hook that runs until the flag is up; then the disaster strikes.
fn trees_survive(disaster: fn(&Story)) {
    let story = Story::alone(Options { restartable: true, ..Options::default() });
    let tally = Tally(story.flag("tally"));
    let (db, web, setup, flag) = (story.id("db"), story.id("web"), story.id("setup"), story.flag("setup"));
    let script = tally.script("setup", &format!("until [ -e {} ]; do sleep 0.05; done", flag.0.display()));
    let tree = Tree::new(&story.id("tree"))
        .node(Node::of(&Job::service(&db)).post(Hook::of(&Job::batch(&setup).script(&script))))
        .node(Node::of(&Job::service(&web)).after(&[&db]));
    story.run_tree(&tree);
    let hooks = story.hook_job_ids(&tree.id, &setup, 1);
    story.main(&hooks[0]).runs(SOON);
    let before = story.stamp(&db);

    disaster(&story);

    story.within(SOON, "the tree to answer again", || match story.tree(&tree.id).exec(&["why"]) {
        (0, said) if said.contains(&hooks[0]) => Ok(()),
        (code, said) => Err(format!("{code}: {said}")),
    });
    story.were_never_registered(&[&web]);
    flag.raise();
    story.tree(&tree.id).succeeds(seconds(60));
    story.main(&web).runs(SOON);
    assert_eq!(story.stamp(&db), before);
    assert_eq!(story.hook_job_ids(&tree.id, &setup, 1), hooks);
    assert_eq!(tally.lines(), ["setup"]);
}

#[test]
fn trees_survive_kill_9_of_the_plugin() {
    trees_survive(kill_plugin);
}

#[test]
fn trees_survive_kill_9_of_the_agent() {
    trees_survive(|story| {
        agent(story, Agent::kill);
        start_again(story);
    });
}

#[test]
fn trees_survive_kill_9_of_plugin_and_agent() {
    trees_survive(|story| {
        agent(story, Agent::kill);
        agent(story, |agent| agent.kill_plugin());
        start_again(story);
    });
}

#[test]
fn trees_survive_a_graceful_restart_of_the_agent() {
    trees_survive(|story| {
        agent(story, Agent::stop);
        start_again(story);
    });
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
        if age > seconds(6) { Ok(()) } else { Err(format!("{age:?}")) }
    });
    kill_plugin(&story);
    story.tree(&tree.id).fails(SOON);
    story.tree(&tree.id).says(SOON, "15s");
    assert!(story.tree(&tree.id).lasted() < seconds(19), "{:?}", story.tree(&tree.id).lasted());
}

#[test]
fn stopping_a_tree_leaves_its_jobs_and_stops_its_hook() {
    let story = Story::alone(Options::default());
    let tally = Tally(story.flag("tally"));
    let (db, web, setup, flag) = (story.id("db"), story.id("web"), story.id("setup"), story.flag("setup"));
    let script = tally.script("setup", &format!("until [ -e {} ]; do sleep 0.05; done", flag.0.display()));
    let tree = Tree::new(&story.id("tree"))
        .node(Node::of(&Job::service(&db)).post(Hook::of(&Job::batch(&setup).script(&script))))
        .node(Node::of(&Job::service(&web)).after(&[&db]));
    story.run_tree(&tree);
    let hooks = story.hook_job_ids(&tree.id, &setup, 1);
    story.main(&hooks[0]).runs(SOON);
    let before = story.stamp(&db);

    story.stop(&tree.id);
    story.within(SOON, "the hook to be stopped", || {
        let job = story.job(&hooks[0])?;
        let state = story.main(&hooks[0]).state()?;
        let is_over = job["Stop"] == true && state["State"] == "dead";
        if is_over { Ok(()) } else { Err(format!("{} {}", job["Stop"], state["State"])) }
    });
    story.is_dead(&tree.id);
    assert_eq!(story.stamp(&db), before);
    story.main(&db).runs(SOON);
    story.were_never_registered(&[&web]);

    // Who comes next goes on.
    flag.raise();
    story.run_tree(&tree);
    story.tree(&tree.id).succeeds(SOON);
    story.main(&web).runs(SOON);
    assert_eq!(story.stamp(&db), before);
    assert_eq!(tally.lines(), ["setup", "setup"], "once stopped, once to its end");
}

#[test]
fn a_tree_that_is_restarted_in_the_middle_goes_on() {
    let story = Story::alone(Options::default());
    let tally = Tally(story.flag("tally"));
    let (db, setup, flag) = (story.id("db"), story.id("setup"), story.flag("setup"));
    let script = tally.script("setup", &format!("until [ -e {} ]; do sleep 0.05; done", flag.0.display()));
    let tree = Tree::new(&story.id("tree"))
        .node(Node::of(&Job::service(&db)).post(Hook::of(&Job::batch(&setup).script(&script))));
    story.run_tree(&tree);
    let hooks = story.hook_job_ids(&tree.id, &setup, 1);
    story.main(&hooks[0]).runs(SOON);
    let before = story.stamp(&db);
    story.tree(&tree.id).restart_all_tasks();
    story.tree(&tree.id).runs(SOON);
    flag.raise();
    story.tree(&tree.id).succeeds(SOON);
    assert_eq!(story.stamp(&db), before);
    assert_eq!(story.hook_job_ids(&tree.id, &setup, 1), hooks);
    assert_eq!(tally.lines(), ["setup"]);
}

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

/// A tree on client `a` whose services are on client `b`, and whose hook runs until the flag is up.
struct Drained {
    story: Story,
    tree: Tree,
    db: String,
    web: String,
    setup: String,
    flag: Flag,
    tally: Tally,
    /// The one job of the hook.
    hooks: Vec<String>,
}

impl Drained {
    /// With the hook in the middle of it, in this place and with `more` inside of its block.
    fn begin(place: &str, more: &str) -> Self {
        let story = Story::alone(Options::default());
        story.cluster().join_client().unwrap_or_else(|why| panic!("there is no second client: {why}"));
        let tally = Tally(story.flag("tally"));
        let (db, web, setup, flag) =
            (story.id("db"), story.id("web"), story.id("setup"), story.flag("setup"));
        let wait = format!("until [ -e {} ]; do sleep 0.05; done", flag.0.display());
        let hook = Job::batch(&setup).script(&tally.script("setup", &wait)).group(place);
        let tree = Tree::new(&story.id("tree"))
            .group(&best_on("a"))
            .node(Node::of(&Job::service(&db).group(&on("b"))).post(Hook::of(&hook).with(more)))
            .node(Node::of(&Job::service(&web).group(&on("b"))).after(&[&db]));
        story.run_tree(&tree);
        let hooks = story.hook_job_ids(&tree.id, &setup, 1);
        story.main(&hooks[0]).runs(SOON);
        Self { story, tree, db, web, setup, flag, tally, hooks }
    }

    /// The client that the tree is on is to be empty within so many seconds.
    fn drain(&self, seconds: u64) {
        let placed = self.story.allocations(&self.tree.id).expect("it is placed");
        assert_eq!(placed[0]["NodeName"], "a");
        let node = placed[0]["NodeID"].as_str().expect("it is on a client");
        let drain = json!({ "DrainSpec": { "Deadline": seconds * 1_000_000_000, "IgnoreSystemJobs": true } });
        self.story.post(&format!("/v1/node/{node}/drain"), &drain);
    }

    fn ends_well(&self) {
        let Self { story, tree, db, web, setup, flag, tally, hooks } = self;
        let before = story.stamp(db);
        flag.raise();
        story.tree(&tree.id).succeeds(SOON);
        story.main(web).runs(SOON);
        assert_eq!(story.stamp(db), before);
        assert_eq!(story.hook_job_ids(&tree.id, setup, 1), *hooks);
        assert_eq!(tally.lines(), ["setup"]);
    }
}

#[test]
fn a_drain_lets_a_tree_and_its_hook_run_to_their_end() {
    let drained = Drained::begin(&on("a"), "");
    drained.drain(3600);
    let story = &drained.story;
    story.within(SOON, "the client to be drained", || {
        let nodes = story.get("/v1/nodes");
        let is_draining = nodes.as_array().into_iter().flatten().any(|node| node["Drain"] == true);
        if is_draining { Ok(()) } else { Err(nodes.to_string()) }
    });
    story.tree(&drained.tree.id).still_waits();
    story.main(&drained.hooks[0]).still_waits();
    drained.ends_well();
}

#[test]
fn a_tree_that_a_drain_has_ended_goes_on_in_the_next_run() {
    let drained = Drained::begin(&on("b"), "");
    let Drained { story, tree, hooks, .. } = &drained;
    let hook = story.stamp(&hooks[0]);
    drained.drain(1);
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
    drained.ends_well();
}

#[test]
fn a_hook_that_a_drain_has_ended_is_not_run_twice() {
    // The tree itself would be ended too, so it is on the other client.
    let story = Story::alone(Options::default());
    story.cluster().join_client().unwrap_or_else(|why| panic!("there is no second client: {why}"));
    let (db, setup) = (story.id("db"), story.id("setup"));
    let hook = Job::batch(&setup).script("exec sleep 1000").group(&best_on("a"));
    let tree = Tree::new(&story.id("tree"))
        .group(&on("b"))
        .node(Node::of(&Job::service(&db).group(&on("b"))).post(Hook::of(&hook).with("timeout = \"15s\"")));
    story.run_tree(&tree);
    let hooks = story.hook_job_ids(&tree.id, &setup, 1);
    story.main(&hooks[0]).runs(SOON);
    let placed = story.allocations(&hooks[0]).expect("it is placed");
    assert_eq!(placed[0]["NodeName"], "a");
    let node = placed[0]["NodeID"].as_str().expect("it is on a client");
    let drain = json!({ "DrainSpec": { "Deadline": 1_000_000_000, "IgnoreSystemJobs": true } });
    story.post(&format!("/v1/node/{node}/drain"), &drain);
    // Nomad (1.11) does not place a batch job again that it had to drain, and calls it complete.
    story.tree(&tree.id).fails(SOON);
    story.tree(&tree.id).says(SOON, &hooks[0]);
    assert_eq!(story.hook_job_ids(&tree.id, &setup, 1), hooks);
    assert_eq!(story.allocations(&hooks[0]).expect("it was placed").len(), 1);
}

/// A small file system, and full, over the directory with the journal of a tree, until it is dropped.
struct FullDisk(PathBuf);

impl FullDisk {
    /// The journal itself is there as it was. Whoever has it open has to open it again to see that.
    fn over(story: &Story, tree: &str) -> Self {
        let allocation = story.tree(tree).allocation();
        let dir = story.cluster().dir().join(format!("a/data/alloc/{allocation}/tree/dtree"));
        let files: Vec<(PathBuf, Vec<u8>)> = fs::read_dir(&dir)
            .unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
            .flatten()
            .map(|entry| (entry.path(), fs::read(entry.path()).expect("it is a file")))
            .collect();
        assert!(!files.is_empty(), "there is no journal in {}", dir.display());
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs"])
            .arg(&dir)
            .output()
            .expect("every Linux can mount");
        assert!(mounted.status.success(), "{mounted:?}");
        let disk = Self(dir);
        for (path, bytes) in files {
            fs::write(&path, bytes).expect("there is room for the journal");
            fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("it is ours");
        }
        let mut filler = File::create(disk.filler()).expect("there is room for a file");
        while filler.write_all(&[0; 4096]).is_ok() {}
        disk
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    fn make_room(&self) {
        fs::remove_file(self.filler()).expect("the filler is there");
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        // Lazily: the plugin has the journal open. The warden would do it, too.
        let _seen_by_the_warden = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn with_a_full_disk_under_its_journal_a_tree_begins_nothing_and_says_so() {
    let story = Story::alone(Options { restartable: true, ..Options::default() });
    let (db, flag) = (story.id("db"), story.flag("db"));
    // Enough of them to fill what is left of the journal's last page.
    let many: Vec<String> = (0..40).map(|n| story.id(&format!("a-job-with-a-long-name-{n}"))).collect();
    let mut tree = Tree::new(&story.id("tree")).node(Node::of(&Job::service(&db).held_back_by(&flag)));
    for id in &many {
        tree = tree.node(Node::of(&Job::batch(id)).after(&[&db]));
    }
    story.run_tree(&tree);
    story.task(&db, "slow").runs(SOON);
    let disk = FullDisk::over(&story, &tree.id);
    kill_plugin(&story);
    flag.of(0).raise();
    story.is_healthy(&db);
    story.tree(&tree.id).says(SOON, "the journal cannot be written");
    story.tree(&tree.id).still_waits();
    let begun = many.iter().filter(|id| !story.versions(id).is_empty()).count();
    assert!(begun < many.len(), "all were begun");

    disk.make_room();
    story.tree(&tree.id).succeeds(seconds(120));
    assert!(many.iter().all(|id| story.versions(id).len() == 1));
}
