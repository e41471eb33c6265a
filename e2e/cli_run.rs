//! A tree that is carried out from a shell.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use serde_json::json;

use crate::cli_submit::{Written, end_of, ended, step, steps_of};
use crate::harness::{Options, seconds, wait_for};
use crate::story::{Job, SOON, Shared, Story};

static CLUSTER: Shared = Shared::new(Options::default);
static GUARDED: Shared = Shared::new(|| Options { acl: true, ..Options::default() });

/// Two jobs, of which the second needs the first.
fn pair(story: &Story, name: &str, first: &Job, second: &Job) -> Written {
    let [one, other] = [first, second].map(|job| job.id.clone());
    story.knows([&one, &other].map(|id| (id.clone(), "default".to_owned())));
    Written::new(&story.id(name)).job(first, "").job(second, &format!("depends_on = [\"{one}\"]"))
}

fn signal(child: &std::process::Child, signal: Signal) {
    let pid = i32::try_from(child.id()).expect("a process ID");
    kill(Pid::from_raw(pid), signal).expect("it runs");
}

#[test]
fn a_tree_is_planned_run_run_again_and_stopped() {
    let story = CLUSTER.story();
    let (db, web) = (story.id("db"), story.id("web"));
    let tree = pair(&story, "run", &Job::service(&db), &Job::service(&web));

    let (code, said) = ended(tree.command(&story, &["plan"]));
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("2 to create"), "{said}");
    story.were_never_registered(&[&db, &web]);

    let (code, said) = ended(tree.command(&story, &["run"]));
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(&format!("created {db}, {web}")), "{said}");
    let before = [&db, &web].map(|id| story.stamp(id));
    let (code, said) = ended(tree.command(&story, &["run", "--json"]));
    assert_eq!(code, 0, "{said}");
    let end = end_of(&said);
    assert!(end["message"].to_string().contains("2 unchanged"), "{end}");
    assert_eq!(end["tree"], format!("default/{}", story.id("run")), "{end}");
    assert_eq!(steps_of(&end), [(&db, "satisfied"), (&web, "satisfied")].map(step), "{end}");
    assert_eq!([&db, &web].map(|id| story.stamp(id)), before);

    // What was not chosen is awaited, and not touched.
    let (code, said) = ended(tree.command(&story, &["stop", "--target", &web]));
    assert_eq!(code, 0, "{said}");
    story.has_stopped(&web);
    let (code, said) = ended(tree.command(&story, &["run", "--target", &web]));
    assert_eq!(code, 0, "{said}");
    assert_eq!(story.stamp(&db), before[0]);

    // What is forgotten cannot be judged at the end.
    story.is_judged_up_to_now();
    let (code, said) = ended(tree.command(&story, &["stop", "--purge", "--json"]));
    assert_eq!(code, 0, "{said}");
    assert!(end_of(&said)["message"].to_string().contains("stopped"), "{said}");
    for id in [&db, &web] {
        assert!(story.job(id).is_err(), "{id} is still there: {said}");
    }
}

#[test]
fn a_second_run_is_refused_and_what_a_killed_one_began_is_gone_on_with() {
    let story = CLUSTER.story();
    let (seed, web) = (story.id("seed"), story.id("web"));
    let flag = story.flag("seed");
    let tree = pair(&story, "led", &Job::batch(&seed).script_after(&flag, "exit 0"), &Job::service(&web));

    let mut first = tree.command(&story, &["run"]);
    story.main(&seed).runs(SOON);
    let (code, said) = ended(tree.command(&story, &["run"]));
    assert_eq!(code, 2, "{said}");
    let pid = first.id();
    assert!(said.contains(&format!("(process {pid})")) && said.contains("is still there"), "{said}");

    first.kill().unwrap();
    first.wait().unwrap();
    let next = tree.command(&story, &["run"]);
    flag.raise();
    let (code, said) = ended(next);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("has ended; waits until its lock is free"), "{said}");
    assert_eq!(story.versions(&seed).len(), 1, "{said}");
    assert_eq!(story.allocations(&seed).unwrap().len(), 1, "{said}");
    story.main(&web).runs(seconds(0));
}

#[test]
fn an_interrupt_ends_what_is_under_way_and_a_second_leaves_it() {
    let story = CLUSTER.story();
    let (seed, web) = (story.id("seed"), story.id("web"));
    let flag = story.flag("seed");
    let tree = pair(&story, "cut", &Job::batch(&seed).script_after(&flag, "exit 0"), &Job::service(&web));

    // Twice, or once more than that.
    let mut left = tree.command(&story, &["run"]);
    story.main(&seed).runs(SOON);
    let is_over = || {
        if left.try_wait().unwrap().is_some() {
            return Ok(());
        }
        signal(&left, Signal::SIGINT);
        Err("it has not ended".to_owned())
    };
    wait_for(SOON, is_over).unwrap();
    let (code, said) = ended(left);
    assert_eq!(code, 130, "{said}");
    assert!(said.contains(&format!("still under way: {seed}")), "{said}");
    story.main(&seed).runs(seconds(0));

    // Once: it goes on with that, and begins nothing more.
    let drained = tree.command(&story, &["run"]);
    let path = format!("/v1/var/dtree%2Fdefault%2F{}%2F~lock", story.id("cut"));
    story.within(seconds(90), "the run to lead the tree", || {
        let lock = story.cluster().api().get(&path).map_err(|error| error.to_string())?;
        match lock["Items"]["pid"].as_str() {
            Some(pid) if pid == drained.id().to_string() && !lock["Lock"].is_null() => Ok(()),
            pid => Err(format!("{pid:?}")),
        }
    });
    story.within(SOON, "the run to have begun", || {
        let head = story.get(&format!("/v1/var/dtree%2Fdefault%2F{}%2F~run", story.id("cut")));
        if head["Items"]["epoch"] == "2" { Ok(()) } else { Err(head["Items"].to_string()) }
    });
    signal(&drained, Signal::SIGINT);
    flag.raise();
    let (code, said) = ended(drained);
    assert_eq!(code, 130, "{said}");
    story.were_never_registered(&[&web]);

    let (code, said) = ended(tree.command(&story, &["run"]));
    assert_eq!(code, 0, "{said}");
    assert_eq!(story.allocations(&seed).unwrap().len(), 1, "{said}");
    story.main(&web).runs(seconds(0));
}

#[test]
fn a_nomad_that_goes_away_in_the_middle_is_waited_for() {
    let story = Story::alone(Options { restartable: true, ..Options::default() });
    let (seed, web) = (story.id("seed"), story.id("web"));
    let flag = story.flag("seed");
    let tree = pair(&story, "away", &Job::batch(&seed).script_after(&flag, "exit 0"), &Job::service(&web));
    let run = tree.command(&story, &["run"]);
    story.main(&seed).runs(SOON);
    story.kill_agent();
    flag.raise();
    let (code, said) = ended(run);
    assert_eq!(code, 0, "{said}");
    assert_eq!(story.versions(&seed).len(), 1, "{said}");
    assert_eq!(story.allocations(&seed).unwrap().len(), 1, "{said}");
    story.main(&web).runs(seconds(0));
}

#[test]
fn a_token_that_may_not_is_told_the_right_that_is_missing() {
    let story = GUARDED.story();
    let (db, web) = (story.id("db"), story.id("web"));
    let tree = pair(&story, "denied", &Job::service(&db), &Job::service(&web));
    let (code, said) = ended(tree.command(&story, &["run"]));
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("set NOMAD_TOKEN"), "{said}");

    let reader = story.id("reader");
    let rules = "namespace \"default\" { policy = \"read\" }";
    story.post(&format!("/v1/acl/policy/{reader}"), &json!({ "Name": reader, "Rules": rules }));
    let token = json!({ "Name": reader, "Type": "client", "Policies": [reader] });
    let token = story.post("/v1/acl/token", &token);
    let secret = token["SecretID"].as_str().unwrap();
    for command in ["plan", "run"] {
        let (code, said) = ended(tree.command(&story, &[command, "--token", secret]));
        assert_eq!(code, 2, "{said}");
        assert!(said.contains("your token") && said.contains("submit-job"), "{said}");
        assert!(!said.contains(secret), "{said}");
    }
    story.were_never_registered(&[&db, &web]);
}
