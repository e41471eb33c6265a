//! Jobs that run on: service and system.
//!
//! # What counts
//!
//! An allocation counts as *healthy* when Nomad wants it, it runs the job's current version, all its main tasks run now,
//! and it is well: by its own checks, or by Nomad's word ([`live`](super::live)). That the tasks run matters because Nomad
//! gives its verdict once and is silent afterwards; the version matters because the old one may still be healthy while
//! the new one fails.
//!
//! Nomad calls a deployment successful when every group has as many healthy allocations as it wants, and says so one
//! to two seconds later. So the allocations are counted, and the deployment is asked only for what they cannot
//! tell: that it failed, was halted, or has canaries that nobody has promoted.
//!
//! # Where there is no deployment
//!
//! Nomad makes none with `max_parallel = 0` and for a system job's rollback. The same count answers there.

use super::{Obstacle, Verdict, awaited_groups, clamp, counts, is_here, launches_only, live, trouble};
use crate::{
    cluster::{
        AllocStatus, Allocation, ClientId, Deployment, DeploymentStatus, EvaluationStatus, JobSight, JobType,
    },
    manifest::{Until, Wait},
};

/// How many allocations' checks are spoken of, for each group.
const MOST_REMARKS: usize = 2;

pub(super) fn judge(here: Option<&ClientId>, wait: &Wait, until: Until, sight: &JobSight) -> Verdict {
    let job = &sight.job;
    match until {
        Until::Complete => {
            Verdict::not_yet("runs on and never completes; wait until it is healthy, or until = \"stopped\"")
        }
        Until::Failed => match failed_deployment(sight) {
            Some((_, Failure::Final(why))) => Verdict::Met(why),
            Some((_, Failure::RollingBack(why))) => Verdict::not_yet(why),
            None => Verdict::not_yet(format!("version {} has not failed", job.version)),
        },
        Until::Finished | Until::Stopped => super::stopped(sight),
        Until::Absent => Verdict::not_yet("is still registered"),
        Until::Running | Until::Healthy => {
            if job.is_stopped {
                return Verdict::not_yet(format!(
                    "is stopped; start it with `nomad job start {}`",
                    job.key.job
                ));
            }
            if let Some(registered) = launches_only(job) {
                return Verdict::Met(registered.to_owned());
            }
            counted(here, wait, until, sight)
        }
    }
}

/// How a deployment that failed leaves the job.
enum Failure {
    /// Nobody will mend it but a user.
    Final(String),
    /// Nomad brings the last stable version back.
    RollingBack(String),
}

/// The current version's deployment, if it failed.
fn failed_deployment(sight: &JobSight) -> Option<(&Deployment, Failure)> {
    let deployment = sight.current_deployment().filter(|d| d.status == DeploymentStatus::Failed)?;
    let what = format!("deployment {} failed: {}", deployment.id.short(), deployment.description);
    // Nomad writes the failure and the version it goes back to in one transaction, so a failed deployment of the
    // *current* version has usually no successor to come. Only where the group asks for a rollback and Nomad does
    // not say that there is none to go to, it may be on its way.
    let may_roll_back = deployment.groups.values().any(|group| group.auto_revert)
        && !deployment.description.contains("no stable job version to auto revert to")
        && !deployment.description.contains("not rolling back to stable job version");
    let worst = sight
        .allocations
        .values()
        .find(|allocation| sight.is_of_current_version(allocation) && allocation.is_healthy == Some(false));
    let what = match worst {
        Some(allocation) => format!("{what}; {}", trouble(allocation)),
        None => what,
    };
    let failure = if may_roll_back { Failure::RollingBack(what) } else { Failure::Final(what) };
    Some((deployment, failure))
}

/// Counts allocations, group by group.
fn counted(here: Option<&ClientId>, wait: &Wait, until: Until, sight: &JobSight) -> Verdict {
    let deployment = sight.current_deployment();
    if !wait.any_version
        && let Some(verdict) = deployment.and_then(|deployment| halted(wait, deployment))
    {
        return verdict;
    }
    let groups: Vec<Tally<'_>> =
        awaited_groups(wait, &sight.job).map(|group| Tally::of(here, wait, until, sight, group)).collect();
    let is_enough = groups.iter().all(Tally::is_enough);
    let is_partial = wait.at_least.is_some() || wait.subject.group().is_some() || here.is_some();
    let failure = if wait.any_version { None } else { failed_deployment(sight) };
    match failure {
        Some((_, failure)) if !(is_enough && is_partial) => {
            return match failure {
                // Another client's part may have failed, and this one's may still come.
                Failure::Final(why) if here.is_some() => Verdict::not_yet(why),
                Failure::Final(why) => Verdict::Never(why),
                Failure::RollingBack(why) => Verdict::not_yet(why),
            };
        }
        Some(_) | None => {}
    }
    let mut text = describe(deployment, until, sight, &groups);
    if here.is_some() {
        text.push_str(", on this client");
    }
    if is_enough { Verdict::Met(text) } else { Verdict::NotYet(Obstacle { text, is_blocked: false }) }
}

/// A deployment in which nothing moves until a user acts.
fn halted(wait: &Wait, deployment: &Deployment) -> Option<Verdict> {
    let id = deployment.id.short();
    match deployment.status {
        DeploymentStatus::Paused => {
            return Some(Verdict::not_yet(format!(
                "deployment {id} is paused; go on with `nomad deployment resume {id}`"
            )));
        }
        DeploymentStatus::Cancelled => {
            return Some(Verdict::not_yet(format!(
                "deployment {id} was cancelled: {}",
                deployment.description
            )));
        }
        DeploymentStatus::Running
        | DeploymentStatus::Pending
        | DeploymentStatus::Successful
        | DeploymentStatus::Failed => {}
    }
    let canaries = deployment.groups.iter().find(|(name, group)| {
        let is_awaited = wait.subject.group().is_none_or(|only| only == *name);
        is_awaited && group.desired_canaries > 0 && !group.is_promoted
    });
    let (name, group) = canaries.filter(|_| deployment.status != DeploymentStatus::Failed)?;
    Some(Verdict::not_yet(format!(
        "deployment {id}, group {name}: {} of {} canaries healthy, not promoted; promote with `nomad deployment promote {id}`",
        group.healthy.min(group.desired_canaries),
        group.desired_canaries,
    )))
}

/// How many allocations of a group are as they should be.
struct Tally<'a> {
    group: &'a str,
    good: u32,
    needed: u32,
    wanted: u32,
    /// Something that must be over before the count means anything.
    unsettled: Option<String>,
    worst: Option<&'a Allocation>,
    /// What the checks of its allocations say that a user should know.
    checks: Vec<String>,
}

impl<'a> Tally<'a> {
    fn of(here: Option<&ClientId>, wait: &Wait, until: Until, sight: &'a JobSight, group: &'a str) -> Self {
        let of_group = || {
            sight.allocations.values().filter(|allocation| {
                allocation.group == group && allocation.is_wanted && is_here(here, allocation)
            })
        };
        let good = of_group()
            .filter(|allocation| counts(wait, sight, allocation) && is_good(wait, until, sight, allocation))
            .count();
        let worst = of_group().filter(|allocation| counts(wait, sight, allocation)).find(|allocation| {
            allocation.is_healthy == Some(false)
                || matches!(allocation.status, AllocStatus::Failed | AllocStatus::Unknown)
        });
        let asked = of_group().filter(|_| until == Until::Healthy && wait.asks_checks());
        let checks =
            asked.filter_map(|allocation| live::remark(sight, allocation)).take(MOST_REMARKS).collect();
        let placed = clamp(of_group().count());
        let count = sight.job.groups.get(group).map_or(0, |group| group.count);
        let (wanted, unsettled) = match sight.job.kind {
            JobType::System | JobType::Sysbatch => {
                (system_wanted(here, sight, group, placed), system_unsettled(here, wait, sight, group))
            }
            JobType::Service | JobType::Batch => (count, None),
        };
        let needed =
            wait.at_least.map_or(wanted, |at_least| if wanted == 0 { 0 } else { at_least.of(wanted) });
        Self { group, good: clamp(good), needed, wanted, unsettled, worst, checks }
    }

    fn is_enough(&self) -> bool {
        self.good >= self.needed && self.unsettled.is_none()
    }
}

/// One allocation, as `until` asks for it.
fn is_good(wait: &Wait, until: Until, sight: &JobSight, allocation: &Allocation) -> bool {
    allocation.status == AllocStatus::Running
        && sight.job.main_tasks_run(allocation)
        && (until == Until::Running || live::is_healthy(wait, sight, allocation))
}

/// How many allocations a system job is to have: as many as are wanted now; while it is being deployed at least as
/// many as the deployment aims at; and at least one, since none says only that nothing was placed yet.
fn system_wanted(here: Option<&ClientId>, sight: &JobSight, group: &str, placed: u32) -> u32 {
    let aimed = sight
        .current_deployment()
        .filter(|_| here.is_none())
        .filter(|deployment| deployment.status == DeploymentStatus::Running)
        .and_then(|deployment| deployment.groups.get(group))
        .map_or(0, |group| group.desired_total);
    placed.max(aimed).max(1)
}

/// A system job has no count, so its allocations mean something only when all of them are of the current version and
/// the scheduler has nothing left to do.
fn system_unsettled(here: Option<&ClientId>, wait: &Wait, sight: &JobSight, group: &str) -> Option<String> {
    let outdated = sight
        .allocations
        .values()
        .filter(|allocation| {
            allocation.group == group
                && allocation.is_wanted
                && is_here(here, allocation)
                && !sight.is_of_current_version(allocation)
        })
        .count();
    if outdated > 0 && !wait.any_version {
        return Some(format!("{outdated} still of an older version"));
    }
    sight
        .evaluations
        .values()
        .any(|evaluation| here.is_none() && evaluation.status == EvaluationStatus::Pending)
        .then(|| "Nomad is still placing it".to_owned())
}

fn describe(deployment: Option<&Deployment>, until: Until, sight: &JobSight, groups: &[Tally<'_>]) -> String {
    let mut parts = Vec::new();
    if let Some(deployment) = deployment {
        parts.push(format!("deployment {}", deployment.id.short()));
    }
    let is_single = groups.len() == 1;
    for tally in groups {
        let prefix = if is_single { String::new() } else { format!("{} ", tally.group) };
        if tally.wanted == 0 {
            parts.push(format!("{prefix}count = 0, nothing to wait for"));
            continue;
        }
        let word = until.word();
        let needed =
            if tally.needed == tally.wanted { String::new() } else { format!(" ({} needed)", tally.needed) };
        parts.push(format!("{prefix}{} of {} {word}{needed}", tally.good, tally.wanted));
        if tally.needed > tally.wanted {
            parts.push(format!("at_least asks for more than count = {}", tally.wanted));
        }
        parts.extend(tally.unsettled.clone());
        if !tally.is_enough() {
            parts.extend(tally.worst.map(trouble));
        }
        parts.extend(tally.checks.iter().cloned());
    }
    let has_checks =
        groups.iter().any(|tally| sight.job.groups.get(tally.group).is_some_and(|group| group.has_checks));
    if until == Until::Healthy && !has_checks {
        parts.push("no checks, so running for min_healthy_time counts".to_owned());
    }
    parts.join(", ")
}
