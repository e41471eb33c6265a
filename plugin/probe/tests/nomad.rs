//! Questions to Nomad, on paused time.

use serde_json::{Value as Json, json};
use tokio::time::Instant;

use super::*;
use crate::{
    cluster::{Blindness, Check, Unwell, Value},
    nomad::{
        Cas, Client,
        fake::{self, Answer as Scripted, FakeNomad},
    },
};

fn service() -> Question {
    Question::Service { namespace: "default".into(), name: "db".to_owned() }
}

fn variable(key: Option<&str>, equals: Option<&str>) -> Question {
    let [key, equals] = [key, equals].map(|text| text.map(str::to_owned));
    Question::Variable { namespace: "default".into(), path: "shop/release".to_owned(), key, equals }
}

fn asks_of(probe: &Probe, viewer: Viewer, question: &Question) -> Asking {
    let asking = probe.asking(viewer);
    asking.ask(BTreeSet::from([question.clone()]));
    asking
}

/// A job `db` whose service has a check if `has_check`, with allocations that run.
fn db(fake: &FakeNomad, has_check: bool, allocs: &[&str]) {
    let mut job = fake::job("default", "db");
    let checks = if has_check { json!([{"Name": "query"}]) } else { Json::Null };
    job["TaskGroups"][0]["Services"] = json!([
        {"Name": "other", "Provider": "nomad", "Checks": [{"Name": "x"}]},
        {"Name": "db", "Provider": "nomad", "Checks": checks},
    ]);
    fake.transact(|write| write.register(job));
    for alloc in allocs {
        fake.transact(|write| write.allocation(fake::allocation("default", "db", alloc, 0, "running")));
    }
    let instances: Vec<_> = allocs.iter().map(|alloc| ("db", *alloc, "10.0.0.1", 5432)).collect();
    fake.services("db", &instances);
}

/// Of each instance, what is wrong with it.
async fn health(asking: &mut Asking) -> Vec<String> {
    match told(asking).await {
        Ok(Answer::Instances(instances)) => {
            let told = |instance: crate::cluster::Instance| match instance.health {
                Ok(()) => format!("{} ", instance.id),
                Err(Unwell::Failing(why)) => format!("{} {why}", instance.id),
                Err(Unwell::Unknown(why)) => format!("{} unknown: {why}", instance.id),
            };
            instances.into_iter().map(told).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_with_checks_passes_when_all_of_them_do() {
    let (fake, probe) = (FakeNomad::start(), probe());
    let viewer = viewer(&fake.socket("api"), None);
    let mut asking = asks_of(&probe, viewer, &service());
    assert_eq!(health(&mut asking).await, [""; 0], "nobody is there");
    db(&fake, true, &["one", "two"]);
    let not_yet = "a check has not answered yet";
    assert_eq!(health(&mut asking).await, [format!("one {not_yet}"), format!("two {not_yet}")]);
    // That of another service is none of its own.
    fake.checks("one", &[("db", "query", "success"), ("other", "x", "failure")]);
    fake.checks("two", &[("db", "query", "pending")]);
    assert_eq!(health(&mut asking).await, ["one ", "two check \"query\" has not answered yet"]);
    fake.checks("two", &[("db", "query", "failure")]);
    assert_eq!(health(&mut asking).await, ["one ", "two check \"query\" fails: it is a failure"]);
    fake.checks("two", &[("db", "query", "success")]);
    assert_eq!(health(&mut asking).await, ["one ", "two "]);
    is_silent(&mut asking, 60).await;
    fake.transact(|write| {
        write.client_update("one", |allocation| allocation["ClientStatus"] = json!("failed"));
    });
    assert_eq!(health(&mut asking).await, ["one its allocation has failed", "two "]);
    fake.services("db", &[("db", "two", "10.0.0.1", 5432)]);
    assert_eq!(health(&mut asking).await, ["two "]);
}

#[tokio::test(start_paused = true)]
async fn what_passed_before_a_restart_has_to_pass_again() {
    let (fake, probe) = (FakeNomad::start(), probe());
    db(&fake, true, &["one"]);
    fake.checks_at("one", 100, &[("db", "query", "success")]);
    let mut asking = asks_of(&probe, viewer(&fake.socket("api"), None), &service());
    assert_eq!(health(&mut asking).await, ["one "]);
    fake.transact(|write| {
        write.client_update("one", |allocation| {
            allocation["TaskStates"]["t"]["Restarts"] = json!(1);
            allocation["TaskStates"]["t"]["StartedAt"] = json!("1970-01-01T00:01:40.9Z");
        });
    });
    assert_eq!(health(&mut asking).await, ["one check \"query\" has not answered yet"]);
    fake.checks_at("one", 101, &[("db", "query", "success")]);
    assert_eq!(health(&mut asking).await, ["one "]);
}

#[tokio::test(start_paused = true)]
async fn an_instance_without_checks_passes_when_its_main_tasks_run() {
    let (fake, probe) = (FakeNomad::start(), probe());
    db(&fake, false, &["one"]);
    let state = |state: &str| {
        fake.transact(|write| {
            write.client_update("one", |allocation| allocation["TaskStates"]["t"]["State"] = json!(state));
        });
    };
    state("pending");
    let mut asking = asks_of(&probe, viewer(&fake.socket("api"), None), &service());
    assert_eq!(health(&mut asking).await, ["one task t does not run yet"]);
    state("running");
    assert_eq!(health(&mut asking).await, ["one "]);
    state("dead");
    assert_eq!(health(&mut asking).await, ["one task t has ended"]);
}

#[tokio::test(start_paused = true)]
async fn one_client_that_hangs_hides_no_other() {
    let (fake, probe) = (FakeNomad::start(), probe());
    db(&fake, true, &["one", "two", "won"]);
    fake.checks("one", &[("db", "query", "success")]);
    fake.answer("/v1/client/allocation/two", Scripted::Late(Duration::from_mins(1)));
    fake.answer("/v1/client/allocation/won", Scripted::Text(404, "No path to node".to_owned()));
    let mut asking = asks_of(&probe, viewer(&fake.socket("api"), None), &service());
    let told = health(&mut asking).await;
    assert_eq!(told[..2], ["one ", "two unknown: its client did not tell its checks within 2 s"]);
    assert!(told[2].contains("No path to node"), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn requests_are_bounded_while_it_waits() {
    let (fake, probe) = (FakeNomad::start(), probe());
    let allocs: Vec<String> = (0..100).map(|n| format!("alloc-{n:03}")).collect();
    db(&fake, true, &allocs.iter().map(String::as_str).collect::<Vec<_>>());
    let viewer = viewer(&fake.socket("api"), None);
    let askers: Vec<_> = (0..50).map(|_| asks_of(&probe, viewer.clone(), &service())).collect();
    tokio::time::sleep(Duration::from_secs(5)).await;
    fake.take_requests();
    tokio::time::sleep(Duration::from_mins(1)).await;
    let n = fake.take_requests().len();
    assert!((2_000..=3_200).contains(&n), "{n}: about fifty a second, for all who ask");
    drop(askers);
    tokio::time::sleep(Duration::from_secs(1)).await;
    fake.take_requests();
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(fake.take_requests().len(), 0, "nobody asks any more");
}

async fn put(fake: &FakeNomad, items: &[(&str, &str)]) {
    let items = items.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let token = Token::new("mine").filter(|_| fake.state().acls);
    let client = Client::new(fake.endpoint(), token);
    client.put_variable(&"default".into(), "shop/release", &items, Cas::Any).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_variable_is_followed_without_polling_and_compared_here() {
    let (fake, probe) = (FakeNomad::start(), probe());
    let viewer = viewer(&fake.socket("api"), None);
    let mut whole = asks_of(&probe, viewer.clone(), &variable(None, None));
    let mut item = asks_of(&probe, viewer.clone(), &variable(Some("version"), None));
    let mut equal = asks_of(&probe, viewer.clone(), &variable(Some("version"), Some("s3cret")));
    let mut values = async || {
        let mut values = Vec::new();
        for asking in [&mut whole, &mut item, &mut equal] {
            values.push(answer(asking).await);
        }
        values
    };
    assert_eq!(values().await, [Value::Absent; 3].map(Answer::Value));
    put(&fake, &[("other", "x")]).await;
    assert_eq!(values().await, [Value::Holds, Value::NoItem, Value::NoItem].map(Answer::Value));
    put(&fake, &[("version", "no s3cret")]).await;
    let mut values = async || {
        let mut values = Vec::new();
        for asking in [&mut item, &mut equal] {
            values.push(answer(asking).await);
        }
        values
    };
    assert_eq!(values().await, [Value::Holds, Value::Differs].map(Answer::Value));
    put(&fake, &[("version", "s3cret")]).await;
    assert_eq!(answer(&mut equal).await, Answer::Value(Value::Holds));
    fake.take_requests();
    is_silent(&mut equal, 60).await;
    let n = fake.take_requests().len();
    assert!(n <= 3 * 3, "{n} requests in a minute for three questions");
}

/// Asks for the item `version` of a variable that is not there yet, with a token where there are ACLs.
async fn asks_for_version(fake: &FakeNomad, probe: &Probe, acls: bool) -> Asking {
    fake.state().acls = acls;
    fake.state().allowed.insert(("mine".to_owned(), "default".to_owned()));
    let viewer = viewer(&fake.socket("api"), acls.then_some("mine"));
    let mut asking = asks_of(probe, viewer, &variable(Some("version"), None));
    assert_eq!(answer(&mut asking).await, Answer::Value(Value::Absent));
    asking
}

/// Writes the item `version` or another, and is told so in time.
async fn is_told(fake: &FakeNomad, asking: &mut Asking, has_version: bool, limit: Duration) {
    let (key, value) = if has_version { ("version", Value::Holds) } else { ("other", Value::NoItem) };
    put(fake, &[(key, "1")]).await;
    let written = Instant::now();
    assert_eq!(answer(asking).await, Answer::Value(value));
    assert!(written.elapsed() <= limit, "after {:?}", written.elapsed());
}

#[tokio::test(start_paused = true)]
async fn nomad_2_tells_that_a_variable_was_written_and_is_not_asked_in_between() {
    for acls in [false, true] {
        let (fake, probe) = (FakeNomad::start(), probe());
        fake.state().is_two = true;
        let mut asking = asks_for_version(&fake, &probe, acls).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        fake.take_requests();
        // Whatever is written elsewhere answers a request that is held, and calls nobody.
        for _ in 0..600 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            fake.transact(|write| write.register(fake::job("default", "other")));
        }
        let n = fake.take_requests().len();
        assert!(n <= 1, "{n} requests in a minute");
        is_told(&fake, &mut asking, true, Duration::from_millis(10)).await;
        // A word that got lost is made up for.
        fake.state().is_two = false;
        is_told(&fake, &mut asking, false, Duration::from_secs(61)).await;
        // Where nobody tells any more, it is asked as before.
        fake.end_streams();
        tokio::time::sleep(Duration::from_secs(1)).await;
        is_told(&fake, &mut asking, true, Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn where_nobody_tells_of_writes_a_request_is_held() {
    for (is_two, acls) in [(false, false), (false, true), (true, true)] {
        let (fake, probe) = (FakeNomad::start(), probe());
        // The last one accepts the stream, and says nothing.
        (fake.state().is_two, fake.state().is_mute) = (is_two, is_two);
        let mut asking = asks_for_version(&fake, &probe, acls).await;
        for (seconds, has_version) in [(0, true), (1, false), (7, true), (120, false)] {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            is_told(&fake, &mut asking, has_version, Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_right_is_told_to_each_in_his_own_name() {
    let (fake, probe) = (FakeNomad::start(), probe());
    fake.state().acls = true;
    fake.state().allowed.insert(("mine".to_owned(), "elsewhere".to_owned()));
    let socket = fake.socket("api");
    let mut own = asks_of(&probe, viewer(&socket, Some("mine")), &variable(None, None));
    let unseen = told(&mut own).await.unwrap_err();
    assert_eq!(unseen.because, Blindness::Denied);
    insta::assert_snapshot!(format!("{}\n{}", unseen.why, unseen.hint.unwrap()), @r#"
    Nomad does not allow task `gate` of job `shop` to read the variable `shop/release` in namespace `default`
    write a policy file with the line
      namespace "default" { variables { path "shop/release" { capabilities = ["read"] } } }
    and attach it to the job; it takes effect at once:
      nomad acl policy apply -namespace default -job shop gate-variable-shop-release FILE
    "#);
    // A policy takes effect at once, and is noticed soon.
    fake.state().allowed.insert(("mine".to_owned(), "default".to_owned()));
    assert_eq!(answer(&mut own).await, Answer::Value(Value::Absent));

    let mut nameless = asks_of(&probe, viewer(&socket, None), &service());
    let mut other = viewer(&socket, None);
    other.task = "another".to_owned();
    let mut other = asks_of(&probe, other, &service());
    assert_eq!(probe.inner.table.n_sources(), 2, "without a token all see the same");
    let hint = told(&mut nameless).await.unwrap_err().hint.unwrap();
    assert!(hint.contains("task `gate`"), "{hint}");
    let hint = told(&mut other).await.unwrap_err().hint.unwrap();
    assert!(hint.contains("task `another`"), "{hint}");
}

#[tokio::test(start_paused = true)]
async fn nomad_away_is_unseen_and_another_tasks_socket_will_do_where_all_see_the_same() {
    let (fake, probe) = (FakeNomad::start(), probe());
    put(&fake, &[("version", "1")]).await;
    let (first, second) = (fake.open_socket("first"), fake.open_socket("second"));
    let mut one = asks_of(&probe, viewer(&first, None), &variable(None, None));
    let mut two = asks_of(&probe, viewer(&second, None), &variable(None, None));
    assert_eq!(answer(&mut one).await, Answer::Value(Value::Holds));
    assert_eq!(answer(&mut two).await, Answer::Value(Value::Holds));
    fake.close_socket(&first);
    is_silent(&mut two, 60).await;
    fake.close_socket(&second);
    let unseen = told(&mut two).await.unwrap_err();
    assert_eq!(unseen.because, Blindness::Unreachable);
    tokio::time::sleep(Duration::from_secs(20)).await;
    fake.open_socket("second");
    // Each attempt may have failed in words of its own.
    let seen = loop {
        if let Ok(seen) = told(&mut two).await {
            break seen;
        }
    };
    assert_eq!(seen, Answer::Value(Value::Holds));
}

#[tokio::test(start_paused = true)]
async fn the_checks_of_the_own_allocation_are_asked_every_second() {
    let (fake, probe) = (FakeNomad::start(), probe());
    let mut asking =
        asks_of(&probe, viewer(&fake.socket("api"), Some("t")), &Question::OwnChecks { alloc: "own".into() });
    assert_eq!(answer(&mut asking).await, Answer::Checks(Vec::new()));
    fake.checks("own", &[("proxy", "alive", "success")]);
    let Answer::Checks(checks) = answer(&mut asking).await else { panic!("no checks") };
    let names: Vec<_> =
        checks.iter().map(|Check { name, service, .. }| (name.as_str(), service.as_str())).collect();
    assert_eq!(names, [("alive", "proxy")]);
    fake.take_requests();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let requests = fake.take_requests();
    assert!((9..=11).contains(&requests.len()), "{}", requests.len());
    assert!(requests.iter().all(|request| request.token == "t"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_none_is_told_without_what_it_holds() {
    let (fake, probe) = (FakeNomad::start(), probe());
    let garbage = r#"{"ModifyIndex": 1, "Items": {"version": ["s3cret"]}}"#;
    fake.answer("/v1/var/", Scripted::Text(200, garbage.to_owned()));
    let viewer = viewer(&fake.socket("api"), None);
    let mut asking = asks_of(&probe, viewer.clone(), &variable(Some("version"), Some("s3cret")));
    let unseen = told(&mut asking).await.unwrap_err();
    assert!(unseen.why.contains("line 1 column 40"), "{}", unseen.why);
    fake.answer_truly();
    assert_eq!(answer(&mut asking).await, Answer::Value(Value::Absent));
    fake.answer("/v1/service/", Scripted::Huge(65 << 20));
    let mut asking = asks_of(&probe, viewer, &service());
    let unseen = told(&mut asking).await.unwrap_err();
    assert!(unseen.why.contains("longer than"), "{}", unseen.why);
}
