//! How a view connects and reads, and what comes of it.
//!
//! # Invariants
//!
//! * A stream counts only after its first line: a denied one looks like a silent one.
//! * A stream is open before the reading that goes with it begins, so that nothing lies between the two.

use std::{
    collections::BTreeSet,
    future::{Future, pending},
    mem,
    pin::Pin,
    time::Duration,
};

use tokio::time::{Instant, timeout_at};
use tracing::{debug, info};

use super::{Source, Up, View, Watched, earliest, unseen};
use crate::{
    cluster::{JobId, JobKey, Namespace},
    nomad::{Client, Error, EventStream, Topics},
    watch::{
        Credential,
        hub::Notice,
        pace::jittered,
        picture::Known,
        read::{Reading, Scope, read},
        subscription::MemberId,
        viewer::read_operators_token,
    },
};

/// From this many jobs on, a stream of all jobs is cheaper than a filter that changes with each of them.
const MANY: usize = 50;
/// How many members' sockets are tried one after the other before an attempt has failed.
const CANDIDATES: usize = 5;

/// What is under way.
pub(super) struct Work {
    pub(super) kind: Kind,
    pub(super) future: Pin<Box<dyn Future<Output = Result<Box<Done>, Failure>> + Send>>,
}

/// An error, and the member through whose socket it came.
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) via: Option<MemberId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The first stream, or one after a loss: everything is read.
    Connect,
    /// A stream that covers more jobs, or only the reading of new ones.
    Extend,
    /// Everything, without a new stream.
    Reread,
    /// The versions of allocations.
    Versions,
}

pub(super) struct Done {
    pub(super) began: Instant,
    pub(super) opened: Option<Opened>,
    pub(super) reading: Reading,
    pub(super) jobs: BTreeSet<JobId>,
}

pub(super) struct Opened {
    pub(super) stream: EventStream,
    pub(super) topics: Topics,
    pub(super) via: Option<MemberId>,
}

impl View {
    /// Starts what is due, if anything.
    pub(super) fn start(&mut self, now: Instant) {
        let is_due = |instant: Option<Instant>| instant.is_some_and(|instant| instant <= now);
        let Some(up) = &self.up else {
            if is_due(self.connect_at) && !self.jobs.is_empty() {
                self.connect_at = None;
                self.begin(Kind::Connect, self.jobs.keys().cloned().collect(), Some(self.topics()));
            }
            return;
        };
        if is_due(self.extend_at) {
            self.extend_at = None;
            let unread =
                |(job, watched): (&JobId, &Watched)| watched.known.sight().is_none().then(|| job.clone());
            let unread: BTreeSet<JobId> = self.jobs.iter().filter_map(unread).collect();
            if unread.is_empty() {
                return;
            }
            let is_covered = unread.iter().all(|job| up.topics.cover(job));
            // In a burst each extension waits longer than the one before.
            let is_burst = self.extended_at.is_some_and(|at| now < at + 5 * self.pace.gather.1);
            self.gather =
                if is_burst { (self.gather * 2).min(self.pace.gather.1) } else { self.pace.gather.0 };
            self.extended_at = Some(now);
            let topics = (!is_covered).then(|| self.topics());
            self.begin(Kind::Extend, unread, topics);
        } else if self.reread_at <= now
            || (is_due(self.refresh_at) && self.jobs.values().any(Watched::wants_reread))
        {
            self.refresh_at = None;
            self.reread_at = now + jittered(self.pace.reread);
            // A job read before the stream covers it would count as read, and the stream would never be extended.
            let covered = self.jobs.keys().filter(|job| up.topics.cover(job)).cloned().collect();
            self.begin(Kind::Reread, covered, None);
        } else if is_due(self.refresh_at) {
            // Another reading has answered them, or they have gone.
            self.refresh_at = None;
        } else if is_due(self.versions_at) {
            self.versions_at = None;
            let lacking =
                |(job, watched): (&JobId, &Watched)| watched.known.lacks_versions().then(|| job.clone());
            let lacking: BTreeSet<JobId> = self.jobs.iter().filter_map(lacking).collect();
            if !lacking.is_empty() {
                self.begin(Kind::Versions, lacking, None);
            }
        }
    }

    fn topics(&self) -> Topics {
        if self.jobs.len() < MANY { Topics::Jobs(self.jobs.keys().cloned().collect()) } else { Topics::All }
    }

    fn begin(&mut self, kind: Kind, jobs: BTreeSet<JobId>, topics: Option<Topics>) {
        let of = |job: &JobId| self.jobs.get(job).map(|watched| &watched.known);
        let scope = Scope {
            has_absent: jobs.iter().filter_map(of).any(Known::is_absent),
            jobs: jobs.iter().map(|job| (job.clone(), of(job).and_then(Known::specification))).collect(),
            only_allocations: kind == Kind::Versions,
        };
        if jobs.is_empty() {
            return;
        }
        let candidates = self.candidates();
        let namespace = self.key.namespace().clone();
        let first_beat = self.pace.first_beat;
        debug!(view = %self.key, ?kind, n_jobs = jobs.len(), "look");
        let began = Instant::now();
        let future = Box::pin(async move {
            let mut failure = Failure {
                error: Error::StreamLost {
                    address: "the Task API".to_owned(),
                    how: "has no living task to read it".to_owned(),
                },
                via: None,
            };
            for (via, client) in candidates.map_err(|error| Failure { error, via: None })? {
                match look(&client, via, &namespace, &scope, topics.clone(), first_beat).await {
                    Ok((opened, reading)) => return Ok(Box::new(Done { began, opened, reading, jobs })),
                    Err(error) => failure = Failure { error, via },
                }
                if !matches!(failure.error, Error::Unreachable { .. }) {
                    break;
                }
                // This member may have ended; another's socket leads to the same place.
            }
            Err(failure)
        });
        self.work = Some(Work { kind, future });
    }

    /// The ways to Nomad, best first.
    pub(super) fn candidates(&self) -> Result<Vec<(Option<MemberId>, Client)>, Error> {
        match &self.source {
            Source::Plugin(Credential { endpoint, token_file }) => {
                let token = token_file.as_deref().map(read_operators_token).transpose()?;
                Ok(vec![(None, Client::new(endpoint.clone(), token))])
            }
            Source::Own => {
                let own = self.members.iter().map(|(id, member)| Ok((Some(*id), member.viewer.client()?)));
                own.collect()
            }
            Source::Anyone => {
                // As long as a stream is open its member is known to live; after a loss the next one has its turn.
                let first = self.up.as_ref().and_then(|up| up.via).or(self.via);
                let from = first.into_iter().filter(|id| self.members.contains_key(id));
                let after = self.members.keys().copied().filter(|id| first.is_none_or(|first| *id > first));
                let before = self.members.keys().copied().filter(|id| first.is_some_and(|first| *id < first));
                let ids: Vec<MemberId> = from.chain(after).chain(before).take(CANDIDATES).collect();
                let client =
                    |id| self.members.get(&id).map(|member| (Some(id), member.viewer.anonymous_client()));
                Ok(ids.into_iter().filter_map(client).collect())
            }
        }
    }

    pub(super) fn worked(&mut self, now: Instant, kind: Kind, done: Done) {
        let Done { began, opened, mut reading, jobs } = done;
        if let Some(Opened { stream, topics, via }) = opened {
            let was_seamless = self.up.as_ref().is_some_and(|up| up.is_seamless);
            let is_seamless = was_seamless && self.pace.is_fresh(self.told_until, began);
            if !is_seamless {
                // The stream before it may have been dead for a while: what it would have told is read instead.
                self.reread_at = now;
            }
            self.up = Some(Up { stream, topics, since: now, heard: now, via, is_seamless });
            self.via = via;
        }
        if matches!(kind, Kind::Connect | Kind::Reread) {
            self.told_until = self.told_until.max(Some(began));
            if let Some(up) = &mut self.up {
                up.is_seamless = true;
            }
        }
        let mut changed = BTreeSet::new();
        for job in &jobs {
            if let Some(watched) = self.jobs.get_mut(job)
                && watched.known.merge(job, &mut reading)
            {
                changed.insert(job.clone());
            }
        }
        for transaction in mem::take(&mut self.early) {
            self.apply(transaction, &mut changed);
        }
        if kind == Kind::Connect {
            info!(view = %self.key, n_jobs = self.jobs.len(), "sees the cluster");
            self.lost_at = None;
            self.connect_at = None;
            self.reread_at = now + jittered(self.pace.reread);
        }
        self.trouble = None;
        self.was_denied = false;
        if mem::take(&mut self.is_blind) {
            self.show_all(now);
        } else {
            self.show(now, &changed);
        }
        if kind != Kind::Versions {
            self.admit(now, began, &jobs);
        }
        if self.jobs.values().any(|watched| watched.known.sight().is_none()) {
            self.extend_at = Some(earliest(self.extend_at, now + self.gather));
        }
        if kind == Kind::Versions {
            let still = self.jobs.values().any(|watched| watched.known.lacks_versions());
            self.versions_pause = if still {
                (self.versions_pause * 2).min(self.pace.versions_pause.1)
            } else {
                self.pace.versions_pause.0
            };
            self.versioned_at = Some(now);
            self.versions_at = Some(now + self.versions_pause).filter(|_| still);
        } else {
            self.want_versions(now, &self.jobs.keys().cloned().collect::<BTreeSet<_>>());
        }
    }

    pub(super) fn failed(&mut self, now: Instant, kind: Kind, error: &Error) {
        if kind == Kind::Extend && !error.is_denied() && self.up.is_some() {
            // Those who see already go on seeing; only the new jobs wait.
            debug!(view = %self.key, error = error.chain(), "cannot look up new jobs");
            self.trouble = Some(unseen(error));
            self.show_all(now);
            let wait = self.attempts.next().unwrap_or(self.pace.backoff.1);
            self.extend_at = Some(now + wait);
            return;
        }
        self.lose(now, error);
    }

    /// There is no stream any more that could be trusted.
    pub(super) fn lose(&mut self, now: Instant, error: &Error) {
        self.work = None;
        self.early.clear();
        self.extend_at = None;
        self.versions_at = None;
        let is_denied = error.is_denied();
        let up = self.up.take();
        let lived = up.as_ref().map_or(Duration::ZERO, |up| now.duration_since(up.since));
        if let Some(up) = &up {
            self.lost_at = Some(now);
            self.via = up.via;
            debug!(view = %self.key, error = error.chain(), "lost the stream");
        }
        let wait = if is_denied {
            self.pace.denied
        } else if lived >= self.pace.steady {
            self.attempts = self.pace.attempts();
            Duration::ZERO
        } else if lived >= self.pace.brief {
            self.pace.backoff.0
        } else {
            self.attempts.next().unwrap_or(self.pace.backoff.1)
        };
        self.connect_at = Some(now + wait);
        let was_blind = self.is_blind;
        self.is_blind |= is_denied || self.lost_at.is_none_or(|lost_at| lost_at + self.pace.grace <= now);
        self.trouble = Some(unseen(error));
        if self.is_blind && !was_blind {
            info!(view = %self.key, error = error.chain(), "does not see the cluster");
        }
        let was_denied = mem::replace(&mut self.was_denied, is_denied);
        if is_denied && (!was_denied || matches!(self.source, Source::Anyone)) {
            // The hub outlives its views, except when everything ends.
            drop(self.notices.send(Notice { view: self.key.clone(), via: self.via }));
        }
        self.show_all(now);
    }

    pub(super) fn stream_lost(&self, how: String) -> Error {
        let address = match &self.source {
            Source::Plugin(credential) => credential.endpoint.to_string(),
            Source::Anyone | Source::Own => "the Task API".to_owned(),
        };
        Error::StreamLost { address, how }
    }
}

/// Opens a stream if `topics` are given, and reads.
async fn look(
    client: &Client,
    via: Option<MemberId>,
    namespace: &Namespace,
    scope: &Scope,
    topics: Option<Topics>,
    first_beat: Duration,
) -> Result<(Option<Opened>, Reading), Error> {
    let opened = match topics {
        None => None,
        Some(topics) => {
            let stream = open(client, namespace, scope, &topics, first_beat).await?;
            Some(Opened { stream, topics, via })
        }
    };
    Ok((opened, read(client, namespace, scope).await?))
}

/// Opens a stream and waits for its first line, which alone proves that it is not a denied one.
async fn open(
    client: &Client,
    namespace: &Namespace,
    scope: &Scope,
    topics: &Topics,
    first_beat: Duration,
) -> Result<EventStream, Error> {
    let began = Instant::now();
    let mut stream = client.events(namespace, topics).await?;
    let mut how = None;
    // Nomad keeps a denied stream for some seconds before it ends it, but a plain request is told at once, and why.
    for limit in [first_beat / 10, first_beat] {
        // Nothing is wanted yet, so whatever comes first is only a sign of life.
        match timeout_at(began + limit, stream.next(&|_| false)).await {
            Ok(Ok(Some(_beat))) => return Ok(stream),
            Ok(Ok(None)) => how = Some("ended before its first line".to_owned()),
            Ok(Err(error)) => return Err(error),
            Err(_elapsed) => {}
        }
        if let Some(job) = scope.jobs.keys().next() {
            client.prove(&JobKey { namespace: namespace.clone(), job: job.clone() }).await?;
        }
        if how.is_some() {
            break;
        }
    }
    let how = how.unwrap_or_else(|| format!("did not begin within {} s", first_beat.as_secs()));
    Err(Error::StreamLost { address: client.endpoint().to_string(), how })
}

pub(super) async fn worked(work: &mut Option<Work>) -> (Kind, Result<Box<Done>, Failure>) {
    match work {
        Some(Work { kind, future }) => (*kind, future.await),
        None => pending().await,
    }
}
