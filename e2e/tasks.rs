//! A gate as a task: its commands, signals, events and files, its place in the group, restarts and drains.

use serde_json::json;

use crate::harness::{Options, seconds};
use crate::story::{Job, SOON, Shared, Story};

static CLUSTER: Shared = Shared::new(Options::default);

/// A service `web` whose gate waits for a job that is not there. Gives the IDs of both.
fn waiting_for_a_ghost(story: &Story) -> (String, String) {
    let (ghost, web) = (story.id("ghost"), story.id("web"));
    story.run(&Job::service(&web).gate(&format!("wait \"{ghost}\" {{}}")));
    story.gate(&web).says(SOON, &ghost);
    (ghost, web)
}

#[test]
fn a_waiting_gate_answers_tree_why_and_status() {
    let story = CLUSTER.story();
    let (ghost, web) = waiting_for_a_ghost(&story);
    for command in ["tree", "why", "status"] {
        let (code, said) = story.gate(&web).exec(&[command]);
        assert_eq!(code, 0, "{command}: {said}");
        assert!(said.contains(&ghost), "{command}: {said}");
    }
    let (code, said) = story.gate(&web).exec(&["dance"]);
    assert_ne!(code, 0, "{said}");
    assert!(said.contains("dance") && said.contains("why"), "{said}");
    story.gate(&web).still_waits();
}

#[test]
fn opening_by_hand_needs_a_reason_and_is_recorded() {
    let story = CLUSTER.story();
    let (_, web) = waiting_for_a_ghost(&story);
    let (code, said) = story.gate(&web).exec(&["open"]);
    assert_ne!(code, 0, "{said}");
    assert!(said.contains("--reason"), "{said}");
    story.gate(&web).still_waits();

    story.excuse(&web, "its gate is opened by hand");
    let (code, said) = story.gate(&web).exec(&["open", "--reason", "the ghost is a myth"]);
    assert_eq!(code, 0, "{said}");
    story.gate(&web).succeeds(SOON);
    story.main(&web).runs(SOON);
    story.gate(&web).logs_at_its_end("the ghost is a myth");
}

#[test]
fn nomad_shows_what_a_gate_has_logged() {
    let story = CLUSTER.story();
    let (ghost, web) = waiting_for_a_ghost(&story);
    story.within(SOON, "the log to name what is awaited", || {
        let log = story.gate(&web).logs();
        if log.contains(&ghost) { Ok(()) } else { Err(log) }
    });
    story.run(&Job::service(&ghost));
    story.gate(&web).succeeds(SOON);
    story.within(SOON, "the log of a gate that has ended", || {
        let log = story.gate(&web).logs();
        if log.contains("healthy") { Ok(()) } else { Err(log) }
    });
}

#[test]
fn sighup_is_taken_and_other_signals_open_nothing() {
    let story = CLUSTER.story();
    let (_, web) = waiting_for_a_ghost(&story);
    let (code, said) = story.gate(&web).signal("SIGHUP");
    assert_eq!(code, 0, "{said}");
    let (code, said) = story.gate(&web).signal("SIGUSR1");
    assert_ne!(code, 0, "{said}");
    assert!(said.contains("SIGHUP"), "it names the one it takes: {said}");
    story.gate(&web).still_waits();
    story.main(&web).has_never_started();
}

#[test]
fn a_link_that_a_sibling_plants_at_the_log_path_is_not_followed() {
    let story = CLUSTER.story();
    let (ghost, web) = (story.id("ghost"), story.id("web"));
    let victim = story.flag("victim");
    std::fs::write(&victim.0, "mine").expect("the cluster's directory can be written to");
    let planter = format!(
        r#"task "planter" {{
      driver = "raw_exec"

      lifecycle {{
        hook    = "prestart"
        sidecar = true
      }}

      config {{
        command = "/bin/sh"
        args    = ["-c", "cd $NOMAD_ALLOC_DIR/logs; for n in 0 1 2; do for s in stdout stderr; do ln -sf {victim} gate.$s.$n; done; done; touch planted; exec sleep 100000"]
      }}

      resources {{
        cpu    = 10
        memory = 10
      }}
    }}"#,
        victim = victim.0.display()
    );
    story.run(&Job::service(&web).group(&planter).gate(&format!("wait \"{ghost}\" {{}}")));
    story.gate(&web).says(SOON, &ghost);
    let allocation = story.gate(&web).allocation();
    story.within(SOON, "the links to be planted", || {
        let path = format!("/v1/client/fs/stat/{allocation}?path=alloc/logs/planted");
        story.cluster().api().get(&path).map(drop).map_err(|error| error.to_string())
    });
    // A fresh start opens the files anew.
    story.post(&format!("/v1/client/allocation/{allocation}/restart"), &json!({ "TaskName": "gate" }));
    story.within(SOON, "the gate to have been started again", || {
        let state = story.gate(&web).state()?;
        if state["Restarts"] == 1 && state["State"] == "running" { Ok(()) } else { Err(state.to_string()) }
    });
    story.gate(&web).signal("SIGHUP");
    story.run(&Job::service(&ghost));
    story.gate(&web).succeeds(SOON);
    story.main(&web).runs(SOON);
    assert_eq!(std::fs::read_to_string(&victim.0).ok().as_deref(), Some("mine"));
}

#[test]
fn a_gate_that_is_a_sidecar_is_refused_with_the_lines_to_write() {
    let story = CLUSTER.story();
    let (ghost, web) = (story.id("ghost"), story.id("web"));
    let place = "lifecycle {\n hook = \"prestart\"\n sidecar = true\n }\nidentity {\n file = true\n }";
    story.run(&Job::service(&web).gate_with(place, &format!("wait \"{ghost}\" {{}}")));
    story.gate(&web).fails(SOON);
    let message = story.gate(&web).says(SOON, "prestart");
    assert!(message.contains("sidecar"), "{message}");
}

#[test]
fn a_gate_that_is_a_main_task_is_refused_with_the_lines_to_write() {
    let story = CLUSTER.story();
    let (ghost, web) = (story.id("ghost"), story.id("web"));
    story.run(
        &Job::service(&web).gate_with("identity {\n file = true\n }", &format!("wait \"{ghost}\" {{}}")),
    );
    story.gate(&web).fails(SOON);
    story.gate(&web).says(SOON, "hook = \"prestart\"");
}

#[test]
fn a_gate_that_comes_after_the_main_task_is_refused_with_the_lines_to_write() {
    let story = CLUSTER.story();
    let (ghost, web) = (story.id("ghost"), story.id("web"));
    let place = "lifecycle {\n hook = \"poststart\"\n }\nidentity {\n file = true\n }";
    story.run(&Job::service(&web).gate_with(place, &format!("wait \"{ghost}\" {{}}")));
    story.gate(&web).fails(SOON);
    story.gate(&web).says(SOON, "prestart");
}

#[test]
fn a_gate_that_is_made_a_sidecar_while_it_waits_is_refused() {
    let story = CLUSTER.story();
    let (ghost, web) = waiting_for_a_ghost(&story);
    story.excuse(&web, "Nomad itself lets the main task of a group with a sidecar start");
    let place = "lifecycle {\n hook = \"prestart\"\n sidecar = true\n }\nidentity {\n file = true\n }";
    story.run(&Job::service(&web).gate_with(place, &format!("wait \"{ghost}\" {{}}")));
    story.gate(&web).says(seconds(60), "sidecar");
    story.gate(&web).fails(SOON);
}

#[test]
fn ten_updates_of_what_it_waits_for_leave_its_start_among_its_events() {
    let story = CLUSTER.story();
    let (db, web, flag) = (story.id("db"), story.id("web"), story.flag("db"));
    story.run(&Job::service(&web).gate(&format!("wait \"{db}\" {{}}")));
    story.gate(&web).says(SOON, &db);
    for version in 0..10 {
        let job = Job::service(&db).meta(&version.to_string());
        story.run(&if version % 2 == 0 { job.held_back_by(&flag) } else { job.too_big() });
        let seen = format!("version {version}");
        story.within(SOON, &seen, || {
            let versions = story.get(&format!("/v1/job/{db}/deployments"));
            let newest =
                versions.as_array().into_iter().flatten().filter_map(|d| d["JobVersion"].as_i64()).max();
            if newest == Some(version) { Ok(()) } else { Err(format!("{newest:?}")) }
        });
    }
    story.gate(&web).still_waits();
    let events = story.gate(&web).events().expect("it has events");
    assert!(events.iter().any(|(kind, _)| kind == "Started"), "{events:?}");
    // The view is still the right one.
    story.run(&Job::service(&db).meta("last"));
    story.main(&web).runs(SOON);
}

#[test]
fn a_restart_of_all_tasks_goes_through_the_gate_again() {
    let story = CLUSTER.story();
    let (db, web) = (story.id("db"), story.id("web"));
    story.run(&Job::service(&db));
    story.run(&Job::service(&web).gate(&format!("wait \"{db}\" {{}}")));
    story.main(&web).runs(SOON);
    story.stop(&db);

    story.main(&web).restart_all_tasks();
    story.gate(&web).runs(SOON);
    story.gate(&web).says(SOON, "stopped");
    story.gate(&web).still_waits();
    story.run(&Job::service(&db).meta("again"));
    story.gate(&web).succeeds(SOON);
    story.main(&web).runs(SOON);
}

#[test]
fn a_gate_that_outlasts_the_deadlines_of_its_group_says_so() {
    let story = CLUSTER.story();
    let (ghost, web) = (story.id("ghost"), story.id("web"));
    let config = format!("wait \"{ghost}\" {{\n timeout = \"30m\"\n }}");
    story.run(&Job::service(&web).default_update().gate(&config));
    story.gate(&web).says(SOON, "healthy_deadline");
    story.gate(&web).still_waits();
}

#[test]
fn a_stopped_gate_ends_at_once_and_opens_nothing() {
    let story = CLUSTER.story();
    let (_, web) = waiting_for_a_ghost(&story);
    story.stop(&web);
    story.within(SOON, "the allocation to be over", || {
        let newest = story.allocations(&web)?.into_iter().next().ok_or("none")?;
        let status = newest["ClientStatus"].as_str().unwrap_or_default().to_owned();
        if ["complete", "failed"].contains(&status.as_str()) { Ok(()) } else { Err(status) }
    });
    story.main(&web).has_never_started();
}

#[test]
fn a_drained_gate_waits_anew_on_another_client() {
    let story = Story::alone(Options::default());
    story.cluster().join_client().unwrap_or_else(|why| panic!("a second client: {why}"));
    let (ghost, web) = waiting_for_a_ghost(&story);
    let first = story.gate(&web).allocation();
    story.drain_client_of(&web, 1);
    story.within(SOON, "another allocation", || {
        let allocation = story.gate(&web).allocation();
        if allocation == first { Err(allocation) } else { Ok(()) }
    });
    story.gate(&web).says(SOON, &ghost);
    story.main(&web).has_never_started();
    story.run(&Job::service(&ghost));
    story.main(&web).runs(SOON);
}
