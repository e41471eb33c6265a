//! The view against a fake Nomad, on paused time.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Credential, Subscription, Viewer, Watch};
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
        Viewer { socket, token_file, env_token: None, job: JobKey::new("shop", "api"), task: task.to_owned() }
    }

    fn subscribe(&self, task: &str, token: Option<&str>, jobs: &[&str]) -> Subscription {
        let subjects: BTreeSet<JobKey> = jobs.iter().map(|job| JobKey::new("shop", *job)).collect();
        self.watch.subscribe(self.viewer(task, token), subjects)
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
async fn a_denied_stream_is_explained_and_works_as_soon_as_it_is_allowed() {
    let stage = stage_with_acls(&[]);
    let asked = Instant::now();
    let mut subscription = stage.subscribe("gate", Some("alice"), &["db"]);
    let unseen = sees(&mut subscription, blind(Blindness::Denied)).await;
    assert_eq!(
        unseen.why,
        "Nomad does not allow task `gate` of job `api` to read job `db` in namespace `shop`"
    );
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    let hint = unseen.hint.unwrap();
    assert!(hint.contains(r#"namespace "shop" { capabilities = ["list-jobs", "read-job"] }"#), "{hint}");
    assert!(hint.contains("nomad acl policy apply -namespace shop -job api gate-read FILE"), "{hint}");
    let began = Instant::now();
    stage.allow("alice");
    sees(&mut subscription, present).await;
    assert!(began.elapsed() <= Duration::from_secs(11));
    // And the other way: Nomad ends a stream whose token has lost its right.
    stage.forbid("alice");
    stage.fake.end_streams();
    sees(&mut subscription, blind(Blindness::Denied)).await;
}

#[tokio::test(start_paused = true)]
async fn a_task_without_an_identity_is_told_the_lines_to_add() {
    let stage = stage_with_acls(&[]);
    let mut subscription = stage.subscribe("gate", None, &["db"]);
    let unseen = sees(&mut subscription, blind(Blindness::Denied)).await;
    assert_eq!(unseen.hint.unwrap(), "add to task `gate` of job `api`:\n  identity {\n    file = true\n  }");
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

impl Stage {
    /// A change that no stream tells.
    fn set_status_quietly(&self, status: &str) {
        self.fake.quietly(|write| {
            write.client_update("a1", |allocation| allocation["ClientStatus"] = status.into());
        });
    }
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

#[tokio::test(start_paused = true)]
async fn who_joins_a_view_that_was_not_heard_of_for_long_waits_for_a_reading_and_nobody_else_does() {
    let stage = stage();
    let mut first = stage.subscribe("one", None, &["db"]);
    sees(&mut first, present).await;
    sleep(Duration::from_secs(20)).await;
    stage.set_status_quietly("lost");
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
    let mut first = stage.subscribe("one", None, &["db"]);
    sees(&mut first, present).await;
    sleep(Duration::from_secs(20)).await;
    stage.set_status_quietly("lost");
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
    let mut first = stage.subscribe("one", None, &["db"]);
    sees(&mut first, present).await;
    sleep(Duration::from_secs(20)).await;
    stage.set_status_quietly("lost");
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
    let mut first = stage.subscribe("one", None, &["db"]);
    sees(&mut first, present).await;
    sleep(Duration::from_secs(20)).await;
    stage.set_status_quietly("lost");
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
    let mut first = stage.subscribe("one", None, &["db"]);
    sees(&mut first, present).await;
    sleep(Duration::from_secs(20)).await;
    stage.set_status_quietly("lost");
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
async fn without_acls_no_task_s_token_is_shown_for_the_view_that_all_share() {
    let stage = stage();
    let mut subscription = stage.subscribe("gate", Some("alice"), &["db"]);
    sees(&mut subscription, present).await;
    assert!(stage.fake.take_requests().iter().all(|seen| seen.token != "alice"));
}

#[tokio::test(start_paused = true)]
async fn when_acls_appear_each_task_sees_with_its_own_token_only() {
    let stage = stage();
    let mut alice = stage.subscribe("alice", Some("alice"), &["db"]);
    let mut bob = stage.subscribe("bob", Some("bob"), &["db"]);
    sees(&mut alice, present).await;
    sees(&mut bob, present).await;
    stage.fake.state().acls = true;
    stage.fake.state().allowed.insert(("bob".to_owned(), "elsewhere".to_owned()));
    stage.allow("alice");
    stage.fake.end_streams();
    sees(&mut bob, blind(Blindness::Denied)).await;
    stage.fake.take_requests();
    sees(&mut alice, present).await;
    assert!(all_within(&mut bob, 300).await.iter().all(is_unseen));
}

#[tokio::test(start_paused = true)]
async fn with_acls_each_task_sees_through_its_own_token_and_socket() {
    let stage = stage_with_acls(&["alice"]);
    let mut alice = stage.subscribe("one", Some("alice"), &["db"]);
    let mut bob = stage.subscribe("two", Some("bob"), &["db"]);
    sees(&mut alice, present).await;
    sees(&mut bob, blind(Blindness::Denied)).await;
    stage.set_status("failed");
    assert!(all_within(&mut bob, 120).await.iter().all(is_unseen), "bob sees with alice's eyes");
    stage.allow("bob");
    sees(&mut bob, with_status(AllocStatus::Failed)).await;
    let streams: BTreeSet<(PathBuf, String)> = stage.fake.streams().into_iter().collect();
    let own = |task: &str, token: &str| (stage.fake.socket(task), token.to_owned());
    assert_eq!(streams, BTreeSet::from([own("one", "alice"), own("two", "bob")]));
    let strangers = |seen: &fake::Seen| {
        (seen.token == "alice") != (seen.socket == stage.fake.socket("one")) && seen.token != "none"
    };
    assert!(!stage.fake.take_requests().iter().any(strangers));
}

#[tokio::test(start_paused = true)]
async fn a_renewed_token_is_used_at_the_next_connection() {
    let stage = stage_with_acls(&["alice", "bob"]);
    let mut subscription = stage.subscribe("gate", Some("alice"), &["db"]);
    sees(&mut subscription, present).await;
    stage.viewer("gate", Some("bob"));
    stage.forbid("alice");
    stage.fake.end_streams();
    sleep(Duration::from_secs(5)).await;
    assert_eq!(stage.fake.streams(), [(stage.fake.socket("gate"), "bob".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn with_a_credential_a_task_sees_only_what_its_own_token_has_proven() {
    let stage = stage_with_acls(&["plugin", "alice"]).with_credential();
    let mut alice = stage.subscribe("one", Some("alice"), &["db"]);
    let mut bob = stage.subscribe("two", Some("bob"), &["db"]);
    sees(&mut alice, present).await;
    let unseen = sees(&mut bob, blind(Blindness::Denied)).await;
    assert!(unseen.hint.unwrap().contains("gate-read"));
    stage.set_status("failed");
    sees(&mut alice, with_status(AllocStatus::Failed)).await;
    assert!(all_within(&mut bob, 60).await.iter().all(is_unseen), "bob has proven nothing");
    assert_eq!(stage.fake.streams(), [(stage.fake.socket("api"), "plugin".to_owned())]);
    stage.allow("bob");
    sees(&mut bob, with_status(AllocStatus::Failed)).await;
    assert_eq!(stage.fake.n_streams(), 1);
    let proof = |seen: &fake::Seen| seen.token == "bob";
    let proofs: Vec<_> = stage.fake.take_requests().into_iter().filter(proof).collect();
    assert!(proofs.iter().all(|seen| seen.socket == stage.fake.socket("two")), "{proofs:?}");
}

#[tokio::test(start_paused = true)]
async fn a_proof_that_is_withdrawn_blinds() {
    let stage = stage_with_acls(&["plugin", "alice"]).with_credential();
    let mut alice = stage.subscribe("one", Some("alice"), &["db"]);
    sees(&mut alice, present).await;
    stage.forbid("alice");
    let began = Instant::now();
    sees(&mut alice, blind(Blindness::Denied)).await;
    assert!(began.elapsed() <= Duration::from_secs(331), "{:?}", began.elapsed());
    stage.set_status("failed");
    assert!(all_within(&mut alice, 60).await.iter().all(is_unseen));
    stage.allow("alice");
    sees(&mut alice, with_status(AllocStatus::Failed)).await;
}

#[tokio::test(start_paused = true)]
async fn when_the_credential_is_denied_the_proofs_are_repeated_at_once() {
    let stage = stage_with_acls(&["plugin", "alice"]).with_credential();
    let mut alice = stage.subscribe("one", Some("alice"), &["db"]);
    sees(&mut alice, present).await;
    stage.forbid("alice");
    stage.forbid("plugin");
    stage.fake.end_streams();
    sleep(Duration::from_secs(1)).await;
    stage.allow("plugin");
    let seen = all_within(&mut alice, 60).await;
    assert!(!seen.is_empty() && seen.iter().all(is_unseen), "{seen:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_proof_that_cannot_be_repeated_lasts_but_not_for_ever() {
    let stage = stage_with_acls(&["plugin", "alice"]).with_credential();
    let mut alice = stage.subscribe("one", Some("alice"), &["db"]);
    sees(&mut alice, present).await;
    stage.fake.close_socket(&stage.fake.socket("one"));
    let began = Instant::now();
    timeout(Duration::from_mins(15), async { while !is_unseen(&alice.next().await.unwrap().1) {} })
        .await
        .unwrap();
    let seconds = began.elapsed().as_secs();
    assert!((590..=640).contains(&seconds), "{seconds}");
}

#[tokio::test(start_paused = true)]
async fn with_a_credential_but_without_acls_nothing_is_to_be_proven() {
    let stage = stage().with_credential();
    let mut subscription = stage.subscribe("gate", None, &["db"]);
    stage.fake.close_socket(&stage.fake.socket("gate"));
    sees(&mut subscription, present).await;
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
