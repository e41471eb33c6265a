//! Who joins a view that others see through already.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::{Instant, sleep, timeout};

use super::{Stage, all_within, blind, is_unseen, present, sees, stage, with_status};
use crate::{
    cluster::{AllocStatus, Blindness, JobKey, JobVersion, Sight, Unseen},
    nomad::fake::{self, Answer},
    watch::Subscription,
};

#[tokio::test(start_paused = true)]
async fn a_burst_of_jobs_is_looked_up_together() {
    let stage = stage();
    let ids: Vec<String> = (0..200).map(|n| format!("own-{n}")).collect();
    for id in &ids {
        stage.fake.transact(|write| write.register(fake::job("shop", id)));
    }
    let mut subscriptions = Vec::new();
    let began = Instant::now();
    for id in &ids {
        subscriptions.push(stage.subscribe("gate", None, &["db", id.as_str()]));
        sleep(Duration::from_millis(5)).await;
    }
    for (subscription, id) in subscriptions.iter_mut().zip(&ids) {
        sees(subscription, |key, sight| {
            (key.job.as_str() == id && present(key, sight).is_some()).then_some(())
        })
        .await;
    }
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    let n_opened = stage.paths().iter().filter(|path| *path == "/v1/event/stream").count();
    assert!(n_opened <= 8, "{n_opened}");
    assert_eq!(stage.fake.n_streams(), 1);
    stage.fake.transact(|write| write.register(fake::job("shop", "own-150")));
    sees(&mut subscriptions[150], |key, sight| {
        (present(key, sight)?.job.version == JobVersion(1)).then_some(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_joins_later_disturbs_nobody() {
    let stage = stage();
    stage.fake.transact(|write| write.register(fake::job("shop", "redis")));
    let mut first = stage.subscribe("one", None, &["db"]);
    sees(&mut first, present).await;
    let mut second = stage.subscribe("two", None, &["redis", "db"]);
    let mut seen = BTreeSet::new();
    while seen.len() < 2 {
        seen.insert(sees(&mut second, |key, sight| present(key, sight).map(|_| key.clone())).await);
    }
    assert_eq!(all_within(&mut first, 30).await, []);
    assert_eq!(stage.fake.n_streams(), 1);
    stage.set_status("failed");
    sees(&mut first, with_status(AllocStatus::Failed)).await;
    stage.fake.transact(|write| write.register(fake::job("shop", "redis")));
    sees(&mut second, |key, sight| (present(key, sight)?.job.version == JobVersion(1)).then_some(())).await;
}

/// The status of the allocation in the first sight that comes, and nothing but `Looking` before.
async fn first_status(subscription: &mut Subscription) -> AllocStatus {
    loop {
        let (_, sight) =
            timeout(Duration::from_secs(30), subscription.next()).await.expect("nothing came").unwrap();
        match &*sight {
            Sight::Present(sight) => return sight.allocations[&"a1".into()].status,
            Sight::Unseen(Unseen { because: Blindness::Looking, .. }) => {}
            other => panic!("{other:#?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_joins_a_view_that_was_heard_of_just_now_is_shown_at_once_what_it_knows() {
    let stage = stage();
    let mut first = stage.subscribe("one", None, &["db"]);
    sees(&mut first, present).await;
    for wait in [4, 29] {
        // Just after the reading, and just after a heartbeat.
        sleep(Duration::from_secs(wait)).await;
        stage.paths();
        let mut second = stage.subscribe("two", None, &["db"]);
        let began = Instant::now();
        assert_eq!(first_status(&mut second).await, AllocStatus::Running);
        assert!(began.elapsed() < Duration::from_millis(5), "{:?}", began.elapsed());
        sleep(Duration::from_secs(1)).await;
        assert_eq!(stage.paths(), [""; 0]);
    }
}

/// Whoever looks at `db`, which was lost while the view was not heard of for long.
async fn not_heard_of_for_long(stage: &Stage) -> Subscription {
    let mut first = stage.subscribe("one", None, &["db"]);
    sees(&mut first, present).await;
    sleep(Duration::from_secs(20)).await;
    stage.set_status_quietly("lost");
    first
}

#[tokio::test(start_paused = true)]
async fn who_joins_a_view_that_was_not_heard_of_for_long_waits_for_a_reading_and_nobody_else_does() {
    let stage = stage();
    let mut first = not_heard_of_for_long(&stage).await;
    stage.fake.answer("/v1/", Answer::Late(Duration::from_secs(1)));
    let mut second = stage.subscribe("two", None, &["db"]);
    let waiting = all_within(&mut second, 3).await;
    assert!(
        waiting.iter().all(|sight| blind(Blindness::Looking)(&JobKey::new("shop", "db"), sight).is_some()),
        "{waiting:#?}"
    );
    assert_eq!(first_status(&mut second).await, AllocStatus::Lost);
    let others = all_within(&mut first, 1).await;
    assert!(!others.iter().any(is_unseen), "{others:#?}");
    stage.set_status("failed");
    sees(&mut second, with_status(AllocStatus::Failed)).await;
}

#[tokio::test(start_paused = true)]
async fn a_line_that_comes_meanwhile_shows_newcomers_nothing() {
    let stage = stage();
    let mut first = not_heard_of_for_long(&stage).await;
    stage.fake.answer("/v1/", Answer::Late(Duration::from_secs(1)));
    let mut second = stage.subscribe("two", None, &["db"]);
    sleep(Duration::from_millis(100)).await;
    stage.fake.transact(|write| write.register(fake::job("shop", "db")));
    sees(&mut first, present).await;
    assert_eq!(first_status(&mut second).await, AllocStatus::Lost);
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_newcomers_costs_one_reading() {
    let stage = stage();
    let _first = not_heard_of_for_long(&stage).await;
    stage.fake.answer("/v1/", Answer::Late(Duration::from_millis(100)));
    stage.paths();
    let mut newcomers = Vec::new();
    for n in 0..50 {
        newcomers.push(stage.subscribe(&format!("gate-{n}"), None, &["db"]));
        sleep(Duration::from_millis(10)).await;
    }
    for newcomer in &mut newcomers {
        assert_eq!(first_status(newcomer).await, AllocStatus::Lost);
    }
    sleep(Duration::from_secs(1)).await;
    assert_eq!(stage.paths(), ["/v1/evaluations", "/v1/allocations", "/v1/deployments", "/v1/jobs"]);
}

#[tokio::test(start_paused = true)]
async fn newcomers_are_never_shown_what_could_not_be_read_again() {
    let stage = stage();
    let _first = not_heard_of_for_long(&stage).await;
    stage.fake.answer("/v1/evaluations", Answer::Text(500, "rpc error: EOF".to_owned()));
    let mut second = stage.subscribe("two", None, &["db"]);
    let seen = all_within(&mut second, 20).await;
    assert!(seen.iter().all(is_unseen), "{seen:#?}");
    assert!(blind(Blindness::Unreachable)(&JobKey::new("shop", "db"), seen.last().unwrap()).is_some());
    stage.fake.answer_truly();
    sees(&mut second, with_status(AllocStatus::Lost)).await;
}

#[tokio::test(start_paused = true)]
async fn who_joins_long_after_a_slow_reading_began_waits_for_the_next() {
    let stage = stage();
    let mut first = stage.subscribe("one", None, &["db"]);
    sees(&mut first, present).await;
    sleep(Duration::from_secs(10)).await;
    stage.fake.answer("/v1/jobs", Answer::Late(Duration::from_secs(8)));
    first.look_again();
    sleep(Duration::from_secs(7)).await;
    stage.set_status_quietly("lost");
    let mut second = stage.subscribe("two", None, &["db"]);
    assert_eq!(first_status(&mut second).await, AllocStatus::Lost);
}

#[tokio::test(start_paused = true)]
async fn a_new_stream_in_the_place_of_a_silent_one_proves_nothing_of_the_time_between() {
    let stage = stage();
    stage.fake.transact(|write| write.register(fake::job("shop", "redis")));
    let _first = not_heard_of_for_long(&stage).await;
    let mut second = stage.subscribe("two", None, &["redis"]);
    sees(&mut second, present).await;
    stage.fake.transact(|write| write.register(fake::job("shop", "redis")));
    sees(&mut second, present).await;
    let mut third = stage.subscribe("three", None, &["db"]);
    assert_eq!(first_status(&mut third).await, AllocStatus::Lost);
}

/// A job whose allocations have been read already when they change, while the answer about it is still awaited.
async fn reads_while_it_changes(stage: &Stage) {
    stage.fake.answer("/v1/job/redis", Answer::Late(Duration::from_secs(3)));
    let mut late = stage.subscribe("two", None, &["redis"]);
    sleep(Duration::from_secs(1)).await;
    let change = |allocation: &mut serde_json::Value| allocation["ClientStatus"] = "failed".into();
    stage.fake.transact(|write| write.client_update("r1", change));
    let began = Instant::now();
    let failed = |key: &JobKey, sight: &Sight| {
        let sight = present(key, sight)?;
        (sight.allocations.get(&"r1".into())?.status == AllocStatus::Failed).then_some(())
    };
    sees(&mut late, failed).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_line_that_comes_while_a_job_is_read_for_the_first_time_is_not_lost() {
    let stage = stage();
    stage.fake.transact(|write| write.register(fake::job("shop", "redis")));
    stage.fake.transact(|write| write.allocation(fake::allocation("shop", "redis", "r1", 0, "running")));
    let mut subscription = stage.subscribe("one", None, &["db"]);
    sees(&mut subscription, present).await;
    reads_while_it_changes(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn nor_is_one_that_comes_through_a_stream_that_covered_the_job_before() {
    let stage = stage();
    stage.fake.transact(|write| write.register(fake::job("shop", "redis")));
    stage.fake.transact(|write| write.allocation(fake::allocation("shop", "redis", "r1", 0, "running")));
    let _stays = stage.subscribe("one", None, &["db"]);
    let mut goes = stage.subscribe("one", None, &["redis"]);
    sees(&mut goes, present).await;
    drop(goes);
    sleep(Duration::from_secs(1)).await;
    stage.paths();
    reads_while_it_changes(&stage).await;
    assert!(!stage.paths().contains(&"/v1/event/stream".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_stream_did_not_tell_is_read_when_another_takes_its_place() {
    let stage = stage();
    let mut early = stage.subscribe("early", None, &["db"]);
    sees(&mut early, with_status(AllocStatus::Running)).await;
    sleep(Duration::from_secs(20)).await;
    stage.fake.quietly(|write| {
        write.client_update("a1", |allocation| allocation["ClientStatus"] = "failed".into());
    });
    let _late = stage.subscribe("late", None, &["cache"]);
    let began = Instant::now();
    sees(&mut early, with_status(AllocStatus::Failed)).await;
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
}
