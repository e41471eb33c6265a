//! Jobs that end: batch and sysbatch.
//!
//! # What counts
//!
//! A batch job's status becomes `dead` for success and failure alike, so its result is read from its allocations: for
//! each place (a name, and for sysbatch a client) the *latest* allocation of the current version. It has completed
//! when its client says `complete` and Nomad still wants it; one that was stopped by a drain also says `complete`, but
//! is no longer wanted and will be replaced.
//!
//! It has failed *for good* when Nomad has no successor, no planned rescheduling and no open evaluation for it. That
//! is also how an allocation ends that a drain's deadline stopped: Nomad does not place it again.

use std::collections::BTreeMap;

use super::{Obstacle, Verdict, awaited_groups, clamp, counts, is_here, launches_only, trouble};
use crate::{
    cluster::{AllocStatus, Allocation, ClientId, JobSight, JobType},
    manifest::{Until, Wait},
};

pub(super) fn judge(here: Option<&ClientId>, wait: &Wait, until: Until, sight: &JobSight) -> Verdict {
    if let Some(registered) = launches_only(&sight.job) {
        return match (wait.until, sight.job.is_stopped) {
            (_, true) => Verdict::not_yet("is stopped"),
            (None | Some(Until::Running | Until::Healthy), false) => Verdict::Met(registered.to_owned()),
            (Some(_), false) => Verdict::not_yet(registered),
        };
    }
    let groups: Vec<Places<'_>> =
        awaited_groups(wait, &sight.job).map(|group| Places::of(here, wait, sight, group)).collect();
    let text = || {
        let local = if here.is_some() { ", on this client" } else { "" };
        format!("{}{local}", describe(sight, until, &groups))
    };
    let failure = groups.iter().find(|places| places.cannot_complete()).and_then(Places::first_failed);
    match until {
        Until::Healthy => Verdict::not_yet(
            "is a batch job, for which Nomad knows no health; wait until = \"complete\" or \"running\"",
        ),
        Until::Running if groups.iter().all(|places| places.running >= places.needed) => Verdict::Met(text()),
        Until::Complete
            if groups.iter().all(|places| places.is_settled && places.complete >= places.needed) =>
        {
            Verdict::Met(text())
        }
        Until::Finished
            if groups.iter().all(|places| {
                places.is_settled && places.complete + clamp(places.failed.len()) >= places.needed
            }) =>
        {
            Verdict::Met(text())
        }
        Until::Failed if let Some(allocation) = failure => {
            Verdict::Met(format!("failed: {}", failed(allocation)))
        }
        Until::Running | Until::Complete | Until::Finished | Until::Failed if sight.job.is_stopped => {
            Verdict::not_yet(format!(
                "{}, and is stopped; start it with `nomad job start {}`",
                text(),
                sight.job.key.job
            ))
        }
        Until::Complete if let Some(allocation) = failure => {
            Verdict::Never(format!("it failed: {}", failed(allocation)))
        }
        Until::Running | Until::Complete | Until::Finished | Until::Failed => {
            Verdict::NotYet(Obstacle { text: text(), is_blocked: false })
        }
        Until::Stopped => super::stopped(sight),
        Until::Absent => Verdict::not_yet("is still registered"),
    }
}

fn failed(allocation: &Allocation) -> String {
    let id = allocation.id.short();
    if !allocation.is_wanted {
        return format!("allocation {id} was stopped before its end, and is not placed again");
    }
    let task = allocation.tasks.iter().find(|(_, state)| state.has_failed);
    match task.and_then(|(name, state)| state.exit_code.map(|code| (name, code))) {
        Some((name, code)) => format!("allocation {id}: task {name} exited with {code}"),
        None => trouble(allocation),
    }
}

/// The places of a group: one for each allocation that is to run to its end.
struct Places<'a> {
    group: &'a str,
    wanted: u32,
    needed: u32,
    /// False while the number of places is not known: a sysbatch job that is still being placed.
    is_settled: bool,
    running: u32,
    complete: u32,
    /// On a client out of reach.
    silent: Option<&'a Allocation>,
    /// Failed for good.
    failed: Vec<&'a Allocation>,
}

impl<'a> Places<'a> {
    fn of(here: Option<&ClientId>, wait: &Wait, sight: &'a JobSight, group: &'a str) -> Self {
        let is_sysbatch = sight.job.kind == JobType::Sysbatch;
        let mut latest: BTreeMap<(&str, Option<&ClientId>), &Allocation> = BTreeMap::new();
        let counted = sight.allocations.values().filter(|allocation| {
            allocation.group == group && is_here(here, allocation) && counts(wait, sight, allocation)
        });
        for allocation in counted {
            let place = (allocation.name.as_str(), is_sysbatch.then_some(&allocation.client));
            let known = latest.entry(place).or_insert(allocation);
            if known.create_index < allocation.create_index {
                *known = allocation;
            }
        }
        let has_open_evaluation =
            sight.evaluations.values().any(|evaluation| !evaluation.status.is_terminal());
        let wanted = if is_sysbatch {
            clamp(latest.len()).max(1)
        } else {
            sight.job.groups.get(group).map_or(0, |group| group.count)
        };
        let needed =
            wait.at_least.map_or(wanted, |at_least| if wanted == 0 { 0 } else { at_least.of(wanted) });
        let count = |test: &dyn Fn(&Allocation) -> bool| {
            clamp(latest.values().filter(|allocation| test(allocation)).count())
        };
        Self {
            group,
            wanted,
            needed,
            is_settled: !(is_sysbatch && has_open_evaluation),
            running: count(&|allocation| {
                allocation.is_wanted
                    && allocation.status == AllocStatus::Running
                    && sight.job.main_tasks_run(allocation)
            }),
            complete: count(&|allocation| allocation.is_wanted && allocation.status == AllocStatus::Complete),
            silent: latest.values().copied().find(|allocation| allocation.status == AllocStatus::Unknown),
            failed: latest
                .into_values()
                .filter(|allocation| {
                    let was_stopped = !allocation.is_wanted && allocation.status.is_terminal();
                    (was_stopped || matches!(allocation.status, AllocStatus::Failed | AllocStatus::Lost))
                        && allocation.next.is_none()
                        && !has_open_evaluation
                })
                .collect(),
        }
    }

    /// Whether too many failed for good for the rest to be enough.
    fn cannot_complete(&self) -> bool {
        self.is_settled
            && self.wanted.saturating_sub(clamp(self.failed.len())) < self.needed
            && !self.failed.is_empty()
    }

    fn first_failed(&self) -> Option<&'a Allocation> {
        self.failed.first().copied()
    }
}

fn describe(sight: &JobSight, until: Until, groups: &[Places<'_>]) -> String {
    let mut parts = Vec::new();
    for places in groups {
        let prefix = if groups.len() == 1 { String::new() } else { format!("{} ", places.group) };
        if places.wanted == 0 {
            parts.push(format!("{prefix}count = 0, nothing to wait for"));
            continue;
        }
        let (number, word) = match until {
            Until::Running => (places.running, "running"),
            Until::Finished => (places.complete + clamp(places.failed.len()), "finished"),
            Until::Complete | Until::Failed | Until::Healthy | Until::Stopped | Until::Absent => {
                (places.complete, "complete")
            }
        };
        let needed = if places.needed == places.wanted {
            String::new()
        } else {
            format!(" ({} needed)", places.needed)
        };
        parts.push(format!("{prefix}{number} of {} {word}{needed}", places.wanted));
        if until != Until::Running && places.running > 0 {
            parts.push(format!("{} running", places.running));
        }
        if until == Until::Running && places.complete > 0 {
            parts.push(format!(
                "{} ended already; until = \"complete\" or \"finished\" waits for that",
                places.complete
            ));
        }
        if sight.allocations.is_empty() {
            parts.push("nothing placed yet".to_owned());
        }
        parts.extend(places.silent.map(trouble));
        if let Some(allocation) = places.first_failed() {
            parts.push(format!("one failed: {}", failed(allocation)));
        }
    }
    parts.join(", ")
}
