//! The client against a fake Nomad, and against JSON that a real one sent.

mod spares;
mod variables;
mod writes;

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;

use super::{
    Asker, Beat, Client, Error, Token, Topics, Update,
    fake::{self, Answer, FakeNomad},
};
use crate::cluster::{
    AllocStatus, Allocation, Deployment, DeploymentStatus, JobId, JobKey, JobVersion, TaskPhase,
};

fn client(fake: &FakeNomad, token: &str) -> Client {
    Client::new(fake.endpoint(), Token::new(token))
        .in_the_name_of(Asker::Task { job: JobKey::new("shop", "api"), task: "gate".to_owned() })
}

fn key(job: &str) -> JobKey {
    JobKey::new("shop", job)
}

#[tokio::test]
async fn a_job_is_found_by_any_id_a_user_may_give_it() {
    let fake = FakeNomad::start();
    let client = client(&fake, "t");
    for id in ["db", "db/dispatch-1-ü", "a\"b\\c", "..", "x?y=1&z#%41"] {
        fake.transact(|write| write.register(fake::job("shop", id)));
        assert_eq!(client.job(&key(id)).await.unwrap().unwrap().key, key(id));
        let only: JobId = id.into();
        let stubs = client.stubs(&"shop".into(), std::iter::once(&only)).await.unwrap();
        assert_eq!(stubs.value.iter().map(|stub| &stub.id).collect::<Vec<_>>(), [&only]);
    }
    assert_eq!(client.job(&key("other")).await.unwrap(), None);
}

#[tokio::test]
async fn a_404_that_is_not_about_the_job_is_no_absent_job() {
    let fake = FakeNomad::start();
    fake.answer("/v1/job/", Answer::Text(404, "no such page".to_owned()));
    assert!(matches!(client(&fake, "t").job(&key("db")).await, Err(Error::Refused { status: 404, .. })));
}

#[tokio::test]
async fn lists_hold_what_was_asked_for_and_say_how_new_they_are() {
    let fake = FakeNomad::start();
    let client = client(&fake, "t");
    fake.transact(|write| write.register(fake::job("shop", "db")));
    let index = fake.transact(|write| {
        write.allocation(fake::allocation("shop", "db", "a1", 0, "running"));
        write.allocation(fake::allocation("shop", "other", "a2", 0, "running"));
        write.deployment(fake::deployment("shop", "db", "d1", 0, "running"));
        write.evaluation(fake::evaluation("shop", "db", "e1", "complete"));
    });
    let db: JobId = "db".into();
    let jobs = || std::iter::once(&db);
    let allocations = client.allocations(&"shop".into(), jobs()).await.unwrap();
    assert_eq!(allocations.index.0, index);
    let [(job, allocation)] = allocations.value.as_slice() else { panic!("{allocations:?}") };
    assert_eq!((job, allocation.job_version), (&db, Some(JobVersion(0))));
    assert_eq!(client.deployments(&"shop".into(), jobs()).await.unwrap().value.len(), 1);
    assert_eq!(client.evaluations(&"shop".into(), jobs()).await.unwrap().value.len(), 1);
    assert_eq!(client.evaluations(&"elsewhere".into(), jobs()).await.unwrap().value, []);
}

#[tokio::test]
async fn an_unknown_word_is_an_error_and_not_good_news() {
    let fake = FakeNomad::start();
    fake.transact(|write| write.allocation(fake::allocation("shop", "db", "a1", 0, "splendid")));
    let db: JobId = "db".into();
    let error = client(&fake, "t").allocations(&"shop".into(), std::iter::once(&db)).await.unwrap_err();
    assert!(error.chain().contains("unknown variant `splendid`"), "{}", error.chain());
}

#[tokio::test]
async fn garbage_is_an_error_and_no_panic() {
    let fake = FakeNomad::start();
    for garbage in ["", "{", "[]", "null", "\u{0}", "[1,2]", "{\"ID\":5}"] {
        fake.answer_truly();
        fake.answer("/v1/job/", Answer::Text(200, garbage.to_owned()));
        assert!(
            matches!(client(&fake, "t").job(&key("db")).await, Err(Error::Garbled { .. })),
            "{garbage:?}"
        );
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let fake = FakeNomad::start();
    fake.answer("/v1/jobs", Answer::Huge(65 << 20));
    assert!(matches!(client(&fake, "t").jobs(&"shop".into()).await, Err(Error::TooLong { .. })));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_is_given_up() {
    let fake = FakeNomad::start();
    fake.answer("/v1/jobs", Answer::Late(Duration::from_hours(1)));
    let began = tokio::time::Instant::now();
    assert!(matches!(client(&fake, "t").jobs(&"shop".into()).await, Err(Error::TimedOut { .. })));
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn a_missing_socket_is_unreachable() {
    let fake = FakeNomad::start();
    fake.close_socket(&fake.socket("api"));
    let error = client(&fake, "t").jobs(&"shop".into()).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }) && error.is_transient(), "{error:?}");
}

#[tokio::test]
async fn denials_tell_a_missing_right_from_a_missing_token() {
    let fake = FakeNomad::start();
    fake.state().acls = true;
    fake.state().allowed.insert(("known".to_owned(), "elsewhere".to_owned()));

    let lacking = client(&fake, "known").job(&key("db")).await.unwrap_err();
    assert!(lacking.is_denied() && lacking.hint().unwrap().contains("capabilities"), "{lacking:?}");
    let unknown = client(&fake, "stranger").job(&key("db")).await.unwrap_err();
    assert!(matches!(unknown, Error::Unidentified { has_token: true, .. }), "{unknown:?}");
    let none = client(&fake, "").job(&key("db")).await.unwrap_err();
    assert!(matches!(none, Error::Unidentified { has_token: false, .. }), "{none:?}");
    assert!(none.hint().unwrap().contains("identity {"));
    assert!(client(&fake, "known").prove(&key("db")).await.unwrap_err().is_denied());
    fake.state().allowed.insert(("known".to_owned(), "shop".to_owned()));
    client(&fake, "known").prove(&key("db")).await.unwrap();
}

#[tokio::test]
async fn acls_are_off_only_where_nomad_says_so() {
    let fake = FakeNomad::start();
    assert!(!client(&fake, "").acls_enabled().await.unwrap());
    fake.state().acls = true;
    assert!(client(&fake, "").acls_enabled().await.unwrap());
    fake.state().allowed.insert(("known".to_owned(), "shop".to_owned()));
    assert!(client(&fake, "known").acls_enabled().await.unwrap());
    // What each release and each door of Nomad was seen to answer.
    for (status, text, expected) in [
        (400, "ACL support disabled", Some(false)),
        (200, r#"{"AccessorID":"acls-disabled"}"#, Some(false)),
        (200, r#"{"AccessorID":"anonymous"}"#, Some(true)),
        (200, r#"{"AccessorID":"b30813cf-97a7-a7a1-4724-17b0fb95e80c"}"#, Some(true)),
        (401, "Unauthorized", Some(true)),
        (403, "Forbidden", Some(true)),
        (
            500,
            "failed to parse signed token: go-jose/go-jose: compact JWS format must have three parts",
            Some(true),
        ),
        (500, "rpc error: EOF", None),
        (200, "[]", None),
    ] {
        fake.answer_truly();
        fake.answer("/v1/acl", Answer::Text(status, text.to_owned()));
        assert_eq!(client(&fake, "t").acls_enabled().await.ok(), expected, "{text}");
    }
}

#[tokio::test]
async fn a_stream_tells_each_write_as_one_transaction() {
    let fake = FakeNomad::start();
    let topics = Topics::Jobs(BTreeSet::from(["db/ü".into()]));
    let mut stream = client(&fake, "t").events(&"shop".into(), &topics).await.unwrap();
    let all = |_: &JobId| true;
    assert_eq!(stream.next(&all).await.unwrap(), Some(Beat::Heartbeat));
    fake.transact(|write| write.register(fake::job("shop", "other")));
    let index = fake.transact(|write| {
        write.register(fake::job("shop", "db/ü"));
        write.allocation(fake::allocation("shop", "db/ü", "a1", 0, "pending"));
        write.deployment(fake::deployment("shop", "db/ü", "d1", 0, "running"));
        write.evaluation(fake::evaluation("shop", "db/ü", "e1", "canceled"));
    });
    let Some(Beat::Transaction(transaction)) = stream.next(&all).await.unwrap() else {
        panic!("no transaction")
    };
    assert_eq!(transaction.index.0, index);
    let [Update::Job(job), Update::Allocation(_, allocation), Update::Deployment(..), Update::Evaluation(..)] =
        transaction.updates.as_slice()
    else {
        panic!("{transaction:?}")
    };
    assert_eq!(job.key, key("db/ü"));
    assert_eq!(allocation.job_version, None, "the stream does not tell it");
    fake.transact(|write| write.purge("shop", "db/ü"));
    let Some(Beat::Transaction(transaction)) = stream.next(&all).await.unwrap() else {
        panic!("no transaction")
    };
    assert_eq!(transaction.updates, [Update::JobGone("db/ü".into())]);
    // What nobody wants is only a sign of life.
    fake.transact(|write| write.register(fake::job("shop", "db/ü")));
    assert_eq!(stream.next(&|_| false).await.unwrap(), Some(Beat::Heartbeat));
    let mut all_jobs = client(&fake, "t").events(&"shop".into(), &Topics::All).await.unwrap();
    assert_eq!(all_jobs.next(&all).await.unwrap(), Some(Beat::Heartbeat));
    fake.transact(|write| {
        write.evaluation(fake::evaluation("shop", "db/ü", "e2", "failed"));
        write.evaluation(fake::evaluation("shop", "unwanted", "e3", "failed"));
    });
    let only = |job: &JobId| job.as_str() == "db/ü";
    let Some(Beat::Transaction(transaction)) = all_jobs.next(&only).await.unwrap() else {
        panic!("no transaction")
    };
    assert_eq!(transaction.updates.len(), 1, "{transaction:?}");
    fake.end_streams();
    while let Some(_beat) = stream.next(&all).await.unwrap() {}
    assert_eq!(stream.next(&all).await.unwrap(), None);
}

#[tokio::test]
async fn a_garbled_line_ends_the_stream_with_an_error() {
    for line in [
        "[]",
        r#"{"Index":"x","Events":[{"Topic":"Job","Key":"db"}]}"#,
        r#"{"Index":5,"Events":[{"Topic":"Job","Key":"db","Namespace":"shop","Payload":{"Job":null}}]}"#,
        r#"{"Index":5,"Events":[{"Topic":"Job","Key":"db","Namespace":"shop","Payload":{"Job":{"ID":"db"}}}]}"#,
    ] {
        let fake = FakeNomad::start();
        let mut stream = client(&fake, "t").events(&"shop".into(), &Topics::All).await.unwrap();
        assert_eq!(stream.next(&|_| true).await.unwrap(), Some(Beat::Heartbeat));
        fake.send(line);
        assert!(matches!(stream.next(&|_| true).await, Err(Error::Garbled { .. })), "{line}");
    }
}

#[test]
fn a_deployment_that_a_real_nomad_sent_is_read() {
    let deployment: crate::nomad::wire::Deployment = serde_json::from_value(json!({
        "CreateIndex":13,"CreateTime":1_795_180_103_583_837_834_u64,"EvalPriority":50,"ID":"7d08d980-1425-94f6-9e27-7ea4a03bb4c7",
        "IsMultiregion":false,"JobCreateIndex":12,"JobID":"up/ü","JobModifyIndex":12,"JobSpecModifyIndex":12,"JobVersion":0,
        "ModifyIndex":20,"ModifyTime":0,"Namespace":"default","Status":"successful","StatusDescription":"Deployment completed successfully",
        "TaskGroups":{"g":{"AutoPromote":false,"AutoRevert":false,"DesiredCanaries":0,"DesiredTotal":1,"HealthyAllocs":1,"PlacedAllocs":1,
        "PlacedCanaries":null,"ProgressDeadline":600_000_000_000_u64,"Promoted":false,"RequireProgressBy":"2026-11-20T13:18:25.594585452Z","UnhealthyAllocs":0}}
    }))
    .unwrap();
    let deployment: Deployment = deployment.into();
    assert_eq!(deployment.status, DeploymentStatus::Successful);
    assert_eq!(deployment.groups["g"].healthy, 1);
}

#[test]
fn an_allocation_stub_that_a_real_nomad_sent_is_read() {
    let stub: crate::nomad::wire::Allocation = serde_json::from_value(json!({
        "ClientDescription":"Tasks are running","ClientStatus":"running","CreateIndex":13,"DeploymentStatus":{"Canary":false,"Healthy":true,"ModifyIndex":18,
        "Timestamp":"2026-11-20T13:08:25.594585452Z"},"DesiredDescription":"","DesiredStatus":"run","EvalID":"7915b309","FollowupEvalID":"",
        "ID":"6ae2164c-5067-8ddc-590f-c787a64365fc","JobID":"up/ü","JobType":"service","JobVersion":0,"ModifyIndex":18,"Name":"up/ü.g[0]","Namespace":"default",
        "NextAllocation":"","NodeID":"32f4a675","NodeName":"vm","PreemptedAllocations":null,"RescheduleTracker":null,"TaskGroup":"g","TaskStates":{
        "pre":{"Events":[{"DisplayMessage":"Task started by client","ExitCode":0,"Type":"Started"},{"Details":{"exit_code":"0"},"DisplayMessage":"Exit Code: 0",
        "ExitCode":0,"Type":"Terminated"}],"Failed":false,"FinishedAt":"2026-11-20T13:08:23.72762536Z","LastRestart":null,"Paused":"","Restarts":0,"State":"dead"}}
    }))
    .unwrap();
    let allocation: Allocation = stub.into();
    assert_eq!(
        (allocation.status, allocation.is_healthy, allocation.is_wanted),
        (AllocStatus::Running, Some(true), true)
    );
    assert_eq!(allocation.judged, Some(1_795_180_105_594_585));
    let pre = &allocation.tasks["pre"];
    assert_eq!(
        (pre.phase, pre.exit_code, pre.last_event.as_str()),
        (TaskPhase::Dead, Some(0), "Exit Code: 0")
    );
    assert_eq!(allocation.alloc_modify_index, allocation.modify_index, "an upper bound");
}

#[test]
fn a_failed_placement_is_told_in_one_line() {
    let evaluation: crate::nomad::wire::Evaluation = serde_json::from_value(json!({
        "ID":"392ecb78","JobID":"big","Status":"blocked","TriggeredBy":"queued-allocs","CreateIndex":51,"ModifyIndex":51,
        "FailedTGAllocs":{"g":{"ConstraintFiltered":{"missing drivers":2},"DimensionExhausted":{"memory":1},"NodesEvaluated":3,"QuotaExhausted":null}}
    }))
    .unwrap();
    let evaluation: crate::cluster::Evaluation = evaluation.into();
    assert_eq!(
        evaluation.failed_placements["g"],
        "2 clients filtered: missing drivers, 1 client exhausted: memory"
    );
}

#[test]
fn checks_are_told_apart_by_whom_they_are_for() {
    let mut job = fake::job("shop", "db");
    job["Version"] = json!(0);
    for index in ["CreateIndex", "ModifyIndex", "JobModifyIndex"] {
        job[index] = json!(5);
    }
    let read = |job: &serde_json::Value| -> crate::cluster::Job {
        serde_json::from_value::<crate::nomad::wire::Job>(job.clone()).unwrap().into()
    };
    let group = |job: &serde_json::Value| read(job).groups["g"].clone();
    assert!(!group(&job).has_checks);

    let check = |on_update: &str| json!([{ "Name": "c", "TaskName": "", "OnUpdate": on_update }]);
    job["TaskGroups"][0]["Services"] =
        json!([{ "Provider": "consul", "TaskName": "t", "Checks": check("require_healthy") }]);
    assert!(group(&job).has_checks && !group(&job).tasks["t"].has_nomad_checks);
    job["TaskGroups"][0]["Services"][0]["Provider"] = json!("nomad");
    assert!(group(&job).has_checks && group(&job).tasks["t"].has_nomad_checks);
    let twice = json!([job["TaskGroups"][0]["Services"][0], job["TaskGroups"][0]["Services"][0]]);
    job["TaskGroups"][0]["Services"] = twice;
    assert_eq!(group(&job).own_checks, 1, "one to Nomad, too, which tells checks by all but their service");
    job["TaskGroups"][0]["Services"].as_array_mut().unwrap().truncate(1);
    job["TaskGroups"][0]["Services"][0]["Checks"] = check("ignore");
    assert!(!group(&job).has_checks && !group(&job).tasks["t"].has_nomad_checks);
    job["Type"] = json!("batch");
    assert_eq!(group(&job).update, None, "batch jobs have no deployments");
}

#[test]
fn what_a_jobs_gates_wait_for_for_certain_is_read_from_its_spec() {
    let mut job = fake::job("shop", "web");
    job["Version"] = json!(0);
    for index in ["CreateIndex", "ModifyIndex", "JobModifyIndex"] {
        job[index] = json!(5);
    }
    let gate = |lifecycle: serde_json::Value, config: serde_json::Value| json!({ "Name": "gate", "Driver": "dtree", "Lifecycle": lifecycle, "Config": config });
    let prestart = || json!({ "Hook": "prestart", "Sidecar": false });
    let mut read = |task: serde_json::Value| {
        job["TaskGroups"][0]["Tasks"] = json!([task]);
        let job: crate::cluster::Job =
            serde_json::from_value::<crate::nomad::wire::Job>(job.clone()).unwrap().into();
        let told = job.gates.iter().flat_map(|gate| &gate.needs).map(|awaited| {
            let group = awaited.group.as_ref().map_or_else(String::new, |group| format!(" {group}"));
            format!("{}{group}", awaited.job)
        });
        told.collect::<Vec<_>>().join(", ")
    };
    // As Nomad keeps what was written in HCL, and as its API takes it.
    let list =
        json!({ "wait": [{ "db": [{}] }, { "x": [{ "job": "cache", "namespace": "data", "group": "g" }] }] });
    assert_eq!(read(gate(prestart(), list.clone())), "shop/db, data/cache g");
    assert_eq!(read(gate(prestart(), json!({ "wait": { "db": { "until": "running" } } }))), "shop/db");
    assert_eq!(read(gate(json!({ "Hook": "prestart", "Sidecar": true }), list.clone())), "");
    assert_eq!(read(gate(json!({ "Hook": "poststart", "Sidecar": false }), list.clone())), "");
    assert_eq!(read(gate(json!(null), list)), "");
    // What something else may satisfy as well, or what is no job.
    let others = json!([
        { "until": "absent" }, { "until": "failed" }, { "on_timeout": "continue" }, { "any_version": true },
        { "at_least": "1" }, { "task": "proxy" }, { "service": "db" }, { "tcp": "db:5432" },
        { "optional": true }, { "of_a_later_dtree": "x" },
    ]);
    for block in others.as_array().unwrap() {
        assert_eq!(read(gate(prestart(), json!({ "wait": [{ "db": [block] }] }))), "", "{block}");
    }
    let either = json!({ "wait": [{ "db": [{}] }, { "cache": [{}] }, { "x": [{}] }, { "any": [{ "when": "db || cache" }] }] });
    assert_eq!(read(gate(prestart(), either)), "shop/x");
    let tree = json!({ "wait": [{ "db": [{}] }], "job": [{ "web": [{}] }] });
    assert_eq!(read(gate(prestart(), tree)), "");
    for garbage in [
        json!(null),
        json!({}),
        json!({ "wait": 7 }),
        json!({ "wait": [["db"]] }),
        json!({ "wait": [{ "db": 7 }] }),
    ] {
        assert_eq!(read(gate(prestart(), garbage)), "");
    }
    let foreign = json!({ "Name": "gate", "Driver": "docker", "Lifecycle": prestart(), "Config": { "wait": { "db": {} } } });
    assert_eq!(read(foreign), "");
}
