//! The oracle has to find what is wrong: records that are doctored, one fault each.

use serde_json::{Value, json};

use super::super::JobRecord;
use super::{Record, judge};

pub(super) fn nanos(second: i64) -> i64 {
    1_800_000_000_000_000_000 + second * 1_000_000_000
}

pub(super) fn at(second: i64) -> String {
    jiff::Timestamp::from_nanosecond(nanos(second).into()).unwrap().to_string()
}

/// A job of the tree in its first version, registered at a second.
pub(super) fn version(node: &str, kind: &str, submitted: i64) -> Value {
    json!({
        "ID": node, "Namespace": "default", "Type": kind, "Version": 0, "Stop": false,
        "SubmitTime": nanos(submitted), "JobModifyIndex": submitted,
        "Meta": { "dtree_tree": "default/shop", "dtree_node": node, "dtree_spec": "s1" },
        "TaskGroups": [{ "Name": "g", "Count": 1, "Tasks": [{ "Name": "main", "Lifecycle": null }] }],
    })
}

fn healthy(second: i64) -> Value {
    json!({
        "ID": "a", "TaskGroup": "g", "JobVersion": 0, "ClientStatus": "running", "CreateTime": nanos(0),
        "DeploymentStatus": { "Healthy": true, "Timestamp": at(second) },
        "TaskStates": { "main": { "State": "running", "Failed": false, "StartedAt": at(0) } },
    })
}

pub(super) fn completed(second: i64, code: i64) -> Value {
    json!({
        "ID": "b", "TaskGroup": "g", "JobVersion": 0, "CreateTime": nanos(0),
        "ClientStatus": if code == 0 { "complete" } else { "failed" },
        "TaskStates": { "main": {
            "State": "dead", "Failed": code != 0, "StartedAt": at(0), "FinishedAt": at(second),
            "Events": [{ "Type": "Terminated", "ExitCode": code }],
        } },
    })
}

/// `db`, its pre hook and its post hook, and `web` after it: check 1 to 2, db 3 to 5, setup 6 to 7, web 8 to 10.
pub(super) fn shop() -> Record {
    let hook = |name: &str| json!([{ name: [{ "jobspec": "x", "retain": "all" }] }]);
    let config = json!({
        "max_parallel": 1,
        "job": [
            { "db": [{ "jobspec": "x", "pre": hook("check"), "post": hook("setup") }] },
            { "web": [{ "jobspec": "x", "depends_on": ["db"] }] },
        ],
    });
    let tree = json!({
        "ID": "shop", "Namespace": "default", "Type": "batch", "Version": 0, "SubmitTime": nanos(0),
        "TaskGroups": [{ "Name": "g", "Tasks": [{ "Name": "tree", "Driver": "dtree", "Config": config }] }],
    });
    let mut run = completed(11, 0);
    run["TaskStates"] = json!({ "tree": run["TaskStates"]["main"] });
    let mut record = Record {
        name: "default/shop".to_owned(),
        tree: JobRecord { versions: vec![tree], allocations: vec![run] },
        ..Record::default()
    };
    for (label, id, kind, submitted, allocation) in [
        ("check", "check-1", "batch", 1, completed(2, 0)),
        ("db", "db", "service", 3, healthy(5)),
        ("setup", "setup-1", "batch", 6, completed(7, 0)),
        ("web", "web", "service", 8, healthy(10)),
    ] {
        add(&mut record, label, id, version(label, kind, submitted), allocation);
    }
    record
}

pub(super) fn add(record: &mut Record, label: &str, id: &str, version: Value, allocation: Value) {
    let key = ("default".to_owned(), id.to_owned());
    let evaluation = json!({ "TriggeredBy": "job-register", "JobModifyIndex": version["JobModifyIndex"] });
    record.evaluations.insert(key.clone(), vec![evaluation]);
    record.of.entry(label.to_owned()).or_default().push(key.clone());
    let found = JobRecord { versions: vec![version], allocations: vec![allocation] };
    record.jobs.jobs.insert(key, found);
}

pub(super) fn job<'a>(record: &'a mut Record, id: &str) -> &'a mut JobRecord {
    record.jobs.jobs.get_mut(&("default".to_owned(), id.to_owned())).unwrap()
}

/// That all that is found says this.
#[track_caller]
pub(super) fn finds(record: &Record, words: &str) {
    let findings = judge(record, 0);
    assert!(findings.iter().any(|finding| finding.contains(words)), "{words:?} is not in {findings:?}");
}

fn submit(record: &mut Record, id: &str, second: i64) {
    job(record, id).versions[0]["SubmitTime"] = json!(nanos(second));
}

#[test]
fn a_run_that_kept_everything_is_no_finding() {
    assert_eq!(judge(&shop(), 0), Vec::<String>::new());
}

#[test]
fn a_job_that_comes_before_what_it_depends_on_is_ready_is_found() {
    let mut record = shop();
    submit(&mut record, "web", 4);
    finds(&record, "web, version 0, was submitted early: db: 0 of 1");
}

#[test]
fn a_job_that_comes_before_the_post_hook_of_what_it_depends_on_has_ended_is_found() {
    let mut record = shop();
    job(&mut record, "setup-1").allocations[0] = completed(9, 0);
    finds(&record, "web, version 0, was submitted early: db: its post hook setup");
}

#[test]
fn a_job_that_comes_although_the_post_hook_failed_is_found() {
    let mut record = shop();
    job(&mut record, "setup-1").allocations[0] = completed(7, 3);
    finds(&record, "web, version 0, was submitted early: db: its post hook setup");
}

#[test]
fn a_job_that_comes_before_its_pre_hook_has_ended_is_found() {
    let mut record = shop();
    job(&mut record, "check-1").allocations[0] = completed(4, 0);
    finds(&record, "db, version 0, was submitted early: check");
}

#[test]
fn a_post_hook_that_begins_before_its_job_is_ready_is_found() {
    let mut record = shop();
    submit(&mut record, "setup-1", 4);
    finds(&record, "hook setup began early: db");
}

#[test]
fn a_registration_that_changed_nothing_is_found() {
    let mut record = shop();
    let key = ("default".to_owned(), "web".to_owned());
    let all = record.evaluations.get_mut(&key).unwrap();
    all.push(all[0].clone());
    finds(&record, "web, version 0, was registered 2 times");
}

#[test]
fn a_second_version_of_the_same_spec_is_found_unless_somebody_scaled_it() {
    let mut record = shop();
    let mut again = job(&mut record, "web").versions[0].clone();
    again["Version"] = json!(1);
    again["JobModifyIndex"] = json!(9);
    again["SubmitTime"] = json!(nanos(12));
    job(&mut record, "web").versions.push(again);
    let key = ("default".to_owned(), "web".to_owned());
    let all = record.evaluations.get_mut(&key).unwrap();
    all.push(json!({ "TriggeredBy": "job-scaling", "JobModifyIndex": 9 }));
    assert_eq!(judge(&record, 0), Vec::<String>::new());
    record.evaluations.get_mut(&key).unwrap()[1]["TriggeredBy"] = json!("job-register");
    finds(&record, "of the same spec");
}

#[test]
fn a_hook_that_has_run_twice_for_one_rollout_is_found() {
    let mut record = shop();
    add(&mut record, "setup", "setup-2", version("setup", "batch", 7), completed(8, 0));
    finds(&record, "hook setup has run 2 times");
}

#[test]
fn two_jobs_of_a_hook_at_the_same_time_are_found() {
    let mut record = shop();
    add(&mut record, "setup", "setup-2", version("setup", "batch", 6), completed(8, 1));
    submit(&mut record, "setup-1", 5);
    finds(&record, "ran twice at the same time");
}

#[test]
fn an_attempt_that_failed_before_is_no_finding() {
    let mut record = shop();
    add(&mut record, "check", "check-0", version("check", "batch", 0), completed(1, 1));
    assert_eq!(judge(&record, 0), Vec::<String>::new());
}

#[test]
fn one_too_many_at_a_time_is_found() {
    let mut record = shop();
    let tree = &mut record.tree.versions[0]["TaskGroups"][0]["Tasks"][0]["Config"];
    tree["job"][1]["web"][0]["depends_on"] = json!([]);
    submit(&mut record, "web", 4);
    finds(&record, "2 were under way, and 1 may be");
    record.tree.versions[0]["TaskGroups"][0]["Tasks"][0]["Config"]["max_parallel"] = json!("3");
    assert_eq!(judge(&record, 0), Vec::<String>::new());
}

#[test]
fn a_hook_that_still_runs_is_found() {
    let mut record = shop();
    let mut left = completed(7, 0);
    left["ClientStatus"] = json!("running");
    job(&mut record, "setup-1").allocations.push(left);
    finds(&record, "was left behind");
}

#[test]
fn a_tree_that_ends_well_although_a_job_is_not_ready_is_found() {
    let mut record = shop();
    job(&mut record, "web").allocations[0]["DeploymentStatus"]["Healthy"] = json!(false);
    finds(&record, "the tree ended well, but web");
    record.tree.allocations[0]["TaskStates"]["tree"]["Failed"] = json!(true);
    assert_eq!(judge(&record, 0), Vec::<String>::new());
}

#[test]
fn a_node_that_was_submitted_as_two_jobs_is_found() {
    let mut record = shop();
    add(&mut record, "web", "web-2", version("web", "service", 8), healthy(10));
    finds(&record, "web was submitted as two jobs");
}

#[test]
fn what_was_judged_before_is_not_judged_again() {
    let mut record = shop();
    submit(&mut record, "web", 4);
    assert_eq!(judge(&record, nanos(12).into()), Vec::<String>::new());
}
