//! How an instance of a service fares, from what is seen of its allocation.

use crate::{
    cluster::{AllocStatus, Allocation, Check, CheckStatus, TaskPhase, Unwell},
    nomad::Offer,
};

/// Whether the allocation is to run and runs, so that it is worth a look at its checks.
pub(super) fn is_up(allocation: &Allocation) -> Result<(), Unwell> {
    if !allocation.is_wanted {
        return Err(Unwell::Failing("its allocation is being stopped".to_owned()));
    }
    let status = match allocation.status {
        AllocStatus::Running => return Ok(()),
        AllocStatus::Unknown => {
            return Err(Unwell::Unknown("its allocation is on a client that is out of reach".to_owned()));
        }
        AllocStatus::Pending => "is pending",
        AllocStatus::Complete => "has ended",
        AllocStatus::Failed => "has failed",
        AllocStatus::Lost => "is lost with its client",
    };
    Err(Unwell::Failing(format!("its allocation {status}")))
}

/// How an instance without checks fares: as its allocation's main tasks.
pub(super) fn of_tasks(allocation: &Allocation, offer: &Offer) -> Result<(), Unwell> {
    for task in &offer.main_tasks {
        let state = allocation.tasks.get(task);
        let phase = match state.map(|state| state.phase) {
            Some(TaskPhase::Running) => continue,
            Some(TaskPhase::Dead) => "has ended",
            Some(TaskPhase::Pending) | None => "does not run yet",
        };
        let event = state.map_or("", |state| state.last_event.as_str());
        let event = if event.is_empty() { String::new() } else { format!(": {event}") };
        return Err(Unwell::Failing(format!("task {task} {phase}{event}")));
    }
    Ok(())
}

/// How an instance with `n_wanted` checks fares whose tasks were last started again in the second `restarted`: all of them
/// must have passed the last time.
pub(super) fn of_checks(
    checks: &[Check],
    service: &str,
    n_wanted: usize,
    restarted: Option<i64>,
) -> Result<(), Unwell> {
    let failing = |why: String| Err(Unwell::Failing(why));
    let own = || checks.iter().filter(|check| check.service == service);
    for check in own() {
        match check.status_since(restarted) {
            CheckStatus::Success => {}
            CheckStatus::Failure => {
                return failing(format!("check {:?} fails: {}", check.name, check.output));
            }
            CheckStatus::Pending => return failing(format!("check {:?} has not answered yet", check.name)),
        }
    }
    // Their results come one after the other.
    match n_wanted.saturating_sub(own().count()) {
        0 => Ok(()),
        1 => failing("a check has not answered yet".to_owned()),
        n => failing(format!("{n} checks have not answered yet")),
    }
}
