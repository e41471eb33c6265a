//! Batch and sysbatch jobs.

use serde_json::json;

use super::*;
use crate::cluster::{
    AllocStatus, JobType, RaftIndex, TaskPhase,
    sample::{batch, failed_task, job, task},
};

fn running(a: &mut Allocation) {
    a.status = AllocStatus::Running;
    a.tasks.insert("main".to_owned(), task(TaskPhase::Running));
}

fn failed(a: &mut Allocation) {
    a.status = AllocStatus::Failed;
    a.tasks.insert("main".to_owned(), failed_task(3));
}

fn named(name: &'static str, change: impl FnOnce(&mut Allocation)) -> impl FnOnce(&mut Allocation) {
    move |a| {
        a.name = name.to_owned();
        change(a);
    }
}

#[test]
fn a_batch_job_on_its_way_to_its_end() {
    let pending = |a: &mut Allocation| {
        a.status = AllocStatus::Pending;
        a.tasks.clear();
    };
    let cases = [
        ("registered", verdict(&bare(), batch(1))),
        ("placed", verdict(&bare(), batch(1).with("a", pending))),
        ("runs", verdict(&bare(), batch(1).with("a", running))),
        ("complete", verdict(&bare(), batch(1).with("a", |_| ()))),
        ("1 of 2 complete", verdict(&bare(), batch(2).with("a", |_| ()).with("b", running))),
        ("2 of 2 complete", verdict(&bare(), batch(2).with("a", |_| ()).with("b", |_| ()))),
        (
            "the same place twice",
            verdict(&bare(), batch(2).with("a", named("x[0]", |_| ())).with("b", named("x[0]", |_| ()))),
        ),
        (
            "being drained",
            verdict(
                &bare(),
                batch(1).with("a", |a| a.is_wanted = false).evaluated(EvaluationStatus::Pending, &[]),
            ),
        ),
        (
            "ends because of a drain",
            verdict(&bare(), batch(1).with("a", |a| (a.is_wanted, a.status) = (false, AllocStatus::Running))),
        ),
        (
            "drained, and placed again",
            verdict(&bare(), batch(1).with("a", |a| (a.is_wanted, a.next) = (false, Some("b".into())))),
        ),
        ("ended by a drain", verdict(&bare(), batch(1).with("a", |a| a.is_wanted = false))),
        ("count = 0", verdict(&bare(), batch(0))),
        ("no room", verdict(&bare(), batch(1).evaluated(EvaluationStatus::Blocked, &[("work", "no cpu")]))),
        (
            "at_least 1 of 2",
            verdict(&wait(&json!({"at_least": "1"})), batch(2).with("a", |_| ()).with("b", running)),
        ),
        (
            "any version",
            verdict(
                &wait(&json!({"any_version": true})),
                batch(1).with("a", |a| a.job_version = Some(JobVersion(1))),
            ),
        ),
    ];
    insta::assert_snapshot!(table(cases), @"
    registered                         not yet: 0 of 1 complete, nothing placed yet
    placed                             not yet: 0 of 1 complete
    runs                               not yet: 0 of 1 complete, 1 running
    complete                           met: 1 of 1 complete
    1 of 2 complete                    not yet: 1 of 2 complete, 1 running
    2 of 2 complete                    met: 2 of 2 complete
    the same place twice               not yet: 1 of 2 complete
    being drained                      not yet: 0 of 1 complete
    ends because of a drain            not yet: 0 of 1 complete
    drained, and placed again          not yet: 0 of 1 complete
    ended by a drain                   never: it failed: allocation a-0000-0 was stopped before its end, and is not placed again
    count = 0                          met: count = 0, nothing to wait for
    no room                            blocked: 0 of 1 complete, nothing placed yet; Nomad has no room for it: group work: no cpu
    at_least 1 of 2                    met: 1 of 2 complete (1 needed), 1 running
    any version                        met: 1 of 1 complete
    ");
}

/// A failure is final only when nothing is planned or under way for it.
#[test]
fn a_batch_job_that_fails() {
    let pending = EvaluationStatus::Pending;
    let replaced = |a: &mut Allocation| {
        failed(a);
        a.next = Some("b".into());
    };
    let at_least_one = wait(&json!({"at_least": "1"}));
    let cases = [
        ("failed for good", verdict(&bare(), batch(1).with("61d0c2aa", failed))),
        ("lost for good", verdict(&bare(), batch(1).with("61d0c2aa", |a| a.status = AllocStatus::Lost))),
        ("client out of reach", verdict(&bare(), batch(1).with("a", |a| a.status = AllocStatus::Unknown))),
        ("being evaluated", verdict(&bare(), batch(1).with("a", failed).evaluated(pending, &[]))),
        (
            "will be rescheduled",
            verdict(&bare(), batch(1).with("a", failed).evaluated(EvaluationStatus::Blocked, &[])),
        ),
        (
            "old evaluations are done",
            verdict(
                &bare(),
                batch(1)
                    .with("61d0c2aa", failed)
                    .evaluated(EvaluationStatus::Complete, &[])
                    .evaluated(EvaluationStatus::Failed, &[])
                    .evaluated(EvaluationStatus::Cancelled, &[]),
            ),
        ),
        ("replacement not seen yet", verdict(&bare(), batch(1).with("a", replaced))),
        (
            "replacement runs",
            verdict(&bare(), batch(1).with("a", named("x[0]", replaced)).with("b", named("x[0]", running))),
        ),
        (
            "replacement complete",
            verdict(&bare(), batch(1).with("a", named("x[0]", replaced)).with("b", named("x[0]", |_| ()))),
        ),
        (
            "older complete, latest failed",
            verdict(&bare(), batch(1).with("a", named("x[0]", |_| ())).with("b", named("x[0]", failed))),
        ),
        (
            "listed in another order",
            verdict(
                &bare(),
                batch(1).with("b", named("x[0]", |_| ())).with(
                    "a",
                    named("x[0]", |a| {
                        failed(a);
                        a.create_index = RaftIndex(150);
                    }),
                ),
            ),
        ),
        ("1 of 2 failed", verdict(&bare(), batch(2).with("a", |_| ()).with("b", failed))),
        ("1 of 2 failed, at_least 1", verdict(&at_least_one, batch(2).with("a", running).with("b", failed))),
        ("2 of 2 failed, at_least 1", verdict(&at_least_one, batch(2).with("a", failed).with("b", failed))),
        ("failed, until failed", verdict(&until("failed"), batch(1).with("a", failed))),
        ("complete, until failed", verdict(&until("failed"), batch(1).with("a", |_| ()))),
        ("failed, until finished", verdict(&until("finished"), batch(1).with("a", failed))),
        ("complete, until finished", verdict(&until("finished"), batch(1).with("a", |_| ()))),
        (
            "one of each, until finished",
            verdict(&until("finished"), batch(2).with("a", |_| ()).with("b", failed)),
        ),
        (
            "one runs, until finished",
            verdict(&until("finished"), batch(2).with("a", |_| ()).with("b", running)),
        ),
        ("failed, until running", verdict(&until("running"), batch(1).with("a", failed))),
        (
            "stopped after it failed",
            verdict(&bare(), batch(1).but(|job| job.is_stopped = true).with("a", failed)),
        ),
    ];
    insta::assert_snapshot!(table(cases), @"
    failed for good                    never: it failed: allocation 61d0c2aa: task main exited with 3
    lost for good                      never: it failed: allocation 61d0c2aa
    client out of reach                not yet: 0 of 1 complete, allocation a-0000-0: its client is out of reach
    being evaluated                    not yet: 0 of 1 complete
    will be rescheduled                blocked: 0 of 1 complete; Nomad has no room for it: evaluation e0a1b2c0 is blocked
    old evaluations are done           never: it failed: allocation 61d0c2aa: task main exited with 3
    replacement not seen yet           not yet: 0 of 1 complete
    replacement runs                   not yet: 0 of 1 complete, 1 running
    replacement complete               met: 1 of 1 complete
    older complete, latest failed      never: it failed: allocation b-0000-0: task main exited with 3
    listed in another order            met: 1 of 1 complete
    1 of 2 failed                      never: it failed: allocation b-0000-0: task main exited with 3
    1 of 2 failed, at_least 1          not yet: 0 of 2 complete (1 needed), 1 running, one failed: allocation b-0000-0: task main exited with 3
    2 of 2 failed, at_least 1          never: it failed: allocation a-0000-0: task main exited with 3
    failed, until failed               met: failed: allocation a-0000-0: task main exited with 3
    complete, until failed             not yet: 1 of 1 complete
    failed, until finished             met: 1 of 1 finished, one failed: allocation a-0000-0: task main exited with 3
    complete, until finished           met: 1 of 1 finished
    one of each, until finished        met: 2 of 2 finished, one failed: allocation b-0000-0: task main exited with 3
    one runs, until finished           not yet: 1 of 2 finished, 1 running
    failed, until running              not yet: 0 of 1 running, one failed: allocation a-0000-0: task main exited with 3
    stopped after it failed            not yet: 0 of 1 complete, one failed: allocation a-0000-0: task main exited with 3, and is stopped; start it with `nomad job start migrate`
    ");
}

#[test]
fn running_and_healthy_of_what_ends() {
    let cases = [
        ("runs", verdict(&until("running"), batch(1).with("a", running))),
        ("ended already", verdict(&until("running"), batch(1).with("a", |_| ()))),
        (
            "prestart only",
            verdict(
                &until("running"),
                batch(1).with("a", |a| {
                    running(a);
                    a.tasks.insert("main".to_owned(), task(TaskPhase::Pending));
                }),
            ),
        ),
        (
            "being stopped",
            verdict(
                &until("running"),
                batch(1).with("a", |a| {
                    running(a);
                    a.is_wanted = false;
                }),
            ),
        ),
        (
            "pending",
            verdict(
                &until("running"),
                batch(1).with("a", |a| {
                    running(a);
                    a.status = AllocStatus::Pending;
                }),
            ),
        ),
        ("healthy", verdict(&until("healthy"), batch(1).with("a", |_| ()))),
    ];
    insta::assert_snapshot!(table(cases), @r#"
    runs                               met: 1 of 1 running
    ended already                      not yet: 0 of 1 running, 1 ended already; until = "complete" or "finished" waits for that
    prestart only                      not yet: 0 of 1 running
    being stopped                      not yet: 0 of 1 running
    pending                            not yet: 0 of 1 running
    healthy                            not yet: is a batch job, for which Nomad knows no health; wait until = "complete" or "running"
    "#);
}

#[test]
fn several_groups_are_told_by_name() {
    let two = || {
        batch(1).but(|job| {
            let work = job.groups.get("work").cloned().unwrap();
            job.groups.insert("clean".to_owned(), work);
        })
    };
    let of = |group: &'static str, change: fn(&mut Allocation)| {
        move |a: &mut Allocation| {
            a.group = group.to_owned();
            change(a);
        }
    };
    let cases = [
        (
            "one group lacks",
            verdict(&bare(), two().with("a", of("work", |_| ())).with("b", of("clean", running))),
        ),
        ("both", verdict(&bare(), two().with("a", of("work", |_| ())).with("b", of("clean", |_| ())))),
        ("one group", verdict(&wait(&json!({"group": "work"})), two().with("a", of("work", |_| ())))),
        ("one group failed", verdict(&bare(), two().with("a", of("work", failed)))),
        (
            "the other group failed",
            verdict(&wait(&json!({"group": "clean"})), two().with("a", of("work", failed))),
        ),
    ];
    insta::assert_snapshot!(table(cases), @"
    one group lacks                    not yet: clean 0 of 1 complete, 1 running, work 1 of 1 complete
    both                               met: clean 1 of 1 complete, work 1 of 1 complete
    one group                          met: 1 of 1 complete
    one group failed                   never: it failed: allocation a-0000-0: task main exited with 3
    the other group failed             not yet: 0 of 1 complete
    ");
}

/// A sysbatch job has one place on each client, all with the same name, and no count.
#[test]
fn sysbatch_jobs() {
    let sysbatch = || job("sweep", JobType::Sysbatch, 1);
    let on = |client: &'static str, change: fn(&mut Allocation)| {
        move |a: &mut Allocation| {
            a.name = "sweep.web[0]".to_owned();
            a.client = client.into();
            change(a);
        }
    };
    let half = wait(&json!({"at_least": "50%"}));
    let cases = [
        ("registered", verdict(&bare(), sysbatch())),
        (
            "complete on both",
            verdict(&bare(), sysbatch().with("a", on("1", |_| ())).with("b", on("2", |_| ()))),
        ),
        ("runs on one", verdict(&bare(), sysbatch().with("a", on("1", |_| ())).with("b", on("2", running)))),
        ("half", verdict(&half, sysbatch().with("a", on("1", |_| ())).with("b", on("2", running)))),
        (
            "still being placed",
            verdict(&bare(), sysbatch().with("a", on("1", |_| ())).evaluated(EvaluationStatus::Pending, &[])),
        ),
        ("failed on one", verdict(&bare(), sysbatch().with("a", on("1", |_| ())).with("b", on("2", failed)))),
        (
            "finished on both",
            verdict(&until("finished"), sysbatch().with("a", on("1", |_| ())).with("b", on("2", failed))),
        ),
        (
            "finished, being placed",
            verdict(
                &until("finished"),
                sysbatch().with("a", on("1", |_| ())).evaluated(EvaluationStatus::Pending, &[]),
            ),
        ),
        (
            "failed on one, half is enough",
            verdict(&half, sysbatch().with("a", on("1", running)).with("b", on("2", failed))),
        ),
    ];
    insta::assert_snapshot!(table(cases), @"
    registered                         not yet: 0 of 1 complete, nothing placed yet
    complete on both                   met: 2 of 2 complete
    runs on one                        not yet: 1 of 2 complete, 1 running
    half                               met: 1 of 2 complete (1 needed), 1 running
    still being placed                 not yet: 1 of 1 complete
    failed on one                      never: it failed: allocation b-0000-0: task main exited with 3
    finished on both                   met: 2 of 2 finished, one failed: allocation b-0000-0: task main exited with 3
    finished, being placed             not yet: 1 of 1 finished
    failed on one, half is enough      not yet: 0 of 2 complete (1 needed), 1 running, one failed: allocation b-0000-0: task main exited with 3
    ");
}
