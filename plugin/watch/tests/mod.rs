//! The view against a fake Nomad, on paused time.

mod access;
mod check_properties;
mod checks;
mod growth;
mod joiners;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Asks, Credential, Subscription, Viewer, Watch, Way};
use crate::{
    cluster::{AllocStatus, Blindness, JobKey, JobSight, JobVersion, Sight, Unseen},
    nomad::fake::{self, Answer, FakeNomad},
};

struct Stage {
    fake: FakeNomad,
    watch: Watch,
}

fn stage() -> Stage {
    let fake = FakeNomad::start();
    fake.transact(|write| write.register(fake::job("shop", "db")));
    fake.transact(|write| write.allocation(fake::allocation("shop", "db", "a1", 0, "running")));
    Stage { fake, watch: Watch::new(None, CancellationToken::new()) }
}

/// A stage where only `allowed` may read namespace `shop`.
fn stage_with_acls(allowed: &[&str]) -> Stage {
    let stage = stage();
    stage.fake.state().acls = true;
    for token in ["alice", "bob", "plugin"] {
        stage.fake.state().allowed.insert((token.to_owned(), "elsewhere".to_owned()));
    }
    for token in allowed {
        stage.allow(token);
    }
    stage
}

impl Stage {
    fn viewer(&self, task: &str, token: Option<&str>) -> Viewer {
        let socket = self.fake.socket(task);
        if !socket.exists() {
            self.fake.open_socket(task);
        }
        let token_file = socket.with_file_name("nomad_token");
        if let Some(token) = token {
            std::fs::write(&token_file, token).unwrap();
        }
        Viewer {
            way: Way::Task { socket, token_file, env_token: None },
            job: JobKey::new("shop", "api"),
            task: task.to_owned(),
        }
    }

    fn subscribe(&self, task: &str, token: Option<&str>, jobs: &[&str]) -> Subscription {
        let subjects: BTreeSet<JobKey> = jobs.iter().map(|job| JobKey::new("shop", *job)).collect();
        self.watch.subscribe(self.viewer(task, token), subjects, Asks::default())
    }

    /// The same, of somebody who waits until they are healthy.
    fn asks(&self, task: &str, token: Option<&str>, jobs: &[&str]) -> Subscription {
        let subjects: BTreeSet<JobKey> = jobs.iter().map(|job| JobKey::new("shop", *job)).collect();
        let asks = Asks { now: subjects.clone(), later: true };
        self.watch.subscribe(self.viewer(task, token), subjects, asks)
    }

    /// The watch of a plugin with a credential of its own.
    fn with_credential(mut self) -> Self {
        let token_file = self.fake.socket("api").with_file_name("plugin_token");
        std::fs::write(&token_file, "plugin").unwrap();
        let credential = Credential { endpoint: self.fake.endpoint(), token_file: Some(token_file) };
        self.watch = Watch::new(Some(credential), CancellationToken::new());
        self
    }

    fn allow(&self, token: &str) {
        self.fake.state().allowed.insert((token.to_owned(), "shop".to_owned()));
    }

    fn forbid(&self, token: &str) {
        self.fake.state().allowed.remove(&(token.to_owned(), "shop".to_owned()));
    }

    fn paths(&self) -> Vec<String> {
        self.fake.take_requests().into_iter().map(|seen| seen.path).collect()
    }

    fn set_status(&self, status: &str) {
        self.fake.transact(|write| {
            write.client_update("a1", |allocation| allocation["ClientStatus"] = status.into());
        });
    }
}

/// Waits for a sight that fits, and says which came instead.
async fn sees<T>(subscription: &mut Subscription, what: impl Fn(&JobKey, &Sight) -> Option<T>) -> T {
    let mut seen = Vec::new();
    let found = timeout(Duration::from_secs(400), async {
        loop {
            let (key, sight) = subscription.next().await.expect("the watch has ended");
            if let Some(found) = what(&key, &sight) {
                return found;
            }
            seen.push((key, sight));
        }
    });
    let found = found.await;
    found.unwrap_or_else(|_elapsed| panic!("it was never seen, but {seen:#?}"))
}

/// What comes within `seconds`.
async fn all_within(subscription: &mut Subscription, seconds: u64) -> Vec<Arc<Sight>> {
    let mut seen = Vec::new();
    let end = Instant::now() + Duration::from_secs(seconds);
    while let Ok(Some((_, sight))) = tokio::time::timeout_at(end, subscription.next()).await {
        seen.push(sight);
    }
    seen
}

fn present(_: &JobKey, sight: &Sight) -> Option<JobSight> {
    if let Sight::Present(sight) = sight { Some((**sight).clone()) } else { None }
}

fn with_status(status: AllocStatus) -> impl Fn(&JobKey, &Sight) -> Option<()> {
    move |key, sight| {
        let sight = present(key, sight)?;
        (sight.allocations.get(&"a1".into())?.status == status).then_some(())
    }
}

fn blind(because: Blindness) -> impl Fn(&JobKey, &Sight) -> Option<Unseen> {
    move |_, sight| match sight {
        Sight::Unseen(unseen) if unseen.because == because => Some(unseen.clone()),
        _ => None,
    }
}

/// The near namesake, or nothing.
fn absent(_: &JobKey, sight: &Sight) -> Option<String> {
    if let Sight::Absent { similar } = sight {
        Some(similar.as_ref().map(ToString::to_string).unwrap_or_default())
    } else {
        None
    }
}

fn is_unseen(sight: &Arc<Sight>) -> bool {
    matches!(&**sight, Sight::Unseen(_))
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_before_the_first_subscription() {
    let stage = stage();
    sleep(Duration::from_mins(2)).await;
    assert_eq!(stage.paths(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_first_look_shows_the_job_with_all_that_belongs_to_it() {
    let stage = stage();
    stage.fake.transact(|write| {
        write.deployment(fake::deployment("shop", "db", "d1", 0, "running"));
        write.evaluation(fake::evaluation("shop", "db", "e1", "complete"));
    });
    let mut subscription = stage.subscribe("gate", None, &["db"]);
    let (key, first) = subscription.next().await.unwrap();
    assert_eq!(key, JobKey::new("shop", "db"));
    assert!(matches!(&*first, Sight::Unseen(Unseen { because: Blindness::Looking, .. })));
    let sight = sees(&mut subscription, present).await;
    assert_eq!((sight.allocations.len(), sight.deployments.len(), sight.evaluations.len()), (1, 1, 1));
    assert_eq!(sight.allocations[&"a1".into()].job_version, Some(JobVersion(0)));
}

#[tokio::test(start_paused = true)]
async fn an_event_is_shown_without_a_request() {
    let stage = stage();
    let mut subscription = stage.subscribe("gate", None, &["db"]);
    sees(&mut subscription, with_status(AllocStatus::Running)).await;
    stage.paths();
    stage.set_status("failed");
    sees(&mut subscription, with_status(AllocStatus::Failed)).await;
    assert_eq!(stage.paths(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn all_of_one_write_is_shown_at_once() {
    let stage = stage();
    let mut subscription = stage.subscribe("gate", None, &["db"]);
    sees(&mut subscription, present).await;
    stage.fake.transact(|write| {
        // The allocation comes first in the line, the new version of its job last.
        write.allocation(fake::allocation("shop", "db", "a1", 0, "complete"));
        write.register(fake::job("shop", "db"));
    });
    let sight = sees(&mut subscription, present).await;
    assert_eq!(
        (sight.job.version, sight.allocations[&"a1".into()].status),
        (JobVersion(1), AllocStatus::Complete)
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_written_together_with_its_job_is_not_lost_whatever_comes_first_in_the_line() {
    let stage = stage();
    let mut subscription = stage.subscribe("gate", None, &["redis"]);
    sees(&mut subscription, absent).await;
    stage.fake.transact(|write| {
        write.allocation(fake::allocation("shop", "redis", "r1", 0, "pending"));
        write.register(fake::job("shop", "redis"));
    });
    assert_eq!(sees(&mut subscription, present).await.allocations.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_replayed_line_changes_nothing() {
    let stage = stage();
    let mut subscription = stage.subscribe("gate", None, &["db"]);
    sees(&mut subscription, present).await;
    stage.set_status("complete");
    sees(&mut subscription, with_status(AllocStatus::Complete)).await;
    for index in [11, 12] {
        let mut old = fake::allocation("shop", "db", "a1", 0, "running");
        old.as_object_mut().unwrap().remove("JobVersion");
        for field in ["CreateIndex", "ModifyIndex", "AllocModifyIndex"] {
            old[field] = index.into();
        }
        let event = serde_json::json!({ "Topic": "Allocation", "Key": "a1", "Namespace": "shop", "FilterKeys": ["db", ""],
            "Index": index, "Payload": { "Allocation": old } });
        stage.fake.send(&serde_json::json!({ "Index": index, "Events": [event] }).to_string());
    }
    assert_eq!(all_within(&mut subscription, 200).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_lost_event_is_made_good_by_the_next_reading() {
    let stage = stage();
    let mut subscription = stage.subscribe("gate", None, &["db"]);
    sees(&mut subscription, with_status(AllocStatus::Running)).await;
    let began = Instant::now();
    stage.fake.quietly(|write| {
        write.client_update("a1", |allocation| allocation["ClientStatus"] = "lost".into());
        write.register(fake::job("shop", "db"));
    });
    sees(&mut subscription, with_status(AllocStatus::Lost)).await;
    assert!(began.elapsed() <= Duration::from_secs(67), "{:?}", began.elapsed());
    stage.fake.quietly(|write| write.register(fake::job("shop", "db")));
    stage.fake.quietly(|write| write.purge("shop", "db"));
    sees(&mut subscription, absent).await;
}

#[tokio::test(start_paused = true)]
async fn who_looks_again_need_not_wait_for_the_next_reading() {
    let stage = stage();
    let mut subscription = stage.subscribe("gate", None, &["db"]);
    sees(&mut subscription, present).await;
    let began = Instant::now();
    stage.fake.quietly(|write| write.register(fake::job("shop", "db")));
    subscription.look_again();
    sees(&mut subscription, |key, sight| (present(key, sight)?.job.version == JobVersion(1)).then_some(()))
        .await;
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_reading_that_overtakes_the_extension_of_the_stream_does_not_replace_it() {
    let stage = stage();
    stage.fake.transact(|write| write.register(fake::job("shop", "redis")));
    let mut first = stage.subscribe("one", None, &["db"]);
    sees(&mut first, present).await;
    let mut second = stage.subscribe("two", None, &["redis"]);
    first.look_again();
    sees(&mut second, present).await;
    let began = Instant::now();
    stage.fake.transact(|write| write.register(fake::job("shop", "redis")));
    sees(&mut second, |key, sight| (present(key, sight)?.job.version == JobVersion(1)).then_some(())).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_allocation_counts_for_no_version_until_nomad_has_told_it() {
    let stage = stage();
    let mut subscription = stage.subscribe("gate", None, &["db"]);
    sees(&mut subscription, present).await;
    stage.paths();
    stage.fake.transact(|write| {
        write.register(fake::job("shop", "db"));
        for n in 2..20 {
            write.allocation(fake::allocation("shop", "db", &format!("a{n}"), 1, "pending"));
        }
    });
    let version =
        |sight: &JobSight| sight.allocations.get(&"a2".into()).map(|allocation| allocation.job_version);
    let first = sees(&mut subscription, present).await;
    assert_eq!(version(&first), Some(None));
    let then = sees(&mut subscription, present).await;
    assert_eq!(version(&then), Some(Some(JobVersion(1))));
    assert_eq!(stage.paths(), ["/v1/allocations"]);
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_is_given_up_and_said_so() {
    let stage = stage();
    let mut subscription = stage.subscribe("gate", None, &["db"]);
    sees(&mut subscription, present).await;
    sleep(Duration::from_secs(20)).await;
    stage.fake.state().is_mute = true;
    let began = Instant::now();
    let unseen = sees(&mut subscription, blind(Blindness::Unreachable)).await;
    assert!(began.elapsed() < Duration::from_secs(50), "{:?}", began.elapsed());
    assert!(unseen.why.contains("was silent for 45 s"), "{}", unseen.why);
    stage.fake.state().is_mute = false;
    sees(&mut subscription, present).await;
}

#[tokio::test(start_paused = true)]
async fn heartbeats_keep_a_stream() {
    let stage = stage();
    let mut subscription = stage.subscribe("gate", None, &["db"]);
    sees(&mut subscription, present).await;
    stage.paths();
    assert_eq!(all_within(&mut subscription, 600).await, []);
    assert!(!stage.paths().contains(&"/v1/event/stream".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_stream_blinds_nobody_if_the_next_one_comes_at_once() {
    let stage = stage();
    let mut subscription = stage.subscribe("gate", None, &["db"]);
    sees(&mut subscription, present).await;
    sleep(Duration::from_secs(20)).await;
    let began = Instant::now();
    stage.fake.end_streams();
    stage
        .fake
        .quietly(|write| write.client_update("a1", |allocation| allocation["ClientStatus"] = "lost".into()));
    let seen = all_within(&mut subscription, 10).await;
    assert_eq!(seen.len(), 1, "{seen:#?}");
    assert!(with_status(AllocStatus::Lost)(&JobKey::new("shop", "db"), &seen[0]).is_some());
    assert!(began.elapsed() < Duration::from_secs(11));
    assert_eq!(stage.fake.n_streams(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_again_and_again_is_not_opened_without_pause() {
    let stage = stage();
    let mut subscription = stage.subscribe("gate", None, &["db"]);
    sees(&mut subscription, present).await;
    stage.paths();
    let end = Instant::now() + Duration::from_mins(1);
    while Instant::now() < end {
        stage.fake.end_streams();
        sleep(Duration::from_millis(50)).await;
    }
    let n_opened = stage.paths().iter().filter(|path| *path == "/v1/event/stream").count();
    assert!((3..30).contains(&n_opened), "{n_opened}");
}

#[tokio::test(start_paused = true)]
async fn garbage_blinds_until_it_ends() {
    let stage = stage();
    let mut subscription = stage.subscribe("gate", None, &["db"]);
    sees(&mut subscription, present).await;
    stage.fake.answer("/v1/deployments", Answer::Text(200, "[{".to_owned()));
    stage.fake.send("garbage");
    let unseen = sees(&mut subscription, blind(Blindness::Unreachable)).await;
    assert!(unseen.why.starts_with("cannot understand Nomad's answer"), "{}", unseen.why);
    stage.fake.answer_truly();
    sees(&mut subscription, present).await;
}

#[tokio::test(start_paused = true)]
async fn a_reading_that_fails_blinds_too() {
    let stage = stage();
    let mut subscription = stage.subscribe("gate", None, &["db"]);
    sees(&mut subscription, present).await;
    stage.fake.answer("/v1/evaluations", Answer::Text(500, "rpc error: EOF".to_owned()));
    let unseen = sees(&mut subscription, blind(Blindness::Unreachable)).await;
    assert_eq!(unseen.why, "Nomad answered 500 when asked to list evaluations: rpc error: EOF");
    stage.fake.answer_truly();
    sees(&mut subscription, present).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_never_begins_is_not_believed() {
    let stage = stage();
    stage.fake.state().is_mute = true;
    let mut subscription = stage.subscribe("gate", None, &["db"]);
    let unseen = sees(&mut subscription, blind(Blindness::Unreachable)).await;
    assert!(unseen.why.ends_with("did not begin within 5 s"), "{}", unseen.why);
}

#[tokio::test(start_paused = true)]
async fn an_absent_job_is_shown_with_its_near_namesake_until_it_is_registered() {
    let stage = stage();
    stage.fake.transact(|write| write.register(fake::job("shop", "postgres")));
    let mut subscription = stage.subscribe("gate", None, &["postgers"]);
    assert_eq!(sees(&mut subscription, absent).await, "postgres");
    stage.fake.transact(|write| write.register(fake::job("shop", "postgers")));
    sees(&mut subscription, present).await;
    stage.fake.transact(|write| write.purge("shop", "postgers"));
    sees(&mut subscription, absent).await;
}

#[tokio::test(start_paused = true)]
async fn without_acls_two_hundred_gates_cost_one_stream_and_four_requests_a_minute() {
    let stage = stage();
    let mut subscriptions = Vec::new();
    for n in 0..200 {
        subscriptions.push(stage.subscribe(&format!("gate-{n}"), None, &["db", "shop"]));
        sleep(Duration::from_millis(5)).await;
    }
    for subscription in &mut subscriptions {
        sees(subscription, present).await;
    }
    sleep(Duration::from_secs(10)).await;
    stage.paths();
    sleep(Duration::from_mins(10)).await;
    let paths = stage.paths();
    assert_eq!(stage.fake.n_streams(), 1);
    assert!((36..=40).contains(&paths.len()), "{} in ten minutes: {paths:?}", paths.len());
    stage.set_status("failed");
    for subscription in &mut subscriptions {
        sees(subscription, with_status(AllocStatus::Failed)).await;
    }
    drop(subscriptions);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(stage.fake.n_streams(), 0, "nobody waits any more");
}

impl Stage {
    /// A change that no stream tells.
    fn set_status_quietly(&self, status: &str) {
        self.fake.quietly(|write| {
            write.client_update("a1", |allocation| allocation["ClientStatus"] = status.into());
        });
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_task_that_reads_for_all_ends_another_reads_on() {
    let stage = stage();
    let mut first = stage.subscribe("one", None, &["db"]);
    sees(&mut first, present).await;
    let mut second = stage.subscribe("two", None, &["db"]);
    sees(&mut second, present).await;
    let sockets =
        |stage: &Stage| stage.fake.streams().into_iter().map(|(socket, _)| socket).collect::<Vec<PathBuf>>();
    assert_eq!(sockets(&stage), [stage.fake.socket("one")]);
    sleep(Duration::from_secs(20)).await;
    stage.fake.close_socket(&stage.fake.socket("one"));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(sockets(&stage), [stage.fake.socket("two")]);
    stage.set_status("failed");
    sees(&mut second, with_status(AllocStatus::Failed)).await;
    assert!(!all_within(&mut first, 5).await.iter().any(is_unseen), "nobody was blinded");
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_nomad_is_said_and_tried_again() {
    let stage = stage();
    let mut subscription = stage.subscribe("gate", None, &["db"]);
    stage.fake.close_socket(&stage.fake.socket("gate"));
    let unseen = sees(&mut subscription, blind(Blindness::Unreachable)).await;
    assert!(unseen.why.starts_with("cannot reach Nomad at unix:///"), "{}", unseen.why);
    stage.fake.open_socket("gate");
    sees(&mut subscription, present).await;
}

#[tokio::test(start_paused = true)]
async fn closing_ends_every_subscription_and_every_stream_and_nothing_else() {
    let mut stage = stage();
    let process = CancellationToken::new();
    stage.watch = Watch::new(None, process.clone());
    let mut subscription = stage.subscribe("gate", None, &["db"]);
    sees(&mut subscription, present).await;
    stage.watch.close().await;
    assert_eq!(subscription.next().await, None);
    assert_eq!(stage.subscribe("late", None, &["db"]).next().await, None);
    assert!(!process.is_cancelled());
    sleep(Duration::from_secs(1)).await;
    assert_eq!(stage.fake.n_streams(), 0);
}
