//! What an allocation's own checks say, beside Nomad's word.

use std::time::Duration;

use super::*;
use crate::cluster::{AllocStatus, LiveChecks, sample::service};

fn passing(seconds: u64) -> LiveChecks {
    LiveChecks::Passing { lasted: Duration::from_secs(seconds) }
}

fn failing(output: &str) -> LiveChecks {
    LiveChecks::Failing { check: "http".to_owned(), output: output.to_owned() }
}

/// One allocation `61d0c2aa` of which Nomad and its checks say this.
fn one(by_nomad: Option<bool>, checks: Option<LiveChecks>) -> JobSight {
    let sight = service(1).checked().with("61d0c2aa", |a| a.is_healthy = by_nomad);
    match checks {
        Some(checks) => sight.saying("61d0c2aa", checks),
        None => sight,
    }
}

#[test]
fn checks_and_nomads_word() {
    let unknown = || LiveChecks::Unknown("No path to node".to_owned());
    let bare = bare();
    let cases = [
        ("not asked yet", None, None),
        ("not asked yet, healthy to Nomad", Some(true), None),
        ("pending", None, Some(LiveChecks::Pending)),
        ("pending, healthy to Nomad", Some(true), Some(LiveChecks::Pending)),
        ("pass", None, Some(passing(0))),
        (
            "pass for nearly long enough",
            None,
            Some(LiveChecks::Passing { lasted: Duration::from_millis(9999) }),
        ),
        ("pass for long enough", None, Some(passing(10))),
        ("pass for long, unhealthy to Nomad", Some(false), Some(passing(10))),
        ("pass for short, healthy to Nomad", Some(true), Some(passing(0))),
        ("fail", None, Some(failing("connection refused"))),
        ("fail, healthy to Nomad", Some(true), Some(failing("HTTP 500"))),
        ("fail silently, healthy to Nomad", Some(true), Some(failing(""))),
        ("unknown", None, Some(unknown())),
        ("unknown, healthy to Nomad", Some(true), Some(unknown())),
    ];
    let lines = cases.map(|(case, by_nomad, checks)| (case, verdict(&bare, one(by_nomad, checks))));
    insta::assert_snapshot!(table(lines), @"
    not asked yet                      not yet: 0 of 1 healthy, allocation 61d0c2aa: its checks are being asked
    not asked yet, healthy to Nomad    not yet: 0 of 1 healthy, allocation 61d0c2aa: its checks are being asked
    pending                            not yet: 0 of 1 healthy, allocation 61d0c2aa: its checks have not all answered yet
    pending, healthy to Nomad          not yet: 0 of 1 healthy, allocation 61d0c2aa: its checks have not all answered yet
    pass                               not yet: 0 of 1 healthy, allocation 61d0c2aa: its checks pass, and must for 10s
    pass for nearly long enough        not yet: 0 of 1 healthy, allocation 61d0c2aa: its checks pass, and must for 10s
    pass for long enough               met: 1 of 1 healthy
    pass for long, unhealthy to Nomad  met: 1 of 1 healthy
    pass for short, healthy to Nomad   met: 1 of 1 healthy
    fail                               not yet: 0 of 1 healthy, allocation 61d0c2aa: check `http` fails: connection refused
    fail, healthy to Nomad             not yet: 0 of 1 healthy, allocation 61d0c2aa: check `http` fails: HTTP 500
    fail silently, healthy to Nomad    not yet: 0 of 1 healthy, allocation 61d0c2aa: check `http` fails
    unknown                            not yet: 0 of 1 healthy, the checks of allocation 61d0c2aa cannot be asked, so Nomad's word counts: No path to node
    unknown, healthy to Nomad          met: 1 of 1 healthy, the checks of allocation 61d0c2aa cannot be asked, so Nomad's word counts: No path to node
    ");
}

#[test]
fn where_checks_cannot_be_asked_a_word_from_before_a_restart_does_not_count() {
    const RESTARTED: i64 = 1_700_000_000;
    let at = |restarts, judged: Option<i64>| {
        let unknown = LiveChecks::Unknown("No path to node".to_owned());
        let mut sight = one(Some(true), Some(unknown));
        for allocation in sight.allocations.values_mut() {
            allocation.judged = judged.map(|second| second * 1_000_000 + 999_999);
            let main = allocation.tasks.get_mut("main").unwrap();
            (main.restarts, main.started) = (restarts, Some(RESTARTED * 1_000_000));
        }
        verdict(&bare(), sight)
    };
    let cases = [
        ("never restarted", at(0, Some(RESTARTED - 10))),
        ("before it", at(1, Some(RESTARTED - 10))),
        ("in the same second", at(1, Some(RESTARTED))),
        ("after it", at(1, Some(RESTARTED + 1))),
        ("nobody knows when", at(1, None)),
    ];
    insta::assert_snapshot!(table(cases), @"
    never restarted                    met: 1 of 1 healthy, the checks of allocation 61d0c2aa cannot be asked, so Nomad's word counts: No path to node
    before it                          not yet: 0 of 1 healthy, the checks of allocation 61d0c2aa cannot be asked since its restart, and Nomad's word is older: No path to node
    in the same second                 not yet: 0 of 1 healthy, the checks of allocation 61d0c2aa cannot be asked since its restart, and Nomad's word is older: No path to node
    after it                           met: 1 of 1 healthy, the checks of allocation 61d0c2aa cannot be asked, so Nomad's word counts: No path to node
    nobody knows when                  not yet: 0 of 1 healthy, the checks of allocation 61d0c2aa cannot be asked since its restart, and Nomad's word is older: No path to node
    ");
}

#[test]
fn where_checks_cannot_tell_nomads_word_counts() {
    let fine = || one(None, Some(passing(60)));
    let foul = || one(Some(true), Some(failing("HTTP 500")));
    let by_nomad = wait(&serde_json::json!({"source": "nomad"}));
    let any = wait(&serde_json::json!({"any_version": true}));
    let older = |sight: JobSight| {
        let mut sight = sight;
        sight.allocations.values_mut().for_each(|a| a.job_version = Some(JobVersion(2)));
        sight
    };
    let others = |sight: JobSight| sight.but_group(|group| group.has_other_checks = true);
    let none = |sight: JobSight| sight.but_group(|group| group.own_checks = 0);
    let cases = [
        ("source = nomad, pass", verdict(&by_nomad, fine())),
        ("source = nomad, fail", verdict(&by_nomad, foul())),
        ("any_version, older, fail", verdict(&any, older(foul()))),
        ("any_version, current, fail", verdict(&any, foul())),
        ("older, pass", verdict(&bare(), older(fine()))),
        ("others beside them, pass", verdict(&bare(), others(fine()))),
        ("others beside them, fail", verdict(&bare(), others(foul()))),
        ("task_states or manual, pass", verdict(&bare(), none(fine()))),
        ("task_states or manual, fail", verdict(&bare(), none(foul()))),
        ("until running, fail", verdict(&until("running"), foul())),
    ];
    insta::assert_snapshot!(table(cases), @"
    source = nomad, pass               not yet: 0 of 1 healthy
    source = nomad, fail               met: 1 of 1 healthy
    any_version, older, fail           met: 1 of 1 healthy
    any_version, current, fail         not yet: 0 of 1 healthy, allocation 61d0c2aa: check `http` fails: HTTP 500
    older, pass                        not yet: 0 of 1 healthy
    others beside them, pass           not yet: 0 of 1 healthy, allocation 61d0c2aa: it has checks of another provider than Nomad, so Nomad's word counts
    others beside them, fail           not yet: 0 of 1 healthy, allocation 61d0c2aa: check `http` fails: HTTP 500
    task_states or manual, pass        not yet: 0 of 1 healthy
    task_states or manual, fail        met: 1 of 1 healthy
    until running, fail                met: 1 of 1 running
    ");
}

#[test]
fn passing_counts_only_of_what_runs_and_is_wanted() {
    use crate::cluster::TaskPhase;
    let but = |change: fn(&mut Allocation)| {
        let mut sight = one(None, Some(passing(60)));
        sight.allocations.values_mut().for_each(change);
        verdict(&bare(), sight)
    };
    let cases = [
        ("as it should be", but(|_| ())),
        ("not wanted", but(|a| a.is_wanted = false)),
        ("ended", but(|a| a.status = AllocStatus::Complete)),
        ("lost", but(|a| a.status = AllocStatus::Lost)),
        (
            "between two starts",
            but(|a| drop(a.tasks.insert("main".to_owned(), sample::task(TaskPhase::Pending)))),
        ),
        ("of a purged job", but(|a| a.create_index = crate::cluster::RaftIndex(99))),
        ("stopped job", verdict(&bare(), one(None, Some(passing(60))).but(|job| job.is_stopped = true))),
    ];
    insta::assert_snapshot!(table(cases), @"
    as it should be                    met: 1 of 1 healthy
    not wanted                         not yet: 0 of 1 healthy
    ended                              not yet: 0 of 1 healthy
    lost                               not yet: 0 of 1 healthy
    between two starts                 not yet: 0 of 1 healthy
    of a purged job                    not yet: 0 of 1 healthy
    stopped job                        not yet: is stopped; start it with `nomad job start postgres`
    ");
}

#[test]
fn with_one_of_three_failing_two_are_enough_and_three_are_not() {
    let three = || {
        let healthy = |a: &mut Allocation| a.is_healthy = None;
        let all = service(3).checked().with("a", healthy).with("b", healthy).with("c", healthy);
        all.saying("a", passing(10)).saying("b", failing("HTTP 500")).saying("c", passing(10))
    };
    let two = wait(&serde_json::json!({"at_least": "2"}));
    insta::assert_snapshot!(verdict(&two, three()), @"met: 2 of 3 healthy (2 needed), allocation b-0000-0: check `http` fails: HTTP 500");
    insta::assert_snapshot!(verdict(&bare(), three()), @"not yet: 2 of 3 healthy, allocation b-0000-0: check `http` fails: HTTP 500");
}

#[test]
fn the_group_says_for_how_long() {
    let with = |seconds: Option<u64>| {
        one(None, Some(passing(5))).but_group(|group| {
            let update = group.update.unwrap();
            group.update = seconds.map(|seconds| crate::cluster::UpdatePolicy {
                min_healthy_time: Duration::from_secs(seconds),
                ..update
            });
        })
    };
    let cases = [
        ("5s", verdict(&bare(), with(Some(5)))),
        ("6s", verdict(&bare(), with(Some(6)))),
        ("none, as without deployments", verdict(&bare(), with(None))),
    ];
    insta::assert_snapshot!(table(cases), @"
    5s                                 met: 1 of 1 healthy
    6s                                 not yet: 0 of 1 healthy, allocation 61d0c2aa: its checks pass, and must for 6s
    none, as without deployments       not yet: 0 of 1 healthy, allocation 61d0c2aa: its checks pass, and must for 10s
    ");
}

#[test]
fn what_is_seen_is_told_line_by_line() {
    use crate::cluster::{DeploymentStatus, TaskPhase, sample};
    let older = |a: &mut Allocation| a.job_version = Some(JobVersion(2));
    let waiting = |a: &mut Allocation| {
        a.is_healthy = None;
        let state = crate::cluster::TaskState { restarts: 2, ..sample::task(TaskPhase::Pending) };
        a.tasks.insert(
            "main".to_owned(),
            crate::cluster::TaskState { last_event: "Restarting".to_owned(), ..state },
        );
    };
    let sight = service(3)
        .checked()
        .deployed(DeploymentStatus::Running, |_| ())
        .with("a", older)
        .with("b", |_| ())
        .with("c", waiting)
        .saying("b", failing("HTTP 500"))
        .evaluated(EvaluationStatus::Blocked, &[("web", "1 client exhausted: memory")]);
    insta::assert_snapshot!(observed(&bare(), &sight.seen()).join("\n"), @"
    version 3
    deployment 7c41f0ab: Deployment in some state; group web: 0 of 3 healthy
    allocation c-0000-0, postgres.web[2]: running; task gate: dead; task main: pending, restarted 2 times (Restarting)
    allocation b-0000-0, postgres.web[1]: running, healthy to Nomad, check `http` fails: HTTP 500; task gate: dead; task main: running
    allocation a-0000-0, postgres.web[0]: running, of version 2, healthy to Nomad; task gate: dead; task main: running
    evaluation e0a1b2c0 is blocked: group web: 1 client exhausted: memory
    ");
    let many = (0..9).fold(service(9), |sight, n| sight.with(&format!("n{n}"), |_| ()));
    insta::assert_snapshot!(observed(&bare(), &many.seen()).join("\n"), @"
    version 3
    allocation n8-0000-, postgres.web[8]: running, healthy to Nomad; task gate: dead; task main: running
    allocation n7-0000-, postgres.web[7]: running, healthy to Nomad; task gate: dead; task main: running
    allocation n6-0000-, postgres.web[6]: running, healthy to Nomad; task gate: dead; task main: running
    allocation n5-0000-, postgres.web[5]: running, healthy to Nomad; task gate: dead; task main: running
    allocation n4-0000-, postgres.web[4]: running, healthy to Nomad; task gate: dead; task main: running
    allocation n3-0000-, postgres.web[3]: running, healthy to Nomad; task gate: dead; task main: running
    and 3 allocations more
    ");
    assert!(observed(&bare(), &Sight::Absent { similar: None }).is_empty());
}

#[test]
fn the_last_words_are_those_of_the_newest_task_that_failed() {
    use crate::cluster::sample::{batch, failed_task};
    let failed = |a: &mut Allocation| drop(a.tasks.insert("main".to_owned(), failed_task(1)));
    let older = |a: &mut Allocation| {
        failed(a);
        a.job_version = Some(JobVersion(2));
    };
    let sight = batch(3).with("a", failed).with("b", failed).with("c", |_| ()).with("d", older);
    let (alloc, task) = culprit(&sight.seen()).unwrap();
    assert_eq!((alloc.short(), task.as_str()), ("b-0000-0", "main"));
    assert_eq!(culprit(&batch(1).with("a", |_| ()).seen()), None);
}
