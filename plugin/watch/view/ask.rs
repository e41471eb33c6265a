//! Asking an allocation's own checks, while somebody waits for its job to be healthy.
//!
//! # Invariants
//!
//! * Only what can tell something is asked: [`JobSight::asks_checks_of`](crate::cluster::JobSight::asks_checks_of).
//! * Passing counts from the end of the first request that found it so to the begin of the last: never for longer than
//!   it was so.
//! * Any other answer, none in time, a restart of a main task, another version: then it begins anew, and what was being
//!   asked meanwhile counts for nothing.
//! * A result from before a restart is none: a check that runs once a minute says for as long what it said of the process
//!   before.
//! * Those who look are told when an answer changes, and once more when passing has lasted for `min_healthy_time`; that
//!   instant is asked for, and not guessed.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::{Instant, timeout};

use super::{View, phase::Phases};
use crate::{
    cluster::{AllocId, Allocation, Check, JobId, JobSight, JobVersion, LiveChecks},
    nomad::{Client, Error},
    watch::{
        pace::{Pace, Throttle},
        subscription::MemberId,
    },
};

type Key = (JobId, AllocId);

/// The allocations whose checks are asked, and what is under way.
pub(super) struct Asked {
    runs: BTreeMap<Key, Run>,
    under_way: FuturesUnordered<Pin<Box<dyn Future<Output = Answer> + Send>>>,
    throttle: Arc<Throttle>,
    /// Until when others have the turn.
    held_until: Option<Instant>,
    rounds: u64,
}

/// One allocation, as long as it is the same version and its main tasks run on.
struct Run {
    mark: Mark,
    /// Which of all runs it is, so that no answer counts for another.
    round: u64,
    /// Since when its checks pass.
    since: Option<Instant>,
    /// When its checks have results.
    phases: Phases,
    /// When to ask next; `None` while that is under way.
    next: Option<Instant>,
}

/// What changes when an allocation is not what it was: its version, and each main task's restarts and last start.
#[derive(PartialEq, Eq)]
struct Mark(Option<JobVersion>, Vec<(u64, Option<i64>)>);

/// What came of asking.
pub(super) struct Answer {
    key: Key,
    round: u64,
    began: Instant,
    result: Result<Vec<Check>, Silence>,
}

/// Why there is no answer.
struct Silence {
    why: String,
    is_denied: bool,
}

impl Mark {
    fn of(sight: &JobSight, allocation: &Allocation) -> Self {
        let tasks = sight.job.main_tasks(allocation).into_iter().flatten().flatten();
        Self(allocation.job_version, tasks.map(|task| (task.restarts, task.started)).collect())
    }
}

impl Asked {
    pub(super) fn new(throttle: Arc<Throttle>) -> Self {
        Self {
            runs: BTreeMap::new(),
            under_way: FuturesUnordered::new(),
            throttle,
            held_until: None,
            rounds: 0,
        }
    }

    /// The next answer; `None` when nothing is under way.
    pub(super) async fn answer(&mut self) -> Option<Answer> {
        self.under_way.next().await
    }

    /// When somebody is to be asked.
    pub(super) fn due(&self, pace: &Pace) -> Option<Instant> {
        if self.under_way.len() >= pace.checks_at_a_time {
            return None;
        }
        let next = self.runs.values().filter_map(|run| run.next).min()?;
        Some(self.held_until.map_or(next, |until| next.max(until)))
    }

    fn round(&mut self) -> u64 {
        self.rounds += 1;
        self.rounds
    }
}

impl View {
    /// From now on the checks of `jobs` are asked for a member, too.
    pub(super) fn ask_for(&mut self, now: Instant, id: MemberId, jobs: &BTreeSet<JobId>) {
        for job in jobs {
            if let Some(watched) = self.jobs.get_mut(job) {
                watched.askers.insert(id);
            }
        }
        self.show(now, jobs);
    }

    /// Asks the allocations of a job that are to be asked as it is known now, and no others.
    pub(super) fn follow(&mut self, now: Instant, job: &JobId) {
        let mut wanted: BTreeMap<AllocId, Mark> = BTreeMap::new();
        if let Some(watched) = self.jobs.get(job).filter(|watched| !watched.askers.is_empty())
            && let Some(sight) = watched.known.present()
        {
            let asked = sight.allocations.values().filter(|allocation| sight.asks_checks_of(allocation));
            wanted.extend(asked.map(|allocation| (allocation.id.clone(), Mark::of(sight, allocation))));
        }
        let of_job = self.asked.runs.range((job.clone(), AllocId::from(""))..);
        let known: Vec<AllocId> =
            of_job.take_while(|((of, _), _)| of == job).map(|((_, id), _)| id.clone()).collect();
        for id in known {
            let key = (job.clone(), id);
            let Some(run) = self.asked.runs.get_mut(&key) else { continue };
            match wanted.remove(&key.1) {
                Some(mark) if mark == run.mark => continue,
                Some(mark) => {
                    (run.mark, run.since) = (mark, None);
                    run.next = run.next.map(|_| now);
                    let round = self.asked.round();
                    if let Some(run) = self.asked.runs.get_mut(&key) {
                        run.round = round;
                    }
                }
                None => drop(self.asked.runs.remove(&key)),
            }
            self.note(&key, None);
        }
        for (id, mark) in wanted {
            let round = self.asked.round();
            let run = Run { mark, round, since: None, phases: Phases::default(), next: Some(now) };
            self.asked.runs.insert((job.clone(), id), run);
        }
    }

    fn note(&mut self, (job, id): &Key, checks: Option<&LiveChecks>) -> bool {
        self.jobs.get_mut(job).is_some_and(|watched| watched.known.note_checks(id, checks))
    }

    /// Asks whoever is due, as far as the bounds allow.
    pub(super) fn ask(&mut self, now: Instant) {
        while self.asked.due(&self.pace).is_some_and(|due| due <= now) {
            let due = self.asked.runs.iter().filter_map(|(key, run)| Some((run.next?, key.clone()))).min();
            let Some((_, key)) = due else { return };
            if let Err(until) = self.asked.throttle.take(now, self.pace.check_gap) {
                self.asked.held_until = Some(until);
                return;
            }
            let clients =
                self.candidates().map(|clients| clients.into_iter().map(|(_, client)| client).collect());
            let Some(run) = self.asked.runs.get_mut(&key) else { return };
            run.next = None;
            run.phases.asks(now, self.pace.checks.0);
            let (round, limit) = (run.round, self.pace.check_limit);
            let namespace = self.key.namespace().clone();
            self.asked.under_way.push(Box::pin(async move {
                let began = Instant::now();
                let asking = async { first_answer(clients?, &key.1, &namespace).await };
                let result = match timeout(limit, asking).await {
                    Ok(result) => {
                        result.map_err(|error| Silence { why: error.chain(), is_denied: error.is_denied() })
                    }
                    Err(_elapsed) => {
                        let why = format!("its client did not answer within {limit:?}");
                        Err(Silence { why, is_denied: false })
                    }
                };
                Answer { key, round, began, result }
            }));
        }
    }

    /// Takes an answer, and tells it if it is news.
    pub(super) fn answered(&mut self, now: Instant, answer: Answer) {
        let Answer { key, round, began, result } = answer;
        let Some(run) = self.asked.runs.get_mut(&key) else { return };
        if run.round != round {
            run.next = Some(now);
            return;
        }
        let Some(sight) = self.jobs.get(&key.0).and_then(|watched| watched.known.present()) else { return };
        let Some(allocation) = sight.allocations.get(&key.1) else { return };
        let Some(group) = sight.job.groups.get(&allocation.group) else { return };
        let needed = group.min_healthy_time();
        let (often, seldom) = self.pace.checks;
        let (said, next) = match result {
            Err(Silence { why, is_denied }) => {
                (LiveChecks::Unknown(why), began + if is_denied { self.pace.denied } else { seldom })
            }
            Ok(checks) => {
                run.phases.saw(began, now, &checks, &group.check_intervals);
                let restarted = sight.job.restarted_in(allocation);
                let soon = run.phases.next(now, often);
                match LiveChecks::of(&checks, group.own_checks, restarted) {
                    LiveChecks::Passing { .. } => {
                        let since = *run.since.get_or_insert(now);
                        let lasted = began.saturating_duration_since(since);
                        let next = match (lasted < needed, allocation.is_healthy) {
                            (true, _) => soon.min(since + needed),
                            (false, Some(true)) => began + seldom,
                            (false, _) => soon,
                        };
                        (LiveChecks::Passing { lasted }, next)
                    }
                    other => (other, soon),
                }
            }
        };
        if !matches!(said, LiveChecks::Passing { .. }) {
            run.since = None;
        }
        run.next = Some(next.max(now));
        let is_news = match (sight.live.get(&key.1), &said) {
            (Some(LiveChecks::Passing { lasted: before }), LiveChecks::Passing { lasted }) => {
                decides(*before, needed) != decides(*lasted, needed)
            }
            (before, said) => before != Some(said),
        };
        if is_news && self.note(&key, Some(&said)) {
            self.show(now, &BTreeSet::from([key.0]));
        }
    }
}

fn decides(lasted: Duration, needed: Duration) -> bool {
    lasted >= needed
}

/// What the first of `clients` answers that leads to Nomad: a task that lent its socket may have ended.
async fn first_answer(
    clients: Vec<Client>,
    alloc: &AllocId,
    namespace: &crate::cluster::Namespace,
) -> Result<Vec<Check>, Error> {
    let mut answer = Err(Error::StreamLost {
        address: "the Task API".to_owned(),
        how: "has no living task to read it".to_owned(),
    });
    for client in clients {
        answer = client.checks(alloc, namespace).await;
        if !matches!(answer, Err(Error::Unreachable { .. })) {
            break;
        }
    }
    answer
}
