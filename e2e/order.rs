//! What needs something starts after it, whichever kind of job it is and whichever comes first.

use crate::harness::{Options, Shop, fetch, seconds, shop};
use crate::oracle;
use crate::story::{Job, SOON, Shared, Story, Switch};

static CLUSTER: Shared = Shared::new(Options::default);

/// A service `web` that waits for `needs`, and is there, waiting, when this returns.
fn waiting_web(story: &Story, needs: &str) -> String {
    let web = story.id("web");
    story.run(&Job::service(&web).gate(&format!("wait \"{needs}\" {{}}")));
    story.gate(&web).says(SOON, needs);
    story.gate(&web).still_waits();
    web
}

#[test]
fn a_group_waits_until_the_http_check_of_what_it_needs_passes() {
    let story = CLUSTER.story();
    let (db, switch) = (story.id("db"), Switch::new());
    story.run(&Job::service(&db).check(switch.port()));
    story.main(&db).runs(SOON);
    let web = waiting_web(&story, &db);
    story.main(&web).has_never_started();

    switch.turn_on();
    story.gate(&web).succeeds(SOON);
    story.main(&web).runs(SOON);
}

#[test]
fn a_group_waits_until_the_batch_job_it_needs_is_complete() {
    let story = CLUSTER.story();
    let (seed, flag) = (story.id("seed"), story.flag("seed"));
    story.run(&Job::batch(&seed).script_after(&flag, "exit 0"));
    story.main(&seed).runs(SOON);
    let web = waiting_web(&story, &seed);

    flag.raise();
    story.gate(&web).succeeds(SOON);
    story.main(&web).runs(SOON);
}

#[test]
fn a_group_waits_until_the_sysbatch_job_it_needs_is_complete() {
    let story = CLUSTER.story();
    let (sweep, flag) = (story.id("sweep"), story.flag("sweep"));
    story.run(&Job::sysbatch(&sweep).script_after(&flag, "exit 0"));
    story.main(&sweep).runs(SOON);
    let web = waiting_web(&story, &sweep);

    flag.raise();
    story.gate(&web).succeeds(SOON);
    story.main(&web).runs(SOON);
}

#[test]
fn a_group_waits_until_the_system_job_it_needs_is_healthy() {
    let story = CLUSTER.story();
    let (agent, flag) = (story.id("agent"), story.flag("agent"));
    story.run(&Job::system(&agent).held_back_by(&flag));
    story.task(&agent, "slow").runs(SOON);
    let web = waiting_web(&story, &agent);

    flag.of(0).raise();
    story.gate(&web).succeeds(SOON);
    story.main(&web).runs(SOON);
}

#[test]
fn a_batch_job_can_wait_too() {
    let story = CLUSTER.story();
    let (db, migrate, flag) = (story.id("db"), story.id("migrate"), story.flag("db"));
    story.run(&Job::batch(&migrate).gate(&format!("wait \"{db}\" {{}}")));
    story.run(&Job::service(&db).held_back_by(&flag));
    story.task(&db, "slow").runs(SOON);
    story.gate(&migrate).still_waits();

    flag.of(0).raise();
    story.main(&migrate).succeeds(SOON);
}

#[test]
fn two_of_three_allocations_are_enough_when_the_gate_says_so() {
    let story = CLUSTER.story();
    let (db, web, flag) = (story.id("db"), story.id("web"), story.flag("db"));
    story.run(&Job::service(&db).count(3).held_back_by(&flag));
    story.run(&Job::service(&web).gate(&format!("wait \"{db}\" {{\n at_least = \"2\"\n }}")));
    flag.of(0).raise();
    story.n_healthy(&db, 1);
    story.gate(&web).still_waits();

    flag.of(1).raise();
    story.gate(&web).succeeds(SOON);
    story.main(&web).runs(SOON);
    story.n_healthy(&db, 2);
}

#[test]
fn a_job_that_comes_later_is_waited_for() {
    let story = CLUSTER.story();
    let db = story.id("db");
    let web = waiting_web(&story, &db);
    story.main(&web).has_never_started();

    story.run(&Job::service(&db));
    story.gate(&web).succeeds(SOON);
    story.main(&web).runs(SOON);
}

#[test]
fn a_job_that_is_healthy_already_is_not_waited_for() {
    let story = CLUSTER.story();
    let (db, web) = (story.id("db"), story.id("web"));
    story.run(&Job::service(&db));
    story.is_healthy(&db);

    story.run(&Job::service(&web).gate(&format!("wait \"{db}\" {{}}")));
    story.gate(&web).succeeds(SOON);
    // What would wait for a change would wait until the jobs are read again, a minute later.
    assert!(story.gate(&web).lasted() < seconds(20), "it took {:?}", story.gate(&web).lasted());
    story.main(&web).runs(SOON);
}

#[test]
fn a_chain_comes_up_link_by_link() {
    let story = CLUSTER.story();
    let ids: Vec<String> = ["d", "c", "b", "a"].iter().map(|name| story.id(name)).collect();
    for pair in ids.windows(2) {
        story.run(&Job::service(&pair[0]).gate(&format!("wait \"{}\" {{}}", pair[1])));
    }
    story.run(&Job::service(&ids[3]));
    story.main(&ids[0]).runs(seconds(120));
}

#[test]
fn the_shop_opens_although_its_jobs_come_in_the_wrong_order() {
    let story = CLUSTER.story();
    let shop = Shop::new().expect("loopback has free ports");
    let namespace = story.make_namespace("shop");
    for name in shop::JOBS.iter().rev() {
        let mut job = shop.gated_job(name, story.cluster()).expect("the shop's jobspecs are good");
        job["Namespace"] = namespace.clone().into();
        story.register(&job);
    }
    let row = story.within(seconds(120), "the shop's front door", || {
        fetch(shop.front_door()).map_err(|error| error.to_string())
    });
    assert_eq!(row, shop::ROW);
}

#[test]
fn the_oracle_sees_that_the_shop_without_its_gates_starts_early() {
    let story = CLUSTER.story();
    let shop = Shop::new().expect("loopback has free ports");
    let namespace = story.make_namespace("shop");
    let mut gated = Vec::new();
    for name in shop::JOBS.iter().rev() {
        let mut job = shop.gated_job(name, story.cluster()).expect("the shop's jobspecs are good");
        job["Namespace"] = namespace.clone().into();
        story.register(&shop::without_gates(job.clone()));
        gated.push(job);
    }
    for name in ["nginx", "api", "postgres_setup"] {
        story.task(name, name).fails(SOON);
    }
    let jobs: Vec<(String, String)> =
        shop::JOBS.iter().map(|job| ((*job).to_owned(), namespace.clone())).collect();
    let record = oracle::Record::read(story.cluster().api(), &jobs).expect("Nomad shows its records");
    let findings = oracle::judge_as_if(&record, &gated);
    assert_eq!(oracle::judge(&record), Vec::<String>::new(), "without gates there is nothing to hold");
    for name in ["nginx", "api", "postgres_setup"] {
        assert!(findings.iter().any(|finding| finding.starts_with(name)), "{name} in {findings:?}");
    }
}

#[test]
fn the_examples_run_as_they_are() {
    let story = CLUSTER.story();
    let read = |name: &str| {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("jobspecs").join(name);
        let hcl = std::fs::read_to_string(file).expect("the example is there");
        story.cluster().parse(&hcl, "").expect("the example is good")
    };
    story.register(&read("gate.nomad.hcl"));
    story.register(&read("gate-options.nomad.hcl"));
    story.gate("worker").runs(SOON);
    story.task("web", "after-db").runs(SOON);
    for job in [Job::service("db").group_name("db").count(2), Job::batch("db-seed"), Job::service("cache")] {
        story.run(&job);
    }
    story.task("web", "web").runs(SOON);
    story.task("worker", "worker").runs(SOON);
}
