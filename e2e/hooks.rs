//! Hook tasks: what runs in prestart, poststart and poststop, and what runs once for a key. Judged by Nomad's own records
//! of what was dispatched, and by what the hook itself wrote down.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Options, seconds};
use crate::story::{Job, SOON, Shared, Story, template_of};

static CLUSTER: Shared = Shared::new(Options::default);
static GUARDED: Shared = Shared::new(|| Options { acl: true, ..Options::default() });

const IDENTITY: &str = "identity {\n        file = true\n      }";

// Nomad writes down what a task says a moment later, and of what goes well only what is there at its end is told. So who is
// to be quoted sleeps before it ends.

/// A task of this moment.
fn at(moment: &str) -> String {
    format!("lifecycle {{\n        hook = \"{moment}\"\n      }}\n\n      {IDENTITY}")
}

/// A `hook` block that dispatches the job of its label.
fn dispatch(label: &str, more: &str) -> String {
    format!("hook \"{label}\" {{\n dispatch = \"{label}\"\n meta = {{ release = \"v7\" }}\n {more}\n }}")
}

/// The IDs of all that was ever dispatched of a job and is not purged.
fn children(story: &Story, parent: &str) -> BTreeSet<String> {
    let found = story.get(&format!("/v1/jobs?prefix={parent}/dispatch-"));
    let ids = found.as_array().into_iter().flatten();
    ids.map(|job| job["ID"].as_str().expect("a job has an ID").to_owned()).collect()
}

/// The record of what runs once.
fn record(story: &Story, label: &str, key: &str) -> Result<Value, String> {
    let path = format!("/v1/var/dtree/~once/{label}/{key}?namespace=default");
    let found = story.cluster().api().get(&path).map_err(|error| error.to_string())?;
    let text = found["Items"]["record"].as_str().ok_or("it has no record")?;
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn stop_allocation(story: &Story, id: &str) {
    let output = story.cli(&["alloc", "stop", "-detach", id]);
    assert!(output.status.success(), "{output:?}");
}

/// Waits until so many main tasks of a job run.
fn n_run(story: &Story, id: &str, n: usize) {
    story.within(seconds(120), &format!("{n} main tasks of {id}"), || {
        let all = story.allocations(id)?;
        let is_up = |allocation: &&Value| {
            allocation["DesiredStatus"] == "run" && allocation["TaskStates"]["main"]["State"] == "running"
        };
        let found = all.iter().filter(is_up).count();
        if found == n { Ok(()) } else { Err(format!("{found}")) }
    });
}

#[test]
fn a_hook_of_each_moment_runs_and_holds_back_what_it_must() {
    let story = CLUSTER.story();
    for moment in ["prestart", "poststart", "poststop"] {
        let (hook, web, flag) = (story.id(&format!("hook-{moment}")), story.id(moment), story.flag(moment));
        let script =
            format!("echo hello from {moment}; until [ -e {} ]; do sleep 0.05; done", flag.0.display());
        story.run(&Job::batch(&hook).parameterized("release").script(&script));
        let job = Job::service(&web).gate_with(&at(moment), &dispatch(&hook, "retain = \"all\""));
        story.run(&job);
        if moment == "poststop" {
            story.main(&web).runs(SOON);
            assert!(children(&story, &hook).is_empty());
            story.stop(&web);
        }
        story.gate(&web).runs(SOON);
        story.gate(&web).says(SOON, "0 of 1 complete");
        if moment == "prestart" {
            story.main(&web).has_never_started();
        }
        flag.raise();
        story.gate(&web).succeeds(SOON);
        let said = story.gate(&web).logs();
        assert!(said.contains(&format!("| hello from {moment}")), "{said}");
        assert_eq!(children(&story, &hook).len(), 1, "{moment}");
    }
}

#[test]
fn a_hook_task_runs_a_jobspec_and_what_fails_is_told_with_its_last_words() {
    let story = CLUSTER.story();
    let web = story.id("web");
    let run = |label: &str, script: &str| {
        let (hook, job) = (story.id(label), story.id(&format!("{label}-task")));
        let path = format!("local/{hook}.nomad.hcl");
        let place =
            format!("{}\n{}", at("prestart"), template_of(&path, &Job::batch(&hook).script(script).hcl()));
        let config = format!("hook \"{hook}\" {{\n jobspec = \"{path}\"\n }}");
        story.run(&Job::service(&job).gate_with(&place, &config));
        job
    };
    let seeded = run("seed", "echo it is seeded; sleep 1");
    story.main(&seeded).runs(SOON);
    assert!(story.gate(&seeded).logs().contains("| it is seeded"), "{}", story.gate(&seeded).logs());
    let bad = run("bad", "echo the disk is full >&2; exit 3");
    story.gate(&bad).fails(SOON);
    let message = story.gate(&bad).says(SOON, "failed after");
    assert!(message.contains("exited with 3") && message.contains("the disk is full"), "{message}");
    story.main(&bad).has_never_started();

    let hang = story.id("hang");
    story.run(&Job::batch(&hang).parameterized("release").script("echo it is stuck; exec sleep 1000"));
    story.run(&Job::service(&web).gate(&dispatch(&hang, "once = \"v7\"\n timeout = \"8s\"")));
    story.gate(&web).fails(SOON);
    let message = story.gate(&web).says(SOON, "failed after");
    assert!(message.contains("not within 8s") && message.contains("nomad var purge"), "{message}");
    for child in children(&story, &hang) {
        story.has_stopped(&child);
    }
    story.main(&web).has_never_started();
}

#[test]
fn five_allocations_and_three_kills_run_it_once() {
    let story = Story::alone(Options { restartable: true, ..Options::default() });
    let (migrate, web, other) = (story.id("migrate"), story.id("web"), story.id("other"));
    let (flag, tally) = (story.flag("migrate"), story.tally("runs"));
    let script =
        tally.script("x", &format!("until [ -e {} ]; do sleep 0.05; done; echo done", flag.0.display()));
    story.run(&Job::batch(&migrate).parameterized("release").script(&script));
    let once = dispatch(&migrate, "once = \"v7\"");
    story.run(&Job::service(&web).count(5).gate(&once));
    story.within(SOON, "the job of the hook to run", || {
        record(&story, &migrate, "v7")?["state"]["running"]["job"]
            .as_object()
            .map(drop)
            .ok_or_else(|| "not yet".to_owned())
    });
    story.within(SOON, "the hook to have begun", || {
        if tally.lines().len() == 1 { Ok(()) } else { Err(tally.text()) }
    });

    story.kill_plugin();
    let by = record(&story, &migrate, "v7").expect("it is there")["state"]["running"]["by"].clone();
    let launcher = by.as_str().and_then(|by| by.split('/').next()).expect("somebody launched it").to_owned();
    stop_allocation(&story, &launcher);
    story.within(SOON, "another allocation in its place", || {
        let all = story.allocations(&web)?;
        let n = all.iter().filter(|allocation| allocation["DesiredStatus"] == "run").count();
        if all.len() >= 6 && n == 5 { Ok(()) } else { Err(format!("{n} of {}", all.len())) }
    });
    let all = story.allocations(&web).expect("it is there");
    let second =
        all.iter().rev().find(|allocation| allocation["DesiredStatus"] == "run").expect("five are wanted");
    let second = second["ID"].as_str().expect("it has an ID");
    stop_allocation(&story, second);
    assert_eq!(tally.lines().len(), 1);

    flag.raise();
    n_run(&story, &web, 5);
    assert_eq!(children(&story, &migrate).len(), 1);
    assert_eq!(tally.lines().len(), 1);
    assert!(record(&story, &migrate, "v7").expect("it is there")["state"]["done"].is_object());

    // Whoever comes later takes the result, with whatever other job it is.
    story.run(&Job::service(&other).gate(&once));
    story.main(&other).runs(SOON);
    let said = story.gate(&other).logs();
    assert!(said.contains("ran before for the same key"), "{said}");
    assert_eq!(children(&story, &migrate).len(), 1);
}

#[test]
fn without_once_each_allocation_runs_it_and_an_empty_key_is_refused() {
    let story = CLUSTER.story();
    let (migrate, web, odd, empty) =
        (story.id("migrate"), story.id("web"), story.id("odd"), story.id("empty"));
    let tally = story.tally("runs");
    story.run(&Job::batch(&migrate).parameterized("release").script(&tally.script("x", "exit 0")));
    story.run(&Job::service(&web).count(3).gate(&dispatch(&migrate, "retain = \"all\"")));
    n_run(&story, &web, 3);
    assert_eq!(children(&story, &migrate).len(), 3);
    assert_eq!(tally.lines().len(), 3);

    story.run(&Job::service(&odd).gate(&dispatch(&migrate, "once = \"v7 (ü) a/b: 100%\"")));
    story.main(&odd).runs(SOON);
    assert_eq!(children(&story, &migrate).len(), 4);
    story.run(&Job::service(&empty).gate(&dispatch(&migrate, "once = \"\"")));
    story.gate(&empty).says(SOON, "once is empty");
    story.main(&empty).has_never_started();
    assert_eq!(children(&story, &migrate).len(), 4);
}

/// What the README gives to a task with hooks.
fn policy() -> String {
    let readme = include_str!("../README.md");
    let (_, rest) = readme.split_once("# tree-submit.hcl\n").expect("the README has a policy for trees");
    rest.split_once("```").expect("a block ends").0.to_owned()
}

#[test]
fn rights_are_looked_at_before_anything_is_launched() {
    let story = GUARDED.story();
    let (migrate, good, bad) = (story.id("migrate"), story.id("good"), story.id("bad"));
    let allow = |job: &str, rules: &str| {
        let attached = json!({ "Namespace": "default", "JobID": job });
        let policy = json!({ "Name": job, "Rules": rules, "JobACL": attached });
        story.post(&format!("/v1/acl/policy/{job}"), &policy);
    };
    story.run(&Job::batch(&migrate).parameterized("release").script("echo migrated; sleep 1"));
    let once = dispatch(&migrate, "once = \"v7\"");
    let (without, _) =
        policy().split_once("variables {").map(|(a, b)| (a.to_owned() + "}", b.to_owned())).expect("it has");
    allow(&bad, &without);
    story.run(&Job::service(&bad).gate(&once));
    story.gate(&bad).fails(SOON);
    let message = story.gate(&bad).says(SOON, "nothing was begun");
    assert!(message.contains("variables") && message.contains("dtree/"), "{message}");
    assert!(children(&story, &migrate).is_empty());

    allow(&good, &policy());
    story.run(&Job::service(&good).gate(&once));
    story.main(&good).runs(SOON);
    assert!(story.gate(&good).logs().contains("| migrated"));
    assert_eq!(children(&story, &migrate).len(), 1);
}

#[test]
fn a_record_that_is_wrong_is_told_and_launches_nothing() {
    let story = CLUSTER.story();
    let (migrate, web) = (story.id("migrate"), story.id("web"));
    story.run(&Job::batch(&migrate).parameterized("release"));
    let items = json!({ "Items": { "format": "2" } });
    story.post(&format!("/v1/var/dtree/~once/{migrate}/v7"), &items);
    story.run(&Job::service(&web).gate(&dispatch(&migrate, "once = \"v7\"")));
    story.gate(&web).fails(SOON);
    let message = story.gate(&web).says(SOON, "newer dtree");
    assert!(message.contains("nomad var purge"), "{message}");
    assert!(children(&story, &migrate).is_empty());
}

#[test]
fn the_example_runs_as_it_is_and_once_for_each_release() {
    let story = Story::alone(Options::default());
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("jobspecs/hook.nomad.hcl");
    let text = std::fs::read_to_string(file).expect("the example is there");
    let quoted = text.replace("echo the tables are there", "echo the tables are there; sleep 1");
    assert_ne!(text, quoted);
    std::fs::write(story.cluster().dir().join("hook.nomad.hcl"), quoted).expect("it is the story's own");
    let run = |release: &str| {
        let release = format!("-var=release={release}");
        let output = story.cluster().cli(&["job", "run", "-detach", &release, "hook.nomad.hcl"]);
        let output = output.expect("the Nomad that runs the agent runs as a command too");
        assert!(output.status.success(), "{output:?}");
    };
    let ran = || story.get("/v1/jobs?prefix=migrate-once-").as_array().map_or(0, Vec::len);
    run("v1");
    story.within(seconds(120), "three of web", || {
        let all = story.allocations("web-migrated")?;
        let n = all.iter().filter(|allocation| allocation["TaskStates"]["web"]["State"] == "running").count();
        if n == 3 { Ok(()) } else { Err(format!("{n}")) }
    });
    assert_eq!(ran(), 1);
    // One of them launched it, and tells what it said.
    let all = story.allocations("web-migrated").expect("it was just there");
    let told = all.iter().filter(|allocation| {
        let id = allocation["ID"].as_str().unwrap_or_default();
        let said = story.cli(&["alloc", "logs", "-task", "migrate", id]).stdout;
        String::from_utf8_lossy(&said).contains("the tables are there")
    });
    assert!(told.count() >= 1, "{}", story.task("web-migrated", "migrate").logs());
    run("v2");
    story.within(seconds(120), "the next release to be migrated", || {
        if ran() == 2 { Ok(()) } else { Err(format!("{}", ran())) }
    });
}
