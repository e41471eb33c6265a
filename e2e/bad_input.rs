//! What is wrong is said at once and all of it, and nothing is done by halves.

use crate::harness::{Options, seconds};
use crate::story::{Job, SOON, Shared, Story};

static CLUSTER: Shared = Shared::new(Options::default);

#[test]
fn all_problems_of_a_manifest_are_in_one_task_event() {
    let story = CLUSTER.story();
    let (db, web) = (story.id("db"), story.id("web"));
    story.run(&Job::service(&db));
    story.run(&Job::service(&web).gate(&format!(
        r#"wait "{db}" {{
          until    = "helthy"
          timeout  = "soon"
          at_least = "150%"
        }}

        wait "proxy" {{
          task      = "proxy"
          namespace = "shop"
        }}

        wait "late" {{
          depends_on = ["nobody"]
        }}

        wait "hen" {{
          depends_on = ["egg"]
        }}

        wait "egg" {{
          depends_on = ["hen"]
        }}"#
    )));
    story.gate(&web).fails(SOON);
    let message = story.gate(&web).says(SOON, "helthy");
    for part in ["did you mean \"healthy\"", "soon", "150%", "namespace", "nobody", "hen", "egg"] {
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
    story.main(&web).has_never_started();
}

#[test]
fn a_key_that_does_not_exist_is_refused() {
    let story = CLUSTER.story();
    let web = story.id("web");
    story.run(&Job::service(&web).gate("wait \"db\" {\n untill = \"healthy\"\n }"));
    story.gate(&web).fails(SOON);
    story.gate(&web).says(SOON, "untill");
    story.main(&web).has_never_started();
}

#[test]
fn a_block_that_does_not_exist_is_refused() {
    let story = CLUSTER.story();
    let web = story.id("web");
    story.run(&Job::service(&web).gate("wait_for \"db\" {}"));
    story.gate(&web).fails(SOON);
    story.gate(&web).says(SOON, "wait_for");
    story.main(&web).has_never_started();
}

#[test]
fn a_gate_that_waits_for_nothing_is_refused() {
    let story = CLUSTER.story();
    let web = story.id("web");
    // By Nomad itself, whose words about an empty block are its own.
    story.run(&Job::service(&web).gate(""));
    story.gate(&web).fails(SOON);
    story.main(&web).has_never_started();
}

#[test]
fn a_wrong_value_in_the_plugins_configuration_makes_the_driver_unhealthy_and_leaves_the_agent_up() {
    let plugin = "config {\n nomad {\n address = \"ftp://x\"\n }\n }".to_owned();
    let story = Story::alone(Options { plugin, ..Options::default() });
    let node = story.get("/v1/nodes")[0]["ID"].as_str().expect("there is one client").to_owned();
    let reason = story.within(seconds(30), "the driver to be unhealthy", || {
        let driver = &story.get(&format!("/v1/node/{node}"))["Drivers"]["dtree"];
        match driver["HealthDescription"].as_str() {
            Some(reason) if driver["Healthy"] == false => Ok(reason.to_owned()),
            _ => Err(driver.to_string()),
        }
    });
    assert!(reason.contains("ftp"), "{reason}");

    // Everybody else goes on.
    let db = story.id("db");
    story.run(&Job::service(&db));
    story.is_healthy(&db);
}
