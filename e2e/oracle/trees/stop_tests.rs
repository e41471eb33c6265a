//! The oracle has to find what is wrong with a stop: records that are doctored, one fault each.

use serde_json::{Value, json};

use super::tests::{add, at, completed, finds, job, nanos, shop, version};
use super::{Record, judge};

/// The shop, stopped: drain 21 to 22, web at 23 and gone at 24, archive 25 to 26, db at 27 and gone at 28.
fn stopped_shop() -> Record {
    let mut record = shop();
    let mut tree = record.tree.versions[0].clone();
    tree["Version"] = json!(1);
    tree["SubmitTime"] = json!(nanos(20));
    let config = &mut tree["TaskGroups"][0]["Tasks"][0]["Config"];
    let hook = |name: &str| json!([{ name: [{ "jobspec": "x", "retain": "all" }] }]);
    config["verb"] = json!("stop");
    config["job"][1]["web"][0]["pre_stop"] = hook("drain");
    config["job"][1]["web"][0]["post_stop"] = hook("archive");
    record.tree.versions.push(tree);
    let mut run = completed(29, 0);
    run["JobVersion"] = json!(1);
    let mut state = run["TaskStates"]["main"].take();
    let said = json!({ "Type": "Driver", "DisplayMessage": "done after 9s: stopped web, db; 2 hooks run" });
    state["Events"].as_array_mut().unwrap().push(said);
    run["TaskStates"] = json!({ "tree": state });
    record.tree.allocations.push(run);
    for (id, second) in [("web", 23), ("db", 27)] {
        let job = job(&mut record, id);
        let mut version = job.versions[0].clone();
        version["Version"] = json!(1);
        version["Stop"] = json!(true);
        version["SubmitTime"] = json!(nanos(second));
        version["JobModifyIndex"] = json!(second);
        job.versions.push(version);
        ends(&mut job.allocations[0], second + 1);
        deregistered(&mut record, id, second);
    }
    add(&mut record, "drain", "drain-1", version("drain", "batch", 21), completed(22, 0));
    add(&mut record, "archive", "archive-1", version("archive", "batch", 25), completed(26, 0));
    record
}

fn ends(allocation: &mut Value, second: i64) {
    allocation["ClientStatus"] = json!("complete");
    allocation["TaskStates"]["main"]["State"] = json!("dead");
    allocation["TaskStates"]["main"]["FinishedAt"] = json!(at(second));
}

fn deregistered(record: &mut Record, id: &str, second: i64) {
    let key = ("default".to_owned(), id.to_owned());
    let evaluation =
        json!({ "TriggeredBy": "job-deregister", "JobModifyIndex": second, "CreateIndex": second });
    record.evaluations.get_mut(&key).unwrap().push(evaluation);
}

fn stop_block(record: &mut Record) -> &mut Value {
    &mut record.tree.versions[1]["TaskGroups"][0]["Tasks"][0]["Config"]["stop"]
}

#[test]
fn a_stop_that_kept_everything_is_no_finding() {
    assert_eq!(judge(&stopped_shop(), 0), Vec::<String>::new());
}

#[test]
fn a_job_that_is_stopped_while_something_that_needs_it_runs_is_found() {
    let mut record = stopped_shop();
    ends(&mut job(&mut record, "web").allocations[0], 28);
    finds(&record, "while web ran");
}

#[test]
fn a_job_that_is_stopped_before_its_hook_has_run_is_found() {
    let mut record = stopped_shop();
    job(&mut record, "drain-1").allocations[0] = completed(24, 0);
    finds(&record, "before its hook drain had run");
}

#[test]
fn a_job_that_is_stopped_before_the_hook_of_what_needs_it_is_found() {
    let mut record = stopped_shop();
    job(&mut record, "archive-1").allocations[0] = completed(26, 3);
    finds(&record, "before hook archive of web had run");
}

#[test]
fn a_job_that_was_not_to_be_stopped_is_found() {
    let mut record = stopped_shop();
    *stop_block(&mut record) = json!([{ "exclude": ["db"] }]);
    finds(&record, "db was stopped at 1800000027000000000, and was not to be stopped");
    *stop_block(&mut record) = json!([{ "target": "web" }]);
    finds(&record, "db was stopped at 1800000027000000000, and was not to be stopped");
    *stop_block(&mut record) = json!([{ "target": "web", "with_dependencies": true }]);
    assert_eq!(judge(&record, 0), Vec::<String>::new());
}

#[test]
fn a_second_stop_of_a_stopped_job_and_a_second_run_of_its_hook_are_found() {
    let mut record = stopped_shop();
    deregistered(&mut record, "db", 28);
    finds(&record, "db was stopped 2 times, and changed by 1");
    let mut record = stopped_shop();
    add(&mut record, "drain", "drain-2", version("drain", "batch", 22), completed(23, 0));
    finds(&record, "hook drain has run 2 times for 1 stops");
}

#[test]
fn a_job_that_runs_on_after_a_good_end_is_found_unless_it_was_kept() {
    let mut record = stopped_shop();
    job(&mut record, "db").versions.pop();
    let key = ("default".to_owned(), "db".to_owned());
    record.evaluations.get_mut(&key).unwrap().pop();
    ends(&mut job(&mut record, "db").allocations[0], 40);
    finds(&record, "the stop ended well, but db ran on");
    let said = &mut record.tree.allocations[1]["TaskStates"]["tree"]["Events"][1]["DisplayMessage"];
    *said = json!("done after 9s: stopped web; kept db: tree default/b waits for it");
    assert_eq!(judge(&record, 0), Vec::<String>::new());
}
