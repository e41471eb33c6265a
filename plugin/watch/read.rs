//! Reading what is known of some jobs, in few requests.
//!
//! Evaluations are read first, then allocations, deployments and last the jobs themselves: if something is written in
//! between, the job is newer than what seems to fulfil it, and not the other way round.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::{
    cluster::{Allocation, Deployment, Evaluation, Job, JobId, JobKey, Namespace, RaftIndex, nearest},
    nomad::{Client, Error, JobStub, Read},
};

/// How many jobs are looked up one by one without asking first which of them there are.
const FEW: usize = 16;
/// How many jobs are looked up at a time.
const AT_A_TIME: usize = 8;

/// A list, sorted by job.
type ByJob<T> = Read<BTreeMap<JobId, Vec<T>>>;

/// What is to be read.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    /// The jobs, and of each what is known of its specification: its create index and its specification's index.
    pub(super) jobs: BTreeMap<JobId, Option<(RaftIndex, RaftIndex)>>,
    /// Whether some of them are known to be absent, so that similar names are of interest.
    pub(super) has_absent: bool,
    /// Whether only the allocations are wanted.
    pub(super) only_allocations: bool,
}

/// What was read. Only of the jobs that were asked for.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) evaluations: Option<ByJob<Evaluation>>,
    pub(super) allocations: Option<ByJob<Allocation>>,
    pub(super) deployments: Option<ByJob<Deployment>>,
    /// The jobs that are registered.
    pub(super) stubs: Option<Read<BTreeMap<JobId, JobStub>>>,
    /// The jobs that were read in full.
    pub(super) full: BTreeMap<JobId, Read<Option<Job>>>,
    /// For jobs that are not registered: one that is, of nearly the same name.
    pub(super) similar: BTreeMap<JobId, Option<JobId>>,
}

/// Reads what `scope` names: at most five requests, and one more for each job that is there and has changed.
pub(super) async fn read(client: &Client, namespace: &Namespace, scope: &Scope) -> Result<Reading, Error> {
    let jobs = || scope.jobs.keys();
    let mut reading = Reading::default();
    if scope.only_allocations {
        reading.allocations = Some(by_job(client.allocations(namespace, jobs()).await?, scope));
        return Ok(reading);
    }
    reading.evaluations = Some(by_job(client.evaluations(namespace, jobs()).await?, scope));
    reading.allocations = Some(by_job(client.allocations(namespace, jobs()).await?, scope));
    reading.deployments = Some(by_job(client.deployments(namespace, jobs()).await?, scope));

    let mut all = None;
    if scope.has_absent {
        all = Some(client.jobs(namespace).await?);
    }
    let n_unknown = scope.jobs.values().filter(|known| known.is_none()).count();
    let stubs = match &all {
        Some(all) => Some(all.clone()),
        // Most of many that were never read may be absent, which the list tells of all at once.
        None if n_unknown > FEW || n_unknown < scope.jobs.len() => {
            Some(client.stubs(namespace, jobs()).await?)
        }
        None => None,
    };
    reading.stubs = stubs.map(|stubs| Read {
        value: stubs
            .value
            .into_iter()
            .filter(|stub| scope.jobs.contains_key(&stub.id))
            .map(|stub| (stub.id.clone(), stub))
            .collect(),
        index: stubs.index,
    });
    let is_news = |(job, known): &(&JobId, &Option<(RaftIndex, RaftIndex)>)| match &reading.stubs {
        None => true,
        Some(stubs) => stubs
            .value
            .get(*job)
            .is_some_and(|stub| **known != Some((stub.create_index, stub.job_modify_index))),
    };
    let look_ups = scope.jobs.iter().filter(is_news).map(async |(job, _)| {
        let key = JobKey { namespace: namespace.clone(), job: job.clone() };
        Ok::<_, Error>((key.job.clone(), client.look_up(&key).await?))
    });
    let look_ups: Vec<_> = look_ups.collect();
    reading.full = stream::iter(look_ups).buffer_unordered(AT_A_TIME).try_collect().await?;

    let is_absent = |job: &JobId| match (reading.full.get(job), &reading.stubs) {
        (Some(full), _) => full.value.is_none(),
        (None, Some(stubs)) => !stubs.value.contains_key(job),
        (None, None) => false,
    };
    let absent: BTreeSet<&JobId> = jobs().filter(|job| is_absent(job)).collect();
    // Among many it is no slip of the finger, and to compare all names with all takes long.
    if !absent.is_empty() && absent.len() <= FEW {
        let all = match all {
            Some(all) => all,
            None => client.jobs(namespace).await?,
        };
        reading.similar = absent
            .into_iter()
            .map(|job| {
                (
                    job.clone(),
                    nearest(job.as_str(), all.value.iter().map(|stub| stub.id.as_str())).map(Into::into),
                )
            })
            .collect();
    }
    Ok(reading)
}

fn by_job<T>(list: Read<Vec<(JobId, T)>>, scope: &Scope) -> ByJob<T> {
    let mut value: BTreeMap<JobId, Vec<T>> = BTreeMap::new();
    for (job, thing) in list.value {
        if scope.jobs.contains_key(&job) {
            value.entry(job).or_default().push(thing);
        }
    }
    Read { value, index: list.index }
}
