//! What is seen of a job at this moment, in Nomad's own words and with the IDs to look further by: for `why`.

use crate::{
    cluster::{
        AllocId, AllocStatus, Allocation, DeploymentStatus, EvaluationStatus, JobSight, LiveChecks, Sight,
        TaskPhase,
    },
    manifest::Wait,
};

/// How many allocations are told of.
const MOST_ALLOCATIONS: usize = 6;

/// Line by line: the deployment, the allocations with their tasks and checks, what keeps Nomad from placing more.
pub fn observed(wait: &Wait, sight: &Sight) -> Vec<String> {
    let Sight::Present(sight) = sight else { return Vec::new() };
    let mut lines = Vec::new();
    let job = &sight.job;
    lines.push(format!("version {}{}", job.version, if job.is_stopped { ", stopped" } else { "" }));
    if let Some(deployment) = sight.current_deployment() {
        let description = &deployment.description;
        let words = if description.is_empty() { word(deployment.status) } else { description.as_str() };
        let groups = deployment.groups.iter().map(|(name, group)| {
            format!("; group {name}: {} of {} healthy", group.healthy, group.desired_total)
        });
        lines.push(format!("deployment {}: {words}{}", deployment.id.short(), groups.collect::<String>()));
    }
    let is_awaited = |group: &str| super::awaited_groups(wait, job).any(|awaited| awaited == group);
    let mut allocations: Vec<&Allocation> = sight
        .allocations
        .values()
        .filter(|allocation| allocation.is_wanted || allocation.status == AllocStatus::Failed)
        .filter(|allocation| sight.is_own(allocation) && is_awaited(&allocation.group))
        .collect();
    // The newest first: the others are what they took the place of.
    allocations.sort_by_key(|allocation| std::cmp::Reverse(allocation.create_index));
    lines.extend(allocations.iter().take(MOST_ALLOCATIONS).map(|allocation| told(sight, allocation)));
    if let Some(more) = allocations.len().checked_sub(MOST_ALLOCATIONS).filter(|more| *more > 0) {
        lines.push(format!("and {more} allocations more"));
    }
    let blocked =
        sight.evaluations.values().filter(|evaluation| evaluation.status == EvaluationStatus::Blocked);
    for evaluation in blocked {
        let id = evaluation.id.short();
        if evaluation.failed_placements.is_empty() {
            lines.push(format!("evaluation {id} is blocked"));
        }
        for (group, why) in &evaluation.failed_placements {
            lines.push(format!("evaluation {id} is blocked: group {group}: {why}"));
        }
    }
    lines
}

/// The task whose last words tell why a job failed: one that failed, of the newest allocation of the current version
/// that has one.
pub fn culprit(sight: &Sight) -> Option<(AllocId, String)> {
    let Sight::Present(sight) = sight else { return None };
    let failed = |allocation: &&Allocation| {
        sight.is_of_current_version(allocation) && allocation.tasks.values().any(|task| task.has_failed)
    };
    let newest =
        sight.allocations.values().filter(failed).max_by_key(|allocation| allocation.create_index)?;
    let (name, _) = newest.tasks.iter().find(|(_, task)| task.has_failed)?;
    Some((newest.id.clone(), name.clone()))
}

fn word(status: DeploymentStatus) -> &'static str {
    match status {
        DeploymentStatus::Running => "running",
        DeploymentStatus::Paused => "paused",
        DeploymentStatus::Successful => "successful",
        DeploymentStatus::Failed => "failed",
        DeploymentStatus::Cancelled => "cancelled",
        DeploymentStatus::Pending => "pending",
    }
}

fn told(sight: &JobSight, allocation: &Allocation) -> String {
    let status = match allocation.status {
        AllocStatus::Pending => "pending",
        AllocStatus::Running => "running",
        AllocStatus::Complete => "complete",
        AllocStatus::Failed => "failed",
        AllocStatus::Lost => "lost",
        AllocStatus::Unknown => "unknown",
    };
    let version = match allocation.job_version {
        Some(version) if version == sight.job.version => String::new(),
        Some(version) => format!(", of version {version}"),
        None => ", of a version that is being looked up".to_owned(),
    };
    let health = match allocation.is_healthy {
        Some(true) => ", healthy to Nomad",
        Some(false) => ", unhealthy to Nomad",
        None => "",
    };
    let checks = match sight.live.get(&allocation.id) {
        Some(LiveChecks::Passing { .. }) => ", its checks pass".to_owned(),
        Some(LiveChecks::Pending) => ", its checks have not all answered".to_owned(),
        Some(LiveChecks::Failing { check, output }) => format!(", check `{check}` fails: {output}"),
        Some(LiveChecks::Unknown(why)) => format!(", its checks cannot be asked: {why}"),
        None => String::new(),
    };
    let tasks = allocation.tasks.iter().map(|(name, task)| {
        let phase = match task.phase {
            TaskPhase::Pending => "pending",
            TaskPhase::Running => "running",
            TaskPhase::Dead if task.has_failed => "failed",
            TaskPhase::Dead => "dead",
        };
        let restarts =
            if task.restarts == 0 { String::new() } else { format!(", restarted {} times", task.restarts) };
        let last = if task.phase == TaskPhase::Running || task.last_event.is_empty() {
            String::new()
        } else {
            format!(" ({})", task.last_event)
        };
        format!("; task {name}: {phase}{restarts}{last}")
    });
    let tasks: String = tasks.collect();
    let id = allocation.id.short();
    format!("allocation {id}, {}: {status}{version}{health}{checks}{tasks}", allocation.name)
}
