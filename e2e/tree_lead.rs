//! One leads a tree: a second run is refused, and another client goes on where the first one ended.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Options, seconds};
use crate::story::{Hook, Job, Midway, Node, Places, SOON, Story, Tree};

/// When another may have the lock of one who is gone, at the latest, 21 s, and what a busy machine takes.
const FREE: Duration = seconds(60);

/// Keeps a job on one client.
fn on(client: &str) -> String {
    format!(
        "constraint {{\n      attribute = \"${{node.unique.name}}\"\n      value     = \"{client}\"\n    }}"
    )
}

/// A cluster of two clients, of which jobs are placed on `b` only until `a` is made eligible: there is the server. A
/// client that says nothing is given up soon.
fn with_two_clients() -> Story {
    let soon = "heartbeat_grace   = \"3s\"\n  min_heartbeat_ttl = \"2s\"";
    let story = Story::alone(Options { server: soon.to_owned(), ..Options::default() });
    story.cluster().join_client().unwrap_or_else(|why| panic!("there is no second client: {why}"));
    story
}

/// A tree on client `b` in the middle of its run, with everything else on `a`. What follows is placed on `a`.
fn midway_on_b(story: &Story, more: &str, again: bool) -> Midway {
    let on_b = format!("{more}\n{}", on("b").replace("constraint", "affinity"));
    let midway = Midway::begin(story, &Places { tree: on_b, services: on("a"), hook: on("a"), again });
    assert_eq!(client_of(story, &midway.tree.id), "b");
    story.makes_eligible("b", false);
    midway
}

/// So many allocations of a tree from now on.
fn scale(story: &Story, tree: &str, count: usize) {
    story.post(&format!("/v1/job/{tree}/scale"), &json!({ "Target": { "Group": "g" }, "Count": count }));
}

/// The run goes on to its end, in an allocation that need not be the newest, and nothing was done twice.
fn ends_well_among_others(story: &Story, midway: &Midway, run: &str) {
    story.were_never_registered(&[&midway.web]);
    midway.flag.raise();
    story.had_one_run(&midway.tree.id, run);
    story.main(&midway.web).runs(SOON);
    assert_eq!(story.stamp(&midway.db), midway.before);
    assert_eq!(story.hook_job_ids(&midway.tree.id, &midway.setup, 1), midway.hooks);
    assert_eq!(midway.tally.lines(), ["setup"]);
}

/// On which client the newest allocation of a job is.
fn client_of(story: &Story, job: &str) -> String {
    let placed = story.allocations(job).expect("it is placed");
    placed[0]["NodeName"].as_str().expect("it is on a client").to_owned()
}

/// Waits until the tree has another allocation than this one, on the first client.
fn moves_to_a(story: &Story, tree: &str, from: &str) -> String {
    story.within(SOON, "the tree to be placed anew", || match story.tree(tree).allocation() {
        another if another != from && client_of(story, tree) == "a" => Ok(another),
        same => Err(same),
    })
}

/// Waits until `holder` leads the tree, and tells that the run is the same.
fn is_led_by(story: &Story, tree: &str, holder: &str, run: &str) {
    let record = story.records(FREE, tree, |record| record.holder == holder);
    assert_eq!(record.run, run);
}

#[test]
fn a_second_run_of_a_tree_is_refused_at_once_and_the_first_ends_well() {
    let story = Story::alone(Options::default());
    let midway = Midway::begin(&story, &Places::default());
    let (tree, first) = (midway.tree.id.clone(), story.tree(&midway.tree.id).allocation());
    let before = story.record(&tree).expect("it has begun");
    scale(&story, &tree, 2);
    let second = story.within(SOON, "a second run", || match story.tree(&tree).allocation() {
        second if second != first => Ok(second),
        first => Err(first),
    });
    story.tree(&tree).fails(SOON);
    let message = story.tree(&tree).says(SOON, "nothing was begun");
    let lock = story.items(&tree, "~lock").expect("somebody leads");
    let since = lock["since"].as_str().expect("it says since when");
    let short = &first[..8];
    for words in [
        format!(
            "allocation {short} of job {tree} has led tree default/{tree} since {since} and is still there"
        ),
        format!("`nomad alloc stop {short}`"),
    ] {
        assert!(message.contains(&words), "{words:?} is not in {message}");
    }
    // It does not wait for the lock to be free.
    assert!(story.tree(&tree).lasted() < seconds(15), "{:?}", story.tree(&tree).lasted());
    assert_eq!(story.record(&tree).expect("it is there"), before, "the second has touched it");
    assert_eq!(story.tree(&tree).allocation(), second);
    ends_well_among_others(&story, &midway, &before.run);
}

#[test]
fn of_two_runs_that_start_together_one_leads() {
    let story = Story::alone(Options::default());
    let (tally, flag) = (story.tally("tally"), story.flag("db-is-held"));
    let (db, setup) = (story.id("db"), story.id("setup"));
    let hook = Hook::of(&Job::batch(&setup).script(&tally.script("setup", "exit 0")));
    let tree = Tree::new(&story.id("tree"))
        .group("count = 2")
        .node(Node::of(&Job::service(&db).held_back_by(&flag)).post(hook));
    story.run_tree(&tree);
    let refused = || -> Result<Vec<bool>, String> {
        let states = story.allocations(&tree.id)?.into_iter().map(|it| it["TaskStates"]["tree"].clone());
        let is_refused =
            |state: Value| state["Failed"] == true && state.to_string().contains("is still there");
        Ok(states.map(is_refused).collect())
    };
    story.within(SOON, "one of them to be refused", || match refused()?.as_slice() {
        [true, false] | [false, true] => Ok(()),
        refused => Err(format!("{refused:?}")),
    });
    // Who is refused is told so before the other's run has begun.
    let run = story.records(SOON, &tree.id, |record| !record.run.is_empty()).run;
    flag.of(0).raise();
    story.had_one_run(&tree.id, &run);
    assert_eq!((tally.lines(), story.versions(&db).len()), (vec!["setup".to_owned()], 1));
}

#[test]
fn a_tree_that_is_placed_anew_goes_on_as_the_same_run_on_another_client() {
    let story = with_two_clients();
    let flag = story.flag("db-is-held");
    let (db, web) = (story.id("db"), story.id("web"));
    let tree = Tree::new(&story.id("tree"))
        .placed_again()
        .group(&on("b").replace("constraint", "affinity"))
        .node(Node::of(&Job::service(&db).group(&on("a")).held_back_by(&flag)))
        .node(Node::of(&Job::service(&web).group(&on("a"))).after(&[&db]));
    story.run_tree(&tree);
    story.task(&db, "slow").runs(SOON);
    assert_eq!(client_of(&story, &tree.id), "b");
    let (first, stamp) = (story.tree(&tree.id).allocation(), story.stamp(&db));
    let before = story.records(SOON, &tree.id, |record| record.word(&db) == "submitted");
    story.makes_eligible("b", false);
    story.cli(&["alloc", "stop", "-detach", &first]);
    let second = moves_to_a(&story, &tree.id, &first);
    // It was stopped, so its lock was let go.
    let after = story.records(seconds(15), &tree.id, |record| record.holder == second);
    assert_eq!((&after.run, after.epoch), (&before.run, before.epoch + 1));
    flag.of(0).raise();
    story.tree(&tree.id).succeeds(SOON);
    assert_eq!(story.stamp(&db), stamp);
    story.had_one_run(&tree.id, &before.run);
}

#[test]
fn a_tree_that_is_placed_anew_in_the_middle_of_a_hook_does_not_run_it_again() {
    let story = with_two_clients();
    let midway = midway_on_b(&story, "", true);
    let tree = midway.tree.id.clone();
    let (first, before) = (story.tree(&tree).allocation(), story.record(&tree).expect("it has begun"));
    story.cli(&["alloc", "stop", "-detach", &first]);
    let second = moves_to_a(&story, &tree, &first);
    is_led_by(&story, &tree, &second, &before.run);
    midway.ends_well(&story);
    story.had_one_run(&tree, &before.run);
}

#[test]
fn when_a_client_dies_another_goes_on_after_its_lock_and_says_meanwhile_what_it_waits_for() {
    let story = with_two_clients();
    let midway = midway_on_b(&story, "", true);
    let tree = midway.tree.id.clone();
    let (first, before) = (story.tree(&tree).allocation(), story.record(&tree).expect("it has begun"));
    story.second_agent(crate::harness::Agent::kill);
    story.second_agent(|agent| agent.kill_plugin());
    let died = Instant::now();
    let second = moves_to_a(&story, &tree, &first);
    // Whoever comes so late that the lock is free has nothing to say. It is held for ten seconds after it was renewed, and longer.
    let led = story.within(FREE, "the next one to say whom it waits for, or to lead", || {
        let record = story.record(&tree)?;
        if record.holder == second {
            return Ok(Some(died.elapsed()));
        }
        assert_eq!(record, before, "it was touched while it was locked");
        match story.tree(&tree).exec(&["why"]) {
            (0, said) if said.contains("waits until its lock is free, 21s at most") => {
                assert!(said.contains(&format!("allocation {} of job {tree}", &first[..8])), "{said}");
                Ok(None)
            }
            (code, said) => Err(format!("{code}: {said}")),
        }
    });
    assert!(led.is_none_or(|after| after > seconds(6)), "it led after {led:?}, without a word");
    is_led_by(&story, &tree, &second, &before.run);
    midway.ends_well(&story);
    story.had_one_run(&tree, &before.run);
}

#[test]
fn a_process_that_stood_still_for_longer_than_its_lock_leads_again_if_nobody_else_did() {
    let story = Story::alone(Options::default());
    let midway = Midway::begin(&story, &Places::default());
    let tree = midway.tree.id.clone();
    let before = story.record(&tree).expect("it has begun");
    story.agent(|agent| agent.freeze_plugin(true));
    story.within(seconds(90), "its lock to be free", || {
        match &story.get(&format!("/v1/var/dtree/default/{tree}/~lock"))["Lock"] {
            lock if lock.is_null() => Ok(()),
            lock => Err(lock.to_string()),
        }
    });
    // What it wakes to: its hook has ended meanwhile.
    midway.flag.raise();
    story.is_dead(&midway.hooks[0]);
    assert!(story.versions(&midway.web).is_empty());
    story.agent(|agent| agent.freeze_plugin(false));
    midway.ends_well_after_its_flag(&story);
    let after = story.record(&tree).expect("it is there");
    assert_eq!((&after.run, &after.holder), (&before.run, &before.holder));
    story.had_one_run(&tree, &before.run);
}

#[test]
fn a_client_that_stood_still_while_another_took_over_does_nothing_more_and_names_it() {
    let story = with_two_clients();
    // Its allocation stays wanted while its client is away, and nobody stops it when that is back.
    let stays = "disconnect {\n      lost_after = \"10m\"\n      replace    = false\n    }";
    let midway = midway_on_b(&story, stays, false);
    let tree = midway.tree.id.clone();
    let (first, before) = (story.tree(&tree).allocation(), story.record(&tree).expect("it has begun"));
    story.second_agent(|agent| {
        agent.freeze_plugin(true);
        agent.freeze(true);
    });
    let of_first = |key: &str| story.get(&format!("/v1/allocation/{first}"))[key].clone();
    story.within(SOON, "its client to be missed", || match of_first("ClientStatus") {
        status if status == "unknown" => Ok(()),
        status => Err(status.to_string()),
    });
    scale(&story, &tree, 2);
    let second = moves_to_a(&story, &tree, &first);
    is_led_by(&story, &tree, &second, &before.run);
    story.second_agent(|agent| {
        agent.freeze(false);
        agent.freeze_plugin(false);
    });
    let words = format!("allocation {} of job {tree} has taken over tree default/{tree} at ", &second[..8]);
    story.within(SOON, "the first to give up", || match of_first("TaskStates")["tree"].clone() {
        state if state["Failed"] == true && state.to_string().contains(&words) => Ok(()),
        state => Err(state.to_string()),
    });
    assert_eq!(story.record(&tree).expect("it is there").holder, second);
    ends_well_among_others(&story, &midway, &before.run);
}
