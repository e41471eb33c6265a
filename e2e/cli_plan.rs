//! What a plan shows of a tree that has run before, and a part of a tree that is handed to the cluster.

use serde_json::Value;

use crate::cli_submit::{Written, ended};
use crate::harness::{Options, seconds};
use crate::story::{Job, Shared, Story};

static CLUSTER: Shared = Shared::new(Options::default);

fn says(story: &Story, tree: &Written, words: &[&str]) -> String {
    let (code, said) = ended(tree.command(story, words));
    assert_eq!(code, 0, "dtree {words:?}\n{said}");
    said
}

fn document(story: &Story, tree: &Written) -> Value {
    serde_json::from_str(&says(story, tree, &["plan", "--json"])).expect("it is JSON")
}

#[test]
fn a_plan_tells_what_changes_what_stays_and_what_is_left_over() {
    let story = CLUSTER.story();
    let [db, web, old, id] = ["db", "web", "old", "planned"].map(|name| story.id(name));
    story.knows([&db, &web, &old].map(|id| (id.clone(), "default".to_owned())));
    let after = format!("depends_on = [\"{db}\"]");
    let first = Written::new(&id)
        .job(&Job::service(&db), "")
        .job(&Job::service(&web), &after)
        .job(&Job::service(&old), &after);
    let said = says(&story, &first, &["plan"]);
    assert!(said.contains("3 to create") && !said.contains("Left over"), "{said}");
    assert_eq!(document(&story, &first)["left_over"], serde_json::json!([]));
    says(&story, &first, &["run"]);
    let before = [&db, &old].map(|id| story.stamp(id));

    let second = Written::new(&id).job(&Job::service(&db), "").job(&Job::service(&web).meta("v7"), &after);
    let said = says(&story, &second, &["plan"]);
    assert!(said.contains("1 to update, 1 unchanged"), "{said}");
    assert!(said.contains(&format!("{web}: its jobspec has changed")) && said.contains("v7"), "{said}");
    let remedy = format!("nomad job stop -namespace default {old}");
    assert!(said.contains(&format!("{old}: default/{old}: `{remedy}` stops it")), "{said}");
    let plan = document(&story, &second);
    assert_eq!(plan["left_over"][0]["remedy"], remedy);
    assert_eq!(plan["left_over"].as_array().map(Vec::len), Some(1));
    // What was not chosen is not left over.
    let said = says(&story, &second, &["plan", "--target", &db]);
    assert!(said.contains(&remedy) && !said.contains(&format!("-namespace default {web}")), "{said}");

    // A run does as was said.
    says(&story, &second, &["run"]);
    assert_eq!([&db, &old].map(|id| story.stamp(id)), before);
    assert_eq!(story.versions(&web).len(), 2);
    story.stop(&old);
    story.has_stopped(&old);
    let said = says(&story, &second, &["plan"]);
    assert!(said.contains("2 unchanged") && !said.contains("Left over"), "{said}");
}

#[test]
fn a_part_of_a_tree_is_handed_over_and_the_rest_is_awaited() {
    let story = CLUSTER.story();
    let [db, web, log, id] = ["db", "web", "log", "part"].map(|name| story.id(name));
    story.knows([&db, &web, &log].map(|id| (id.clone(), "default".to_owned())));
    story.knows_tree(&id);
    let after = format!("depends_on = [\"{db}\"]");
    let tree = Written::new(&id)
        .job(&Job::service(&db), "")
        .job(&Job::service(&web), &after)
        .job(&Job::service(&log), "");
    let said = says(&story, &tree, &["submit", "--target", &db]);
    assert!(said.contains(&format!("created {db}")), "{said}");
    story.main(&db).runs(seconds(0));
    story.were_never_registered(&[&web, &log]);
    let before = story.stamp(&db);
    let said = says(&story, &tree, &["submit", "--exclude", &db, "--exclude", &log]);
    assert!(said.contains(&format!("created {web}")) && said.contains(&format!("{db}: satisfied")), "{said}");
    assert_eq!(story.stamp(&db), before);
    story.were_never_registered(&[&log]);
    let said = says(&story, &tree, &["submit", "--target", &log, "--target", &web, "--with-dependencies"]);
    assert!(said.contains(&format!("created {log}")) && said.contains("2 unchanged"), "{said}");
    assert_eq!(story.stamp(&db), before);
}

#[test]
fn a_plan_tells_whether_a_hook_has_run_already() {
    let story = CLUSTER.story();
    let [db, setup, id] = ["db", "setup", "hooked"].map(|name| story.id(name));
    story.knows([(db.clone(), "default".to_owned())]);
    let flag = story.flag("setup");
    let hook = format!("post \"{setup}\" {{\n jobspec = \"local/{setup}.nomad.hcl\"\n}}");
    let tree = Written::new(&id)
        .job(&Job::service(&db), &hook)
        .jobspec(&Job::batch(&setup).script_after(&flag, "exit 0"));
    let fate = || {
        let plan = document(&story, &tree);
        let steps = plan["steps"].as_array().expect("it has steps");
        let step = steps.iter().find(|step| step["name"] == *setup).expect("it has the hook");
        [&step["action"], &step["why"]].map(|word| word.as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(fate(), ["run".to_owned(), format!("post of {db}")]);
    let run = tree.command(&story, &["run"]);
    story.hook_job_ids(&id, &setup, 1);
    assert_eq!(fate(), ["run".to_owned(), format!("post of {db}, for which it has not run yet")]);
    flag.raise();
    let (code, said) = ended(run);
    assert_eq!(code, 0, "{said}");
    assert_eq!(fate(), ["skip".to_owned(), format!("post of {db}, for which it has run")]);
}
