//! Who waits for whom, and whether anything but a hand could open it.

use std::collections::BTreeMap;

use super::super::{Shown, circle, concerned};
use crate::cluster::{
    Awaited, Gate, JobKey, JobSight, JobType, JobVersion, Place, TaskPhase,
    sample::{job, task},
};

struct Jobs(BTreeMap<JobKey, JobSight>);

impl Shown for Jobs {
    fn job(&self, job: &JobKey) -> Option<&JobSight> {
        self.0.get(job)
    }
}

fn key(id: &str) -> JobKey {
    JobKey::new("default", id)
}

/// A job whose gate runs and waits for others.
fn gated(id: &str, awaited: &[&str]) -> JobSight {
    let gate = Gate {
        group: "web".to_owned(),
        task: "gate".to_owned(),
        needs: awaited.iter().map(|id| Awaited { job: key(id), group: None }).collect(),
    };
    job(id, JobType::Service, 1).but(|job| job.gates = vec![gate]).with("a", |a| {
        a.tasks.insert("gate".to_owned(), task(TaskPhase::Running));
        a.tasks.insert("main".to_owned(), task(TaskPhase::Pending));
    })
}

fn jobs(all: impl IntoIterator<Item = JobSight>) -> Jobs {
    Jobs(all.into_iter().map(|sight| (sight.job.key.clone(), sight)).collect())
}

fn place(id: &str) -> Place {
    let (group, task) = ("web".to_owned(), "gate".to_owned());
    Place { job: key(id), group, alloc: "a-0000-0000".into(), task }
}

/// The circle that the gate of each job finds, as it reads.
fn found(jobs: &Jobs, id: &str) -> String {
    let circle = circle(&place(id), jobs).unwrap_or_default();
    let names: Vec<&str> = circle.iter().map(|member| member.job.job.as_str()).collect();
    names.join(" ")
}

#[test]
fn every_member_finds_its_circle_and_who_waits_for_one_finds_none() {
    let all = jobs([
        gated("a", &["x", "b"]),
        gated("b", &["c"]),
        gated("c", &["a", "b"]),
        gated("alone", &["alone"]),
        gated("outside", &["a"]),
    ]);
    let table =
        [("a", "a b c"), ("b", "b c"), ("c", "c b"), ("alone", "alone"), ("outside", ""), ("nobody", "")];
    for (id, expected) in table {
        assert_eq!(found(&all, id), expected, "{id}");
    }
    let concerned = concerned(&place("outside"), &all);
    assert_eq!(concerned, ["outside", "a", "x", "b", "c"].map(key).into());
}

#[test]
fn what_could_still_open_is_no_circle() {
    type Change = fn(JobSight) -> JobSight;
    let table: [(&str, Change); 11] = [
        ("its gate is open", |b| {
            b.with("a", |a| drop(a.tasks.insert("gate".to_owned(), task(TaskPhase::Dead))))
        }),
        ("its gate has not begun", |b| {
            b.with("a", |a| drop(a.tasks.insert("gate".to_owned(), task(TaskPhase::Pending))))
        }),
        ("nothing of it is placed", |mut b| {
            b.allocations.clear();
            b
        }),
        ("another of its allocations is up", |b| b.with("z", |_| ())),
        ("it is stopped", |b| b.but(|job| job.is_stopped = true)),
        ("a newer version is to be placed", |b| b.but(|job| job.version = JobVersion(4))),
        ("it is being replaced", |b| {
            b.with("a", |a| {
                a.tasks.insert("gate".to_owned(), task(TaskPhase::Running));
                a.is_wanted = false;
            })
        }),
        ("it has failed", |b| {
            b.with("a", |a| {
                a.tasks.insert("gate".to_owned(), task(TaskPhase::Running));
                a.status = crate::cluster::AllocStatus::Failed;
            })
        }),
        ("it waits for another", |b| b.but(|job| job.gates[0].needs[0].job = key("c"))),
        ("another group of it is awaited", |b| b.but(|job| job.gates[0].group = "other".to_owned())),
        ("it has no gate", |b| b.but(|job| job.gates.clear())),
    ];
    let whole = jobs([gated("a", &["b"]), gated("b", &["a"])]);
    assert_eq!(found(&whole, "a"), "a b");
    for (why, change) in table {
        let all = jobs([gated("a", &["b"]), change(gated("b", &["a"]))]);
        assert_eq!(found(&all, "a"), "", "{why}");
    }
}

#[test]
fn only_the_group_that_is_awaited_counts() {
    let mut a = gated("a", &["b"]);
    for (group, expected) in [("web", "a b"), ("other", "")] {
        a.job.gates[0].needs[0].group = Some(group.to_owned());
        assert_eq!(found(&jobs([a.clone(), gated("b", &["a"])]), "a"), expected, "{group}");
    }
}
