//! A tree submits its jobs in their order, each when it must, and leaves alone what is as it should be.

use std::path::Path;

use serde_json::json;

use crate::harness::{Options, Shop, fetch, seconds, shop};
use crate::story::{Hook, Job, Node, SOON, Shared, Story, Tree};

static CLUSTER: Shared = Shared::new(Options::default);

/// `db`, and `web` after it.
fn pair(story: &Story) -> (String, String, Tree) {
    let (db, web) = (story.id("db"), story.id("web"));
    let tree = Tree::new(&story.id("tree"))
        .node(Node::of(&Job::service(&db)))
        .node(Node::of(&Job::service(&web)).after(&[&db]));
    (db, web, tree)
}

#[test]
fn the_jobs_of_the_shop_come_up_in_their_order() {
    let story = CLUSTER.story();
    let shop = Shop::new().expect("loopback has free ports");
    let namespace = story.make_namespace("shop");
    let id = story.id("tree");
    let node = |name: &str| {
        let text = shop::jobspec(name).expect("the shop's jobspecs are there");
        Node::of_text(name, &text).registering(name, &namespace).with(&shop.vars(name))
    };
    let setup = shop::jobspec("postgres_setup").expect("the shop's jobspecs are there");
    let tree = Tree::new(&id)
        .namespace(&namespace)
        .node(node("nginx").after(&["api"]))
        .node(node("api").after(&["postgres"]))
        .node(
            node("postgres").post(Hook::of_text("postgres_setup", &setup).with(&shop.vars("postgres_setup"))),
        );
    story.run_tree(&tree);
    story.tree(&id).succeeds(seconds(120));
    let row = fetch(shop.front_door()).expect("the shop is open");
    assert_eq!(row, shop::ROW);
    story.tree(&id).logs_at_its_end("created postgres, api, nginx");
}

#[test]
fn the_two_sides_of_a_diamond_are_submitted_at_the_same_time() {
    let story = CLUSTER.story();
    let ids: Vec<String> = ["top", "left", "right", "bottom"].iter().map(|name| story.id(name)).collect();
    let [top, left, right, bottom] = ids.as_slice() else { unreachable!("four") };
    let flag = story.flag("sides");
    let tree = Tree::new(&story.id("tree"))
        .node(Node::of(&Job::service(top)))
        .node(Node::of(&Job::service(left).held_back_by(&flag)).after(&[top]))
        .node(Node::of(&Job::service(right).held_back_by(&flag)).after(&[top]))
        .node(Node::of(&Job::service(bottom)).after(&[left, right]));
    story.run_tree(&tree);
    // Neither can be healthy before the flag is up, and yet both are there.
    for side in [left, right] {
        story.task(side, "slow").runs(SOON);
    }
    story.were_never_registered(&[bottom]);
    story.tree(&tree.id).still_waits();

    flag.of(0).raise();
    story.tree(&tree.id).succeeds(SOON);
    story.main(bottom).runs(SOON);
}

#[test]
fn of_sixty_jobs_no_more_are_under_way_than_max_parallel() {
    let story = Story::alone(Options::default());
    let mut tree = Tree::new(&story.id("tree")).option("max_parallel = 7");
    let ids: Vec<String> = (0..60).map(|n| story.id(&format!("j{n}"))).collect();
    for id in &ids {
        tree = tree.node(Node::of(&Job::batch(id)));
    }
    story.run_tree(&tree);
    story.tree(&tree.id).succeeds(seconds(300));
    for id in &ids {
        story.main(id).succeeds(SOON);
    }
}

#[test]
fn a_second_run_writes_nothing() {
    let story = CLUSTER.story();
    let (db, web, seed) = (story.id("db"), story.id("web"), story.id("seed"));
    let setup = story.id("setup");
    let tree = Tree::new(&story.id("tree"))
        .node(Node::of(&Job::service(&db)).post(Hook::of(&Job::batch(&setup))))
        .node(Node::of(&Job::batch(&seed)).after(&[&db]))
        .node(Node::of(&Job::service(&web)).after(&[&seed]));
    story.run_tree(&tree);
    story.tree(&tree.id).succeeds(SOON);
    let jobs = [&db, &seed, &web];
    let before = jobs.map(|id| story.stamp(id));
    let hooks = story.hook_job_ids(&tree.id, &setup, 1);

    story.run_tree(&tree.clone().run("2"));
    story.tree(&tree.id).succeeds(SOON);
    story.tree(&tree.id).logs_at_its_end("3 unchanged");
    assert_eq!(jobs.map(|id| story.stamp(id)), before);
    assert_eq!(story.hook_job_ids(&tree.id, &setup, 1), hooks);
}

#[test]
fn a_tree_that_is_stopped_and_started_again_writes_nothing() {
    let story = CLUSTER.story();
    let (db, web, tree) = pair(&story);
    story.run_tree(&tree);
    story.tree(&tree.id).succeeds(SOON);
    let before = [&db, &web].map(|id| story.stamp(id));

    story.stop(&tree.id);
    story.run_tree(&tree);
    story.tree(&tree.id).succeeds(SOON);
    story.tree(&tree.id).logs_at_its_end("2 unchanged");
    assert_eq!([&db, &web].map(|id| story.stamp(id)), before);
}

#[test]
fn of_one_changed_jobspec_only_that_job_gets_a_new_version() {
    let story = CLUSTER.story();
    let (db, web, tree) = pair(&story);
    let (side, setup) = (story.id("side"), story.id("setup"));
    let tree = tree.node(Node::of(&Job::service(&side)).post(Hook::of(&Job::batch(&setup))));
    story.run_tree(&tree);
    story.tree(&tree.id).succeeds(SOON);
    let before = [&db, &side].map(|id| story.stamp(id));
    let hooks = story.hook_job_ids(&tree.id, &setup, 1);

    let web_after_db = Node::of(&Job::service(&web).meta("2")).after(&[&db]);
    story.run_tree(&tree.replace(web_after_db).run("2"));
    let id = story.id("tree");
    story.tree(&id).succeeds(SOON);
    story.tree(&id).logs_at_its_end(&format!("updated {web}"));
    assert_eq!([&db, &side].map(|id| story.stamp(id)), before);
    assert_eq!(story.stamp(&web).version, json!(1));
    assert_eq!(story.hook_job_ids(&id, &setup, 1), hooks);
}

#[test]
fn a_changed_job_is_waited_for_in_its_new_version() {
    let story = CLUSTER.story();
    let (db, web, tree) = pair(&story);
    story.run_tree(&tree);
    story.tree(&tree.id).succeeds(SOON);
    let flag = story.flag("db");
    let tree = tree
        .replace(Node::of(&Job::service(&db).held_back_by(&flag)))
        .replace(Node::of(&Job::service(&web).meta("2")).after(&[&db]));
    story.run_tree(&tree.run("2"));
    let id = story.id("tree");
    story.task(&db, "slow").runs(SOON);
    // The old version was healthy all along, and does not count.
    story.tree(&id).still_waits();
    assert_eq!(story.stamp(&web).version, json!(0));

    flag.of(0).raise();
    story.tree(&id).succeeds(SOON);
    assert_eq!(story.stamp(&web).version, json!(1));
}

#[test]
fn a_job_that_somebody_has_scaled_is_unchanged() {
    let story = CLUSTER.story();
    let (db, _, tree) = pair(&story);
    story.run_tree(&tree);
    story.tree(&tree.id).succeeds(SOON);
    story.is_judged_up_to_now();
    // Nomad scales no job whose deployment is under way, and the tree is done a second before that is.
    story.is_healthy(&db);
    let output = story.cli(&["job", "scale", "-detach", &db, "g", "2"]);
    assert!(output.status.success(), "{output:?}");
    story.n_healthy(&db, 2);
    story.is_healthy(&db);
    let before = story.stamp(&db);
    assert_eq!(before.allocations.len(), 2);

    story.run_tree(&tree.clone().run("2"));
    story.tree(&tree.id).succeeds(SOON);
    story.tree(&tree.id).logs_at_its_end("2 unchanged");
    assert_eq!(story.stamp(&db), before);
}

#[test]
fn a_job_that_was_stopped_is_started_again() {
    let story = CLUSTER.story();
    let (db, web, tree) = pair(&story);
    story.run_tree(&tree);
    story.tree(&tree.id).succeeds(SOON);
    let before = story.stamp(&web);
    story.is_judged_up_to_now();
    story.stop(&db);
    story.is_dead(&db);

    story.run_tree(&tree.clone().run("2"));
    story.tree(&tree.id).succeeds(SOON);
    story.tree(&tree.id).logs_at_its_end(&format!("updated {db}"));
    story.main(&db).runs(SOON);
    assert_eq!(story.stamp(&web), before);
}

#[test]
fn a_waiting_tree_answers_tree_why_and_status() {
    let story = CLUSTER.story();
    let (db, web, flag) = (story.id("db"), story.id("web"), story.flag("db"));
    let tree = Tree::new(&story.id("tree"))
        .node(Node::of(&Job::service(&db).held_back_by(&flag)))
        .node(Node::of(&Job::service(&web)).after(&[&db]));
    story.run_tree(&tree);
    story.tree(&tree.id).says(SOON, &db);
    story.task(&db, "slow").runs(SOON);
    for command in ["tree", "why", "status"] {
        let (code, said) = story.tree(&tree.id).exec(&[command]);
        assert_eq!(code, 0, "{command}: {said}");
        assert!(said.contains(&db), "{command}: {said}");
    }
    story.within(SOON, "the tree to wait for db", || {
        let (_, said) = story.tree(&tree.id).exec(&["tree"]);
        let is_so = said.contains("gated") && said.contains("blocked") && said.contains(&web);
        if is_so { Ok(()) } else { Err(said) }
    });

    flag.of(0).raise();
    story.tree(&tree.id).succeeds(SOON);
    let log = story.tree(&tree.id).logs();
    assert!(log.contains(&web) && log.contains("done after"), "{log}");
}

#[test]
fn the_example_with_every_option_runs_as_it_is() {
    let story = Story::alone(Options::default());
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("jobspecs/stack");
    let run = || {
        let output = story.cluster().cli_in(&dir, &["job", "run", "-detach", "stack.nomad.hcl"]);
        let output = output.expect("the Nomad that runs the agent runs as a command too");
        assert!(output.status.success(), "{output:?}");
    };
    run();
    story.knows_tree("stack");
    story.knows(["db", "migrate", "web"].map(|id| (id.to_owned(), "default".to_owned())));
    story.task("stack", "stack").says(SOON, "vault");
    story.were_never_registered(&["db", "web"]);
    story.run(&Job::service("vault"));
    story.task("stack", "stack").succeeds(seconds(120));
    story.task("stack", "stack").logs_at_its_end("3 hooks run");
    story.task("web", "web").runs(SOON);
}
