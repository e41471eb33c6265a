//! Who wants to see more than he came for.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::{Instant, sleep, timeout_at};

use super::{Stage, absent, blind, present, sees, stage, stage_with_acls, with_status};
use crate::{
    cluster::{AllocStatus, Blindness, JobKey, JobSight, JobVersion, Sight},
    nomad::fake::{self, Answer},
    watch::{Asks, Subscription},
};

fn jobs(namespace: &str, ids: &[&str]) -> BTreeSet<JobKey> {
    ids.iter().map(|id| JobKey::new(namespace, *id)).collect()
}

/// What `what` finds, of this job only.
fn of<T>(
    namespace: &'static str,
    id: &'static str,
    what: impl Fn(&JobKey, &Sight) -> Option<T>,
) -> impl Fn(&JobKey, &Sight) -> Option<T> {
    move |key, sight| if *key == JobKey::new(namespace, id) { what(key, sight) } else { None }
}

fn is_version(version: u64) -> impl Fn(&JobKey, &Sight) -> Option<JobSight> {
    move |key, sight| present(key, sight).filter(|sight| sight.job.version == JobVersion(version))
}

/// Everything that is shown within `seconds`, with whose it is.
async fn shown_within(subscription: &mut Subscription, seconds: u64) -> Vec<(JobKey, bool)> {
    let mut shown = Vec::new();
    let end = Instant::now() + Duration::from_secs(seconds);
    while let Ok(Some((key, sight))) = timeout_at(end, subscription.next()).await {
        shown.push((key, super::is_unseen(&sight)));
    }
    shown
}

fn with_redis(stage: Stage) -> Stage {
    stage.fake.transact(|write| write.register(fake::job("shop", "redis")));
    stage
}

#[tokio::test(start_paused = true)]
async fn who_wants_more_is_shown_it_and_goes_on_seeing_what_he_saw() {
    let stage = with_redis(stage());
    let mut subscription = stage.subscribe("tree", None, &["db"]);
    sees(&mut subscription, present).await;
    stage.fake.answer("/v1/", Answer::Late(Duration::from_secs(1)));
    subscription.also(jobs("shop", &["db", "redis"]));
    let (key, first) = subscription.next().await.unwrap();
    assert_eq!(key, JobKey::new("shop", "redis"));
    assert!(blind(Blindness::Looking)(&key, &first).is_some(), "{first:?}");
    // What happens meanwhile is shown at once.
    sleep(Duration::from_millis(2500)).await;
    let began = Instant::now();
    stage.set_status("failed");
    sees(&mut subscription, of("shop", "db", with_status(AllocStatus::Failed))).await;
    assert!(began.elapsed() < Duration::from_millis(10), "{:?}", began.elapsed());
    let shown = shown_within(&mut subscription, 200).await;
    assert_eq!(shown, [(JobKey::new("shop", "redis"), false)], "nothing of `db` again");
    stage.fake.answer_truly();
    stage.fake.transact(|write| write.register(fake::job("shop", "redis")));
    sees(&mut subscription, of("shop", "redis", is_version(1))).await;
    assert_eq!(stage.fake.n_streams(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_added_is_still_seen_after_a_reconnection() {
    let stage = with_redis(stage());
    let mut subscription = stage.subscribe("tree", None, &["db"]);
    sees(&mut subscription, present).await;
    subscription.also(jobs("shop", &["redis"]));
    sees(&mut subscription, of("shop", "redis", present)).await;
    stage.fake.quietly(|write| write.register(fake::job("shop", "redis")));
    stage.fake.end_streams();
    sees(&mut subscription, of("shop", "redis", is_version(1))).await;
    stage.fake.transact(|write| write.register(fake::job("shop", "redis")));
    sees(&mut subscription, of("shop", "redis", is_version(2))).await;
    drop(subscription);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(stage.fake.n_streams(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_jobs_at_once_cost_one_look_and_one_more_costs_no_stream() {
    let stage = stage();
    let mut subscription = stage.subscribe("tree", None, &["db"]);
    sees(&mut subscription, present).await;
    let ids: Vec<String> = (0..100).map(|n| format!("job-{n}")).collect();
    stage.fake.transact(|write| ids.iter().for_each(|id| write.register(fake::job("shop", id))));
    stage.paths();
    subscription.also(ids.iter().map(|id| JobKey::new("shop", id.as_str())).collect());
    let mut left: BTreeSet<JobKey> = ids.iter().map(|id| JobKey::new("shop", id.as_str())).collect();
    while !left.is_empty() {
        let (key, sight) = subscription.next().await.unwrap();
        assert_ne!(key, JobKey::new("shop", "db"));
        if present(&key, &sight).is_some() {
            left.remove(&key);
        }
    }
    let paths = stage.paths();
    let n_lists = paths.iter().filter(|path| !path.starts_with("/v1/job/")).count();
    assert_eq!((paths.len(), n_lists), (105, 5), "{paths:?}");
    // A job that is not there yet, such as one that a tree is about to register.
    subscription.also(jobs("shop", &["hook"]));
    sees(&mut subscription, of("shop", "hook", absent)).await;
    stage.fake.transact(|write| write.register(fake::job("shop", "hook")));
    sees(&mut subscription, of("shop", "hook", present)).await;
    assert!(!stage.paths().contains(&"/v1/event/stream".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_hundred_jobs_that_are_not_there_are_not_looked_up_one_by_one() {
    let stage = stage();
    let mut subscription = stage.subscribe("tree", None, &["db"]);
    sees(&mut subscription, present).await;
    stage.paths();
    let mut left: BTreeSet<JobKey> =
        (0..100).map(|n| JobKey::new("shop", format!("job-{n}").as_str())).collect();
    subscription.also(left.clone());
    while !left.is_empty() {
        let (key, sight) = subscription.next().await.unwrap();
        if absent(&key, &sight).is_some() {
            left.remove(&key);
        }
    }
    let paths = stage.paths();
    assert!(paths.iter().all(|path| !path.starts_with("/v1/job/")), "{paths:?}");
    assert_eq!(paths.len(), 5, "{paths:?}");
}

#[tokio::test(start_paused = true)]
async fn what_another_sees_already_is_shown_at_once() {
    let stage = with_redis(stage());
    let mut first = stage.subscribe("one", None, &["db"]);
    let mut second = stage.subscribe("two", None, &["redis"]);
    sees(&mut first, present).await;
    sees(&mut second, present).await;
    stage.paths();
    second.also(jobs("shop", &["db"]));
    sees(&mut second, of("shop", "db", present)).await;
    assert_eq!(stage.paths(), [""; 0]);
    // And each goes on without the other.
    drop(first);
    stage.set_status("failed");
    sees(&mut second, of("shop", "db", with_status(AllocStatus::Failed))).await;
}

#[tokio::test(start_paused = true)]
async fn more_may_be_wanted_before_anything_is_seen() {
    let stage = with_redis(stage());
    let mut subscription =
        stage.watch.subscribe(stage.viewer("tree", None), BTreeSet::new(), Asks::default());
    subscription.also(jobs("shop", &["redis"]));
    sees(&mut subscription, of("shop", "redis", present)).await;
    // While a connection is being made.
    stage.fake.answer("/v1/", Answer::Late(Duration::from_secs(1)));
    let mut other =
        stage.watch.subscribe(stage.viewer("tree", None), jobs("elsewhere", &["x"]), Asks::default());
    sleep(Duration::from_millis(1500)).await;
    other.also(jobs("elsewhere", &["y"]));
    sees(&mut other, of("elsewhere", "y", absent)).await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_said_of_the_new_jobs_alone() {
    let stage = with_redis(stage());
    let mut subscription = stage.subscribe("tree", None, &["db"]);
    sees(&mut subscription, present).await;
    stage.fake.answer("/v1/job/redis", Answer::Text(500, "rpc error: EOF".to_owned()));
    subscription.also(jobs("shop", &["redis"]));
    sees(&mut subscription, of("shop", "redis", blind(Blindness::Unreachable))).await;
    let shown = shown_within(&mut subscription, 20).await;
    assert!(!shown.iter().any(|(key, _)| *key == JobKey::new("shop", "db")), "{shown:?}");
    stage.fake.answer_truly();
    sees(&mut subscription, of("shop", "redis", present)).await;
}

#[tokio::test(start_paused = true)]
async fn a_view_of_ones_own_grows_and_another_namespace_gets_another() {
    let stage = with_redis(stage_with_acls(&["alice"]));
    stage.fake.transact(|write| write.register(fake::job("elsewhere", "x")));
    let mut subscription = stage.subscribe("tree", Some("alice"), &["db"]);
    sees(&mut subscription, present).await;
    subscription.also(jobs("shop", &["redis"]));
    sees(&mut subscription, of("shop", "redis", present)).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(stage.fake.n_streams(), 1);
    subscription.also(jobs("elsewhere", &["x"]));
    sees(&mut subscription, of("elsewhere", "x", present)).await;
    subscription.also(jobs("secret", &["y"]));
    sees(&mut subscription, of("secret", "y", blind(Blindness::Denied))).await;
    assert!(stage.fake.streams().iter().all(|(_, token)| token == "alice"));
    stage.set_status("failed");
    let shown = shown_within(&mut subscription, 30).await;
    let of_shop = shown.iter().filter(|(key, _)| key.namespace.as_str() == "shop");
    assert!(of_shop.clone().all(|(_, is_unseen)| !is_unseen), "{shown:?}");
    assert_eq!(of_shop.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn another_namespace_wants_a_proof_of_its_own() {
    let stage = with_redis(stage_with_acls(&["alice", "plugin"])).with_credential();
    stage.fake.transact(|write| write.register(fake::job("elsewhere", "x")));
    let mut subscription = stage.subscribe("tree", Some("alice"), &["db"]);
    sees(&mut subscription, present).await;
    stage.paths();
    subscription.also(jobs("shop", &["redis"]));
    sees(&mut subscription, of("shop", "redis", present)).await;
    let by_alice = |seen: &fake::Seen| seen.token == "alice";
    assert!(!stage.fake.take_requests().iter().any(by_alice), "her right in `shop` is proven");
    subscription.also(jobs("elsewhere", &["x"]));
    sees(&mut subscription, of("elsewhere", "x", present)).await;
    assert!(stage.fake.take_requests().iter().any(by_alice));

    // The plugin may look there, she may not.
    stage.fake.state().allowed.insert(("plugin".to_owned(), "secret".to_owned()));
    stage.fake.transact(|write| write.register(fake::job("secret", "y")));
    subscription.also(jobs("secret", &["y"]));
    sees(&mut subscription, of("secret", "y", blind(Blindness::Denied))).await;
    let shown = shown_within(&mut subscription, 30).await;
    assert!(
        shown.iter().all(|(key, is_unseen)| key.namespace.as_str() == "secret" && *is_unseen),
        "{shown:?}"
    );
    subscription.also(jobs("secret", &["z"]));
    sees(&mut subscription, of("secret", "z", blind(Blindness::Denied))).await;
    stage.fake.state().allowed.insert(("alice".to_owned(), "secret".to_owned()));
    sees(&mut subscription, of("secret", "y", present)).await;
    sees(&mut subscription, of("secret", "z", absent)).await;
}
