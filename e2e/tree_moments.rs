//! What stands in the record of a tree whose plugin is killed at a moment with a name, and records that others have
//! changed or that Nomad refuses.

use serde_json::json;

use crate::harness::{Options, seconds};
use crate::story::{Flag, Hook, Job, Midway, Node, Places, Record, SOON, Shared, Story, Tally, Tree};
use crate::tree_access::{allow, policy};

static CLUSTER: Shared = Shared::new(Options::default);
static GUARDED: Shared = Shared::new(|| Options { acl: true, ..Options::default() });

/// Kills the plugin once the record of a tree is so; whoever leads next finds it as it was.
#[track_caller]
fn killed_when(story: &Story, tree: &str, moment: &str, is_so: impl Fn(&Record) -> bool) -> Record {
    let before = story.records(SOON, tree, is_so);
    story.kill_plugin();
    let after = story.records(SOON, tree, |record| record.epoch > before.epoch);
    assert_eq!((&after.run, &after.holder), (&before.run, &before.holder), "{moment}");
    assert_eq!(after.epoch, before.epoch + 1, "{moment}");
    for name in before.notes.keys() {
        assert!(after.notes.contains_key(name), "{moment}: {name} is forgotten in {after:#?}");
    }
    after
}

/// A hook that notes that it runs, and ends when its flag is up.
fn hook(name: &str, tally: &Tally, flag: &Flag, exit: &str) -> Hook {
    let wait = format!("until [ -e {} ]; do sleep 0.05; done; {exit}", flag.0.display());
    Hook::of(&Job::batch(name).script(&tally.script(name, &wait)))
}

/// Whether these steps have come so far.
fn words(record: &Record, steps: &[(&str, &str)]) -> bool {
    steps.iter().all(|(step, word)| record.word(step) == *word)
}

#[test]
fn a_tree_that_is_killed_at_each_moment_of_its_run_remembers_it_and_does_nothing_twice() {
    let story = Story::alone(Options::default());
    let tally = story.tally("tally");
    let [db, web, door, yard] = ["db", "web", "door", "yard"].map(|name| story.id(name));
    let [check, seed, tell] = ["check", "seed", "tell"].map(|name| story.id(name));
    let [may_check, may_seed, may_tell] = ["check", "seed", "tell"].map(|name| story.flag(name));
    let held = story.flag("held");
    let tree = Tree::new(&story.id("tree"))
        .option(&format!("wait \"door\" {{ job = \"{door}\" }}"))
        .option(&format!("wait \"yard\" {{ job = \"{yard}\" }}"))
        .node(
            Node::of(&Job::service(&db).held_back_by(&held))
                .after(&["door"])
                .pre(hook(&check, &tally, &may_check, "exit 0"))
                .post(hook(&seed, &tally, &may_seed, "exit 0")),
        )
        .node(Node::of(&Job::service(&web)).after(&[&db, "yard"]))
        .hook("after_success", hook(&tell, &tally, &may_tell, "exit 0"));
    let id = tree.id.clone();
    story.run_tree(&tree);

    let record = killed_when(&story, &id, "the lead is taken", |record| {
        words(record, &[("~began", "began"), ("door", "wait"), (&check, "nothing"), (&db, "nothing")])
    });
    story.were_never_registered(&[&db, &web]);
    story.run(&Job::service(&door));

    story.hook_job_ids(&id, &check, 1);
    killed_when(&story, &id, "a pre hook runs", |record| {
        words(record, &[(&check, "running"), (&db, "due"), (&seed, "nothing")])
    });
    story.were_never_registered(&[&db]);
    may_check.raise();

    killed_when(&story, &id, "a job is submitted and not ready", |record| {
        let is_ready =
            record.notes.get(&db).is_none_or(|note| note["step"]["memory"]["submitted"]["was_ready"] == true);
        words(record, &[(&check, "ended"), (&db, "submitted")]) && !is_ready
    });
    let stamp = story.stamp(&db);
    held.of(0).raise();

    story.hook_job_ids(&id, &seed, 1);
    killed_when(&story, &id, "a post hook runs", |record| {
        words(record, &[(&seed, "running"), (&db, "submitted"), (&web, "nothing")])
    });
    may_seed.raise();

    story.within(SOON, "it to be attested", || story.items(&id, &format!("default/{db}")));
    killed_when(&story, &id, "attested, and what depends on it is not begun", |record| {
        words(record, &[(&seed, "ended"), ("yard", "wait"), (&web, "nothing")])
    });
    story.were_never_registered(&[&web]);
    story.run(&Job::service(&yard));

    killed_when(&story, &id, "a hook after the run runs", |record| {
        words(record, &[("~concluded", "concluded"), (&tell, "running"), (&web, "submitted")])
    });
    may_tell.raise();

    story.tree(&id).succeeds(SOON);
    story.had_one_run(&id, &record.run);
    let ended = story.records(SOON, &id, |record| words(record, &[("~ended", "ended"), (&tell, "ended")]));
    story.kill_plugin();
    story.tree(&id).succeeds(SOON);
    assert_eq!(story.record(&id), Ok(ended), "nobody leads a run that is over");
    assert_eq!(story.stamp(&db), stamp);
    assert_eq!(tally.lines(), [check, seed, tell]);
}

#[test]
fn a_tree_that_is_killed_while_a_hook_fails_and_while_it_tells_of_that_does_neither_again() {
    let story = Story::alone(Options::default());
    let tally = story.tally("tally");
    let [db, seed, alarm] = ["db", "seed", "alarm"].map(|name| story.id(name));
    let [may_seed, may_tell] = ["seed", "alarm"].map(|name| story.flag(name));
    let tree = Tree::new(&story.id("tree"))
        .node(Node::of(&Job::service(&db)).post(hook(&seed, &tally, &may_seed, "exit 3")))
        .hook("after_failure", hook(&alarm, &tally, &may_tell, "exit 0"));
    let id = tree.id.clone();
    story.run_tree(&tree);
    let record =
        killed_when(&story, &id, "a hook that will fail runs", |record| words(record, &[(&seed, "running")]));
    may_seed.raise();
    killed_when(&story, &id, "a hook after a failure runs", |record| {
        words(record, &[(&seed, "ended"), ("~concluded", "concluded"), (&alarm, "running")])
    });
    may_tell.raise();
    story.tree(&id).fails(SOON);
    story.tree(&id).says(SOON, &seed);
    story.within(SOON, "its end to be told", || match story.history(&id) {
        history if history == [(record.run.clone(), false)] => Ok(()),
        history => Err(format!("{history:?}")),
    });
    assert_eq!(tally.lines(), [alarm, seed]);
}

#[test]
fn a_record_of_a_later_version_is_refused_and_left_as_it_is() {
    let story = CLUSTER.story();
    let db = story.id("db");
    let tree = Tree::new(&story.id("tree")).node(Node::of(&Job::service(&db)));
    let later = json!({ "version": "2", "something": "else" });
    story.put_items(&tree.id, "~run", &later);
    story.run_tree(&tree);
    story.tree(&tree.id).fails(SOON);
    let message = story.tree(&tree.id).says(SOON, "nothing was begun");
    assert!(message.contains("has version 2") && message.contains("update the plugin"), "{message}");
    story.were_never_registered(&[&db]);
    assert_eq!(story.items(&tree.id, "~run"), Ok(later));
}

#[test]
fn a_damaged_record_is_refused_and_what_the_message_says_helps() {
    let story = CLUSTER.story();
    let (tally, flag) = (story.tally("tally"), story.flag("never-awaited"));
    flag.raise();
    let (db, seed) = (story.id("db"), story.id("seed"));
    let tree = Tree::new(&story.id("tree"))
        .node(Node::of(&Job::service(&db)).post(hook(&seed, &tally, &flag, "exit 0")));
    story.run_tree(&tree);
    story.tree(&tree.id).succeeds(SOON);
    let stamp = story.stamp(&db);
    let mut chunk = story.items(&tree.id, "~run/1").expect("it is there");
    chunk["notes"] = json!("{\"~began\":");
    story.put_items(&tree.id, "~run/1", &chunk);
    story.run_tree(&tree.clone().run("2"));
    story.tree(&tree.id).fails(SOON);
    let message = story.tree(&tree.id).says(SOON, "nothing was begun");
    assert_eq!(story.items(&tree.id, "~run/1"), Ok(chunk), "it was touched");
    let (_, command) = message.split_once("`nomad ").expect("it says what to do");
    let (command, _) = command.split_once('`').expect("all of it");
    let done = story.cli(&command.split(' ').collect::<Vec<_>>());
    assert!(done.status.success(), "nomad {command}: {done:?}");
    story.run_tree(&tree.clone().run("3"));
    story.tree(&tree.id).succeeds(SOON);
    assert_eq!((story.stamp(&db), tally.lines().len()), (stamp, 1));
}

#[test]
fn a_record_that_somebody_purges_in_the_middle_is_written_again() {
    let story = CLUSTER.story();
    let midway = Midway::begin(&story, &Places::default());
    let tree = midway.tree.id.clone();
    let before = story.record(&tree).expect("it has begun");
    for what in ["~run/1", "~run"] {
        let purged = story.cli(&["var", "purge", &format!("dtree/default/{tree}/{what}")]);
        assert!(purged.status.success(), "{purged:?}");
    }
    midway.ends_well(&story);
    story.had_one_run(&tree, &before.run);
    let after = story.record(&tree).expect("it is there again");
    assert_eq!((&after.run, after.epoch), (&before.run, before.epoch));
    for (name, word) in [
        ("~began", "began"),
        ("~ended", "ended"),
        (&midway.db, "submitted"),
        (&midway.setup, "ended"),
        (&midway.web, "submitted"),
    ] {
        assert_eq!(after.word(name), word, "{name} in {after:#?}");
    }
}

#[test]
fn a_tree_that_may_read_variables_and_not_write_them_runs_and_says_what_is_lost_by_it() {
    let story = GUARDED.story();
    let (tally, flag) = (story.tally("tally"), story.flag("never-awaited"));
    flag.raise();
    let [db, seed] = ["db", "seed"].map(|name| story.id(name));
    let tree = Tree::new(&story.id("tree"))
        .node(Node::of(&Job::service(&db)).post(hook(&seed, &tally, &flag, "exit 0")));
    let reads = policy().replace("[\"list\", \"read\", \"write\", \"destroy\"]", "[\"read\", \"list\"]");
    assert_ne!(reads, policy(), "the README's policy has other capabilities");
    allow(&story, &tree.id, &reads);
    story.run_tree(&tree);
    story.tree(&tree.id).succeeds(SOON);
    let told = story.tree(&tree.id).says(SOON, "because Nomad's Variables are refused");
    for lost in ["on another client it could not go on", "two runs at once are not kept apart", "no history"]
    {
        assert!(told.contains(lost), "{lost:?} is not in {told}");
    }
    assert!(story.items(&tree.id, "~run").is_err() && story.items(&tree.id, "~lock").is_err());
    // Another run finds what has run by its job, which has stayed.
    story.run_tree(&tree.clone().run("2"));
    story.tree(&tree.id).succeeds(seconds(120));
    assert_eq!(tally.lines(), [seed]);
}
