//! A gate sees what its job may see, and says what is missing. All of this is with ACLs on.

use serde_json::json;

use crate::harness::{Options, seconds};
use crate::story::{Job, SOON, Shared, Story};

static CLUSTER: Shared = Shared::new(|| Options { acl: true, ..Options::default() });

/// Lets a job of namespace `default` look at what happens in `namespace`.
fn allow(story: &Story, job: &str, namespace: &str) {
    let name = format!("{job}-looks-at-{namespace}");
    let rules = format!("namespace \"{namespace}\" {{\n  capabilities = [\"list-jobs\", \"read-job\"]\n}}");
    let attached = json!({ "Namespace": "default", "JobID": job });
    let policy = json!({ "Name": name, "Rules": rules, "JobACL": attached });
    story.post(&format!("/v1/acl/policy/{name}"), &policy);
}

#[test]
fn a_gate_without_an_identity_says_which_lines_to_add() {
    let story = CLUSTER.story();
    let (db, web) = (story.id("db"), story.id("web"));
    story.run(&Job::service(&db));
    story.is_healthy(&db);
    story.run(&Job::service(&web).gate_without_identity(&format!("wait \"{db}\" {{}}")));
    story.gate(&web).says(SOON, "identity");
    story.main(&web).has_never_started();
}

#[test]
fn a_gate_without_a_policy_waits_and_says_which_one_it_lacks() {
    let story = CLUSTER.story();
    let (db, web) = (story.id("db"), story.id("web"));
    story.run(&Job::service(&db));
    story.is_healthy(&db);
    story.run(&Job::service(&web).gate(&format!("wait \"{db}\" {{}}")));
    story.gate(&web).says(SOON, "read-job");
    story.gate(&web).still_waits();
    story.main(&web).has_never_started();

    allow(&story, &web, "default");
    // It looks again by itself.
    story.gate(&web).succeeds(seconds(150));
    story.main(&web).runs(SOON);
}

#[test]
fn list_jobs_and_read_job_are_all_a_gate_needs() {
    let story = CLUSTER.story();
    let (db, seed, web, flag) = (story.id("db"), story.id("seed"), story.id("web"), story.flag("seed"));
    allow(&story, &web, "default");
    story.run(&Job::service(&web).gate(&format!("wait \"{db}\" {{}}\nwait \"{seed}\" {{}}")));
    story.gate(&web).says(SOON, &db);
    story.run(&Job::service(&db));
    story.run(&Job::batch(&seed).script_after(&flag, "exit 0"));
    story.is_healthy(&db);
    story.gate(&web).still_waits();

    flag.raise();
    story.gate(&web).succeeds(SOON);
    story.main(&web).runs(SOON);
}

#[test]
fn a_gate_does_not_see_into_a_namespace_that_its_job_may_not_see() {
    let story = CLUSTER.story();
    let (db, web, secret) = (story.id("db"), story.id("web"), story.make_namespace("secret"));
    story.run(&Job::service(&db).namespace(&secret));
    story.is_healthy(&db);
    allow(&story, &web, "default");
    let config = format!("wait \"{db}\" {{\n namespace = \"{secret}\"\n timeout = \"8s\"\n }}");
    story.run(&Job::service(&web).gate(&config));
    story.gate(&web).says(SOON, &secret);
    story.gate(&web).fails(SOON);
    story.gate(&web).has_lasted(seconds(8));
    story.main(&web).has_never_started();
    for (_, message) in story.gate(&web).events().expect("it had events") {
        assert!(!message.contains("1 of 1"), "it tells what it must not know: {message}");
    }
}

#[test]
fn a_gate_sees_into_another_namespace_when_its_job_may() {
    let story = CLUSTER.story();
    let (db, web, data) = (story.id("db"), story.id("web"), story.make_namespace("data"));
    allow(&story, &web, &data);
    story.run(&Job::service(&web).gate(&format!("wait \"{db}\" {{\n namespace = \"{data}\"\n }}")));
    story.gate(&web).says(SOON, &db);
    story.run(&Job::service(&db).namespace(&data));
    story.main(&web).runs(SOON);
}

#[test]
fn the_plugins_own_credential_opens_nothing_that_the_job_may_not_see() {
    let nomad =
        "config {\n nomad {\n address = \"http://127.0.0.1:{http}\"\n token_file = \"{token}\"\n }\n }";
    let story = Story::alone(Options { acl: true, plugin: nomad.to_owned(), ..Options::default() });
    let (db, web) = (story.id("db"), story.id("web"));
    story.run(&Job::service(&db));
    story.is_healthy(&db);
    story.run(&Job::service(&web).gate(&format!("wait \"{db}\" {{}}")));
    story.gate(&web).says(SOON, "read-job");
    story.gate(&web).still_waits();
    story.main(&web).has_never_started();

    allow(&story, &web, "default");
    story.gate(&web).succeeds(seconds(150));
    story.main(&web).runs(SOON);
}
