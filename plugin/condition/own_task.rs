//! Tasks of the gate's own allocation: a proxy sidecar that must be up before the main task.
//!
//! A prestart gate and a prestart sidecar start together, so a gate can wait for the sidecar to be *healthy*, which
//! Nomad itself does not. Nomad's own checks of the task tell; a task without such checks is healthy when it runs.

use super::Verdict;
use crate::{
    cluster::{AllocStatus, Check, CheckStatus, JobSight, Place, Sight, TaskPhase, TaskSpec, TaskState},
    manifest::{Until, Wait},
};

/// Judges a wait on task `name` of the allocation at `place`, by the sight of that allocation's job.
///
/// `checks` are the last results of the allocation's checks, `None` as long as nobody has asked.
pub fn judge(wait: &Wait, name: &str, place: &Place, own: &Sight, checks: Option<&[Check]>) -> Verdict {
    let sight = match own {
        Sight::Unseen(unseen) => return super::blind(unseen),
        Sight::Absent { .. } => return Verdict::not_yet("the task's own job is not registered any more"),
        Sight::Present(sight) => sight.as_ref(),
    };
    let Some(allocation) = sight.allocations.get(&place.alloc) else {
        return Verdict::not_yet("the task's own allocation is not to be seen");
    };
    let spec = own_spec(sight, place, name);
    if let Some(spec) = spec
        && spec.is_main()
    {
        return Verdict::Never(format!("task {name} is a main task: it starts only after this gate"));
    }
    let Some(state) = allocation.tasks.get(name) else {
        return match (spec, allocation.tasks.is_empty()) {
            (None, false) => {
                let names: Vec<&str> = allocation.tasks.keys().map(String::as_str).collect();
                Verdict::not_yet(format!("the allocation has no task {name}; it has {}", names.join(", ")))
            }
            (Some(_), _) | (None, true) => Verdict::not_yet("has not been reported on yet"),
        };
    };
    if allocation.status == AllocStatus::Lost {
        return Verdict::not_yet("the client of the allocation is gone");
    }
    let until = wait.until.unwrap_or_else(|| default_until(spec));
    by_state(until, name, state, spec, checks)
}

/// The task as the allocation's own version of the job has it, if that is the current one.
fn own_spec<'a>(sight: &'a JobSight, place: &Place, name: &str) -> Option<&'a TaskSpec> {
    let allocation = sight.allocations.get(&place.alloc)?;
    if !sight.is_of_current_version(allocation) {
        return None;
    }
    sight.job.groups.get(&place.group)?.tasks.get(name)
}

/// A task that ends is awaited until it has; one that runs on until it is healthy.
fn default_until(spec: Option<&TaskSpec>) -> Until {
    match spec.and_then(|spec| spec.lifecycle) {
        Some(lifecycle) if !lifecycle.is_sidecar => Until::Complete,
        Some(_) | None => Until::Healthy,
    }
}

fn by_state(
    until: Until,
    name: &str,
    state: &TaskState,
    spec: Option<&TaskSpec>,
    checks: Option<&[Check]>,
) -> Verdict {
    match (state.phase, until) {
        (TaskPhase::Dead, Until::Complete) if !state.has_failed => {
            Verdict::Met(format!("task {name} completed"))
        }
        (TaskPhase::Dead, _) if state.has_failed => {
            Verdict::Never(format!("task {name} failed: {}", state.last_event))
        }
        (TaskPhase::Dead, _) => Verdict::Never(format!("task {name} has ended: {}", state.last_event)),
        (TaskPhase::Pending, _) => Verdict::not_yet(format!("task {name} has not started")),
        (TaskPhase::Running, Until::Running) => Verdict::Met(format!("task {name} runs")),
        (TaskPhase::Running, Until::Healthy) => healthy(name, state, spec, checks),
        (
            TaskPhase::Running,
            Until::Complete | Until::Failed | Until::Finished | Until::Stopped | Until::Absent,
        ) => Verdict::not_yet(format!("task {name} runs")),
    }
}

fn healthy(name: &str, state: &TaskState, spec: Option<&TaskSpec>, checks: Option<&[Check]>) -> Verdict {
    match spec {
        None => {
            return Verdict::not_yet(format!("task {name} runs; whether it has checks is not to be seen"));
        }
        Some(spec) if !spec.has_nomad_checks => {
            return Verdict::Met(format!(
                "task {name} runs; it has no checks of Nomad's own, so that counts"
            ));
        }
        Some(_) => {}
    }
    let of_task: Vec<&Check> = checks.unwrap_or_default().iter().filter(|check| check.task == name).collect();
    if of_task.is_empty() {
        return Verdict::not_yet(format!("task {name} runs, its checks have not answered yet"));
    }
    let restarted = state.restarted_in();
    match of_task.iter().find(|check| check.status_since(restarted) != CheckStatus::Success) {
        Some(check) if check.status_since(restarted) == CheckStatus::Pending => {
            Verdict::not_yet(format!("task {name} runs, its check `{}` has not answered yet", check.name))
        }
        Some(check) if check.output.is_empty() => {
            Verdict::not_yet(format!("task {name} runs, its check `{}` does not pass", check.name))
        }
        Some(check) => Verdict::not_yet(format!(
            "task {name} runs, its check `{}` does not pass: {}",
            check.name, check.output
        )),
        None => Verdict::Met(format!("task {name} runs and passes {} of {0} checks", of_task.len())),
    }
}
