//! Tasks of the own allocation, and where the gate stands in it.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::cluster::{
    AllocStatus, Blindness, Check, CheckStatus, Lifecycle, LifecycleHook, Place, TaskSpec, TaskState,
    UpdatePolicy,
    sample::{batch, failed_task, service, task, unseen},
};

fn place() -> Place {
    Place {
        job: crate::cluster::JobKey::new("default", "postgres"),
        group: "web".to_owned(),
        alloc: "own-0000-0000".into(),
        task: "gate".to_owned(),
    }
}

/// The own job with a task `proxy` beside the gate.
fn with_proxy(lifecycle: Option<Lifecycle>, has_nomad_checks: bool, state: Option<TaskState>) -> JobSight {
    let spec = TaskSpec { lifecycle, has_nomad_checks };
    service(1)
        .but_group(|group| {
            group.tasks.insert("proxy".to_owned(), spec);
        })
        .with("own", |own| {
            own.is_healthy = None;
            own.tasks = [("gate".to_owned(), task(TaskPhase::Running))].into();
            own.tasks.extend(state.map(|state| ("proxy".to_owned(), state)));
        })
}

const SIDECAR: Option<Lifecycle> = Some(Lifecycle { hook: LifecycleHook::Prestart, is_sidecar: true });
const BEFORE: Option<Lifecycle> = Some(Lifecycle { hook: LifecycleHook::Prestart, is_sidecar: false });

fn check(task: &str, status: CheckStatus, output: &str) -> Check {
    Check {
        name: "alive".to_owned(),
        service: "proxy".to_owned(),
        task: task.to_owned(),
        status,
        output: output.to_owned(),
        at: 100,
    }
}

fn ask(until: Option<&str>, own: JobSight, checks: Option<&[Check]>) -> String {
    let wait = wait(&json!({"task": "proxy", "until": until}));
    told(judge_task(&wait, "proxy", &place(), &own.seen(), checks))
}

#[test]
fn a_sidecar_of_the_own_allocation() {
    let runs = || Some(task(TaskPhase::Running));
    let again = |second: i64| {
        Some(TaskState { restarts: 1, started: Some(second * 1_000_000 + 1), ..task(TaskPhase::Running) })
    };
    let passes = [check("proxy", CheckStatus::Success, "")];
    let fails = [check("proxy", CheckStatus::Success, ""), check("proxy", CheckStatus::Failure, "refused")];
    let silent = [check("proxy", CheckStatus::Pending, "")];
    let other = [check("main", CheckStatus::Success, "")];
    let cases = [
        ("not reported", ask(None, with_proxy(SIDECAR, false, None), None)),
        (
            "nothing reported at all",
            ask(None, with_proxy(SIDECAR, false, None).with("own", |own| own.tasks.clear()), None),
        ),
        ("pending", ask(None, with_proxy(SIDECAR, false, Some(task(TaskPhase::Pending))), None)),
        ("runs", ask(Some("running"), with_proxy(SIDECAR, true, runs()), None)),
        ("runs, no checks", ask(None, with_proxy(SIDECAR, false, runs()), None)),
        ("runs, checks not asked", ask(None, with_proxy(SIDECAR, true, runs()), None)),
        ("runs, no answer yet", ask(None, with_proxy(SIDECAR, true, runs()), Some(&[]))),
        ("runs, only another's check", ask(None, with_proxy(SIDECAR, true, runs()), Some(&other))),
        ("runs, one check fails", ask(None, with_proxy(SIDECAR, true, runs()), Some(&fails))),
        ("runs, check pending", ask(None, with_proxy(SIDECAR, true, runs()), Some(&silent))),
        ("runs, passes", ask(None, with_proxy(SIDECAR, true, runs()), Some(&passes))),
        ("restarted, passed before", ask(None, with_proxy(SIDECAR, true, again(100)), Some(&passes))),
        ("restarted, passes again", ask(None, with_proxy(SIDECAR, true, again(99)), Some(&passes))),
        ("runs, until complete", ask(Some("complete"), with_proxy(SIDECAR, true, runs()), Some(&passes))),
        ("failed", ask(None, with_proxy(SIDECAR, false, Some(failed_task(2))), None)),
        ("ended", ask(None, with_proxy(SIDECAR, false, Some(task(TaskPhase::Dead))), None)),
        ("prestart runs", ask(None, with_proxy(BEFORE, false, runs()), None)),
        ("prestart completed", ask(None, with_proxy(BEFORE, false, Some(task(TaskPhase::Dead))), None)),
        ("prestart failed", ask(None, with_proxy(BEFORE, false, Some(failed_task(2))), None)),
        (
            "prestart completed, until running",
            ask(Some("running"), with_proxy(BEFORE, false, Some(task(TaskPhase::Dead))), None),
        ),
        ("main task", ask(None, with_proxy(None, false, Some(task(TaskPhase::Pending))), None)),
        (
            "client gone",
            ask(
                None,
                with_proxy(SIDECAR, false, runs()).with("own", |own| own.status = AllocStatus::Lost).with(
                    "own",
                    |own| {
                        own.status = AllocStatus::Lost;
                        own.tasks.insert("proxy".to_owned(), task(TaskPhase::Running));
                    },
                ),
                None,
            ),
        ),
        (
            "older version, runs",
            ask(None, with_proxy(SIDECAR, false, runs()).but(|job| job.version = JobVersion(4)), None),
        ),
        (
            "older version, until running",
            ask(
                Some("running"),
                with_proxy(SIDECAR, false, runs()).but(|job| job.version = JobVersion(4)),
                None,
            ),
        ),
    ];
    insta::assert_snapshot!(table(cases), @"
    not reported                       not yet: has not been reported on yet
    nothing reported at all            not yet: has not been reported on yet
    pending                            not yet: task proxy has not started
    runs                               met: task proxy runs
    runs, no checks                    met: task proxy runs; it has no checks of Nomad's own, so that counts
    runs, checks not asked             not yet: task proxy runs, its checks have not answered yet
    runs, no answer yet                not yet: task proxy runs, its checks have not answered yet
    runs, only another's check         not yet: task proxy runs, its checks have not answered yet
    runs, one check fails              not yet: task proxy runs, its check `alive` does not pass: refused
    runs, check pending                not yet: task proxy runs, its check `alive` has not answered yet
    runs, passes                       met: task proxy runs and passes 1 of 1 checks
    restarted, passed before           not yet: task proxy runs, its check `alive` has not answered yet
    restarted, passes again            met: task proxy runs and passes 1 of 1 checks
    runs, until complete               not yet: task proxy runs
    failed                             never: task proxy failed: Exit Code: 2
    ended                              never: task proxy has ended: 
    prestart runs                      not yet: task proxy runs
    prestart completed                 met: task proxy completed
    prestart failed                    never: task proxy failed: Exit Code: 2
    prestart completed, until running  never: task proxy has ended: 
    main task                          never: task proxy is a main task: it starts only after this gate
    client gone                        not yet: the client of the allocation is gone
    older version, runs                not yet: task proxy runs; whether it has checks is not to be seen
    older version, until running       met: task proxy runs
    ");
}

#[test]
fn an_own_allocation_that_cannot_be_seen() {
    let wait = wait(&json!({"task": "proxy"}));
    let ask = |own: Sight| told(judge_task(&wait, "proxy", &place(), &own, None));
    let missing =
        service(1).with("own", |own| own.tasks = [("gate".to_owned(), task(TaskPhase::Running))].into());
    insta::assert_snapshot!(table([
        ("denied", ask(unseen(Blindness::Denied, "not allowed"))),
        ("job purged", ask(Sight::Absent { similar: None })),
        ("allocation not listed", ask(service(1).with("other", |_| ()).seen())),
        ("no such task", ask(missing.seen())),
    ]), @"
    denied                             not yet: not allowed; a hint
    job purged                         not yet: the task's own job is not registered any more
    allocation not listed              not yet: the task's own allocation is not to be seen
    no such task                       not yet: the allocation has no task proxy; it has gate
    ");
}

fn stands(own: JobSight, minutes: u64) -> String {
    match standing(&place(), &own.seen(), Duration::from_mins(minutes)) {
        Standing::Looking => "looking".to_owned(),
        Standing::Unknown(why) => format!("unknown: {why}"),
        Standing::Good(None) => "good".to_owned(),
        Standing::Good(Some(note)) => format!("good: {note}"),
        Standing::Misplaced(why) => format!("misplaced: {why}"),
    }
}

fn gate_is(lifecycle: Option<Lifecycle>) -> JobSight {
    service(1)
        .with("own", |_| ())
        .but_group(|group| group.tasks.get_mut("gate").unwrap().lifecycle = lifecycle)
}

#[test]
fn a_gate_holds_only_as_a_prestart_task_that_is_no_sidecar() {
    let at = |hook, is_sidecar| Some(Lifecycle { hook, is_sidecar });
    insta::assert_snapshot!(table([
        ("prestart", stands(gate_is(at(LifecycleHook::Prestart, false)), 5)),
        ("sidecar", stands(gate_is(at(LifecycleHook::Prestart, true)), 5)),
        ("main task", stands(gate_is(None), 5)),
        ("poststart", stands(gate_is(at(LifecycleHook::Poststart, false)), 5)),
        ("poststop", stands(gate_is(at(LifecycleHook::Poststop, false)), 5)),
        ("own version is an older one", stands(gate_is(None).but(|job| job.version = JobVersion(4)), 5)),
        ("own version not known yet", stands(gate_is(None).with("own", |own| own.job_version = None), 5)),
        ("own allocation not listed", stands(service(1), 5)),
        ("group gone", stands(gate_is(None).but(|job| job.groups.clear()), 5)),
        ("task gone", stands(gate_is(None).but_group(|group| group.tasks.clear()), 5)),
    ]), @r#"
    prestart                           good
    sidecar                            misplaced: task `gate` is a sidecar, and Nomad holds nothing back for it; write `lifecycle { hook = "prestart" sidecar = false }` into it, each attribute on a line of its own; to keep watch beside the main tasks, give its waits an `on_loss`
    main task                          misplaced: task `gate` is a main task, and Nomad holds nothing back for it; write `lifecycle { hook = "prestart" sidecar = false }` into it, each attribute on a line of its own
    poststart                          misplaced: task `gate` is a poststart task, and Nomad holds nothing back for it; write `lifecycle { hook = "prestart" sidecar = false }` into it, each attribute on a line of its own
    poststop                           misplaced: task `gate` is a poststop task, and Nomad holds nothing back for it; write `lifecycle { hook = "prestart" sidecar = false }` into it, each attribute on a line of its own
    own version is an older one        good
    own version not known yet          looking
    own allocation not listed          looking
    group gone                         good
    task gone                          good
    "#);
}

#[test]
fn what_is_not_known_of_the_own_job_keeps_the_gate_shut_only_while_it_may_still_come() {
    let of = |own: &Sight| standing(&place(), own, Duration::from_mins(5));
    let looking = of(&unseen(Blindness::Looking, "…"));
    let away = of(&unseen(Blindness::Unreachable, "…"));
    let denied = of(&unseen(Blindness::Denied, "not allowed"));
    let purged = of(&Sight::Absent { similar: None });
    assert_eq!((looking.is_undecided(), away.is_undecided()), (true, true));
    assert_eq!(denied, Standing::Unknown("not allowed".to_owned()));
    assert_eq!((denied.is_undecided(), purged.is_undecided()), (false, false));
    assert!(!of(&gate_is(BEFORE).seen()).is_undecided());
    assert!(!of(&gate_is(None).seen()).is_undecided());
}

#[test]
fn deadlines_that_are_too_short_are_named_with_the_numbers_to_set() {
    let group = |healthy: u64, progress: u64| {
        gate_is(BEFORE).but_group(|group| {
            group.update = Some(UpdatePolicy {
                min_healthy_time: Duration::from_secs(10),
                healthy_deadline: Duration::from_mins(healthy),
                progress_deadline: Duration::from_mins(progress),
                auto_revert: false,
            });
        })
    };
    let no_update = gate_is(BEFORE).but_group(|group| group.update = None);
    insta::assert_snapshot!(table([
        ("as long as the gate", stands(group(5, 5), 5)),
        ("healthy_deadline too short", stands(group(5, 10), 6)),
        ("both too short", stands(group(5, 10), 30)),
        ("progress_deadline too short", stands(group(10, 5), 6)),
        ("no progress_deadline", stands(group(10, 0), 6)),
        ("no update block", stands(no_update, 60)),
    ]), @r#"
    as long as the gate                good
    healthy_deadline too short         good: this gate may wait 6m, but healthy_deadline = 5m would fail the deployment meanwhile; set `update { healthy_deadline = "11m" progress_deadline = "16m" }`
    both too short                     good: this gate may wait 30m, but healthy_deadline = 5m would fail the deployment meanwhile; set `update { healthy_deadline = "35m" progress_deadline = "40m" }`
    progress_deadline too short        good: this gate may wait 6m, but progress_deadline = 5m would fail the deployment meanwhile; set `update { healthy_deadline = "11m" progress_deadline = "16m" }`
    no progress_deadline               good
    no update block                    good
    "#);
    assert!(batch(1).job.groups.values().all(|group| group.update.is_none()));
}
