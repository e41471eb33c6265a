//! When is it so? A wait and what is seen of its subject → met, not yet (why), or never (why).
//!
//! ```text
//!   Wait + Sight ──▶ judge ──┬─ a job that runs on ──▶ longrun   service, system
//!                            ├─ a job that ends ─────▶ batch     batch, sysbatch
//!                            └─ the own allocation ──▶ own_task
//!
//!   Service, Probe, Stored + what was answered ──▶ services, sockets, values
//!   When + how its parts stand ──▶ when              a user's word ──▶ approval
//! ```
//!
//! All rules about health live here and nowhere else (DESIGN 5; the facts about Nomad behind them are in the docs of
//! each rule).
//!
//! # Invariants
//!
//! * A job's status word is never looked at: it says nothing about health.
//! * What is not understood or not known is [`Verdict::NotYet`].
//! * [`Verdict::Never`] says how it looks at this moment. Whether to believe it is the engine's business: it also
//!   knows since when.
//! * Nothing here knows the time.

mod approval;
mod batch;
mod circle;
mod claim;
mod live;
mod longrun;
mod observed;
mod own_task;
mod placement;
mod rollout;
mod services;
mod sockets;
mod values;
mod when;

pub use approval::judge as judge_approval;
pub use circle::{Member, Shown, circle, concerned};
pub use claim::{Change, Claim, claim, foreign, may_stop};
pub use live::is_asking;
pub use observed::{culprit, observed};
pub use own_task::judge as judge_task;
pub use placement::{Standing, guard_standing, standing};
pub use rollout::{Attested, Rollout, rollout};
pub use when::{Truth, judge as judge_when};

use crate::{
    cluster::{
        AllocStatus, Allocation, Answer, ClientId, EvaluationStatus, Job, JobId, JobSight, JobType, Sight,
        TaskPhase, Told, Unseen,
    },
    manifest::{Subject, Until, Wait},
};

/// The answer to a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is so: in what way.
    Met(String),
    /// It may still come: what is in the way.
    NotYet(Obstacle),
    /// It cannot become so any more unless somebody acts: why.
    Never(String),
}

/// What is in the way of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// In one line, for the user.
    pub text: String,
    /// Whether Nomad has no room for the job, or no fitting client.
    pub is_blocked: bool,
}

impl Verdict {
    pub(crate) fn not_yet(text: impl Into<String>) -> Self {
        Self::NotYet(Obstacle { text: text.into(), is_blocked: false })
    }
}

/// What `wait` asks of a job of this type when the user does not say.
pub fn default_until(kind: JobType) -> Until {
    match kind {
        JobType::Service | JobType::System => Until::Healthy,
        JobType::Batch | JobType::Sysbatch => Until::Complete,
    }
}

/// Judges a wait on a job by what is seen of it.
///
/// `was_seen` says whether the job has been seen since the wait began: one that vanished since was stopped, one
/// that was never there may be a slip of the finger.
pub fn judge(wait: &Wait, sight: &Sight, was_seen: bool) -> Verdict {
    judge_at(None, wait, sight, was_seen)
}

/// The same for a task on the client `here`, which is known where only what is there counts.
pub fn judge_at(here: Option<&ClientId>, wait: &Wait, sight: &Sight, was_seen: bool) -> Verdict {
    let here = match (wait.subject.is_local(), here) {
        (false, _) => None,
        (true, None) => return Verdict::not_yet("on which client this task is, is not to be seen"),
        (true, Some(here)) => Some(here),
    };
    let sight = match sight {
        Sight::Unseen(unseen) => return blind(unseen),
        Sight::Absent { similar } => return absent(wait, similar.as_ref().map(JobId::as_str), was_seen),
        Sight::Present(sight) => sight.as_ref(),
    };
    let until = wait.until.unwrap_or_else(|| default_until(sight.job.kind));
    match until {
        Until::Absent => return Verdict::not_yet("is still registered"),
        Until::Stopped => return stopped(sight),
        Until::Running | Until::Healthy | Until::Complete | Until::Failed | Until::Finished => {}
    }
    if let Subject::Job { group: Some(group), .. } = &wait.subject
        && !sight.job.groups.contains_key(group)
    {
        let groups: Vec<&str> = sight.job.groups.keys().map(String::as_str).collect();
        return Verdict::not_yet(format!(
            "version {} has no group `{group}`; it has {}",
            sight.job.version,
            groups.join(", ")
        ));
    }
    if let Some(other) = another_release(wait, &sight.job) {
        return Verdict::not_yet(other);
    }
    if let (Some(_), JobType::Service | JobType::Batch) = (here, sight.job.kind) {
        return Verdict::not_yet(
            "does not run on each client; scope = \"client\" is for system and sysbatch jobs",
        );
    }
    let verdict = match sight.job.kind {
        JobType::Service | JobType::System => longrun::judge(here, wait, until, sight),
        JobType::Batch | JobType::Sysbatch => batch::judge(here, wait, until, sight),
    };
    with_placement_failure(verdict, sight)
}

/// Whether nobody can say that a wait is *not* met which [`judge_at`] finds not met: it is, if checks pass that are only being
/// asked, or cannot be, or by what may have become of what is on a client out of reach.
pub fn is_in_doubt(here: Option<&ClientId>, wait: &Wait, sight: &Sight) -> bool {
    let Sight::Present(sight) = sight else { return false };
    live::possible(wait, sight).any(|possible| {
        matches!(judge_at(here, wait, &Sight::Present(Box::new(possible)), true), Verdict::Met(_))
    })
}

/// Judges a wait on what is no job and no task, by what is answered to its question.
pub fn judge_answer(wait: &Wait, told: Option<&Told>) -> Verdict {
    let answer = match told {
        None => return Verdict::not_yet("no answer yet"),
        Some(Err(unseen)) => return blind(unseen),
        Some(Ok(answer)) => answer,
    };
    match (&wait.subject, answer) {
        (Subject::Service(service), Answer::Instances(instances)) => {
            services::judge(service, wait.optional, instances)
        }
        (Subject::Stored(stored), Answer::Value(value)) => values::judge(stored, wait.optional, *value),
        (Subject::Probe(probe), answer) => sockets::judge(probe, answer),
        _ => Verdict::not_yet("was answered in another way than it was asked"),
    }
}

/// Whether nobody can say that a wait is *not* met which [`judge_answer`] finds not met: there is no answer, or it would be, did
/// those instances of the service pass of which nothing is known.
pub fn is_answer_in_doubt(wait: &Wait, told: Option<&Told>) -> bool {
    match (&wait.subject, told) {
        (_, None | Some(Err(_))) => true,
        (Subject::Service(service), Some(Ok(Answer::Instances(instances)))) => {
            services::might_pass(service, instances)
        }
        (_, Some(Ok(_))) => false,
    }
}

/// What the job's version lacks of the meta that the wait asks for.
fn another_release(wait: &Wait, job: &Job) -> Option<String> {
    let Subject::Job { meta, .. } = &wait.subject else { return None };
    let (key, wanted) = meta.iter().find(|(key, wanted)| job.meta.get(*key) != Some(wanted))?;
    Some(match job.meta.get(key) {
        Some(found) => format!("version {} has meta {key} = {found:?}, not {wanted:?}", job.version),
        None => format!("version {} has no meta {key}; {wanted:?} is awaited", job.version),
    })
}

/// Whether an allocation is where it counts.
fn is_here(here: Option<&ClientId>, allocation: &Allocation) -> bool {
    here.is_none_or(|here| allocation.client == *here)
}

/// Nothing can be seen: why, and what to do about it, in one line.
fn blind(unseen: &Unseen) -> Verdict {
    let hint = unseen.hint.iter().flat_map(|hint| hint.lines()).map(str::trim);
    let words: Vec<&str> = [unseen.why.as_str()].into_iter().chain(hint).collect();
    Verdict::not_yet(match words.as_slice() {
        [why] => (*why).to_owned(),
        [why, hint @ ..] => format!("{why}; {}", hint.join(" ")),
        [] => String::new(),
    })
}

/// No job has this ID.
fn absent(wait: &Wait, similar: Option<&str>, was_seen: bool) -> Verdict {
    match wait.until {
        Some(Until::Absent) => Verdict::Met("no job has this ID".to_owned()),
        _ if wait.optional => Verdict::Met("no job has this ID, and it is optional".to_owned()),
        Some(Until::Stopped) if was_seen => Verdict::Met("it was purged".to_owned()),
        Some(Until::Stopped) => Verdict::not_yet(format!(
            "no job has this ID{}; until = \"absent\" waits for that",
            meant(similar)
        )),
        None | Some(Until::Running | Until::Healthy | Until::Complete | Until::Failed | Until::Finished) => {
            Verdict::not_yet(format!("no job has this ID yet{}", meant(similar)))
        }
    }
}

fn meant(similar: Option<&str>) -> String {
    similar.map_or_else(String::new, |similar| format!(" (did you mean `{similar}`?)"))
}

/// A stopped job, of which nothing runs any more.
fn stopped(sight: &JobSight) -> Verdict {
    if !sight.job.is_stopped {
        return Verdict::not_yet("is not stopped");
    }
    match sight.allocations.values().filter(|allocation| !allocation.status.is_terminal()).count() {
        0 => Verdict::Met("stopped".to_owned()),
        left => Verdict::not_yet(format!("stopped, {left} still ending")),
    }
}

/// Adds why Nomad cannot place the job, where that is so, to a verdict that waits.
fn with_placement_failure(verdict: Verdict, sight: &JobSight) -> Verdict {
    let Verdict::NotYet(Obstacle { text, .. }) = verdict else { return verdict };
    let blocked = sight
        .evaluations
        .values()
        .filter(|evaluation| evaluation.status == EvaluationStatus::Blocked)
        .max_by_key(|evaluation| evaluation.create_index);
    let Some(blocked) = blocked.filter(|_| !sight.job.is_stopped) else {
        return Verdict::NotYet(Obstacle { text, is_blocked: false });
    };
    let reasons: Vec<String> =
        blocked.failed_placements.iter().map(|(group, why)| format!("group {group}: {why}")).collect();
    let why = if reasons.is_empty() {
        format!("evaluation {} is blocked", blocked.id.short())
    } else {
        reasons.join("; ")
    };
    Verdict::NotYet(Obstacle { text: format!("{text}; Nomad has no room for it: {why}"), is_blocked: true })
}

/// A job that only launches children: it is all it will ever be once it is registered.
fn launches_only(job: &Job) -> Option<&'static str> {
    if job.is_parameterized {
        Some("is parameterized and registered; its dispatched jobs have IDs of their own")
    } else if job.is_periodic {
        Some("is periodic and registered; the jobs it launches have IDs of their own")
    } else {
        None
    }
}

/// A count as Nomad counts. There are never as many allocations as would not fit.
fn clamp(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Whether an allocation is of a version that the wait asks about.
fn counts(wait: &Wait, sight: &JobSight, allocation: &Allocation) -> bool {
    if wait.any_version { sight.is_own(allocation) } else { sight.is_of_current_version(allocation) }
}

/// The groups a wait is about, by name.
fn awaited_groups<'a>(wait: &'a Wait, job: &'a Job) -> impl Iterator<Item = &'a str> {
    let only = wait.subject.group();
    job.groups.keys().map(String::as_str).filter(move |name| only.is_none_or(|only| only == *name))
}

/// The last thing that went wrong with an allocation, ready to be looked up: `allocation 61d0c2aa: task web: …`.
fn trouble(allocation: &Allocation) -> String {
    if allocation.status == AllocStatus::Unknown {
        return format!("allocation {}: its client is out of reach", allocation.id.short());
    }
    let task = allocation
        .tasks
        .iter()
        .find(|(_, state)| state.has_failed)
        .or_else(|| allocation.tasks.iter().find(|(_, state)| state.phase == TaskPhase::Pending));
    let id = allocation.id.short();
    match task {
        Some((name, state)) if !state.last_event.is_empty() => {
            format!("allocation {id}: task {name}: {}", state.last_event)
        }
        Some((name, _)) => format!("allocation {id}: task {name}"),
        None if !allocation.description.is_empty() => format!("allocation {id}: {}", allocation.description),
        None => format!("allocation {id}"),
    }
}

#[cfg(test)]
mod tests;
