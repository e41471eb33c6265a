//! When it is so, when not yet, and when never.

use crate::harness::{Options, seconds};
use crate::story::{Job, SOON, Shared};

static CLUSTER: Shared = Shared::new(Options::default);

/// The inside of `config {}` for one wait.
fn wait(job: &str, attributes: &[&str]) -> String {
    format!("wait \"{job}\" {{\n{}\n}}", attributes.join("\n"))
}

#[test]
fn a_batch_job_that_fails_while_it_is_watched_fails_the_gate_at_once() {
    let story = CLUSTER.story();
    let (seed, web, flag) = (story.id("seed"), story.id("web"), story.flag("seed"));
    story.run(&Job::batch(&seed).script_after(&flag, "exit 3"));
    story.run(&Job::service(&web).gate(&wait(&seed, &[])));
    story.main(&seed).runs(SOON);
    story.gate(&web).says(SOON, &seed);

    flag.raise();
    story.main(&seed).fails(SOON);
    // Half a minute is given to what has failed before.
    story.gate(&web).fails(seconds(25));
    story.gate(&web).says(SOON, "failed");
    story.main(&web).has_never_started();
}

#[test]
fn a_batch_job_that_failed_before_is_given_half_a_minute() {
    let story = CLUSTER.story();
    let (seed, web) = (story.id("seed"), story.id("web"));
    story.run(&Job::batch(&seed).script("exit 3"));
    story.main(&seed).fails(SOON);
    story.is_dead(&seed);

    story.run(&Job::service(&web).gate(&wait(&seed, &[])));
    story.gate(&web).fails(seconds(120));
    story.gate(&web).has_lasted(seconds(30));
    story.main(&web).has_never_started();
}

#[test]
fn a_stopped_job_is_waited_for_until_it_is_started_again() {
    let story = CLUSTER.story();
    let (db, web) = (story.id("db"), story.id("web"));
    story.run(&Job::service(&db));
    story.is_healthy(&db);
    story.stop(&db);
    story.run(&Job::service(&web).gate(&wait(&db, &[])));
    story.gate(&web).says(SOON, "stopped");
    story.gate(&web).still_waits();

    story.run(&Job::service(&db).meta("again"));
    story.gate(&web).succeeds(SOON);
    story.main(&web).runs(SOON);
}

#[test]
fn a_gate_fails_when_its_time_is_up() {
    let story = CLUSTER.story();
    let (ghost, web) = (story.id("ghost"), story.id("web"));
    story.run(&Job::service(&web).gate(&wait(&ghost, &["timeout = \"2s\""])));
    story.gate(&web).fails(SOON);
    story.gate(&web).has_lasted(seconds(2));
    story.gate(&web).says(SOON, &ghost);
    story.main(&web).has_never_started();
}

#[test]
fn a_gate_goes_on_without_when_it_may() {
    let story = CLUSTER.story();
    let (ghost, web) = (story.id("ghost"), story.id("web"));
    story.run(&Job::service(&web).gate(&wait(&ghost, &["timeout = \"2s\"", "on_timeout = \"continue\""])));
    story.main(&web).runs(SOON);
    story.gate(&web).has_lasted(seconds(2));
}

#[test]
fn a_job_that_finds_no_room_is_waited_for_or_fails_the_gate_as_it_says() {
    let story = CLUSTER.story();
    let (big, patient, hasty) = (story.id("big"), story.id("patient"), story.id("hasty"));
    story.run(&Job::service(&big).too_big());
    story.run(&Job::service(&patient).gate(&wait(&big, &[])));
    story.run(&Job::service(&hasty).gate(&wait(&big, &["on_blocked = \"fail\""])));
    story.gate(&hasty).fails(seconds(60));
    story.gate(&hasty).says(SOON, &big);
    story.gate(&patient).still_waits();
    story.main(&patient).has_never_started();
}

#[test]
fn until_running_does_not_ask_for_health() {
    let story = CLUSTER.story();
    let (db, web, healthy_web) = (story.id("db"), story.id("web"), story.id("healthy-web"));
    // Never healthy: nobody answers its check.
    let [port] = crate::harness::free_ports().expect("loopback has free ports");
    story.run(&Job::service(&db).check(port));
    story.run(&Job::service(&healthy_web).gate(&wait(&db, &["until = \"healthy\""])));
    story.run(&Job::service(&web).gate(&wait(&db, &["until = \"running\""])));
    story.main(&web).runs(SOON);
    story.gate(&healthy_web).still_waits();
    story.main(&healthy_web).has_never_started();
}

#[test]
fn until_failed_and_until_finished_see_a_failure() {
    let story = CLUSTER.story();
    let (seed, alarm, report, flag) =
        (story.id("seed"), story.id("alarm"), story.id("report"), story.flag("seed"));
    story.run(&Job::batch(&seed).script_after(&flag, "exit 3"));
    story.run(&Job::service(&alarm).gate(&wait(&seed, &["until = \"failed\""])));
    story.run(&Job::service(&report).gate(&wait(&seed, &["until = \"finished\""])));
    story.main(&seed).runs(SOON);
    story.gate(&alarm).says(SOON, &seed);
    story.gate(&report).says(SOON, &seed);
    story.gate(&alarm).still_waits();
    story.gate(&report).still_waits();

    flag.raise();
    story.main(&alarm).runs(SOON);
    story.main(&report).runs(SOON);
}

#[test]
fn until_stopped_and_until_absent_wait_for_the_end_of_a_job() {
    let story = CLUSTER.story();
    let (old, after_stop) = (story.id("old"), story.id("after-stop"));
    let (gone, after_purge) = (story.id("gone"), story.id("after-purge"));
    story.run(&Job::service(&old));
    story.run(&Job::service(&gone));
    story.is_healthy(&old);
    story.is_healthy(&gone);
    story.run(&Job::service(&after_stop).gate(&wait(&old, &["until = \"stopped\""])));
    story.run(&Job::service(&after_purge).gate(&wait(&gone, &["until = \"absent\""])));
    story.gate(&after_stop).says(SOON, &old);
    story.gate(&after_purge).says(SOON, &gone);
    story.gate(&after_stop).still_waits();
    story.gate(&after_purge).still_waits();

    story.stop(&old);
    story.main(&after_stop).runs(SOON);
    story.main(&after_purge).has_never_started();
    story.purge(&gone);
    story.main(&after_purge).runs(SOON);
}

#[test]
fn the_newest_version_counts_unless_the_gate_says_otherwise() {
    let story = CLUSTER.story();
    let (db, strict, easy) = (story.id("db"), story.id("strict"), story.id("easy"));
    let (old, new) = (story.flag("old"), story.flag("new"));
    let version = |meta: &str, flag| Job::service(&db).count(2).meta(meta).held_back_by(flag);
    story.run(&version("old", &old));
    old.of(0).raise();
    old.of(1).raise();
    story.is_healthy(&db);

    story.run(&version("new", &new));
    story.task(&db, "slow").runs(SOON);
    story.run(&Job::service(&strict).gate(&wait(&db, &[])));
    story.run(&Job::service(&easy).gate(&wait(&db, &["any_version = true", "at_least = \"50%\""])));
    story.main(&easy).runs(SOON);
    story.gate(&strict).still_waits();

    new.of(0).raise();
    new.of(1).raise();
    story.main(&strict).runs(SOON);
}

#[test]
fn a_sidecar_of_the_own_allocation_can_be_waited_for() {
    let story = CLUSTER.story();
    let web = story.id("web");
    let proxy = r#"task "proxy" {
      driver = "raw_exec"

      lifecycle {
        hook    = "prestart"
        sidecar = true
      }

      config {
        command = "/bin/sleep"
        args    = ["100000"]
      }

      resources {
        cpu    = 10
        memory = 10
      }
    }"#;
    story.run(
        &Job::service(&web)
            .group(proxy)
            .gate("wait \"proxy\" {\n task = \"proxy\"\n until = \"running\"\n }"),
    );
    story.main(&web).runs(SOON);
}

#[test]
fn a_job_that_wants_no_allocation_is_not_waited_for() {
    let story = CLUSTER.story();
    let (none, web) = (story.id("none"), story.id("web"));
    story.run(&Job::service(&none).count(0));
    story.run(&Job::service(&web).gate(&wait(&none, &[])));
    story.main(&web).runs(SOON);
}

#[test]
fn a_job_in_another_namespace_can_be_waited_for() {
    let story = CLUSTER.story();
    let (db, web, namespace) = (story.id("db"), story.id("web"), story.make_namespace("data"));
    story.run(&Job::service(&web).gate(&wait(&db, &[&format!("namespace = \"{namespace}\"")])));
    // The same name in the gate's own namespace is another job.
    story.run(&Job::batch(&db).script("exit 1"));
    story.gate(&web).says(SOON, &db);
    story.gate(&web).still_waits();

    story.run(&Job::service(&db).namespace(&namespace));
    story.main(&web).runs(SOON);
}

#[test]
fn a_wait_is_looked_at_only_after_those_it_depends_on() {
    let story = CLUSTER.story();
    let (first, second, web, flag) =
        (story.id("first"), story.id("second"), story.id("web"), story.flag("first"));
    let config = [wait(&first, &[]), wait(&second, &[&format!("depends_on = [\"{first}\"]")])].join("\n");
    story.run(&Job::batch(&first).script_after(&flag, "exit 0"));
    story.run(&Job::batch(&second));
    story.is_dead(&second);
    story.run(&Job::service(&web).gate(&config));
    story.gate(&web).says(SOON, &first);
    let (_, tree) = story.gate(&web).exec(&["tree"]);
    assert!(tree.lines().any(|line| line.contains(&second) && line.contains("blocked")), "{tree}");

    flag.raise();
    story.main(&web).runs(SOON);
}

#[test]
fn a_name_that_is_nearly_right_is_suggested() {
    let story = CLUSTER.story();
    let (db, web) = (story.id("postgres"), story.id("web"));
    story.run(&Job::service(&db));
    let slip = db.replace("gres", "gers");
    story.run(&Job::service(&web).gate(&wait(&slip, &[])));
    story.gate(&web).says(SOON, "did you mean");
    story.gate(&web).says(SOON, &db);
    story.gate(&web).still_waits();
}
