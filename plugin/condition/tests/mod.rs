//! Health, job type by job type: what Nomad was seen to show, and what it means. `sequences` lists the recorded cases by number.

mod answers;
mod circle;
mod ends;
mod live;
mod narrow;
mod own;
mod runs_on;
mod sequences;

use super::*;
use crate::{
    cluster::{JobVersion, sample},
    manifest::{AtLeast, Manifest},
};

/// A wait for a job, as the user would write it.
fn wait(attributes: &serde_json::Value) -> Wait {
    let config = serde_json::json!({"wait": {"it": attributes}});
    let (manifest, problems) = Manifest::from_msgpack(&rmp_serde::to_vec(&config).unwrap());
    assert!(problems.is_empty(), "{problems}");
    *manifest.waits.into_values().next().unwrap()
}

fn until(word: &str) -> Wait {
    wait(&serde_json::json!({ "until": word }))
}

fn bare() -> Wait {
    wait(&serde_json::json!({}))
}

fn told(verdict: Verdict) -> String {
    match verdict {
        Verdict::Met(how) => format!("met: {how}"),
        Verdict::NotYet(Obstacle { text, is_blocked: false }) => format!("not yet: {text}"),
        Verdict::NotYet(Obstacle { text, is_blocked: true }) => format!("blocked: {text}"),
        Verdict::Never(why) => format!("never: {why}"),
    }
}

fn verdict(wait: &Wait, sight: JobSight) -> String {
    told(judge(wait, &sight.seen(), true))
}

/// One line for each case.
fn table(cases: impl IntoIterator<Item = (&'static str, String)>) -> String {
    let lines: Vec<String> =
        cases.into_iter().map(|(case, verdict)| format!("{case:<34} {verdict}")).collect();
    lines.join("\n")
}

#[test]
fn what_cannot_be_seen_is_not_yet() {
    use crate::cluster::Blindness;
    let denied = sample::unseen(Blindness::Denied, "Nomad does not allow it");
    let hint = Some("do this:\n  this line".to_owned());
    let why = "cannot".to_owned();
    let silent = Unseen { because: Blindness::Unreachable, why: why.clone(), hint: None };
    assert_eq!(told(blind(&silent)), "not yet: cannot");
    assert_eq!(told(blind(&Unseen { hint, ..silent })), "not yet: cannot; do this: this line");
    for word in Until::WORDS {
        assert_eq!(
            told(judge(&until(word), &denied, true)),
            "not yet: Nomad does not allow it; a hint",
            "{word}"
        );
    }
}

#[test]
fn a_job_that_is_not_there() {
    let nobody = Sight::Absent { similar: None };
    let near = Sight::Absent { similar: Some("postgres".into()) };
    let cases = Until::WORDS.iter().map(|word| (*word, told(judge(&until(word), &near, false))));
    insta::assert_snapshot!(table(cases.chain([
        ("default", told(judge(&bare(), &nobody, false))),
        ("stopped, was there", told(judge(&until("stopped"), &nobody, true))),
        ("healthy, was there", told(judge(&until("healthy"), &nobody, true))),
    ])), @r#"
    running                            not yet: no job has this ID yet (did you mean `postgres`?)
    healthy                            not yet: no job has this ID yet (did you mean `postgres`?)
    complete                           not yet: no job has this ID yet (did you mean `postgres`?)
    failed                             not yet: no job has this ID yet (did you mean `postgres`?)
    finished                           not yet: no job has this ID yet (did you mean `postgres`?)
    stopped                            not yet: no job has this ID (did you mean `postgres`?); until = "absent" waits for that
    absent                             met: no job has this ID
    default                            not yet: no job has this ID yet
    stopped, was there                 met: it was purged
    healthy, was there                 not yet: no job has this ID yet
    "#);
}

#[test]
fn a_job_is_stopped_when_nothing_of_it_runs_any_more() {
    use crate::cluster::{AllocStatus, JobType};
    let stopped = |kind| sample::job("it", kind, 1).but(|job| job.is_stopped = true);
    let cases = [
        ("running", verdict(&until("stopped"), sample::service(1).with("a", |_| ()))),
        (
            "stopped, one still ending",
            verdict(&until("stopped"), stopped(JobType::Service).with("a", |_| ())),
        ),
        (
            "stopped, all ended",
            verdict(
                &until("stopped"),
                stopped(JobType::Service).with("a", |a| a.status = AllocStatus::Complete),
            ),
        ),
        ("stopped service is finished", verdict(&until("finished"), stopped(JobType::Service))),
        ("service is not finished", verdict(&until("finished"), sample::service(1))),
        ("batch that ended is not stopped", verdict(&until("stopped"), sample::batch(1).with("a", |_| ()))),
        ("stopped batch", verdict(&until("stopped"), stopped(JobType::Batch))),
        ("registered is not absent", verdict(&until("absent"), stopped(JobType::Batch))),
        ("stopped is not healthy", verdict(&bare(), stopped(JobType::Service).with("a", |_| ()))),
        ("stopped is not complete", verdict(&bare(), stopped(JobType::Batch))),
        (
            "stopped does not talk of room",
            verdict(
                &bare(),
                stopped(JobType::Service).evaluated(EvaluationStatus::Blocked, &[("web", "memory")]),
            ),
        ),
    ];
    insta::assert_snapshot!(table(cases), @"
    running                            not yet: is not stopped
    stopped, one still ending          not yet: stopped, 1 still ending
    stopped, all ended                 met: stopped
    stopped service is finished        met: stopped
    service is not finished            not yet: is not stopped
    batch that ended is not stopped    not yet: is not stopped
    stopped batch                      met: stopped
    registered is not absent           not yet: is still registered
    stopped is not healthy             not yet: is stopped; start it with `nomad job start it`
    stopped is not complete            not yet: 0 of 1 complete, nothing placed yet, and is stopped; start it with `nomad job start it`
    stopped does not talk of room      not yet: is stopped; start it with `nomad job start it`
    ");
}

#[test]
fn a_job_that_only_launches_others_is_ready_when_it_is_registered() {
    use crate::cluster::JobType;
    let periodic = || sample::batch(1).but(|job| job.is_periodic = true);
    let dispatched = || sample::batch(1).but(|job| job.is_parameterized = true);
    let cases = [
        ("periodic", verdict(&bare(), periodic())),
        ("periodic running", verdict(&until("running"), periodic())),
        ("periodic healthy", verdict(&until("healthy"), periodic())),
        ("periodic complete", verdict(&until("complete"), periodic())),
        ("periodic stopped", verdict(&bare(), periodic().but(|job| job.is_stopped = true))),
        ("parameterized", verdict(&bare(), dispatched())),
        (
            "parameterized service",
            verdict(&bare(), sample::job("s", JobType::Service, 1).but(|job| job.is_parameterized = true)),
        ),
    ];
    insta::assert_snapshot!(table(cases), @"
    periodic                           met: is periodic and registered; the jobs it launches have IDs of their own
    periodic running                   met: is periodic and registered; the jobs it launches have IDs of their own
    periodic healthy                   met: is periodic and registered; the jobs it launches have IDs of their own
    periodic complete                  not yet: is periodic and registered; the jobs it launches have IDs of their own
    periodic stopped                   not yet: is stopped
    parameterized                      met: is parameterized and registered; its dispatched jobs have IDs of their own
    parameterized service              met: is parameterized and registered; its dispatched jobs have IDs of their own
    ");
}

#[test]
fn a_group_that_the_job_does_not_have() {
    let wait = wait(&serde_json::json!({"group": "wep"}));
    insta::assert_snapshot!(verdict(&wait, sample::service(1).with("a", |_| ())), @"not yet: version 3 has no group `wep`; it has web");
}

#[test]
fn defaults_follow_the_job_type() {
    use crate::cluster::JobType::{Batch, Service, Sysbatch, System};
    let defaults = [Service, System, Batch, Sysbatch].map(|kind| default_until(kind).word());
    assert_eq!(defaults, ["healthy", "healthy", "complete", "complete"]);
}

#[test]
fn a_version_begins_anew_after_a_purge() {
    let outdated = sample::batch(1).with("old", |a| a.create_index = crate::cluster::RaftIndex(99));
    assert!(verdict(&bare(), outdated).starts_with("not yet"));
    let same_index = sample::batch(1).with("old", |a| a.create_index = crate::cluster::RaftIndex(100));
    assert!(verdict(&bare(), same_index).starts_with("not yet"));
    let older = sample::batch(1).with("old", |a| a.job_version = Some(JobVersion(2)));
    assert!(verdict(&bare(), older).starts_with("not yet"));
    let any = wait(&serde_json::json!({"any_version": true}));
    let of_a_predecessor = |a: &mut Allocation| a.create_index = crate::cluster::RaftIndex(99);
    assert!(verdict(&any, sample::batch(1).with("old", of_a_predecessor)).starts_with("not yet"));
    assert!(verdict(&any, sample::service(1).with("old", of_a_predecessor)).starts_with("not yet"));
    let unknown = sample::batch(1).with("new", |a| a.job_version = None);
    assert!(verdict(&bare(), unknown).starts_with("not yet"));
}

#[test]
fn at_least_none_of_nothing_is_enough() {
    let wait = Wait { at_least: Some(AtLeast::Count(2)), ..bare() };
    insta::assert_snapshot!(verdict(&wait, sample::service(0)), @"met: count = 0, nothing to wait for");
    insta::assert_snapshot!(verdict(&wait, sample::batch(0)), @"met: count = 0, nothing to wait for");
}
