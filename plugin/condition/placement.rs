//! Does the gate stand where Nomad waits for it, and the guard where Nomad keeps it running?
//!
//! Nomad holds main tasks back only for a prestart task that is no sidecar. Anywhere else a gate would hold nothing,
//! which looks like a gate that opened early. It is also so when the `sidecar` flag is flipped later: Nomad updates
//! that in place, and the next agent restart would let the main tasks go.
//!
//! A guard never ends by itself. As a main task it would keep a group alive that has nothing else to do, as a prestart task
//! it would hold it back for ever: it must be a sidecar.

use std::time::Duration;

use crate::cluster::{Group, Lifecycle, LifecycleHook, Place, Sight, TaskSpec, UpdatePolicy};

/// What the gate's own job says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is known yet.
    Looking,
    /// The job cannot be read: why.
    Unknown(String),
    /// All is well. A note where the group's deadlines are shorter than the gate may wait.
    Good(Option<String>),
    /// The gate holds nothing back here: what to write instead.
    Misplaced(String),
}

/// Judges the gate at `place` by what is seen of its own job. `longest` is the longest time the gate may wait.
pub fn standing(place: &Place, own: &Sight, longest: Duration) -> Standing {
    // Nobody is held back by a user who looks.
    if place.is_outside() {
        return Standing::Good(None);
    }
    let (group, lifecycle) = match spec(place, own) {
        Ok((group, task)) => (group, task.lifecycle),
        Err(standing) => return standing,
    };
    match lifecycle {
        Some(Lifecycle { hook: LifecycleHook::Prestart, is_sidecar: false }) => {
            Standing::Good(group.update.and_then(|update| short_deadlines(&update, longest)))
        }
        wrong => Standing::Misplaced(misplaced(place, wrong)),
    }
}

/// Judges the guard at `place` by what is seen of its own job, and whether the `tasks` that it names are there.
pub fn guard_standing<'a>(place: &Place, own: &Sight, tasks: impl Iterator<Item = &'a str>) -> Standing {
    let (group, lifecycle) = match spec(place, own) {
        Ok((group, task)) => (group, task.lifecycle),
        Err(standing) => return standing,
    };
    let is = match lifecycle {
        Some(Lifecycle { hook: LifecycleHook::Prestart | LifecycleHook::Poststart, is_sidecar: true }) => {
            let unknown: Vec<&str> = tasks.filter(|task| !group.tasks.contains_key(*task)).collect();
            return match unknown.as_slice() {
                [] => Standing::Good(None),
                unknown => Standing::Misplaced(format!(
                    "its `tasks` name {}, and group {} has {}",
                    unknown.join(", "),
                    place.group,
                    group.tasks.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
                )),
            };
        }
        None => "a main task, and its group could never end",
        Some(Lifecycle { hook: LifecycleHook::Prestart, .. }) => {
            "a prestart task that Nomad waits for, and its group would never start"
        }
        Some(Lifecycle { hook: LifecycleHook::Poststart, .. }) => "a poststart task that is no sidecar",
        Some(Lifecycle { hook: LifecycleHook::Poststop, .. }) => {
            "a poststop task, which has nothing left to guard"
        }
    };
    Standing::Misplaced(format!(
        "task `{}` is {is}; write `lifecycle {{ hook = \"poststart\" sidecar = true }}` into it, each attribute on a line of its own",
        place.task
    ))
}

/// The task at `place` and its group, as its own job says; else what can be said without.
fn spec<'a>(place: &Place, own: &'a Sight) -> Result<(&'a Group, &'a TaskSpec), Standing> {
    use crate::cluster::Blindness::{Denied, Looking, Unreachable};
    let sight = match own {
        Sight::Unseen(unseen) => {
            return Err(match unseen.because {
                Looking | Unreachable => Standing::Looking,
                Denied => Standing::Unknown(unseen.why.clone()),
            });
        }
        Sight::Absent { .. } => {
            return Err(Standing::Unknown("the job is not registered any more".to_owned()));
        }
        Sight::Present(sight) => sight.as_ref(),
    };
    let Some(allocation) = sight.allocations.get(&place.alloc) else { return Err(Standing::Looking) };
    if allocation.job_version.is_none() {
        return Err(Standing::Looking);
    }
    if !sight.is_of_current_version(allocation) {
        return Err(Standing::Good(None)); // An older version's allocation: its jobspec is not the one that is seen.
    }
    let group = sight.job.groups.get(&place.group);
    group.and_then(|group| Some((group, group.tasks.get(&place.task)?))).ok_or(Standing::Good(None))
}

fn misplaced(place: &Place, lifecycle: Option<Lifecycle>) -> String {
    let is = match lifecycle {
        None => "a main task",
        Some(Lifecycle { hook: LifecycleHook::Prestart, .. }) => "a sidecar",
        Some(Lifecycle { hook: LifecycleHook::Poststart, .. }) => "a poststart task",
        Some(Lifecycle { hook: LifecycleHook::Poststop, .. }) => "a poststop task",
    };
    let guard = if lifecycle.is_some_and(|lifecycle| lifecycle.is_sidecar) {
        "; to keep watch beside the main tasks, give its waits an `on_loss`"
    } else {
        ""
    };
    format!(
        "task `{}` is {is}, and Nomad holds nothing back for it; write `lifecycle {{ hook = \"prestart\" sidecar = false }}` into it, each attribute on a line of its own{guard}",
        place.task
    )
}

fn short_deadlines(update: &UpdatePolicy, longest: Duration) -> Option<String> {
    let is_unhealthy_first = update.healthy_deadline < longest;
    let fails_first = !update.progress_deadline.is_zero() && update.progress_deadline < longest;
    if !is_unhealthy_first && !fails_first {
        return None;
    }
    let minutes = longest.as_secs().div_ceil(60);
    let (short, value) = if is_unhealthy_first {
        ("healthy_deadline", update.healthy_deadline)
    } else {
        ("progress_deadline", update.progress_deadline)
    };
    Some(format!(
        "this gate may wait {}, but {short} = {} would fail the deployment meanwhile; set `update {{ healthy_deadline = \"{}m\" progress_deadline = \"{}m\" }}`",
        humantime::format_duration(longest),
        humantime::format_duration(value),
        minutes + 5,
        minutes + 10,
    ))
}

impl Standing {
    /// Whether it is not known yet if the gate stands well. It must not open then.
    pub fn is_undecided(&self) -> bool {
        match self {
            Self::Looking => true,
            Self::Unknown(_) | Self::Good(_) | Self::Misplaced(_) => false,
        }
    }
}
