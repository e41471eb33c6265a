//! The oracle has to find what is wrong: records that are doctored, one fault each.

use serde_json::{Value, json};

use super::{JobRecord, Record, judge, judge_as_if};

fn at(second: u32) -> String {
    format!("2026-11-20T12:00:{second:02}.5Z")
}

fn nanos(second: u32) -> i64 {
    let time: jiff::Timestamp = at(second).parse().unwrap();
    time.as_nanosecond().try_into().unwrap()
}

fn job(id: &str, kind: &str, wait: &Value) -> Value {
    let main = json!({ "Name": "main", "Driver": "raw_exec", "Lifecycle": null });
    let gate = json!({
        "Name": "gate", "Driver": "dtree", "Lifecycle": { "Hook": "prestart", "Sidecar": false },
        "Config": { "wait": wait },
    });
    let tasks = if wait.is_null() { json!([main]) } else { json!([gate, main]) };
    json!({
        "ID": id, "Namespace": "default", "Type": kind, "Version": 0, "Stop": false, "SubmitTime": nanos(0),
        "TaskGroups": [{ "Name": "g", "Count": 1, "Tasks": tasks }],
    })
}

fn record(jobs: &[(Value, Vec<Value>)]) -> Record {
    let mut record = Record::default();
    for (job, allocations) in jobs {
        let id = job["ID"].as_str().unwrap().to_owned();
        let found = JobRecord { versions: vec![job.clone()], allocations: allocations.clone() };
        record.jobs.insert(("default".to_owned(), id), found);
    }
    record
}

/// `db` becomes healthy at second 10; the gate of `web` ends at one time, its main task starts at another.
fn web_after_db(gate_ended: u32, main_started: u32) -> Record {
    let db = json!({
        "ID": "1", "TaskGroup": "g", "JobVersion": 0, "ClientStatus": "running", "CreateTime": nanos(1),
        "DeploymentStatus": { "Healthy": true, "Timestamp": at(10) },
        "TaskStates": { "main": { "State": "running", "Failed": false, "StartedAt": at(5), "FinishedAt": null } },
    });
    let web = json!({
        "ID": "2", "TaskGroup": "g", "JobVersion": 0, "ClientStatus": "running", "CreateTime": nanos(1),
        "TaskStates": {
            "gate": { "State": "dead", "Failed": false, "StartedAt": at(2), "FinishedAt": at(gate_ended) },
            "main": { "State": "running", "Failed": false, "StartedAt": at(main_started), "FinishedAt": null },
        },
    });
    let wait = json!([{ "db": [{}] }]);
    record(&[(job("db", "service", &Value::Null), vec![db]), (job("web", "service", &wait), vec![web])])
}

#[test]
fn what_is_no_job_is_so_only_since_the_story_made_it_so() {
    for subject in ["service", "tcp", "http", "dns", "variable", "consul_key"] {
        let mut record = web_after_db(12, 13);
        let wait = json!([{ "it": [{ subject: "x" }] }]);
        web(&mut record).versions = vec![job("web", "service", &wait)];
        let told = |record: &Record| judge(record).join("\n");
        assert!(told(&record).contains("never made it so"), "{subject}: {}", told(&record));
        let key = ("web".to_owned(), "it".to_owned());
        record.outside.insert(key.clone(), nanos(11).into());
        assert_eq!(told(&record), "", "{subject}");
        record.outside.insert(key, nanos(13).into());
        assert!(told(&record).contains("gate opened early: it"), "{subject}: {}", told(&record));
    }
}

fn web(record: &mut Record) -> &mut JobRecord {
    record.jobs.get_mut(&("default".to_owned(), "web".to_owned())).unwrap()
}

#[test]
fn a_gate_that_opens_after_its_time_is_no_finding() {
    assert_eq!(judge(&web_after_db(11, 12)), Vec::<String>::new());
}

#[test]
fn a_gate_that_opens_before_its_upstream_is_healthy_is_found() {
    let findings = judge(&web_after_db(9, 12));
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].contains("opened early: db: 0 of 1"), "{findings:?}");
}

#[test]
fn a_gate_that_opens_while_nothing_is_known_of_its_upstreams_health_is_found() {
    let mut record = web_after_db(11, 12);
    let db = record.jobs.get_mut(&("default".to_owned(), "db".to_owned())).unwrap();
    db.allocations[0]["DeploymentStatus"] = Value::Null;
    assert_eq!(judge(&record).len(), 1);
}

#[test]
fn an_allocation_that_nomad_calls_unhealthy_is_no_healthy_one() {
    let mut record = web_after_db(11, 12);
    let db = record.jobs.get_mut(&("default".to_owned(), "db".to_owned())).unwrap();
    db.allocations[0]["DeploymentStatus"]["Healthy"] = json!(false);
    assert_eq!(judge(&record).len(), 1);
}

#[test]
fn a_main_task_that_starts_before_its_gate_has_ended_is_found() {
    assert_eq!(judge(&web_after_db(13, 12)).len(), 1);
}

#[test]
fn a_main_task_behind_a_failed_gate_is_found() {
    let mut record = web_after_db(11, 12);
    web(&mut record).allocations[0]["TaskStates"]["gate"]["Failed"] = json!(true);
    assert_eq!(judge(&record).len(), 1);
}

#[test]
fn a_main_task_behind_a_gate_that_still_waits_is_found() {
    let mut record = web_after_db(11, 12);
    web(&mut record).allocations[0]["TaskStates"]["gate"]["FinishedAt"] = Value::Null;
    assert_eq!(judge(&record).len(), 1);
}

#[test]
fn an_older_version_of_the_upstream_does_not_count() {
    let mut record = web_after_db(11, 12);
    let db = record.jobs.get_mut(&("default".to_owned(), "db".to_owned())).unwrap();
    let mut newer = db.versions[0].clone();
    newer["Version"] = json!(1);
    newer["SubmitTime"] = json!(nanos(10));
    db.versions.push(newer);
    assert_eq!(judge(&record).len(), 1);
    web(&mut record).versions[0]["TaskGroups"][0]["Tasks"][0]["Config"]["wait"] =
        json!([{ "db": [{ "any_version": true }] }]);
    assert_eq!(judge(&record), Vec::<String>::new());
}

#[test]
fn a_job_that_was_not_there_is_found() {
    let mut record = web_after_db(11, 12);
    record.jobs.remove(&("default".to_owned(), "db".to_owned()));
    assert_eq!(judge(&record).len(), 1);
}

#[test]
fn a_batch_job_counts_from_its_end_and_only_when_it_went_well() {
    let seed = |status: &str, finished: u32| {
        json!({
            "ID": "1", "TaskGroup": "g", "JobVersion": 0, "ClientStatus": status, "CreateTime": nanos(1),
            "TaskStates": { "main": { "State": "dead", "StartedAt": at(5), "FinishedAt": at(finished) } },
        })
    };
    let judged = |seed: Value| {
        let mut record = web_after_db(11, 12);
        let found = JobRecord { versions: vec![job("db", "batch", &Value::Null)], allocations: vec![seed] };
        record.jobs.insert(("default".to_owned(), "db".to_owned()), found);
        judge(&record).len()
    };
    assert_eq!(judged(seed("complete", 10)), 0);
    assert_eq!(judged(seed("complete", 12)), 1);
    assert_eq!(judged(seed("failed", 10)), 1);
}

#[test]
fn a_gate_that_may_go_on_without_is_early_only_before_its_time_is_up() {
    let mut record = web_after_db(9, 12);
    let wait = |timeout: &str| json!([{ "db": [{ "on_timeout": "continue", "timeout": timeout }] }]);
    web(&mut record).versions[0]["TaskGroups"][0]["Tasks"][0]["Config"]["wait"] = wait("7s");
    assert_eq!(judge(&record), Vec::<String>::new());
    web(&mut record).versions[0]["TaskGroups"][0]["Tasks"][0]["Config"]["wait"] = wait("8s");
    assert_eq!(judge(&record).len(), 1);
}

#[test]
fn a_job_without_its_gate_is_judged_by_the_gate_it_should_have() {
    let mut record = web_after_db(1, 8);
    let gated = web(&mut record).versions[0].clone();
    web(&mut record).versions = vec![job("web", "service", &Value::Null)];
    web(&mut record).allocations[0]["TaskStates"].as_object_mut().unwrap().remove("gate");
    assert_eq!(judge(&record), Vec::<String>::new(), "it has no gate");
    assert_eq!(judge_as_if(&record, &[gated]).len(), 1);
}

/// `db` runs since second 5, has a check, and must pass it for three seconds; Nomad calls it healthy in second 10.
fn web_after_checked_db(gate_ended: u32) -> Record {
    let mut record = web_after_db(gate_ended, 12);
    let db = record.jobs.get_mut(&("default".to_owned(), "db".to_owned())).unwrap();
    let group = &mut db.versions[0]["TaskGroups"][0];
    group["Services"] = json!([{ "Provider": "nomad", "Checks": [{ "Type": "http" }] }]);
    group["Update"] = json!({ "HealthCheck": "checks", "MinHealthyTime": 3_000_000_000_i64 });
    record
}

#[test]
fn a_gate_may_open_by_checks_before_nomad_says_so_but_not_before_their_time() {
    assert_eq!(judge(&web_after_checked_db(9)), Vec::<String>::new());
    assert_eq!(judge(&web_after_checked_db(8)), Vec::<String>::new());
    assert_eq!(judge(&web_after_checked_db(7)).len(), 1, "its main task had run for two seconds");
    let mut never = web_after_checked_db(9);
    let db = never.jobs.get_mut(&("default".to_owned(), "db".to_owned())).unwrap();
    db.allocations[0]["DeploymentStatus"]["Healthy"] = json!(false);
    assert_eq!(judge(&never).len(), 1, "Nomad never found it healthy");
    let mut much_later = web_after_checked_db(9);
    let db = much_later.jobs.get_mut(&("default".to_owned(), "db".to_owned())).unwrap();
    db.allocations[0]["DeploymentStatus"]["Timestamp"] = json!(at(15));
    assert_eq!(judge(&much_later).len(), 1, "Nomad found it healthy much later");
    let mut states = web_after_checked_db(9);
    let db = states.jobs.get_mut(&("default".to_owned(), "db".to_owned())).unwrap();
    db.versions[0]["TaskGroups"][0]["Update"]["HealthCheck"] = json!("task_states");
    assert_eq!(judge(&states).len(), 1, "its checks do not count");
    let mut by_nomad = web_after_checked_db(9);
    web(&mut by_nomad).versions[0]["TaskGroups"][0]["Tasks"][0]["Config"]["wait"] =
        json!([{ "db": [{ "source": "nomad" }] }]);
    assert_eq!(judge(&by_nomad).len(), 1, "its gate asks for Nomad's word");
}
