//! Variables and their locks, against a fake Nomad that refuses as Nomad does.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;

use super::client;
use crate::{
    cluster::{LockId, Namespace, RaftIndex},
    nomad::{
        Cas, Error, Lock,
        fake::{self, Answer, FakeNomad},
    },
};

const PATH: &str = "dtree/default/shop/api~2Ev1";

fn shop() -> Namespace {
    "shop".into()
}

fn items(text: &str) -> BTreeMap<String, String> {
    [("done".to_owned(), text.to_owned())].into()
}

fn lock(holder: &str) -> Lock {
    Lock { id: LockId::of([holder]), ttl: Duration::from_secs(10), delay: Duration::from_secs(1) }
}

#[tokio::test]
async fn a_variable_is_written_only_over_what_was_expected() {
    let fake = FakeNomad::start();
    let client = client(&fake, "t");
    let put = async |text: &str, expected| client.put_variable(&shop(), PATH, &items(text), expected).await;
    let text = async || client.variable(&shop(), PATH).await.unwrap().unwrap().items["done"].clone();
    assert_eq!(client.variable(&shop(), PATH).await.unwrap(), None);
    assert!(put("0", Cas::At(RaftIndex(3))).await.unwrap_err().is_conflict());
    let first = put("1", Cas::Absent).await.unwrap();
    assert!(put("2", Cas::Absent).await.unwrap_err().is_conflict());
    let second = put("2", Cas::At(first)).await.unwrap();
    let conflict = put("3", Cas::At(first)).await.unwrap_err();
    assert!(conflict.is_conflict() && conflict.is_unsettled() && !conflict.is_denied());
    assert!(matches!(conflict, Error::Conflict { found: Some(found), .. } if found == second));
    assert_eq!(text().await, "2");
    put("4", Cas::Any).await.unwrap();
    assert_eq!(text().await, "4");
    assert_eq!(client.variable(&"other".into(), PATH).await.unwrap(), None);

    assert!(client.delete_variable(&shop(), PATH, Cas::At(second)).await.unwrap_err().is_conflict());
    client.delete_variable(&shop(), PATH, Cas::Any).await.unwrap();
    client.delete_variable(&shop(), PATH, Cas::Any).await.unwrap();
    assert_eq!(client.variable(&shop(), PATH).await.unwrap(), None);
}

#[tokio::test]
async fn a_denial_names_the_right_and_a_refusal_for_its_size_is_told_from_others() {
    let fake = FakeNomad::start();
    let client = client(&fake, "t");
    let large =
        client.put_variable(&shop(), PATH, &items(&"x".repeat(64 << 10)), Cas::Any).await.unwrap_err();
    assert!(large.is_too_large() && !large.is_unsettled(), "{large:?}");
    fake.answer("/v1/var", Answer::Text(403, "Permission denied".to_owned()));
    for denied in [
        client.put_variable(&shop(), PATH, &items("3"), Cas::Any).await.map(drop),
        client.delete_variable(&shop(), PATH, Cas::Any).await,
        client.list_variables(&shop(), "dtree/").await.map(drop),
        client.acquire_lock(&shop(), PATH, &items("me"), &lock("me")).await.map(drop),
        client.variable(&shop(), PATH).await.map(drop),
    ] {
        let denied = denied.unwrap_err();
        assert!(denied.is_denied() && !denied.is_too_large());
        let hint = denied.hint().unwrap();
        assert!(hint.contains(r#"["list", "read", "write", "destroy"]"#), "{hint}");
    }
}

#[tokio::test]
async fn variables_are_listed_beneath_a_prefix() {
    let fake = FakeNomad::start();
    let client = client(&fake, "t");
    for path in ["dtree/a/~run/1", "dtree/a/~run/2", "dtree/b/~run/1"] {
        client.put_variable(&shop(), path, &items(path), Cas::Absent).await.unwrap();
    }
    client.acquire_lock(&shop(), "dtree/a/~run/2", &items("me"), &lock("me")).await.unwrap();
    let listed = client.list_variables(&shop(), "dtree/a/~run/").await.unwrap();
    let listed: Vec<_> = listed.iter().map(|stub| (stub.path.as_str(), stub.is_locked)).collect();
    assert_eq!(listed, [("dtree/a/~run/1", false), ("dtree/a/~run/2", true)]);
    assert_eq!(client.list_variables(&shop(), "none/").await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_lock_keeps_others_away_until_it_is_released_or_its_time_is_over() {
    let fake = FakeNomad::start();
    let client = client(&fake, "t");
    let acquire = async |who: &str| client.acquire_lock(&shop(), PATH, &items(who), &lock(who)).await;
    let seconds = |seconds| tokio::time::sleep(Duration::from_secs(seconds));
    acquire("me").await.unwrap();
    let found = client.variable(&shop(), PATH).await.unwrap().unwrap();
    assert_eq!((found.items, found.lock), (items("me"), Some(lock("me").id)));
    // The same again is no conflict: so a lost answer is settled.
    acquire("me").await.unwrap();
    assert!(acquire("you").await.unwrap_err().is_conflict());
    let write = client.put_variable(&shop(), PATH, &items("you"), Cas::Any).await.unwrap_err();
    assert!(write.is_conflict());
    client.release_lock(&shop(), PATH, &lock("you").id).await.unwrap();
    assert!(acquire("you").await.is_err(), "a lock is released only by who has it");
    client.release_lock(&shop(), PATH, &lock("me").id).await.unwrap();
    client.release_lock(&shop(), PATH, &lock("me").id).await.unwrap();
    assert_eq!(client.variable(&shop(), PATH).await.unwrap().unwrap().lock, None);

    acquire("you").await.unwrap();
    seconds(15).await;
    client.renew_lock(&shop(), PATH, &lock("you").id).await.unwrap();
    assert!(client.renew_lock(&shop(), PATH, &lock("me").id).await.unwrap_err().is_conflict());
    seconds(19).await;
    assert!(acquire("me").await.is_err());
    seconds(1).await;
    assert!(client.renew_lock(&shop(), PATH, &lock("you").id).await.unwrap_err().is_conflict());
    assert!(acquire("me").await.is_err(), "the delay");
    seconds(1).await;
    acquire("me").await.unwrap();
    fake.state().forget_variable("shop", PATH);
    assert!(client.renew_lock(&shop(), PATH, &lock("me").id).await.unwrap_err().is_conflict());
}

#[tokio::test]
async fn any_request_can_be_answered_in_another_way() {
    let fake = FakeNomad::start();
    let client = client(&fake, "t");
    fake.answer_nth(1, Answer::AppliedThenGone);
    client.variable(&shop(), PATH).await.unwrap();
    assert!(client.put_variable(&shop(), PATH, &items("1"), Cas::Absent).await.unwrap_err().is_unsettled());
    assert!(!fake.is_nth_to_come());
    assert_eq!(fake.state().variables("shop"), [(PATH.to_owned(), json!({ "done": "1" }))]);
}

#[tokio::test]
async fn an_allocation_is_found_with_its_job_or_there_is_none() {
    let fake = FakeNomad::start();
    let client = client(&fake, "t");
    fake.transact(|write| write.allocation(fake::allocation("shop", "db", "a1", 0, "running")));
    let (job, allocation) = client.allocation(&"a1".into(), &shop()).await.unwrap().unwrap();
    assert_eq!((job.as_str(), allocation.is_wanted), ("db", true));
    assert_eq!(client.allocation(&"a2".into(), &shop()).await.unwrap(), None);
    // What Nomad says to a workload identity.
    fake.answer("/v1/allocation/", Answer::Text(500, "Unknown allocation \"a2\"".to_owned()));
    assert_eq!(client.allocation(&"a2".into(), &shop()).await.unwrap(), None);
    fake.answer_truly();
    fake.answer("/v1/allocation/", Answer::Text(500, json!("No cluster leader").to_string()));
    assert!(client.allocation(&"a2".into(), &shop()).await.unwrap_err().is_transient());
}
