//! Nomad's event stream: one JSON object a line, each line the events of one write.
//!
//! A line is `{}` when nothing happened for half a minute, and first of all when the stream was accepted: a stream
//! that was denied is answered with 200 as well, but ends, or stays silent, without that first `{}`.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    future::poll_fn,
    mem,
    task::{Context, Poll},
};

use bytes::{Buf as _, Bytes};
use serde::de::Error as _;

use super::{Error, chunks::Chunks, transport::MAX_BODY, wire};
use crate::{
    cluster::{Allocation, Deployment, Evaluation, Job, JobId, Namespace, RaftIndex},
    http::Opened,
};

/// A line of at most this many bytes may say nothing but that the stream lives.
const HEARTBEAT_ROOM: usize = 16;
/// How many bytes of a burst are taken from the connection before they are decoded.
const AHEAD: usize = 8 << 20;

/// The jobs a stream is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topics {
    /// Every job of the namespace.
    All,
    /// These jobs, and what belongs to them.
    Jobs(BTreeSet<JobId>),
    /// The variable at this path, since Nomad 2: that it was written, and no updates.
    Variable(String),
}

impl Topics {
    /// Whether a stream with these topics tells of `job`.
    pub fn cover(&self, job: &JobId) -> bool {
        match self {
            Self::All => true,
            Self::Jobs(jobs) => jobs.contains(job),
            Self::Variable(_) => false,
        }
    }
}

/// A sign of life from the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beat {
    /// Nothing happened, but Nomad is there.
    Heartbeat,
    /// Something was written.
    Transaction(Transaction),
}

/// All that one write changed and someone wants to know, to be applied as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Its place in the Raft log. Several lines may have the same.
    pub index: RaftIndex,
    /// What it changed, in no meaningful order.
    pub updates: Vec<Update>,
}

/// A thing as it is after a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// A job was registered, changed or stopped, or its status changed.
    Job(Box<Job>),
    /// A job is no longer registered: it was purged.
    JobGone(JobId),
    /// A deployment of a job.
    Deployment(JobId, Box<Deployment>),
    /// An allocation of a job; its job version is not known.
    Allocation(JobId, Box<Allocation>),
    /// An evaluation of a job.
    Evaluation(JobId, Box<Evaluation>),
}

impl Update {
    /// The job it is about.
    pub fn job(&self) -> &JobId {
        match self {
            Self::Job(job) => &job.key.job,
            Self::JobGone(job)
            | Self::Deployment(job, _)
            | Self::Allocation(job, _)
            | Self::Evaluation(job, _) => job,
        }
    }
}

/// An open event stream. Dropping it closes its connection.
pub struct EventStream {
    address: String,
    wanted: String,
    namespace: Namespace,
    opened: Opened,
    /// What has arrived of the next line, without a line end.
    begun: Chunks,
    /// What has arrived after that.
    rest: VecDeque<Bytes>,
    /// How many bytes these are.
    n_rest: usize,
    has_ended: bool,
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").field("address", &self.address).finish_non_exhaustive()
    }
}

impl EventStream {
    pub(super) fn new(address: String, wanted: String, namespace: Namespace, opened: Opened) -> Self {
        Self {
            address,
            wanted,
            namespace,
            opened,
            begun: Chunks::default(),
            rest: VecDeque::new(),
            n_rest: 0,
            has_ended: false,
        }
    }

    /// The next line, with only those updates whose job is `wanted`; `None` at the end of the stream.
    ///
    /// Nothing is lost when the returned future is dropped. It has no time limit: the caller knows what silence means.
    ///
    /// # Errors
    ///
    /// When the connection breaks, or a line is too long or no JSON of Nomad's. The stream is of no use after that.
    pub async fn next(
        &mut self,
        wanted: &(dyn Fn(&JobId) -> bool + Send + Sync),
    ) -> Result<Option<Beat>, Error> {
        loop {
            poll_fn(|context| Poll::Ready(self.read_ahead(context))).await?;
            if let Some(line) = self.take_line() {
                if let Some(beat) = self.decode(line, wanted)? {
                    return Ok(Some(beat));
                }
                continue;
            }
            if self.begun.len() > MAX_BODY {
                return Err(Error::TooLong { wanted: self.wanted.clone(), limit: MAX_BODY });
            }
            if self.has_ended {
                return Ok(None);
            }
            let data = poll_fn(|context| self.opened.poll_data(context)).await;
            self.arrived(data)?;
        }
    }

    /// Takes what has arrived, up to a limit, before any of it is decoded: Nomad lets go of a reader that is a hundred
    /// writes behind, and decoding may take longer than a burst of writes.
    fn read_ahead(&mut self, context: &mut Context<'_>) -> Result<(), Error> {
        while self.n_rest < AHEAD
            && !self.has_ended
            && let Poll::Ready(data) = self.opened.poll_data(context)
        {
            self.arrived(data)?;
        }
        Ok(())
    }

    fn arrived(&mut self, data: Option<Result<Bytes, hyper::Error>>) -> Result<(), Error> {
        match data {
            Some(Ok(chunk)) => {
                self.n_rest += chunk.len();
                self.rest.push_back(chunk);
            }
            Some(Err(error)) => {
                let source = std::io::Error::other(error);
                return Err(Error::Unreachable { address: self.address.clone(), source });
            }
            None => self.has_ended = true,
        }
        Ok(())
    }

    /// The next whole line without its end, if it has arrived.
    fn take_line(&mut self) -> Option<Chunks> {
        while let Some(mut chunk) = self.rest.pop_front() {
            self.n_rest -= chunk.len();
            let Some(end) = chunk.iter().position(|byte| *byte == b'\n') else {
                self.begun.push(chunk);
                continue;
            };
            self.begun.push(chunk.split_to(end));
            chunk.advance(1);
            if !chunk.is_empty() {
                self.n_rest += chunk.len();
                self.rest.push_front(chunk);
            }
            return Some(mem::take(&mut self.begun));
        }
        None
    }

    /// What `line` says; `None` when it says nothing at all.
    fn decode(
        &self,
        line: Chunks,
        wanted: &(dyn Fn(&JobId) -> bool + Send + Sync),
    ) -> Result<Option<Beat>, Error> {
        match line.beginning(HEARTBEAT_ROOM).trim_ascii() {
            b"" if line.len() <= HEARTBEAT_ROOM => return Ok(None),
            b"{}" if line.len() <= HEARTBEAT_ROOM => return Ok(Some(Beat::Heartbeat)),
            _ => {}
        }
        let garbled = |source| Error::Garbled { wanted: self.wanted.clone(), source };
        let outline: wire::Outline = line.clone().json().map_err(garbled)?;
        if !outline.events.iter().any(|event| is_wanted(event, wanted)) {
            return Ok(Some(Beat::Heartbeat));
        }
        let line: wire::Line = line.json().map_err(garbled)?;
        let mut updates = Vec::new();
        for event in line.events {
            if event.namespace == self.namespace.as_str()
                && let Some(update) = update(event).map_err(garbled)?
                && wanted(update.job())
            {
                updates.push(update);
            }
        }
        Ok(Some(Beat::Transaction(Transaction { index: RaftIndex(line.index), updates })))
    }
}

/// Whether an event may concern a wanted job: a job is an event's key, everything else names its job beside it. Only who
/// wants to know of a variable is told of any.
fn is_wanted(event: &wire::EventOutline, wanted: &(dyn Fn(&JobId) -> bool + Send + Sync)) -> bool {
    let is = |id: &String| wanted(&JobId::from(id.as_str()));
    match event.topic.as_str() {
        "Job" => is(&event.key),
        "Deployment" | "Allocation" | "Evaluation" => event.filter_keys.iter().any(is),
        "Variable" => true,
        _ => false,
    }
}

/// What an event holds; `None` when its topic is none of ours.
fn update(event: wire::Event) -> Result<Option<Update>, serde_json::Error> {
    let wire::Payload { job, deleted, deployment, allocation, evaluation } = event.payload;
    let update = match event.topic.as_str() {
        "Job" => job.map(|job| {
            if deleted { Update::JobGone(job.id.into()) } else { Update::Job(Box::new((*job).into())) }
        }),
        "Deployment" => deployment.map(|deployment| {
            Update::Deployment(deployment.job_id.clone().into(), Box::new((*deployment).into()))
        }),
        "Allocation" => allocation.map(|allocation| {
            Update::Allocation(allocation.job_id.clone().into(), Box::new((*allocation).into()))
        }),
        "Evaluation" => evaluation.map(|evaluation| {
            Update::Evaluation(evaluation.job_id.clone().into(), Box::new((*evaluation).into()))
        }),
        _ => return Ok(None),
    };
    update
        .map(Some)
        .ok_or_else(|| serde_json::Error::custom(format!("an event of topic `{}` is empty", event.topic)))
}
