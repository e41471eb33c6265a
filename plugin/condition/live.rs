//! Whether an allocation is well, by its own checks and by Nomad's word.
//!
//! | its checks, asked of its client | it is healthy |
//! |---|---|
//! | fail | no, whatever Nomad has said before |
//! | pass each time for `min_healthy_time`, without a restart | yes, before Nomad says so; with checks of another provider beside them only when Nomad does |
//! | pass for less | when Nomad says so |
//! | are not all there | no: Nomad's word is older than what runs now |
//! | cannot be asked | when Nomad says so, and said it after the last restart of a main task |
//! | were not asked yet | no: the answer is under way |
//!
//! A check has a result from the moment it first ran to the end of the allocation. So results are missing only before the
//! first run, and when its client has begun to end the allocation, which is not always told yet; and what passed before a
//! main task was started again is no result ([`LiveChecks`]).
//!
//! Where health does not follow from checks of Nomad's provider, or the user wants it so, Nomad's word alone counts.

use std::time::Duration;

use crate::{
    cluster::{AllocStatus, Allocation, Group, JobSight, LiveChecks, Sight, TaskPhase},
    manifest::Wait,
};

/// Whether the allocation, whose main tasks run, is healthy.
pub(super) fn is_healthy(wait: &Wait, sight: &JobSight, allocation: &Allocation) -> bool {
    let by_nomad = allocation.is_healthy == Some(true);
    if !is_asked(wait, sight, allocation) {
        return by_nomad;
    }
    match sight.live.get(&allocation.id) {
        None | Some(LiveChecks::Pending | LiveChecks::Failing { .. }) => false,
        Some(LiveChecks::Unknown(_)) => by_nomad && !is_outdated(sight, allocation),
        Some(LiveChecks::Passing { lasted }) => {
            let long_enough = |group: &Group| !group.has_other_checks && *lasted >= group.min_healthy_time();
            by_nomad || sight.job.groups.get(&allocation.group).is_some_and(long_enough)
        }
    }
}

/// Whether its own checks are asked, and count.
fn is_asked(wait: &Wait, sight: &JobSight, allocation: &Allocation) -> bool {
    wait.asks_checks() && sight.asks_checks_of(allocation)
}

/// Whether Nomad's verdict may be about the process before: a main task was started again, and it is not known to be later.
fn is_outdated(sight: &JobSight, allocation: &Allocation) -> bool {
    let judged = allocation.judged.map(|at| at.div_euclid(1_000_000));
    sight
        .job
        .restarted_in(allocation)
        .is_some_and(|restarted| judged.is_none_or(|judged| judged <= restarted))
}

/// What the allocation's checks say, where that is worth telling.
pub(super) fn remark(sight: &JobSight, allocation: &Allocation) -> Option<String> {
    if !sight.asks_checks_of(allocation) {
        return None;
    }
    let id = allocation.id.short();
    let Some(checks) = sight.live.get(&allocation.id) else {
        return Some(format!("allocation {id}: its checks are being asked"));
    };
    match checks {
        LiveChecks::Failing { check, output } if output.is_empty() => {
            Some(format!("allocation {id}: check `{check}` fails"))
        }
        LiveChecks::Failing { check, output } => {
            Some(format!("allocation {id}: check `{check}` fails: {output}"))
        }
        LiveChecks::Unknown(why) if is_outdated(sight, allocation) => Some(format!(
            "the checks of allocation {id} cannot be asked since its restart, and Nomad's word is older: {why}"
        )),
        LiveChecks::Unknown(why) => {
            Some(format!("the checks of allocation {id} cannot be asked, so Nomad's word counts: {why}"))
        }
        LiveChecks::Pending => {
            let since = sight.job.restarted_in(allocation).map_or("yet", |_| "since its restart");
            Some(format!("allocation {id}: its checks have not all answered {since}"))
        }
        LiveChecks::Passing { lasted } if allocation.is_healthy != Some(true) => {
            let group = sight.job.groups.get(&allocation.group)?;
            if group.has_other_checks {
                return Some(format!(
                    "allocation {id}: it has checks of another provider than Nomad, so Nomad's word counts"
                ));
            }
            let needed = group.min_healthy_time();
            (*lasted < needed).then(|| format!("allocation {id}: its checks pass, and must for {needed:?}"))
        }
        LiveChecks::Passing { .. } => None,
    }
}

/// What may be so of which nobody can say that it is not: checks that are being asked, or cannot be, pass; and what is on a
/// client out of reach runs on, has ended well, or has failed. Nothing when everything can be said.
pub(super) fn possible(wait: &Wait, sight: &JobSight) -> impl Iterator<Item = JobSight> {
    let mut allocations = sight.allocations.values();
    let fates: &[AllocStatus] = if allocations.clone().any(is_silent) {
        &[AllocStatus::Running, AllocStatus::Complete, AllocStatus::Failed]
    } else if allocations.any(|allocation| is_unanswered(wait, sight, allocation)) {
        &[AllocStatus::Running]
    } else {
        &[]
    };
    fates.iter().map(|fate| supposing(wait, sight, *fate))
}

/// Whether the allocation is on a client out of reach.
fn is_silent(allocation: &Allocation) -> bool {
    allocation.status == AllocStatus::Unknown
}

/// Whether nobody has said what its checks say, which count.
fn is_unanswered(wait: &Wait, sight: &JobSight, allocation: &Allocation) -> bool {
    is_asked(wait, sight, allocation)
        && matches!(sight.live.get(&allocation.id), None | Some(LiveChecks::Pending | LiveChecks::Unknown(_)))
}

/// The same sight if what is on clients out of reach had come to this, and all checks passed of which nobody can say.
fn supposing(wait: &Wait, sight: &JobSight, fate: AllocStatus) -> JobSight {
    let mut supposed = sight.clone();
    for allocation in supposed.allocations.values_mut().filter(|allocation| is_silent(allocation)) {
        allocation.status = fate;
        for task in allocation.tasks.values_mut().filter(|_| fate.is_terminal()) {
            task.phase = TaskPhase::Dead;
            task.has_failed = fate == AllocStatus::Failed;
            task.exit_code = Some(i32::from(task.has_failed));
        }
    }
    let unanswered = supposed.allocations.values().filter(|it| is_unanswered(wait, &supposed, it));
    let passing: Vec<_> = unanswered
        .map(|allocation| (allocation.id.clone(), LiveChecks::Passing { lasted: Duration::MAX }))
        .collect();
    supposed.live.extend(passing);
    supposed
}

/// Whether it is not known yet what the checks of some allocation say: they are being asked.
pub fn is_asking(wait: &Wait, sight: &Sight) -> bool {
    let Sight::Present(sight) = sight else { return false };
    let has_no_answer = |allocation: &Allocation| {
        is_asked(wait, sight, allocation) && !sight.live.contains_key(&allocation.id)
    };
    sight.allocations.values().any(has_no_answer)
}
