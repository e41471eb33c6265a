//! Whole gates, from the stream of a fake Nomad to their end, on paused time.

use serde_json::Value;

use super::*;
use crate::{
    nomad::fake::{self, FakeNomad},
    watch::Watch,
};

struct Stage {
    fake: FakeNomad,
    watch: Watch,
    tasks: TaskTracker,
}

impl Stage {
    /// A Nomad without ACLs, in which the gates' own job stands as it should.
    fn new() -> Self {
        let fake = FakeNomad::start();
        let mut own = fake::job("default", "shop");
        let gate =
            json!({"Name": "gate", "Driver": "dtree", "Lifecycle": {"Hook": "prestart", "Sidecar": false}});
        own["TaskGroups"][0]["Tasks"].as_array_mut().unwrap().push(gate);
        fake.transact(|write| write.register(own));
        fake.transact(|write| write.allocation(fake::allocation("default", "shop", "own", 0, "running")));
        Self { fake, watch: Watch::new(None, CancellationToken::new()), tasks: TaskTracker::new() }
    }

    /// A gate that waits for `db`.
    fn gate(&self) -> (Running, Arc<Notebook>) {
        let plan = plan(&json!({"wait": {"db": {}}}));
        let place = placed();
        let asks = asks(&plan, &place);
        let outlook = senses(&self.watch, viewer(&self.fake, &place), plan.subjects(&place), asks);
        let deadlines = engine::deadlines(&plan, wall_clock());
        let notebook = Arc::new(Notebook::default());
        let viewer = Some(Box::new(viewer(&self.fake, &place)));
        let order = Order { plan, place, deadlines, equipment: None, viewer, approvals: None };
        let notices = Arc::clone(&notebook) as Arc<dyn Notices>;
        let running = start(order, outlook, notices, &self.tasks, CancellationToken::new());
        (running, notebook)
    }

    /// Version `version` of `db` becomes healthy in allocation `id`.
    fn healthy(&self, id: &str, version: u64) {
        becomes_healthy(&self.fake, "db", id, version);
    }
}

/// Long enough for anything that could wrongly happen, the patience with an old failure included.
async fn still_waits(running: &Running) {
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(running.ending(), None, "{:?}", running.status());
}

fn deployment(id: &str, version: u64, status: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut deployment = fake::deployment("default", "db", id, version, status);
    change(&mut deployment);
    deployment
}

#[tokio::test(start_paused = true)]
async fn a_version_that_fails_and_is_rolled_back_is_never_never() {
    let stage = Stage::new();
    stage.fake.transact(|write| write.register(fake::job("default", "db")));
    stage.healthy("a0", 0);
    stage.fake.transact(|write| {
        write.register(fake::job("default", "db"));
        write.deployment(deployment("d1", 1, "running", |_| ()));
    });
    let (running, _) = stage.gate();
    still_waits(&running).await;
    stage.fake.transact(|write| {
        write.deployment(deployment("d1", 1, "failed", |deployment| {
            deployment["StatusDescription"] =
                "Failed due to progress deadline - rolling back to job version 0".into();
            deployment["TaskGroups"]["g"]["AutoRevert"] = true.into();
        }));
        write.register(fake::job("default", "db"));
        write.deployment(deployment("d2", 2, "running", |_| ()));
    });
    still_waits(&running).await;
    stage.healthy("a2", 2);
    assert_eq!(running.ended().await, Ending::Done);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_of_a_system_job_has_no_deployment_and_opens_all_the_same() {
    let stage = Stage::new();
    let mut db = fake::job("default", "db");
    db["Type"] = "system".into();
    stage.fake.transact(|write| write.register(db.clone()));
    let (running, _) = stage.gate();
    stage.fake.transact(|write| {
        write.register(db.clone());
        write.deployment(deployment("d1", 1, "failed", |deployment| {
            deployment["StatusDescription"] =
                "Failed due to unhealthy allocations - rolling back to job version 0".into();
            deployment["TaskGroups"]["g"]["AutoRevert"] = true.into();
        }));
    });
    still_waits(&running).await;
    stage.fake.transact(|write| write.register(db));
    still_waits(&running).await;
    stage.healthy("a2", 2);
    assert_eq!(running.ended().await, Ending::Done);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_wants_no_allocation_is_nothing_to_wait_for() {
    let stage = Stage::new();
    let (running, _) = stage.gate();
    still_waits(&running).await;
    let mut db = fake::job("default", "db");
    db["TaskGroups"][0]["Count"] = 0.into();
    stage.fake.transact(|write| write.register(db));
    assert_eq!(running.ended().await, Ending::Done);
}

#[tokio::test(start_paused = true)]
async fn a_blocked_evaluation_is_told_and_unblocks() {
    let stage = Stage::new();
    let evaluation = |status: &str, failures: Value| {
        let mut evaluation = fake::evaluation("default", "db", "e1", status);
        evaluation["FailedTGAllocs"] = failures;
        evaluation
    };
    stage.fake.transact(|write| {
        write.register(fake::job("default", "db"));
        let full = json!({"g": {"NodesEvaluated": 1, "DimensionExhausted": {"memory": 1}}});
        write.evaluation(evaluation("blocked", full));
    });
    let (running, notebook) = stage.gate();
    still_waits(&running).await;
    let told = notebook.0.lock().unwrap().join("\n");
    assert!(told.contains("Nomad has no room for it: group g: 1 client exhausted: memory"), "{told}");
    stage.fake.transact(|write| write.evaluation(evaluation("complete", Value::Null)));
    stage.healthy("a1", 0);
    assert_eq!(running.ended().await, Ending::Done);
}

#[tokio::test(start_paused = true)]
async fn two_hundred_gates_cost_nomad_one_stream_and_four_requests_a_minute() {
    let stage = Stage::new();
    stage.fake.transact(|write| write.register(fake::job("default", "db")));
    let gates: Vec<_> = (0..200).map(|_| stage.gate().0).collect();
    tokio::time::sleep(Duration::from_mins(2)).await;
    stage.fake.take_requests();
    tokio::time::sleep(Duration::from_mins(1)).await;
    let requests = stage.fake.take_requests();
    assert!(requests.len() <= 4, "{requests:#?}");
    assert_eq!(stage.fake.n_streams(), 1);
    stage.healthy("a1", 0);
    for gate in gates {
        assert_eq!(gate.ended().await, Ending::Done);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_with_what_the_failed_task_wrote_last_or_why_not() {
    for is_allowed in [true, false] {
        let stage = Stage::new();
        let mut db = fake::job("default", "db");
        db["Type"] = "batch".into();
        stage.fake.transact(|write| write.register(db));
        let (running, notebook) = stage.gate();
        still_waits(&running).await;
        stage.fake.log("a1", "t", "stderr", "psql: no route to host\n");
        if !is_allowed {
            let answer = fake::Answer::Text(403, "Permission denied".to_owned());
            stage.fake.answer("/v1/client/fs/logs/", answer);
        }
        let mut failed = fake::allocation("default", "db", "a1", 0, "failed");
        failed["TaskStates"]["t"] = json!({ "State": "dead", "Failed": true, "Events": null });
        stage.fake.transact(|write| write.allocation(failed));
        let Ending::Failed { message } = running.ended().await else { panic!("{:?}", running.status()) };
        let words =
            if is_allowed { "; its last words: psql: no route" } else { "; its output cannot be read: " };
        assert!(message.contains(words), "{message}");
        assert!(notebook.0.lock().unwrap().iter().any(|line| line.contains(words)));
    }
}

#[tokio::test(start_paused = true)]
async fn last_words_that_nomad_has_not_written_down_yet_are_waited_for() {
    let stage = Stage::new();
    let mut db = fake::job("default", "db");
    db["Type"] = "batch".into();
    stage.fake.transact(|write| write.register(db));
    let (running, _) = stage.gate();
    still_waits(&running).await;
    stage.fake.log("a1", "t", "stderr", "connecting\n");
    let mut failed = fake::allocation("default", "db", "a1", 0, "failed");
    failed["TaskStates"]["t"] = json!({ "State": "dead", "Failed": true, "Events": null });
    stage.fake.transact(|write| write.allocation(failed));
    let is_asked = |request: &fake::Seen| request.path.starts_with("/v1/client/fs/logs/");
    while !stage.fake.take_requests().iter().any(is_asked) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stage.fake.log("a1", "t", "stderr", "connecting\npsql: no route to host\n");
    let Ending::Failed { message } = running.ended().await else { panic!("{:?}", running.status()) };
    assert!(message.contains("; its last words: connecting / psql: no route"), "{message}");
}
