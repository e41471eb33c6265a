//! What the client changes, against a fake Nomad that refuses with Nomad's words.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{client, key};
use crate::{
    cluster::{JobKey, JobVersion, Marks, Namespace, RaftIndex},
    nomad::{
        Client, Error, LogStream,
        fake::{self, Answer, FakeNomad},
    },
};

fn shop() -> Namespace {
    "shop".into()
}

/// The index of a job's specification.
async fn index(client: &Client, job: &str) -> RaftIndex {
    client.job(&key(job)).await.unwrap().unwrap().job_modify_index
}

/// A job of which `field` is `value`.
fn with(id: &str, field: &str, value: Value) -> Value {
    let mut job = fake::job("shop", id);
    job[field] = value;
    job
}

fn parameterized(id: &str) -> Value {
    with(id, "ParameterizedJob", json!({ "MetaRequired": ["step"], "MetaOptional": null }))
}

fn meta(name: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(name.to_owned(), "1".to_owned())])
}

#[tokio::test]
async fn a_text_is_parsed_or_its_problems_are_told_in_full() {
    let fake = FakeNomad::start();
    let client = client(&fake, "t");
    let job = client.parse(&shop(), r#"{ "ID": "db" }"#, "").await.unwrap().unwrap();
    assert_eq!((&job["ID"], &job["Namespace"]), (&json!("db"), &json!("default")));
    let problem = client.parse(&shop(), "job {", "").await.unwrap().unwrap_err();
    assert!(problem.starts_with("input.hcl:1,1-2: "), "{problem}");
    let lines = "Failed to parse job: input.hcl:1,1-2: Unsupported block\n<nil>: Unset variable \"img\"\n";
    fake.answer("/v1/jobs/parse", Answer::Text(400, lines.to_owned()));
    let problem = client.parse(&shop(), "job {", "").await.unwrap().unwrap_err();
    assert_eq!(problem, "input.hcl:1,1-2: Unsupported block\n<nil>: Unset variable \"img\"");
    fake.answer_truly();
    fake.answer("/v1/jobs/parse", Answer::Text(400, "é".repeat(5000)));
    assert!(client.parse(&shop(), "", "").await.unwrap().unwrap_err().len() <= 4 << 10);
    fake.answer_truly();
    fake.answer("/v1/jobs/parse", Answer::Text(500, "rpc error: EOF".to_owned()));
    assert!(client.parse(&shop(), "", "").await.unwrap_err().is_unsettled());
    assert_eq!(fake.take_writes().len(), 0, "it changes nothing");
}

#[tokio::test]
async fn a_job_is_validated_without_being_registered() {
    let fake = FakeNomad::start();
    let client = client(&fake, "t");
    let good = fake::job("shop", "db");
    assert_eq!(client.validate(&shop(), &good).await.unwrap(), [""; 0]);
    let bad = json!({ "TaskGroups": null });
    assert_eq!(client.validate(&shop(), &bad).await.unwrap(), ["Missing job ID", "Missing job task groups"]);
    let only_error = r#"{ "ValidationErrors": null, "Error": "no" }"#;
    fake.answer("/v1/validate", Answer::Text(200, only_error.to_owned()));
    assert_eq!(client.validate(&shop(), &good).await.unwrap(), ["no"]);
    assert_eq!(fake.job_ids("shop"), [""; 0]);
}

#[tokio::test]
async fn a_job_is_registered_only_where_it_is_what_the_writer_thought() {
    let fake = FakeNomad::start();
    let client = client(&fake, "t");
    let (key, zero) = (key("db/ü"), RaftIndex(0));
    let job = |cpu: u64| with("db/ü", "Cpu", json!(cpu));
    assert!(client.register(&key, &job(1), RaftIndex(5)).await.unwrap_err().is_conflict());
    client.register(&key, &job(1), zero).await.unwrap();
    let again = client.register(&key, &job(2), zero).await.unwrap_err();
    assert!(again.is_conflict() && again.is_unsettled(), "{again:?}");
    let first = index(&client, "db/ü").await;
    client.register(&key, &job(2), first).await.unwrap();
    let outdated = client.register(&key, &job(3), first).await.unwrap_err();
    assert!(outdated.is_conflict(), "{outdated:?}");
    // The same once more makes no version.
    client.register(&key, &job(2), index(&client, "db/ü").await).await.unwrap();
    assert_eq!(client.job(&key).await.unwrap().unwrap().version, JobVersion(1));
    assert_eq!(fake.job("shop", "db/ü").unwrap()["Cpu"], 2);
    let statuses: Vec<u16> = fake.take_writes().into_iter().map(|write| write.status).collect();
    assert_eq!(statuses, [500, 200, 500, 200, 500, 200]);
}

#[tokio::test]
async fn a_job_larger_than_the_buffer_arrives_whole() {
    let fake = FakeNomad::start();
    let text = "x".repeat(3 << 20);
    let job = with("db", "Blob", json!(text));
    client(&fake, "t").register(&key("db"), &job, RaftIndex(0)).await.unwrap();
    assert_eq!(fake.job("shop", "db").unwrap()["Blob"].as_str().unwrap().len(), 3 << 20);
}

#[tokio::test]
async fn what_nomad_refuses_is_told_with_all_its_points() {
    let fake = FakeNomad::start();
    fake.state().no_namespaces.insert("shop".to_owned());
    let bad = json!({ "ID": "db" });
    let error = client(&fake, "t").register(&key("db"), &bad, RaftIndex(0)).await.unwrap_err();
    insta::assert_snapshot!(error.chain(), @r#"Nomad answered 500 when asked to register job `db`: job "db" is in nonexistent namespace "shop"; Missing job task groups"#);
    assert!(!error.is_unsettled() && !error.is_conflict());
}

#[tokio::test]
async fn a_job_is_stopped_or_purged_and_an_unknown_one_is_stopped_already() {
    let fake = FakeNomad::start();
    let client = client(&fake, "t");
    fake.transact(|write| write.register(fake::job("shop", "db")));
    client.deregister(&key("other"), false).await.unwrap();
    client.deregister(&key("db"), false).await.unwrap();
    let stopped = fake.job("shop", "db").unwrap();
    assert_eq!((&stopped["Stop"], &stopped["Version"]), (&json!(true), &json!(1)));
    client.deregister(&key("db"), true).await.unwrap();
    assert_eq!(fake.job("shop", "db"), None);
}

#[tokio::test]
async fn a_dispatch_that_is_repeated_gives_the_same_child() {
    let fake = FakeNomad::start();
    let client = client(&fake, "t");
    fake.transact(|write| write.register(parameterized("hook")));
    let dispatch = async |token: &str| client.dispatch(&key("hook"), &meta("step"), b"\0hi", token).await;
    let first = dispatch("run/1").await.unwrap();
    assert_eq!(dispatch("run/1").await.unwrap(), first);
    let child = fake.job("shop", first.job.as_str()).unwrap();
    assert_eq!((&child["Payload"], &child["Meta"]["step"]), (&json!("AGhp"), &json!("1")));
    let second = dispatch("run/2").await.unwrap();
    assert_ne!(second, first);
    client.deregister(&first, false).await.unwrap();
    assert_eq!(dispatch("run/1").await.unwrap(), first, "a stopped child is a child");
    client.deregister(&first, true).await.unwrap();
    assert_ne!(dispatch("run/1").await.unwrap(), first, "a purged one is none");

    let bad = client.dispatch(&key("hook"), &meta("zz"), b"", "run/3").await.unwrap_err();
    assert!(bad.chain().contains("unpermitted metadata keys") && !bad.is_unsettled(), "{bad:?}");
    assert!(client.dispatch(&key("absent"), &meta("step"), b"", "x").await.is_err());
}

#[tokio::test]
async fn versions_are_listed_with_whose_they_are() {
    let fake = FakeNomad::start();
    let client = client(&fake, "t");
    assert_eq!(client.versions(&key("db")).await.unwrap(), []);
    let marks = ("shop".into(), "abc".into());
    let meta = json!({ Marks::TREE: "shop", Marks::NODE: "db", Marks::SPEC: "abc" });
    let created = fake.transact(|write| write.register(with("db", "Meta", meta)));
    fake.transact(|write| write.register(fake::job("shop", "db")));
    client.deregister(&key("db"), false).await.unwrap();

    let versions = client.versions(&key("db")).await.unwrap();
    let [stopped, second, first] = versions.as_slice() else { panic!("{versions:?}") };
    assert!(stopped.is_stopped && !second.is_stopped && !first.is_stopped);
    assert_eq!((second.version, second.create_index), (JobVersion(1), RaftIndex(created)));
    assert_eq!((second.marks.as_ref(), first.marks.as_ref()), (None, Some(&marks)));
    fake.answer("/v1/job/", Answer::Text(404, "no such page".to_owned()));
    assert!(client.versions(&key("db")).await.is_err());
}

#[tokio::test]
async fn the_end_of_a_log_is_read_and_no_more() {
    let fake = FakeNomad::start();
    let client = client(&fake, "t");
    fake.transact(|write| write.allocation(fake::allocation("shop", "db", "a1", 0, "running")));
    let tail =
        async |stream, bytes| client.log_tail(&"a1".into(), &shop(), "t", stream, bytes).await.unwrap();
    assert_eq!(tail(LogStream::Stderr, 10).await, "", "nothing was written yet");
    fake.log("a1", "t", "stderr", "one\ntwo é\n");
    fake.log("a1", "t", "stdout", "out\n");
    assert_eq!(tail(LogStream::Stderr, 100).await, "one\ntwo é\n");
    assert_eq!(tail(LogStream::Stderr, 2).await, "\u{fffd}\n");
    assert_eq!(tail(LogStream::Stderr, 0).await, "");
    assert_eq!(tail(LogStream::Stdout, 3).await, "ut\n");
    // It has written on in the meantime.
    fake.answer("/v1/client/fs/logs/a1", Answer::Text(200, "12345".to_owned()));
    assert_eq!(tail(LogStream::Stdout, 3).await, "345");
    fake.answer_truly();
    let absent = client.log_tail(&"a2".into(), &shop(), "t", LogStream::Stdout, 3).await.unwrap_err();
    assert!(matches!(absent, Error::Refused { status: 404, .. }), "{absent:?}");
}

#[tokio::test]
async fn a_namespace_is_there_or_not_and_a_denial_is_neither() {
    let fake = FakeNomad::start();
    let client = client(&fake, "known");
    assert!(client.namespace_exists(&shop()).await.unwrap());
    fake.state().no_namespaces.insert("shop".to_owned());
    assert!(!client.namespace_exists(&shop()).await.unwrap());
    fake.state().acls = true;
    fake.state().allowed.insert(("known".to_owned(), "elsewhere".to_owned()));
    assert!(client.namespace_exists(&shop()).await.unwrap_err().is_denied());
    fake.state().acls = false;
    fake.answer("/v1/namespace", Answer::Text(404, "no such page".to_owned()));
    assert!(client.namespace_exists(&shop()).await.is_err());
}

#[tokio::test]
async fn whether_one_may_submit_is_known_before_anything_is_written() {
    let fake = FakeNomad::start();
    let client = client(&fake, "known");
    client.prove_submit(&shop()).await.unwrap();
    fake.state().acls = true;
    let pair = ("known".to_owned(), "shop".to_owned());
    fake.state().allowed.insert(pair.clone());
    client.prove_submit(&shop()).await.unwrap();
    fake.state().only_reads.insert(pair);
    let denied = client.prove_submit(&shop()).await.unwrap_err();
    insta::assert_snapshot!(format!("{}\n{}", denied.chain(), denied.hint().unwrap()), @r#"
    Nomad does not allow task `gate` of job `api` to submit jobs in namespace `shop`
    write a policy file with the line
      namespace "shop" { capabilities = ["list-jobs", "read-job", "submit-job"] }
    and attach it to the job; it takes effect at once:
      nomad acl policy apply -namespace shop -job api tree-submit FILE
    "#);
    assert!(fake.take_writes().iter().all(|write| write.status == 500), "nothing was written");
    fake.answer("/v1/job/", Answer::Text(500, "No cluster leader".to_owned()));
    assert!(!client.prove_submit(&shop()).await.unwrap_err().is_denied());
}

#[tokio::test]
async fn each_denial_names_the_right_that_is_missing() {
    let fake = FakeNomad::start();
    let client = client(&fake, "known");
    fake.transact(|write| write.register(parameterized("hook")));
    fake.transact(|write| write.allocation(fake::allocation("shop", "hook", "a1", 0, "running")));
    fake.state().acls = true;
    let pair = ("known".to_owned(), "shop".to_owned());
    fake.state().allowed.insert(pair.clone());
    fake.state().only_reads.insert(pair);
    let job = fake::job("shop", "db");
    let (hook, none) = (key("hook"), BTreeMap::new());
    let denials = [
        ("submit-job", client.parse(&shop(), "{}", "").await.map(drop)),
        ("submit-job", client.register(&key("db"), &job, RaftIndex(0)).await.map(drop)),
        ("submit-job", client.deregister(&hook, true).await),
        ("dispatch-job", client.dispatch(&hook, &none, b"", "x").await.map(drop)),
        ("read-logs", client.log_tail(&"a1".into(), &shop(), "t", LogStream::Stdout, 9).await.map(drop)),
    ];
    for (right, denied) in denials {
        let denied = denied.unwrap_err();
        assert!(denied.is_denied() && !denied.is_unsettled(), "{denied:?}");
        assert!(denied.hint().unwrap().contains(&format!("\"read-job\", \"{right}\"]")), "{denied:?}");
    }
    client.validate(&shop(), &job).await.unwrap();
    client.versions(&hook).await.unwrap();
    fake.state().allowed.clear();
    fake.state().allowed.insert(("known".to_owned(), "elsewhere".to_owned()));
    assert!(client.validate(&shop(), &job).await.unwrap_err().is_denied());
    assert!(client.versions(&hook).await.unwrap_err().is_denied());
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_may_have_been_carried_out() {
    let fake = FakeNomad::start();
    let client = client(&fake, "t");
    let register = async |id: &str| {
        let key = JobKey::new("shop", id);
        client.register(&key, &fake::job("shop", id), RaftIndex(0)).await.unwrap_err()
    };
    fake.answer_next_write("/v1/jobs", Answer::AppliedThen(500, "rpc error: EOF".to_owned()));
    assert!(register("a").await.is_unsettled());
    fake.answer_next_write("/v1/jobs", Answer::AppliedThenGone);
    assert!(register("b").await.is_unsettled());
    fake.answer_next_write("/v1/jobs", Answer::Gone);
    assert!(register("c").await.is_unsettled());
    assert_eq!(fake.job_ids("shop"), ["a", "b"]);
    let writes = fake.take_writes();
    assert_eq!(writes.len(), 2);
    let write = &writes[0];
    assert_eq!((write.method.as_str(), write.path.as_str()), ("POST", "/v1/jobs"));
    assert_eq!((write.namespace.as_str(), &write.body["Job"]["ID"]), ("shop", &json!("a")));
    assert!(register("a").await.is_conflict(), "the truth again");
}
