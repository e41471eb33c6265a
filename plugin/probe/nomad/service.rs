//! The instances of a service that Nomad knows, and how each fares now.
//!
//! Nomad registers an instance before its task runs and leaves it there when a check fails, so that it is there says little.
//! Whether it passes is asked of its allocation: by its checks, or where it has none by its main tasks.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    future::pending,
    pin::pin,
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    super::{
        follow::{DENIED, Follower},
        table::{Line, Outcome},
    },
    health,
};
use crate::{
    cluster::{AllocId, Allocation, Answer, Instance, JobId, Namespace, RaftIndex, Unwell},
    nomad::{self, Error, Offer},
};

/// How often the instances are looked at.
const PERIOD: Duration = Duration::from_millis(500);
/// At least this much time for each of them, so that many cost no more requests than a few.
const EACH: Duration = Duration::from_millis(20);
/// How many are looked at at a time.
const AT_A_TIME: usize = 8;
/// How long the client of one may take: one that hangs must not hide the others.
const LIMIT: Duration = Duration::from_secs(2);

/// Answers [`Question::Service`](crate::cluster::Question::Service).
pub(in super::super) async fn service(line: &Line, namespace: &Namespace, name: &str) -> Infallible {
    let follower = Follower::new(async |after: Option<u64>| {
        let after = after.map(RaftIndex);
        let read = line.nomad(async |client| client.service_after(namespace, name, after).await).await?;
        Ok::<_, Error>((read.value, read.index.0))
    });
    let changes = stream::unfold(follower, async |mut follower| {
        let change = follower.next().await;
        Some((change, follower))
    });
    let mut changes = pin!(changes);
    let mut look = Look { line, namespace, name, instances: Vec::new(), offers: BTreeMap::new() };
    let mut look_at = None;
    loop {
        tokio::select! {
            biased;
            Some(change) = changes.next() => match change {
                Ok(instances) if instances.is_empty() => {
                    look_at = None;
                    line.tell(Answer::Instances(Vec::new()));
                }
                Ok(instances) => {
                    look.instances = instances;
                    look_at = Some(Instant::now());
                }
                Err(outcome) => {
                    look_at = None;
                    line.tell(outcome);
                }
            },
            () = at(look_at) => {
                let pause = match look.around().await {
                    Ok(instances) => {
                        line.tell(Answer::Instances(instances));
                        PERIOD
                    }
                    Err(error) => {
                        let outcome = Outcome::from(error);
                        let pause = if outcome.is_denied() { DENIED } else { PERIOD };
                        line.tell(outcome);
                        pause
                    }
                };
                let n = u32::try_from(look.instances.len()).unwrap_or(u32::MAX);
                look_at = Some(Instant::now() + pause.max(EACH * n));
            }
        }
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}

/// What is looked at, and what is known from before.
struct Look<'a> {
    line: &'a Line,
    namespace: &'a Namespace,
    name: &'a str,
    instances: Vec<nomad::Instance>,
    offers: BTreeMap<AllocId, Offer>,
}

impl Look<'_> {
    /// How each instance fares now. One request for all allocations, and one for the checks of each.
    async fn around(&mut self) -> Result<Vec<Instance>, Error> {
        let Self { line, namespace, name, .. } = *self;
        let jobs: BTreeSet<JobId> = self.instances.iter().map(|instance| instance.job.clone()).collect();
        let jobs = &jobs;
        let read = line.nomad(async |client| client.allocations(namespace, jobs.iter()).await).await?;
        let ours: BTreeSet<&AllocId> = self.instances.iter().map(|instance| &instance.alloc).collect();
        let allocations: BTreeMap<AllocId, Allocation> = read
            .value
            .into_iter()
            .map(|(_, allocation)| (allocation.id.clone(), allocation))
            .filter(|(id, _)| ours.contains(id))
            .collect();

        self.offers.retain(|alloc, offer| {
            allocations.get(alloc).is_some_and(|allocation| allocation.job_version == Some(offer.version))
        });
        let unknown = allocations.keys().filter(|alloc| !self.offers.contains_key(*alloc));
        let offers = unknown.map(async |alloc| {
            let offer = line.nomad(async |client| client.offer(alloc, namespace).await).await;
            offer.map(|offer| offer.map(|offer| (alloc.clone(), offer)))
        });
        let offers: Vec<_> = offers.collect();
        let mut offers = stream::iter(offers).buffer_unordered(AT_A_TIME);
        while let Some(offer) = offers.next().await {
            self.offers.extend(offer?);
        }
        drop(offers);

        let gone = || Err(Unwell::Failing("its allocation has gone".to_owned()));
        let mut fares: BTreeMap<&AllocId, Result<(), Unwell>> = BTreeMap::new();
        let mut questions = Vec::new();
        for (alloc, allocation) in &allocations {
            let fare = match (health::is_up(allocation), self.offers.get(alloc)) {
                (Err(why), _) => Err(why),
                (Ok(()), None) => gone(),
                (Ok(()), Some(offer)) => match offer.n_checks(name) {
                    0 => health::of_tasks(allocation, offer),
                    n => {
                        questions.push((alloc, n, allocation.restarted_in(&offer.main_tasks)));
                        continue;
                    }
                },
            };
            fares.insert(alloc, fare);
        }
        let questions = questions.into_iter().map(async |(alloc, n, restarted)| {
            let asked = line.nomad(async |client| client.checks(alloc, namespace).await);
            let fare = match timeout(LIMIT, asked).await {
                Err(_elapsed) => Err(Unwell::Unknown(format!(
                    "its client did not tell its checks within {} s",
                    LIMIT.as_secs()
                ))),
                Ok(Ok(checks)) => health::of_checks(&checks, name, n, restarted),
                // It is about this allocation's client only.
                Ok(Err(error @ (Error::Refused { .. } | Error::Garbled { .. } | Error::TooLong { .. }))) => {
                    Err(Unwell::Unknown(error.chain()))
                }
                Ok(Err(error)) => return Err(error),
            };
            Ok((alloc, fare))
        });
        let questions: Vec<_> = questions.collect();
        let mut questions = stream::iter(questions).buffer_unordered(AT_A_TIME);
        while let Some(answer) = questions.next().await {
            let (alloc, fare) = answer?;
            fares.insert(alloc, fare);
        }
        drop(questions);

        let mut instances: Vec<Instance> = self
            .instances
            .iter()
            .map(|instance| Instance {
                id: instance.alloc.short().to_owned(),
                address: format!("{}:{}", instance.address, instance.port),
                tags: instance.tags.clone(),
                health: fares.get(&instance.alloc).cloned().unwrap_or_else(gone),
            })
            .collect();
        instances.sort_by(|a, b| (&a.id, &a.address).cmp(&(&b.id, &b.address)));
        Ok(instances)
    }
}
