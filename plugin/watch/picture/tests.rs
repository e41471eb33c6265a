//! What lines and lists do to what is known of a job, in any order.

use super::*;
use crate::{
    cluster::{AllocId, AllocStatus, DeploymentStatus, EvaluationStatus, JobKey, JobType, JobVersion},
    nomad::JobStub,
};

fn job(create: u64, modify: u64, version: u64) -> Job {
    Job {
        key: JobKey::new("shop", "db"),
        kind: JobType::Batch,
        version: JobVersion(version),
        create_index: RaftIndex(create),
        modify_index: RaftIndex(modify),
        job_modify_index: RaftIndex(modify),
        is_stopped: false,
        is_periodic: false,
        is_parameterized: false,
        dispatch_meta: Vec::new(),
        meta: BTreeMap::new(),
        marks: None,
        gates: Vec::new(),
        groups: BTreeMap::new(),
    }
}

/// As a list shows it if it has a version, and as the stream does otherwise.
fn allocation(create: u64, alloc_modify: u64, modify: u64, version: Option<u64>) -> Allocation {
    Allocation {
        id: "a1".into(),
        name: "db.g[0]".to_owned(),
        group: "g".to_owned(),
        client: "c".into(),
        job_version: version.map(JobVersion),
        is_wanted: true,
        status: AllocStatus::Running,
        description: String::new(),
        deployment: None,
        is_healthy: None,
        judged: None,
        next: None,
        tasks: BTreeMap::new(),
        create_index: RaftIndex(create),
        modify_index: RaftIndex(modify),
        alloc_modify_index: RaftIndex(if version.is_some() { modify } else { alloc_modify }),
    }
}

fn reading(index: u64) -> Reading {
    Reading {
        deployments: Some(Read { value: BTreeMap::new(), index: RaftIndex(index) }),
        evaluations: Some(Read { value: BTreeMap::new(), index: RaftIndex(index) }),
        allocations: Some(Read { value: BTreeMap::new(), index: RaftIndex(index) }),
        ..Reading::default()
    }
}

fn full(index: u64, job: Option<Job>, allocations: Vec<Allocation>) -> Reading {
    let mut reading = reading(index);
    reading.full.insert("db".into(), Read { value: job, index: RaftIndex(index) });
    reading.allocations.as_mut().unwrap().value.insert("db".into(), allocations);
    reading
}

fn known(reading: Reading) -> Known {
    let mut known = Known::default();
    assert!(known.merge(&"db".into(), &mut { reading }));
    known
}

fn apply_allocation(known: &mut Known, allocation: Allocation) -> bool {
    known.apply(allocation.modify_index, Update::Allocation("db".into(), Box::new(allocation)))
}

fn apply_job(known: &mut Known, job: Job) -> bool {
    known.apply(job.modify_index, Update::Job(Box::new(job)))
}

fn version(known: &Known) -> Option<JobVersion> {
    known.present().unwrap().allocations[&"a1".into()].job_version
}

#[test]
fn old_lines_change_nothing() {
    let mut known = known(full(30, Some(job(10, 20, 1)), vec![allocation(11, 0, 25, Some(1))]));
    assert!(!apply_job(&mut known, job(10, 10, 0)));
    assert!(!apply_job(&mut known, job(10, 20, 1)));
    assert!(!apply_allocation(&mut known, allocation(11, 11, 25, None)));
    assert!(!known.apply(RaftIndex(9), Update::JobGone("db".into())), "its predecessor's purge");
    let mut collected = allocation(11, 11, 29, None);
    collected.id = "a0".into();
    assert!(!apply_allocation(&mut known, collected), "it is in no list any more");
}

#[test]
fn an_allocation_keeps_its_version_until_a_server_writes_it() {
    let mut known = known(full(30, Some(job(10, 20, 1)), vec![allocation(11, 0, 25, Some(1))]));
    assert!(apply_allocation(&mut known, allocation(11, 11, 31, None)));
    assert_eq!(version(&known), Some(JobVersion(1)), "its client wrote");
    assert!(apply_allocation(&mut known, allocation(11, 32, 32, None)));
    assert_eq!(version(&known), None, "a server wrote");
    assert!(known.lacks_versions());

    let mut older = reading(31);
    older.allocations.as_mut().unwrap().value.insert("db".into(), vec![allocation(11, 0, 31, Some(1))]);
    assert!(!known.merge(&"db".into(), &mut older), "a list from before that write tells nothing");
    assert!(apply_allocation(&mut known, allocation(11, 32, 34, None)));
    let mut newer = reading(33);
    newer.allocations.as_mut().unwrap().value.insert("db".into(), vec![allocation(11, 0, 33, Some(2))]);
    assert!(known.merge(&"db".into(), &mut newer));
    assert_eq!(version(&known), Some(JobVersion(2)));
    let kept = &known.present().unwrap().allocations[&"a1".into()];
    assert_eq!(kept.modify_index, RaftIndex(34), "the rest is as the stream told it");
}

#[test]
fn an_allocation_is_of_the_version_of_its_deployment() {
    let deployment = |id: &str, created: u64, version: u64| Deployment {
        id: id.into(),
        job_version: JobVersion(version),
        job_create_index: RaftIndex(created),
        status: DeploymentStatus::Running,
        description: String::new(),
        groups: BTreeMap::new(),
        modify_index: RaftIndex(31),
    };
    let mut known = known(full(30, Some(job(10, 20, 3)), vec![]));
    for deployment in [deployment("d2", 10, 2), deployment("d3", 10, 3)] {
        assert!(known.apply(RaftIndex(31), Update::Deployment("db".into(), Box::new(deployment))));
    }
    let mut placed = allocation(31, 31, 31, None);
    placed.deployment = Some("d2".into());
    assert!(apply_allocation(&mut known, placed.clone()));
    assert_eq!(version(&known), Some(JobVersion(2)), "not the current one");
    placed.deployment = Some("d3".into());
    (placed.modify_index, placed.alloc_modify_index) = (RaftIndex(32), RaftIndex(32));
    assert!(apply_allocation(&mut known, placed.clone()));
    assert_eq!(version(&known), Some(JobVersion(3)), "updated in place");
    placed.deployment = Some("unknown".into());
    (placed.modify_index, placed.alloc_modify_index) = (RaftIndex(33), RaftIndex(33));
    assert!(apply_allocation(&mut known, placed));
    assert_eq!(version(&known), None);
}

#[test]
fn nothing_of_a_purged_job_counts_for_its_successor() {
    let mut known = known(full(30, Some(job(10, 20, 0)), vec![allocation(11, 0, 25, Some(0))]));
    assert!(apply_job(&mut known, job(40, 40, 0)), "the purge itself was missed");
    assert!(known.present().unwrap().allocations.is_empty());
    assert!(!apply_allocation(&mut known, allocation(11, 11, 45, None)), "a late word of the old allocation");
    let mut late = full(50, None, vec![allocation(11, 0, 45, Some(0))]);
    late.full.clear();
    assert!(!known.merge(&"db".into(), &mut late));
    let evaluation = Evaluation {
        id: "e".into(),
        status: EvaluationStatus::Pending,
        failed_placements: BTreeMap::new(),
        create_index: RaftIndex(12),
        modify_index: RaftIndex(60),
    };
    assert!(!known.apply(RaftIndex(60), Update::Evaluation("db".into(), Box::new(evaluation))));
    let deployment = Deployment {
        id: "d".into(),
        job_version: JobVersion(0),
        job_create_index: RaftIndex(10),
        status: DeploymentStatus::Successful,
        description: String::new(),
        groups: BTreeMap::new(),
        modify_index: RaftIndex(60),
    };
    assert!(!known.apply(RaftIndex(60), Update::Deployment("db".into(), Box::new(deployment))));
}

#[test]
fn a_purged_job_is_absent_until_it_is_registered_again() {
    let mut known = known(full(30, Some(job(10, 20, 0)), vec![]));
    assert!(known.apply(RaftIndex(40), Update::JobGone("db".into())));
    assert!(known.is_absent());
    assert!(!apply_job(&mut known, job(10, 20, 0)), "an old line");
    assert!(!known.merge(&"db".into(), &mut full(39, Some(job(10, 35, 0)), vec![])), "an old read");
    assert!(apply_job(&mut known, job(41, 41, 0)));
    assert!(!known.merge(&"db".into(), &mut full(40, None, vec![])), "a read from before");
    assert!(known.specification().is_some());
}

#[test]
fn what_a_list_no_longer_has_is_gone_unless_it_is_newer() {
    let mut known = known(full(30, Some(job(10, 20, 0)), vec![allocation(11, 0, 25, Some(0))]));
    let mut newer = allocation(33, 33, 33, None);
    newer.id = "a2".into();
    assert!(apply_allocation(&mut known, newer));
    let mut list = reading(32);
    assert!(known.merge(&"db".into(), &mut list));
    let left: Vec<&str> = known.present().unwrap().allocations.keys().map(AllocId::as_str).collect();
    assert_eq!(left, ["a2"]);
}

#[test]
fn a_stub_only_moves_the_index_of_the_job_it_is_about() {
    let mut known = known(full(30, Some(job(10, 20, 0)), vec![]));
    let stub = |create| {
        let stub = JobStub {
            id: "db".into(),
            create_index: RaftIndex(create),
            modify_index: RaftIndex(28),
            job_modify_index: RaftIndex(20),
        };
        let value = BTreeMap::from([("db".into(), stub)]);
        Reading { stubs: Some(Read { value, index: RaftIndex(31) }), ..Reading::default() }
    };
    assert!(!known.merge(&"db".into(), &mut stub(27)));
    assert!(known.merge(&"db".into(), &mut stub(10)));
    assert_eq!(known.present().unwrap().job.modify_index, RaftIndex(28));
}

#[test]
fn nothing_is_applied_to_a_job_that_was_not_read_yet() {
    let mut known = Known::default();
    assert!(!apply_job(&mut known, job(10, 20, 0)));
    assert!(!apply_allocation(&mut known, allocation(11, 11, 25, None)));
    assert!(known.sight().is_none());
}
