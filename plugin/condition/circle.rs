//! Gates that wait for each other: none of them ever opens.
//!
//! ```text
//!   shop, group web ──▶ waits for job db ──▶ its group db waits in its gate ──▶ for job shop
//! ```
//!
//! # Invariants
//!
//! * A circle is only what no news but a change of a job or somebody's hand can open: each member's gate runs now in
//!   every allocation of the job's current version, of which there is one at least, and waits for the next member for
//!   certain.
//! * What cannot be seen is in no circle.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::cluster::{Gate, JobKey, JobSight, Place, TaskPhase};

/// A group whose gate waits for the next one of the circle.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// The job.
    pub job: JobKey,
    /// The group.
    pub group: String,
    /// The gate.
    pub task: String,
}

/// The jobs that are shown.
pub trait Shown {
    /// What is seen of `job`, if it is there and can be seen.
    fn job(&self, job: &JobKey) -> Option<&JobSight>;
}

/// The jobs of which something must be known to find circles through the task at `place`: those that the waiting gates wait
/// for, directly or through others.
pub fn concerned(place: &Place, shown: &impl Shown) -> BTreeSet<JobKey> {
    let mut found = BTreeSet::from([place.job.clone()]);
    let mut next: VecDeque<JobKey> = [place.job.clone()].into();
    while let Some(job) = next.pop_front() {
        let Some(sight) = shown.job(&job) else { continue };
        let awaited = sight.job.gates.iter().filter(|gate| waits(sight, gate)).flat_map(|gate| &gate.needs);
        for awaited in awaited {
            if found.insert(awaited.job.clone()) {
                next.push_back(awaited.job.clone());
            }
        }
    }
    found
}

/// The shortest circle through the gate at `place`, which is its first member; `None`: there is none to be seen.
pub fn circle(place: &Place, shown: &impl Shown) -> Option<Vec<Member>> {
    let sight = shown.job(&place.job)?;
    let is_own = |gate: &&Gate| gate.group == place.group && gate.task == place.task && waits(sight, gate);
    let own = member(&place.job, sight.job.gates.iter().find(is_own)?);
    let mut before: BTreeMap<Member, Member> = BTreeMap::new();
    let mut next: VecDeque<Member> = [own.clone()].into();
    while let Some(at) = next.pop_front() {
        for to in nexts(&at, shown) {
            if to == own {
                let mut circle = vec![at.clone()];
                while let Some(previous) = circle.last().and_then(|member| before.get(member)) {
                    circle.push(previous.clone());
                }
                circle.reverse();
                return Some(circle);
            }
            if !before.contains_key(&to) {
                before.insert(to.clone(), at.clone());
                next.push_back(to);
            }
        }
    }
    None
}

/// The waiting gates for whose groups the gate of `member` waits.
fn nexts(member: &Member, shown: &impl Shown) -> Vec<Member> {
    let Some(sight) = shown.job(&member.job) else { return Vec::new() };
    let gates = sight.job.gates.iter().filter(|gate| gate.group == member.group && gate.task == member.task);
    let mut found = Vec::new();
    for awaited in gates.flat_map(|gate| &gate.needs) {
        let Some(sight) = shown.job(&awaited.job) else { continue };
        let gates = sight.job.gates.iter().filter(|gate| {
            awaited.group.as_ref().is_none_or(|group| *group == gate.group) && waits(sight, gate)
        });
        found.extend(gates.map(|gate| self::member(&awaited.job, gate)));
    }
    found
}

fn member(job: &JobKey, gate: &Gate) -> Member {
    Member { job: job.clone(), group: gate.group.clone(), task: gate.task.clone() }
}

/// Whether a gate runs now wherever its group is placed, so that nothing of the group is ready or can become so.
fn waits(sight: &JobSight, gate: &Gate) -> bool {
    let mut own = sight.allocations.values().filter(|allocation| {
        allocation.group == gate.group && allocation.is_wanted && sight.is_of_current_version(allocation)
    });
    let runs = |allocation: &crate::cluster::Allocation| {
        !allocation.status.is_terminal()
            && allocation.tasks.get(&gate.task).is_some_and(|task| task.phase == TaskPhase::Running)
    };
    !sight.job.is_stopped && own.next().is_some_and(runs) && own.all(runs)
}
