//! What holds is watched: what a guard does when it is lost, and what it does not.

use serde_json::json;

use crate::harness::{Agent, Options, seconds};
use crate::story::{Job, SOON, Shared, Story};

static CLUSTER: Shared = Shared::new(Options::default);
static WITH_ACLS: Shared = Shared::new(|| Options { acl: true, ..Options::default() });

/// A guard with these attributes in its one wait.
fn guard(db: &str, attributes: &[&str]) -> String {
    format!(
        r#"task "guard" {{
      driver = "dtree"

      lifecycle {{
        hook    = "poststart"
        sidecar = true
      }}

      identity {{
        file = true
      }}

      config {{
        wait "{db}" {{
          {}
        }}
      }}

      resources {{
        cpu    = 10
        memory = 10
      }}
    }}"#,
        attributes.join("\n          ")
    )
}

/// How often Nomad has started the main task again, by its own count.
fn restarts(story: &Story, id: &str) -> u64 {
    story.main(id).state().expect("it has started")["Restarts"].as_u64().unwrap_or_default()
}

/// `db` runs, and `web` runs with a guard that watches it.
fn guarded(story: &Story, web: Job, db: &str, attributes: &[&str]) {
    story.run(&Job::service(db));
    story.is_healthy(db);
    let id = web.id.clone();
    story.run(&web.group(&guard(db, attributes)));
    story.task(&id, "guard").says(SOON, "held");
    story.main(&id).runs(SOON);
}

/// The main task notes each SIGHUP.
fn noting(story: &Story, id: &str) -> (Job, crate::story::Tally) {
    let tally = story.tally(&format!("signals-of-{id}"));
    let note = format!("trap 'echo hup >> {}' HUP; while :; do sleep 0.1; done", tally.path().display());
    (Job::service(id).script(&note), tally)
}

#[test]
fn a_loss_that_is_only_reported_changes_nothing() {
    let story = CLUSTER.story();
    let (db, web) = (story.id("db"), story.id("web"));
    guarded(&story, Job::service(&web), &db, &["on_loss = \"report\"", "grace = \"2s\""]);
    let before = story.main(&web).state().expect("it runs");
    story.stop(&db);
    story.task(&web, "guard").says(SOON, "lost for 2s");
    let (code, why) = story.task(&web, "guard").exec(&["why"]);
    assert!(code == 0 && why.contains(&format!("{db}: lost")), "{why}");
    story.run(&Job::service(&db).meta("again"));
    story.task(&web, "guard").says(SOON, "holds again");
    assert_eq!(story.main(&web).state().expect("it runs")["StartedAt"], before["StartedAt"]);
    let (_, opened) = story.task(&web, "guard").exec(&["open", "--reason", "test"]);
    assert!(opened.contains("no gate"), "{opened}");
}

#[test]
fn a_lost_job_is_told_to_the_main_task_by_one_signal() {
    let story = CLUSTER.story();
    let (db, web) = (story.id("db"), story.id("web"));
    let (job, signals) = noting(&story, &web);
    guarded(&story, job, &db, &["on_loss = \"signal\"", "grace = \"1s\""]);
    assert_eq!(signals.text(), "");
    story.stop(&db);
    story.within(SOON, "the signal", || if signals.text() == "hup\n" { Ok(()) } else { Err(signals.text()) });
    story.task(&web, "guard").says(SOON, "sends SIGHUP to the main tasks");
    story.run(&Job::service(&db).meta("again"));
    story.task(&web, "guard").says(SOON, "holds again");
    assert_eq!(signals.text(), "hup\n", "one for each loss");
    let log = story.task(&web, "guard").logs();
    assert!(!log.contains("not known"), "{log}");
    assert_eq!(restarts(&story, &web), 0);
}

#[test]
fn a_signal_goes_to_the_tasks_that_are_named_and_to_no_other() {
    let story = CLUSTER.story();
    let (db, web) = (story.id("db"), story.id("web"));
    let script = "trap 'echo got USR1' USR1; while :; do sleep 0.1; done";
    let worker = format!(
        r#"task "worker" {{
      driver = "raw_exec"

      config {{
        command = "/bin/sh"
        args    = ["-c", "{script}"]
      }}

      resources {{
        cpu    = 10
        memory = 10
      }}
    }}"#
    );
    let attributes =
        ["on_loss = \"signal\"", "signal = \"SIGUSR1\"", "tasks = [\"worker\"]", "grace = \"1s\""];
    story.run(&Job::service(&db));
    story.is_healthy(&db);
    story.run(&Job::service(&web).script(script).group(&format!("{}\n{worker}", guard(&db, &attributes))));
    story.task(&web, "guard").says(SOON, "held");
    let says_once = |task: &str| {
        story.within(SOON, &format!("{task} to tell of one signal"), || {
            let log = story.task(&web, task).logs();
            if log == "got USR1\n" { Ok(()) } else { Err(log) }
        });
    };

    story.stop(&db);
    story.task(&web, "guard").says(SOON, "sends SIGUSR1 to worker");
    says_once("worker");
    // The other one would tell, too: it is sent one here, and tells of no other.
    let (code, said) = story.main(&web).signal("SIGUSR1");
    assert_eq!(code, 0, "{said}");
    says_once("main");
    story.run(&Job::service(&db).meta("again"));
    story.task(&web, "guard").says(SOON, "holds again");
    says_once("worker");
    says_once("main");
}

#[test]
fn a_loss_whose_grace_is_cut_by_a_restart_of_the_plugin_is_answered_once_and_not_early() {
    let story = Story::alone(Options::default());
    let (db, web) = (story.id("db"), story.id("web"));
    let (job, signals) = noting(&story, &web);
    let grace = seconds(15);
    guarded(&story, job, &db, &["on_loss = \"signal\"", "grace = \"15s\""]);
    let status = |words: &str| {
        story.within(SOON, &format!("the guard to tell {words:?}"), || {
            let (_, said) = story.task(&web, "guard").exec(&["status"]);
            if said.contains(words) { Ok(()) } else { Err(said) }
        });
    };
    story.stop(&db);
    status("lost  ");
    assert_eq!(signals.text(), "", "the grace has just begun");
    let killed = std::time::SystemTime::now();
    story.kill_plugin();
    // Nobody has seen what was while no plugin ran: the grace begins anew.
    story.within(SOON, "the signal", || if signals.text() == "hup\n" { Ok(()) } else { Err(signals.text()) });
    let acted = std::fs::metadata(signals.path()).and_then(|file| file.modified()).expect("it was written");
    let after = acted.duration_since(killed).expect("it was killed before");
    assert!(after >= grace, "after {after:?}\n{}", story.report());
    status("lost  ");
    story.run(&Job::service(&db).meta("again"));
    status("held  ");
    assert_eq!(signals.text(), "hup\n");
    assert_eq!(restarts(&story, &web), 0);
}

#[test]
fn a_restart_restarts_what_runs_and_spends_no_attempt() {
    let story = CLUSTER.story();
    let (db, web) = (story.id("db"), story.id("web"));
    let gated = Job::service(&web).gate(&format!("wait \"{db}\" {{}}"));
    // The group has `attempts = 0`: an attempt that is spent would fail it.
    guarded(&story, gated, &db, &["on_loss = \"restart\"", "grace = \"1s\""]);
    let (allocation, before) = (story.main(&web).allocation(), story.main(&web).state().expect("it runs"));
    let gate = story.gate(&web).state().expect("it has run");
    story.stop(&db);
    story.within(SOON, "another start of the main task", || {
        let now = story.main(&web).state()?;
        let is_other = now["State"] == "running" && now["StartedAt"] != before["StartedAt"];
        if is_other { Ok(()) } else { Err(now["StartedAt"].to_string()) }
    });
    // The guard remembers that it has acted, and does not act again upon the same loss.
    story.task(&web, "guard").says(SOON, "acted once");
    story.task(&web, "guard").runs(SOON);
    assert_eq!(story.gate(&web).state().expect("it has run")["StartedAt"], gate["StartedAt"]);
    assert_eq!(restarts(&story, &web), 1);
    assert_eq!(story.main(&web).allocation(), allocation);
}

#[test]
fn a_held_group_waits_in_its_gate_until_what_it_lost_is_back() {
    let story = CLUSTER.story();
    let (db, web) = (story.id("db"), story.id("web"));
    let gated = Job::service(&web).gate(&format!("wait \"{db}\" {{}}"));
    guarded(&story, gated, &db, &["on_loss = \"hold\"", "grace = \"1s\"", "max_actions = 2"]);
    let allocation = story.main(&web).allocation();
    // Nomad keeps six versions of a job, and the oracle wants to see them all.
    for round in 1..=2 {
        story.stop(&db);
        story.gate(&web).runs(SOON);
        story.within(SOON, "the main task to be held", || {
            let state = story.main(&web).state()?;
            if state["State"] == "pending" { Ok(()) } else { Err(state["State"].to_string()) }
        });
        story.gate(&web).still_waits();
        story.run(&Job::service(&db).meta(&format!("round-{round}")));
        story.gate(&web).succeeds(SOON);
        story.main(&web).runs(SOON);
        story.task(&web, "guard").runs(SOON);
        story.task(&web, "guard").says(SOON, "held");
        story.within(SOON, "the guard to see it held", || {
            let (_, said) = story.task(&web, "guard").exec(&["status"]);
            if said.contains("held  ") { Ok(()) } else { Err(said) }
        });
        assert_eq!(restarts(&story, &web), round, "{}", story.main(&web).state().expect("it runs"));
        // A stop just when its deployment ends was seen to leave the job running.
        story.is_healthy(&db);
    }
    // `attempts = 0`, and two restarts: none of them was an attempt.
    assert_eq!(story.main(&web).allocation(), allocation);
    // Enough is enough.
    story.stop(&db);
    story.task(&web, "guard").says(SOON, "only reported");
    story.main(&web).runs(SOON);
    assert_eq!(restarts(&story, &web), 2);
}

#[test]
fn a_guard_that_acts_too_often_only_reports() {
    let story = CLUSTER.story();
    let (db, web) = (story.id("db"), story.id("web"));
    let (job, signals) = noting(&story, &web);
    let attributes = ["on_loss = \"signal\"", "grace = \"1s\"", "max_actions = 1", "period = \"1h\""];
    guarded(&story, job, &db, &attributes);
    story.stop(&db);
    story.within(SOON, "the signal", || if signals.text() == "hup\n" { Ok(()) } else { Err(signals.text()) });
    // What it has done is remembered, also by the next plugin process.
    story.run(&Job::service(&db).meta("again"));
    story.task(&web, "guard").says(SOON, "holds again");
    story.stop(&db);
    let said = story.task(&web, "guard").says(SOON, "only reported");
    assert!(said.contains("once in 1h") && said.contains("acts again in 5"), "{said}");
    assert_eq!(signals.text(), "hup\n");
}

#[test]
fn nomad_that_is_away_is_no_loss() {
    let story = Story::alone(Options { restartable: true, ..Options::default() });
    let (db, web) = (story.id("db"), story.id("web"));
    let (job, signals) = noting(&story, &web);
    guarded(&story, job, &db, &["on_loss = \"signal\"", "grace = \"3s\""]);
    let before = story.main(&web).state().expect("it runs");
    story.agent(Agent::kill);
    std::thread::sleep(seconds(20));
    story.start_again();
    story.task(&web, "guard").runs(SOON);
    story.within(SOON, "the guard to see again", || {
        let (_, said) = story.task(&web, "guard").exec(&["status"]);
        if said.contains("held  ") { Ok(()) } else { Err(said) }
    });
    assert_eq!(signals.text(), "");
    assert_eq!(story.main(&web).state().expect("it runs")["StartedAt"], before["StartedAt"]);
    // And it still watches, after another plugin process has taken over in the middle of a loss.
    story.kill_plugin();
    story.stop(&db);
    story.within(SOON, "the signal", || if signals.text() == "hup\n" { Ok(()) } else { Err(signals.text()) });
}

#[test]
fn a_guard_without_the_right_says_which_policy_it_lacks_and_reports() {
    let story = WITH_ACLS.story();
    let (db, web) = (story.id("db"), story.id("web"));
    let allow = |capabilities: &str| {
        let name = format!("{web}-may");
        let rules = format!("namespace \"default\" {{\n  capabilities = [{capabilities}]\n}}");
        let policy =
            json!({ "Name": name, "Rules": rules, "JobACL": { "Namespace": "default", "JobID": web } });
        story.post(&format!("/v1/acl/policy/{name}"), &policy);
    };
    allow("\"list-jobs\", \"read-job\"");
    let (job, signals) = noting(&story, &web);
    guarded(&story, job, &db, &["on_loss = \"signal\"", "grace = \"1s\""]);
    let said = story.task(&web, "guard").says(SOON, "only reports");
    assert!(said.contains("capabilities = [\"list-jobs\", \"read-job\", \"alloc-lifecycle\"]"), "{said}");
    story.stop(&db);
    story.task(&web, "guard").says(SOON, "only reported");
    assert_eq!(signals.text(), "");
    allow("\"list-jobs\", \"read-job\", \"alloc-lifecycle\"");
    // It asks again by itself.
    story.within(seconds(150), "the signal", || {
        if signals.text() == "hup\n" { Ok(()) } else { Err(signals.text()) }
    });
}

#[test]
fn a_guard_that_is_no_sidecar_says_what_to_write() {
    let story = CLUSTER.story();
    let (db, web) = (story.id("db"), story.id("web"));
    let misplaced = guard(&db, &["on_loss = \"hold\""]).replace("sidecar = true", "sidecar = false");
    story.run(&Job::service(&web).group(&misplaced.replace("poststart", "prestart")));
    story.task(&web, "guard").fails(SOON);
    story.task(&web, "guard").says(SOON, "sidecar = true");
    story.main(&web).has_never_started();
}

#[test]
fn jobs_that_wait_for_each_other_are_all_told() {
    let story = CLUSTER.story();
    let (shop, api, other) = (story.id("shop"), story.id("api"), story.id("other"));
    let waits =
        |id: &str, awaited: &str| story.run(&Job::service(id).gate(&format!("wait \"{awaited}\" {{}}")));
    waits(&shop, &api);
    waits(&api, &shop);
    // Waits for one of them, and is in no circle itself.
    waits(&other, &api);
    // A circle of which each member knows only the next one by its own waits.
    let ring = ["x", "y", "z"].map(|name| story.id(name));
    for (id, next) in ring.iter().zip(ring.iter().cycle().skip(1)) {
        waits(id, next);
    }
    let told = |id: &str, circle: &str| {
        let said = story.gate(id).says(SOON, "deadlock");
        assert!(said.contains(circle), "{said}");
    };
    told(&shop, &format!("{shop} → {api} → {shop}"));
    told(&api, &format!("{api} → {shop} → {api}"));
    let [x, y, z] = &ring;
    told(x, &format!("{x} → {y} → {z} → {x}"));
    told(y, &format!("{y} → {z} → {x} → {y}"));
    told(z, &format!("{z} → {x} → {y} → {z}"));
    let (_, why) = story.gate(&shop).exec(&["why"]);
    assert!(why.contains("deadlock"), "{why}");
    story.gate(&other).says(SOON, &api);
    for (_, message) in story.gate(&other).events().expect("it waits") {
        assert!(!message.contains("deadlock"), "{message}");
    }
    // One of the waits is taken away, and the rest follows.
    story.run(&Job::service(&shop));
    story.main(&api).runs(SOON);
    story.main(&other).runs(SOON);
    story.gate(x).still_waits();
}

#[test]
fn the_example_is_held_and_signalled() {
    let story = CLUSTER.story();
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("jobspecs/guarded.nomad.hcl");
    let hcl = std::fs::read_to_string(file).expect("the example is there");
    story.register(&story.cluster().parse(&hcl, "").expect("the example is good"));
    story.gate("web").runs(SOON);
    story.run(&Job::service("db"));
    story.run(&Job::service("cache"));
    story.task("web", "web").runs(SOON);
    story.task("web", "guard").says(SOON, "db, else hold after 10s: held");
    story.stop("cache");
    story.within(SOON, "the signal", || {
        let log = story.task("web", "web").logs();
        if log.contains("cache is lost") { Ok(()) } else { Err(log) }
    });
    assert_eq!(story.gate("web").state().expect("it has run")["State"], "dead");
    story.stop("db");
    story.gate("web").runs(SOON);
    story.task("web", "web").state().expect("it has run");
    story.run(&Job::service("db").meta("again"));
    story.run(&Job::service("cache").meta("again"));
    story.gate("web").succeeds(SOON);
    story.task("web", "web").runs(SOON);
}
