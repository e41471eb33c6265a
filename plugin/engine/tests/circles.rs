//! Gates that wait for each other.

use insta::assert_snapshot;

use super::*;
use crate::cluster::{
    Awaited, Blindness, JobType, TaskPhase,
    sample::{task, unseen},
};

/// A job whose gate runs and waits for another.
fn waits_for(id: &str, awaited: &str, alloc: &str) -> JobSight {
    let gate = crate::cluster::Gate {
        group: "web".to_owned(),
        task: "gate".to_owned(),
        needs: vec![Awaited { job: JobKey::new("default", awaited), group: None }],
    };
    sample::job(id, JobType::Service, 1).but(|job| job.gates = vec![gate]).with(alloc, |own| {
        own.is_healthy = None;
        own.tasks.insert("gate".to_owned(), task(TaskPhase::Running));
        own.tasks.insert("main".to_owned(), task(TaskPhase::Pending));
    })
}

#[test]
fn a_circle_of_waits_is_told_once_when_it_has_stood_for_a_while() {
    let mut run = Simulation::gate_that_sees(&json!({"api": {}}), waits_for("shop", "api", "own").seen());
    run.sees("api", waits_for("api", "db", "a").seen()).wait(10);
    run.sees("db", waits_for("db", "shop", "d").seen()).wait(2);
    // For a moment it looks otherwise.
    run.sees("api", unseen(Blindness::Unreachable, "away")).wait(1);
    assert!(!run.transcript().contains("deadlock"), "{}", run.transcript());
    run.sees("api", waits_for("api", "db", "a").seen()).wait(60);
    run.sees("db", unseen(Blindness::Unreachable, "away")).wait(1);
    run.sees("db", waits_for("db", "shop", "d").seen()).wait(60);
    assert_eq!(run.transcript().matches("event   deadlock").count(), 1, "{}", run.transcript());
    let told: Vec<&String> =
        run.lines.iter().filter(|line| line.contains("deadlock") || line.contains("watch")).collect();
    assert_snapshot!(told.iter().map(|line| line.as_str()).collect::<Vec<_>>().join("\n"), @"
    watch   {JobKey { namespace: default, job: db }}
    log     deadlock: shop → api → db → shop: each of these jobs waits in its gate for the next, so none will open by itself; take one of these waits away, or open one gate by hand: `nomad alloc exec -task gate own-0000 open --reason TEXT`
    event   deadlock: shop → api → db → shop: each of these jobs waits in its gate for the next, so none will open by itself; take one of these waits away, or open one gate by hand: `nomad alloc exec -task gate own-0000 open --reason TEXT`
    ");
    assert!(crate::show::why(&run.engine.status(run.now)).contains("note: deadlock"));
    run.sees("api", sample::job("api", JobType::Service, 1).with("a", |_| ()).seen());
    assert!(run.transcript().ends_with("finish  opened"), "{}", run.transcript());
}

#[test]
fn a_gate_looks_at_fifty_jobs_for_circles_and_no_more() {
    let mut run = Simulation::gate_that_sees(&json!({"j0": {}}), waits_for("shop", "j0", "own").seen());
    for n in 0..80 {
        run.sees(&format!("j{n}"), waits_for(&format!("j{n}"), &format!("j{}", n + 1), "a").seen());
    }
    assert_eq!(run.transcript().matches("    watch").count(), 50);
}
