//! Whatever checks, restarts, versions and Nomad do: healthy is only what an independent reading of it allows.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::{Stage, stage};
use crate::{
    cluster::JobKey,
    condition::{self, Verdict},
    manifest::{Manifest, Wait},
    nomad::fake::{self, Answer},
};

/// `min_healthy_time` of the job.
const NEEDED: Duration = Duration::from_secs(2);
/// How late a change may be seen at the most: what is healthy by both is asked once a second.
const LATE: Duration = Duration::from_millis(1100);

#[derive(Clone, Copy, Debug)]
enum Deed {
    Check(&'static str),
    /// Nomad's verdict.
    Healthy(Option<bool>),
    Restart,
    Version,
    Reach(bool),
}

fn any_deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => Just(Deed::Check("success")),
        2 => Just(Deed::Check("failure")),
        1 => Just(Deed::Check("pending")),
        1 => Just(Deed::Healthy(Some(true))),
        1 => Just(Deed::Healthy(Some(false))),
        1 => Just(Deed::Healthy(None)),
        2 => Just(Deed::Restart),
        1 => Just(Deed::Version),
        1 => Just(Deed::Reach(false)),
        3 => Just(Deed::Reach(true)),
    ]
}

/// How it truly is, and since when each part of it.
#[derive(Clone, Copy, Debug)]
struct Truth {
    check: (&'static str, Instant),
    healthy: Option<bool>,
    restarts: (u64, Instant),
    version: (u64, Instant),
    reach: (bool, Instant),
}

impl Truth {
    /// Whether a gate may hold it for healthy at `now`.
    fn allows(&self, now: Instant) -> bool {
        let of_old = |since: Instant| now - since >= NEEDED;
        let by_checks = self.check.0 == "success"
            && self.reach.0
            && [self.check.1, self.restarts.1, self.version.1, self.reach.1].into_iter().all(of_old);
        let is_known_to_fail =
            self.check.0 == "failure" && self.reach.0 && now - self.check.1.max(self.reach.1) > LATE;
        by_checks || self.healthy == Some(true) && !is_known_to_fail
    }

    fn happens(&mut self, deed: Deed, stage: &Stage, now: Instant) {
        match deed {
            Deed::Check(status) if status == self.check.0 => return,
            Deed::Check(status) => {
                self.check = (status, now);
                stage.fake.health_checks("a1", &[("http", status)]);
            }
            Deed::Healthy(healthy) => self.healthy = healthy,
            Deed::Restart => self.restarts = (self.restarts.0 + 1, now),
            Deed::Version => {
                self.version = (self.version.0 + 1, now);
                self.healthy = None;
                stage.fake.transact(|write| write.register(fake::checked_job("shop", "db", 1)));
            }
            Deed::Reach(reach) if reach == self.reach.0 => return,
            Deed::Reach(reach) => {
                self.reach = (reach, now);
                if reach {
                    stage.fake.answer_truly();
                } else {
                    let answer = Answer::Text(404, "No path to node".to_owned());
                    stage.fake.answer("/v1/client/allocation/a1/checks", answer);
                }
            }
        }
        let mut allocation = fake::allocation("shop", "db", "a1", self.version.0, "running");
        allocation["DeploymentStatus"] = json!({ "Healthy": self.healthy });
        allocation["TaskStates"]["t"]["Restarts"] = json!(self.restarts.0);
        stage.fake.transact(|write| write.allocation(allocation));
    }
}

fn wait() -> Wait {
    let config = json!({ "wait": { "db": {} } });
    let (manifest, _) = Manifest::from_msgpack(&rmp_serde::to_vec(&config).unwrap());
    *manifest.waits.into_values().next().unwrap()
}

async fn lives(deeds: Vec<(Deed, u64)>) -> Result<(), TestCaseError> {
    let stage = stage();
    stage.fake.transact(|write| write.register(fake::checked_job("shop", "db", 1)));
    let wait = wait();
    let mut gate = stage.asks("gate", None, &["db"]);
    let began = Instant::now();
    let mut truth = Truth {
        check: ("pending", began),
        healthy: None,
        restarts: (0, began),
        version: (1, began),
        reach: (true, began),
    };
    let mut is_met = false;
    let mut deeds = deeds;
    // In the end all is well, and then that must be seen.
    deeds.extend([(Deed::Reach(true), 1), (Deed::Check("success"), 30_000)]);
    for (deed, pause) in deeds {
        truth.happens(deed, &stage, Instant::now());
        let end = Instant::now() + Duration::from_millis(pause);
        while let Ok(Some((key, sight))) = timeout_at(end, gate.next()).await {
            if key != JobKey::new("shop", "db") {
                continue;
            }
            let verdict = condition::judge(&wait, &sight, true);
            is_met = matches!(verdict, Verdict::Met(_));
            let now = Instant::now();
            prop_assert!(!is_met || truth.allows(now), "{verdict:?} at {:?} of {truth:?}", now - began);
        }
        let now = Instant::now();
        prop_assert!(
            !is_met || truth.allows(now),
            "it is still held for healthy at {:?}: {truth:?}",
            now - began
        );
    }
    prop_assert!(is_met, "it is never seen that it is healthy: {truth:?}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

    /// Each state lasts long enough to be asked at least once.
    #[test]
    fn healthy_is_only_what_is_so(deeds in proptest::collection::vec((any_deed(), 1200..4000_u64), 1..16)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(lives(deeds))?;
    }
}
