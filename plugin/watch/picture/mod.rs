//! What is known of one job, and how lines of the stream and lists change it. Pure: no clock and no IO.
//!
//! # Invariants
//!
//! * What is older than what is known changes nothing, in whatever order lines and lists arrive: each thing carries
//!   the index of its last write.
//! * Nothing of a purged job counts for its successor of the same ID, even at the same version number: whatever was
//!   made before the job was registered is not its own.
//! * The version of an allocation is only what Nomad said of it, or of the deployment that it is part of; never a guess.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, mem, sync::Arc};

use super::{mailbox::looking, read::Reading};
use crate::{
    cluster::{
        AllocId, Allocation, Deployment, Evaluation, Job, JobId, JobSight, LiveChecks, RaftIndex, Sight,
    },
    nomad::{Read, Update},
};

/// What is known of a job.
#[derive(Debug, Default)]
pub(super) struct Known {
    truth: Truth,
    floors: Floors,
}

#[derive(Debug, Default)]
enum Truth {
    /// It was not looked up yet.
    #[default]
    Unknown,
    /// There was none at this position, and none was registered since.
    Absent { as_of: RaftIndex, sight: Arc<Sight> },
    /// Always a [`Sight::Present`].
    Present(Arc<Sight>),
}

/// The positions of the last lists: what was written before them and is not in them is gone.
#[derive(Clone, Copy, Debug, Default)]
struct Floors {
    allocations: RaftIndex,
    deployments: RaftIndex,
    evaluations: RaftIndex,
}

/// A thing with an index of its last write.
trait Written {
    fn modify_index(&self) -> RaftIndex;
    /// What to keep of `self` now that a list shows `listed`.
    fn merged(&self, listed: Self) -> Option<Self>
    where
        Self: Sized;
}

impl Written for Deployment {
    fn modify_index(&self) -> RaftIndex {
        self.modify_index
    }

    fn merged(&self, listed: Self) -> Option<Self> {
        (listed.modify_index >= self.modify_index && listed != *self).then_some(listed)
    }
}

impl Written for Evaluation {
    fn modify_index(&self) -> RaftIndex {
        self.modify_index
    }

    fn merged(&self, listed: Self) -> Option<Self> {
        (listed.modify_index >= self.modify_index && listed != *self).then_some(listed)
    }
}

impl Written for Allocation {
    fn modify_index(&self) -> RaftIndex {
        self.modify_index
    }

    fn merged(&self, listed: Self) -> Option<Self> {
        if listed.modify_index > self.modify_index {
            return Some(listed);
        }
        // The list may be older than what is known and yet tell the version, if no server has written since.
        let tells_version = self.job_version.is_none() && self.alloc_modify_index <= listed.modify_index;
        tells_version.then(|| Self { job_version: listed.job_version, ..self.clone() })
    }
}

impl Known {
    /// How the job is to be shown; `None` when it was not looked up yet.
    pub(super) fn sight(&self) -> Option<&Arc<Sight>> {
        match &self.truth {
            Truth::Unknown => None,
            Truth::Absent { sight, .. } | Truth::Present(sight) => Some(sight),
        }
    }

    /// The create index and the index of the specification of the job that is known in full.
    pub(super) fn specification(&self) -> Option<(RaftIndex, RaftIndex)> {
        self.present().map(|sight| (sight.job.create_index, sight.job.job_modify_index))
    }

    /// Whether it was looked up and is not registered.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self.truth, Truth::Absent { .. })
    }

    /// Whether the version of an allocation is still to be found out.
    pub(super) fn lacks_versions(&self) -> bool {
        let lacks = |allocation: &Allocation| allocation.job_version.is_none();
        self.present().is_some_and(|sight| sight.allocations.values().any(lacks))
    }

    /// Notes what the checks of an allocation say; `None` when nobody asks them any more.
    pub(super) fn note_checks(&mut self, id: &AllocId, checks: Option<&LiveChecks>) -> bool {
        self.present_mut(
            |sight| sight.live.get(id) != checks,
            |sight| match checks {
                Some(checks) => drop(sight.live.insert(id.clone(), checks.clone())),
                None => drop(sight.live.remove(id)),
            },
        )
    }

    /// Applies one update of a transaction at `index`. Whether anything changed.
    ///
    /// The updates of jobs, then those of deployments come before the others of the same transaction.
    pub(super) fn apply(&mut self, index: RaftIndex, update: Update) -> bool {
        match update {
            Update::Job(job) => self.apply_job(*job),
            Update::JobGone(_) => match self.present() {
                Some(sight) if sight.job.modify_index < index => {
                    self.truth = absent(index, None);
                    true
                }
                _ => false,
            },
            Update::Deployment(_, deployment) => {
                let floor = self.floors.deployments;
                self.present_mut(
                    |sight| {
                        sight.job.create_index <= deployment.job_create_index
                            && is_news(sight.deployments.get(&deployment.id), deployment.modify_index, floor)
                    },
                    |sight| drop(sight.deployments.insert(deployment.id.clone(), (*deployment).clone())),
                )
            }
            Update::Evaluation(_, evaluation) => {
                let floor = self.floors.evaluations;
                self.present_mut(
                    |sight| {
                        sight.job.create_index <= evaluation.create_index
                            && is_news(sight.evaluations.get(&evaluation.id), evaluation.modify_index, floor)
                    },
                    |sight| drop(sight.evaluations.insert(evaluation.id.clone(), (*evaluation).clone())),
                )
            }
            Update::Allocation(_, mut allocation) => {
                let floor = self.floors.allocations;
                if let Some(before) = self.present().and_then(|sight| sight.allocations.get(&allocation.id))
                    && allocation.alloc_modify_index <= before.alloc_modify_index
                {
                    allocation.job_version = before.job_version;
                }
                if allocation.job_version.is_none() {
                    // Whatever Nomad places or updates for a deployment is of the deployment's version.
                    let deployment = self.present().and_then(|sight| {
                        let deployment = sight.deployments.get(allocation.deployment.as_ref()?)?;
                        (deployment.job_create_index == sight.job.create_index).then_some(deployment)
                    });
                    allocation.job_version = deployment.map(|deployment| deployment.job_version);
                }
                self.present_mut(
                    |sight| {
                        sight.job.create_index <= allocation.create_index
                            && is_news(sight.allocations.get(&allocation.id), allocation.modify_index, floor)
                    },
                    |sight| drop(sight.allocations.insert(allocation.id.clone(), (*allocation).clone())),
                )
            }
        }
    }

    fn apply_job(&mut self, job: Job) -> bool {
        match &self.truth {
            Truth::Unknown => false,
            Truth::Absent { as_of, .. } => {
                let is_news = job.modify_index > *as_of;
                if is_news {
                    self.truth = Truth::Present(Arc::new(Sight::Present(Box::new(JobSight::new(job)))));
                }
                is_news
            }
            Truth::Present(_) => self.present_mut(
                |sight| job.modify_index > sight.job.modify_index,
                |sight| replace_job(sight, job.clone()),
            ),
        }
    }

    /// Takes over what was read of `job`. Whether anything changed.
    pub(super) fn merge(&mut self, job: &JobId, reading: &mut Reading) -> bool {
        let mut has_changed = false;
        if let Some(full) = reading.full.remove(job) {
            has_changed |= match full.value {
                Some(found) => self.found(found),
                None => self.not_found(full.index, reading.similar.remove(job).flatten()),
            };
        } else if let Some(stubs) = &reading.stubs {
            match stubs.value.get(job) {
                None => has_changed |= self.not_found(stubs.index, reading.similar.remove(job).flatten()),
                Some(stub) => {
                    has_changed |= self.present_mut(
                        |sight| {
                            sight.job.create_index == stub.create_index
                                && sight.job.modify_index < stub.modify_index
                        },
                        |sight| sight.job.modify_index = stub.modify_index,
                    );
                }
            }
        }
        let Some(created) = self.present().map(|sight| sight.job.create_index) else { return has_changed };
        if let Some(list) = &mut reading.deployments {
            let own = of(list, job).filter(|deployment| created <= deployment.job_create_index);
            let own = own.map(|deployment| (deployment.id.clone(), deployment)).collect();
            has_changed |= self.merge_list(own, list.index, |sight| &mut sight.deployments);
            self.floors.deployments = self.floors.deployments.max(list.index);
        }
        if let Some(list) = &mut reading.evaluations {
            let own = of(list, job).filter(|evaluation| created <= evaluation.create_index);
            let own = own.map(|evaluation| (evaluation.id.clone(), evaluation)).collect();
            has_changed |= self.merge_list(own, list.index, |sight| &mut sight.evaluations);
            self.floors.evaluations = self.floors.evaluations.max(list.index);
        }
        if let Some(list) = &mut reading.allocations {
            let own = of(list, job).filter(|allocation| created <= allocation.create_index);
            let own = own.map(|allocation| (allocation.id.clone(), allocation)).collect();
            has_changed |= self.merge_list(own, list.index, |sight| &mut sight.allocations);
            self.floors.allocations = self.floors.allocations.max(list.index);
        }
        has_changed
    }

    fn found(&mut self, job: Job) -> bool {
        match &self.truth {
            Truth::Absent { as_of, .. } if job.modify_index <= *as_of => false,
            Truth::Unknown | Truth::Absent { .. } => {
                self.truth = Truth::Present(Arc::new(Sight::Present(Box::new(JobSight::new(job)))));
                true
            }
            Truth::Present(_) => self.present_mut(
                |sight| job.modify_index >= sight.job.modify_index && job != sight.job,
                |sight| replace_job(sight, job.clone()),
            ),
        }
    }

    fn not_found(&mut self, index: RaftIndex, similar: Option<JobId>) -> bool {
        match &self.truth {
            Truth::Present(_) if self.present().is_some_and(|sight| sight.job.modify_index > index) => false,
            Truth::Absent { as_of, sight } => {
                let latest = index.max(*as_of);
                let has_changed = **sight != Sight::Absent { similar: similar.clone() };
                self.truth = absent(latest, similar);
                has_changed
            }
            Truth::Unknown | Truth::Present(_) => {
                self.truth = absent(index, similar);
                true
            }
        }
    }

    /// Makes `field` what a list as of `index` shows, except for what is known to be newer.
    fn merge_list<K: Ord + Clone, T: Written>(
        &mut self,
        mut listed: BTreeMap<K, T>,
        index: RaftIndex,
        field: impl Fn(&mut JobSight) -> &mut BTreeMap<K, T>,
    ) -> bool {
        let Truth::Present(shared) = &mut self.truth else { return false };
        // The sight is taken apart only when someone still looks at it, and put back the same if nothing changed.
        let before = Arc::clone(shared);
        let Sight::Present(sight) = Arc::make_mut(shared) else { return false };
        let known = field(sight);
        let mut has_changed = false;
        known.retain(|id, thing| {
            let stays = match listed.remove(id) {
                Some(listed) => {
                    if let Some(merged) = thing.merged(listed) {
                        *thing = merged;
                        has_changed = true;
                    }
                    true
                }
                None => thing.modify_index() > index,
            };
            has_changed |= !stays;
            stays
        });
        has_changed |= !listed.is_empty();
        known.extend(listed);
        if !has_changed {
            *shared = before;
        }
        has_changed
    }

    /// The job, where it is known to be there.
    pub(super) fn present(&self) -> Option<&JobSight> {
        match self.sight().map(|sight| &**sight) {
            Some(Sight::Present(sight)) => Some(sight),
            _ => None,
        }
    }

    /// Changes the job if there is one and `is_due`. Whether it did.
    fn present_mut(
        &mut self,
        is_due: impl Fn(&JobSight) -> bool,
        change: impl FnOnce(&mut JobSight),
    ) -> bool {
        if !self.present().is_some_and(is_due) {
            return false;
        }
        if let Truth::Present(shared) = &mut self.truth
            && let Sight::Present(sight) = Arc::make_mut(shared)
        {
            change(sight);
        }
        true
    }
}

fn absent(as_of: RaftIndex, similar: Option<JobId>) -> Truth {
    Truth::Absent { as_of, sight: Arc::new(Sight::Absent { similar }) }
}

/// Whether a thing as of `modify_index` is newer than what is known of it. What is not known although it was written
/// before the last list is gone: Nomad has collected it.
fn is_news<T: Written>(known: Option<&T>, modify_index: RaftIndex, floor: RaftIndex) -> bool {
    modify_index > known.map_or(floor, Written::modify_index)
}

/// A newer job in the place of the known one; what belonged to a purged predecessor goes with it.
fn replace_job(sight: &mut JobSight, job: Job) {
    let created = job.create_index;
    if sight.job.create_index != created {
        sight.deployments.retain(|_, deployment| created <= deployment.job_create_index);
        sight.allocations.retain(|_, allocation| created <= allocation.create_index);
        sight.evaluations.retain(|_, evaluation| created <= evaluation.create_index);
    }
    sight.job = job;
}

/// Takes the things of `job` out of a list.
fn of<T>(list: &mut Read<BTreeMap<JobId, Vec<T>>>, job: &JobId) -> impl Iterator<Item = T> + use<T> {
    list.value.get_mut(job).map(mem::take).unwrap_or_default().into_iter()
}

/// How the job is to be shown where nothing stands in the way.
pub(super) fn shown(known: &Known) -> Arc<Sight> {
    known.sight().map_or_else(looking, Arc::clone)
}
