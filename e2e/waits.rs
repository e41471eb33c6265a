//! Waits for some of a job, for a while, for a user's word, for one of several; and for what need not be.

use crate::harness::{Options, seconds};
use crate::story::{Job, Node, SOON, Shared, Story, Tree};

static CLUSTER: Shared = Shared::new(Options::default);

/// One `wait` block.
fn wait(label: &str, attributes: &[&str]) -> String {
    format!("wait \"{label}\" {{\n{}\n}}", attributes.join("\n"))
}

#[test]
fn only_a_version_that_carries_the_release_is_enough() {
    let story = CLUSTER.story();
    let (db, web) = (story.id("db"), story.id("web"));
    story.run(&Job::service(&db).meta("v6"));
    story.is_healthy(&db);
    story.run(&Job::service(&web).gate(&wait(&db, &["meta {\n release = \"v7\"\n }"])));
    story.gate(&web).says(SOON, "has meta release = \"v6\", not \"v7\"");
    story.gate(&web).still_waits();

    story.run(&Job::service(&db).meta("v7"));
    story.main(&web).runs(SOON);
}

#[test]
fn what_runs_on_each_client_is_awaited_on_the_own_one() {
    let story = Story::alone(Options::default());
    story.cluster().join_client().unwrap_or_else(|why| panic!("there is no second client: {why}"));
    let (csi, web, flag) = (story.id("csi"), story.id("web"), story.flag("csi"));
    let path = flag.0.display();
    let held = format!(
        r#"task "slow" {{
      driver = "raw_exec"

      lifecycle {{
        hook = "prestart"
      }}

      config {{
        command = "/bin/sh"
        args    = ["-c", "until [ -e {path}.${{node.unique.name}} ]; do sleep 0.05; done"]
      }}

      resources {{
        cpu    = 10
        memory = 10
      }}
    }}"#
    );
    story.run(&Job::system(&csi).group(&held));
    let on_b = "constraint {\n attribute = \"${node.unique.name}\"\n value = \"b\"\n }";
    story.run(&Job::service(&web).group(on_b).gate(&wait(&csi, &["scope = \"client\""])));
    flag.on("a").raise();
    story.n_healthy(&csi, 1);
    story.gate(&web).says(SOON, "on this client");
    story.gate(&web).still_waits();

    flag.on("b").raise();
    story.main(&web).runs(SOON);
}

#[test]
fn what_must_stay_so_is_awaited_anew_after_a_break() {
    let story = CLUSTER.story();
    let (db, web) = (story.id("db"), story.id("web"));
    story.run(&Job::service(&db));
    story.is_healthy(&db);
    story.run(&Job::service(&web).gate(&wait(&db, &["stable_for = \"12s\""])));
    story.gate(&web).says(SOON, "must stay so for 12s");
    story.stop(&db);
    story.has_stopped(&db);
    story.gate(&web).still_waits();

    story.run(&Job::service(&db).meta("again"));
    story.main(&web).runs(SOON);
    assert!(story.gate(&web).lasted() > seconds(12), "{:?}", story.gate(&web).lasted());
}

#[test]
fn what_is_optional_holds_nothing_back_unless_it_may_still_come() {
    let story = CLUSTER.story();
    let (ghost, seed, db, web) = (story.id("ghost"), story.id("seed"), story.id("db"), story.id("web"));
    let flag = story.flag("db");
    story.run(&Job::service(&db).held_back_by(&flag));
    story.run(&Job::batch(&seed).script_after(&story.flag("seed"), "exit 3"));
    let optional = ["optional = true"];
    let config = [wait(&ghost, &optional), wait(&seed, &optional), wait(&db, &optional)].join("\n");
    story.run(&Job::service(&web).gate(&config));
    story.gate(&web).says(SOON, &db);
    story.flag("seed").raise();
    story.main(&seed).fails(SOON);
    story.gate(&web).still_waits();

    flag.of(0).raise();
    story.main(&web).runs(SOON);
    story.gate(&web).logs_at_its_end("it is optional");
}

#[test]
fn a_user_approves() {
    let story = CLUSTER.story();
    let web = story.id("web");
    story.run(&Job::service(&web).gate(&wait("release", &["approval = \"it is announced\""])));
    story.gate(&web).says(SOON, "approve release");
    story.gate(&web).still_waits();
    let (code, said) = story.gate(&web).exec(&["approve", "relaese"]);
    assert!(code == 1 && said.contains("these do: release"), "{code}: {said}");
    let (code, said) = story.gate(&web).exec(&["approve"]);
    assert!(code == 2 && said.contains("approve NAME"), "{code}: {said}");
    story.main(&web).has_never_started();

    let (code, said) = story.gate(&web).exec(&["approve", "release", "--by", "kim"]);
    assert!(code == 0 && said.contains("release is approved"), "{code}: {said}");
    story.main(&web).runs(SOON);
    story.gate(&web).logs_at_its_end("approved by kim");
}

#[test]
fn one_of_several_is_enough_and_what_drains_holds_back() {
    let story = CLUSTER.story();
    let [db, redis, cache, drain, web] = ["db", "redis", "cache", "drain", "web"].map(|name| story.id(name));
    story.run(&Job::service(&db));
    story.run(&Job::service(&drain));
    story.is_healthy(&db);
    story.is_healthy(&drain);
    let when = format!("when = \"{db} && ({redis} || {cache}) && !{drain}\"");
    let parts = [&db, &redis, &cache, &drain].map(|name| wait(name, &[]));
    story.run(&Job::service(&web).gate(&[parts.join("\n"), wait("ready", &[&when])].join("\n")));
    story.gate(&web).says(SOON, "does not hold");
    story.run(&Job::service(&cache));
    story.is_healthy(&cache);
    story.gate(&web).still_waits();
    story.main(&web).has_never_started();

    story.stop(&drain);
    story.main(&web).runs(SOON);
}

#[test]
fn a_tree_waits_for_a_word_and_for_one_of_several() {
    let story = CLUSTER.story();
    let [db, redis, web, tree] = ["db", "redis", "web", "tree"].map(|name| story.id(name));
    story.run(&Job::service(&db));
    story.is_healthy(&db);
    let blocks = [
        wait(&db, &[]),
        wait(&redis, &[]),
        wait("either", &[&format!("when = \"{db} || {redis}\"")]),
        wait("word", &["approval = \"go\"", "depends_on = [\"either\"]"]),
    ];
    let tree =
        Tree::new(&tree).option(&blocks.join("\n")).node(Node::of(&Job::service(&web)).after(&["word"]));
    story.run_tree(&tree);
    story.tree(&tree.id).says(SOON, "approve word");
    story.were_never_registered(&[&web]);
    let (code, said) = story.tree(&tree.id).exec(&["approve", "word"]);
    assert!(code == 0 && said.contains("word is approved"), "{code}: {said}");
    story.tree(&tree.id).succeeds(SOON);
}

#[test]
fn an_expression_that_makes_no_sense_is_refused_with_its_place() {
    let story = CLUSTER.story();
    let web = story.id("web");
    story.excuse(&web, "its gate never began");
    let config = [wait("db", &[]), wait("ready", &["when = \"db && || cache\""])].join("\n");
    story.run(&Job::service(&web).gate(&config));
    story.gate(&web).says(SOON, "is missing here");
    story.main(&web).has_never_started();
}
