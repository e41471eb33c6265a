//! Whatever dies while a gate waits: none opens early, and none starts its time anew.

use std::time::Duration;

use crate::harness::{Agent, Options, seconds};
use crate::story::{Job, SOON, Story};

/// The time limit of the gate that is to run into it.
const LIMIT: Duration = seconds(25);

/// Two gates wait, the disaster strikes, the agent is up again: then one gate has to run into the time limit that it
/// had before, and the other to open when, and only when, what it waits for is healthy.
fn gates_survive(disaster: fn(&Story)) {
    let story = Story::alone(Options { restartable: true, ..Options::default() });
    let (db, web, flag) = (story.id("db"), story.id("web"), story.flag("db"));
    let (ghost, doomed) = (story.id("ghost"), story.id("doomed"));
    // Without a service: an agent that is its own server may fail to restore one, before it has elected itself.
    story.run(&Job::service(&db).held_back_by(&flag));
    story.run(&Job::service(&web).gate(&format!("wait \"{db}\" {{}}")));
    let config = format!("wait \"{ghost}\" {{\n timeout = \"{}s\"\n }}", LIMIT.as_secs());
    story.run(&Job::service(&doomed).gate(&config));
    story.task(&db, "slow").runs(SOON);
    story.gate(&web).says(SOON, &db);
    story.gate(&doomed).says(SOON, &ghost);
    // So that a time that starts anew can be told from one that goes on.
    story.within(SOON, "some of the time to be over", || {
        let age = story.gate(&doomed).age();
        if age > seconds(8) { Ok(()) } else { Err(format!("{age:?}")) }
    });

    let struck = jiff::Timestamp::now();
    disaster(&story);
    let is_back = jiff::Timestamp::now();

    story.gate(&doomed).fails(LIMIT + SOON);
    story.gate(&doomed).has_lasted(LIMIT);
    // A time that began anew would not be over before that. An agent that was away for longer ends what is over when it is back.
    let is_late = is_back > story.gate(&doomed).started() + LIMIT;
    let anew = if is_late { is_back + seconds(20) } else { struck + LIMIT };
    let ended = story.gate(&doomed).ended();
    assert!(ended < anew, "its time began anew: struck at {struck}, it ended at {ended}\n{}", story.report());
    story.gate(&web).runs(SOON);
    story.gate(&web).still_waits();
    story.main(&web).has_never_started();
    story.main(&doomed).has_never_started();

    flag.of(0).raise();
    story.gate(&web).succeeds(SOON);
    story.main(&web).runs(SOON);
}

#[test]
fn gates_survive_kill_9_of_the_plugin() {
    gates_survive(Story::kill_plugin);
}

#[test]
fn gates_survive_kill_9_of_the_agent() {
    gates_survive(Story::kill_agent);
}

#[test]
fn gates_survive_kill_9_of_plugin_and_agent() {
    gates_survive(Story::kill_agent_and_plugin);
}

#[test]
fn gates_survive_a_graceful_restart_of_the_agent() {
    gates_survive(Story::restart_agent);
}

#[test]
fn what_was_approved_counts_after_kill_9_of_the_plugin_and_not_when_the_task_is_started_anew() {
    let story = Story::alone(Options { restartable: true, ..Options::default() });
    let (db, web, flag) = (story.id("db"), story.id("web"), story.flag("db"));
    story.run(&Job::service(&db).held_back_by(&flag));
    let approval = |label: &str| format!("wait \"{label}\" {{\n approval = \"{label} is announced\"\n }}");
    let config = [format!("wait \"{db}\" {{}}"), approval("release"), approval("late")].join("\n");
    story.run(&Job::service(&web).gate(&config));
    story.gate(&web).says(SOON, "approve release");
    let approve = |label: &str| {
        story.makes_it_so(&web, label);
        let (code, said) = story.gate(&web).exec(&["approve", label, "--by", "kim"]);
        assert!(code == 0 && said.contains(&format!("{label} is approved")), "{code}: {said}");
    };
    approve("release");

    story.kill_plugin();
    let knows = |known: &str, open: &str| {
        story.within(SOON, &format!("the gate to say {known:?} and {open:?}"), || {
            let (_, status) = story.gate(&web).exec(&["status"]);
            let (_, why) = story.gate(&web).exec(&["why"]);
            let is_so = status.contains(known) && why.contains(open);
            if is_so { Ok(why) } else { Err(format!("{status}\n{why}")) }
        })
    };
    let why = knows("approved by kim", "approve late");
    assert!(!why.contains("approve release"), "{why}");
    flag.of(0).raise();
    story.is_healthy(&db);
    story.gate(&web).still_waits();
    story.main(&web).has_never_started();
    approve("late");
    story.gate(&web).succeeds(SOON);
    story.main(&web).runs(SOON);

    let restarted = story.cli(&["alloc", "restart", "-all-tasks", &story.main(&web).allocation()]);
    assert!(restarted.status.success(), "{restarted:?}");
    story.gate(&web).runs(SOON);
    let why = knows("not approved yet", "approve release");
    assert!(why.contains("approve late"), "{why}");
}

#[test]
fn what_becomes_healthy_while_the_agent_is_down_opens_the_gate_afterwards() {
    let story = Story::alone(Options { restartable: true, ..Options::default() });
    let (seed, web, flag) = (story.id("seed"), story.id("web"), story.flag("seed"));
    story.run(&Job::batch(&seed).script_after(&flag, "exit 0"));
    story.run(&Job::service(&web).gate(&format!("wait \"{seed}\" {{}}")));
    story.main(&seed).runs(SOON);
    story.gate(&web).says(SOON, &seed);
    story.agent(Agent::kill);
    flag.raise();
    story.start_again();
    story.gate(&web).succeeds(seconds(120));
    story.main(&web).runs(SOON);
}

#[test]
fn a_plugin_that_cannot_be_started_again_opens_no_gate() {
    let story = Story::alone(Options { restartable: true, ..Options::default() });
    let (ghost, web) = (story.id("ghost"), story.id("web"));
    story.run(&Job::service(&web).gate(&format!("wait \"{ghost}\" {{}}")));
    story.gate(&web).says(SOON, &ghost);
    let plugin = story.agent(|agent| agent.plugin_path());
    let aside = plugin.with_file_name(".aside");
    std::fs::rename(&plugin, &aside).expect("both names are in one directory");
    story.agent(|agent| agent.kill_plugin_at(&aside));
    story.gate(&web).fails(SOON);
    story.main(&web).has_never_started();

    std::fs::rename(&aside, &plugin).expect("both names are in one directory");
    let (db, next) = (story.id("db"), story.id("next"));
    story.run(&Job::service(&db));
    story.run(&Job::service(&next).gate(&format!("wait \"{db}\" {{}}")));
    story.main(&next).runs(seconds(150));
}
