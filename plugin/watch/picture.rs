//! What is known of one job, and how lines of the stream and lists change it. Pure: no clock and no IO.
//!
//! # Invariants
//!
//! * What is older than what is known changes nothing, in whatever order lines and lists arrive: each thing carries
//!   the index of its last write.
//! * Nothing of a purged job counts for its successor of the same ID, even at the same version number: whatever was
//!   made before the job was registered is not its own.
//! * The version of an allocation is only what Nomad said of it, never a guess.

use std::{collections::BTreeMap, mem, sync::Arc};

use super::{mailbox::looking, read::Reading};
use crate::{
    cluster::{Allocation, Deployment, Evaluation, Job, JobId, JobSight, RaftIndex, Sight},
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

    /// Applies one update of a transaction at `index`. Whether anything changed.
    ///
    /// The updates of jobs come before the others of the same transaction.
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

    fn present(&self) -> Option<&JobSight> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cluster::{AllocId, AllocStatus, DeploymentStatus, EvaluationStatus, JobKey, JobType, JobVersion},
        nomad::JobStub,
    };

    fn job(create: u64, modify: u64, version: u64) -> Job {
        Job {
            key: JobKey::new("shop", "db"),
            kind: JobType::Batch,
            version: JobVersion(version),
            create_index: RaftIndex(create),
            modify_index: RaftIndex(modify),
            job_modify_index: RaftIndex(modify),
            is_stopped: false,
            is_periodic: false,
            is_parameterized: false,
            groups: BTreeMap::new(),
        }
    }

    /// As a list shows it if it has a version, and as the stream does otherwise.
    fn allocation(create: u64, alloc_modify: u64, modify: u64, version: Option<u64>) -> Allocation {
        Allocation {
            id: "a1".into(),
            name: "db.g[0]".to_owned(),
            group: "g".to_owned(),
            client: "c".into(),
            job_version: version.map(JobVersion),
            is_wanted: true,
            status: AllocStatus::Running,
            description: String::new(),
            deployment: None,
            is_healthy: None,
            is_canary: false,
            followup_eval: None,
            next: None,
            tasks: BTreeMap::new(),
            create_index: RaftIndex(create),
            modify_index: RaftIndex(modify),
            alloc_modify_index: RaftIndex(if version.is_some() { modify } else { alloc_modify }),
        }
    }

    fn reading(index: u64) -> Reading {
        Reading {
            deployments: Some(Read { value: BTreeMap::new(), index: RaftIndex(index) }),
            evaluations: Some(Read { value: BTreeMap::new(), index: RaftIndex(index) }),
            allocations: Some(Read { value: BTreeMap::new(), index: RaftIndex(index) }),
            ..Reading::default()
        }
    }

    fn full(index: u64, job: Option<Job>, allocations: Vec<Allocation>) -> Reading {
        let mut reading = reading(index);
        reading.full.insert("db".into(), Read { value: job, index: RaftIndex(index) });
        reading.allocations.as_mut().unwrap().value.insert("db".into(), allocations);
        reading
    }

    fn known(reading: Reading) -> Known {
        let mut known = Known::default();
        assert!(known.merge(&"db".into(), &mut { reading }));
        known
    }

    fn apply_allocation(known: &mut Known, allocation: Allocation) -> bool {
        known.apply(allocation.modify_index, Update::Allocation("db".into(), Box::new(allocation)))
    }

    fn apply_job(known: &mut Known, job: Job) -> bool {
        known.apply(job.modify_index, Update::Job(Box::new(job)))
    }

    fn version(known: &Known) -> Option<JobVersion> {
        known.present().unwrap().allocations[&"a1".into()].job_version
    }

    #[test]
    fn old_lines_change_nothing() {
        let mut known = known(full(30, Some(job(10, 20, 1)), vec![allocation(11, 0, 25, Some(1))]));
        assert!(!apply_job(&mut known, job(10, 10, 0)));
        assert!(!apply_job(&mut known, job(10, 20, 1)));
        assert!(!apply_allocation(&mut known, allocation(11, 11, 25, None)));
        assert!(!known.apply(RaftIndex(9), Update::JobGone("db".into())), "its predecessor's purge");
        let mut collected = allocation(11, 11, 29, None);
        collected.id = "a0".into();
        assert!(!apply_allocation(&mut known, collected), "it is in no list any more");
    }

    #[test]
    fn an_allocation_keeps_its_version_until_a_server_writes_it() {
        let mut known = known(full(30, Some(job(10, 20, 1)), vec![allocation(11, 0, 25, Some(1))]));
        assert!(apply_allocation(&mut known, allocation(11, 11, 31, None)));
        assert_eq!(version(&known), Some(JobVersion(1)), "its client wrote");
        assert!(apply_allocation(&mut known, allocation(11, 32, 32, None)));
        assert_eq!(version(&known), None, "a server wrote");
        assert!(known.lacks_versions());

        let mut older = reading(31);
        older.allocations.as_mut().unwrap().value.insert("db".into(), vec![allocation(11, 0, 31, Some(1))]);
        assert!(!known.merge(&"db".into(), &mut older), "a list from before that write tells nothing");
        assert!(apply_allocation(&mut known, allocation(11, 32, 34, None)));
        let mut newer = reading(33);
        newer.allocations.as_mut().unwrap().value.insert("db".into(), vec![allocation(11, 0, 33, Some(2))]);
        assert!(known.merge(&"db".into(), &mut newer));
        assert_eq!(version(&known), Some(JobVersion(2)));
        let kept = &known.present().unwrap().allocations[&"a1".into()];
        assert_eq!(kept.modify_index, RaftIndex(34), "the rest is as the stream told it");
    }

    #[test]
    fn nothing_of_a_purged_job_counts_for_its_successor() {
        let mut known = known(full(30, Some(job(10, 20, 0)), vec![allocation(11, 0, 25, Some(0))]));
        assert!(apply_job(&mut known, job(40, 40, 0)), "the purge itself was missed");
        assert!(known.present().unwrap().allocations.is_empty());
        assert!(
            !apply_allocation(&mut known, allocation(11, 11, 45, None)),
            "a late word of the old allocation"
        );
        let mut late = full(50, None, vec![allocation(11, 0, 45, Some(0))]);
        late.full.clear();
        assert!(!known.merge(&"db".into(), &mut late));
        let evaluation = Evaluation {
            id: "e".into(),
            status: EvaluationStatus::Pending,
            triggered_by: String::new(),
            failed_placements: BTreeMap::new(),
            create_index: RaftIndex(12),
            modify_index: RaftIndex(60),
        };
        assert!(!known.apply(RaftIndex(60), Update::Evaluation("db".into(), Box::new(evaluation))));
        let deployment = Deployment {
            id: "d".into(),
            job_version: JobVersion(0),
            job_create_index: RaftIndex(10),
            status: DeploymentStatus::Successful,
            description: String::new(),
            groups: BTreeMap::new(),
            modify_index: RaftIndex(60),
        };
        assert!(!known.apply(RaftIndex(60), Update::Deployment("db".into(), Box::new(deployment))));
    }

    #[test]
    fn a_purged_job_is_absent_until_it_is_registered_again() {
        let mut known = known(full(30, Some(job(10, 20, 0)), vec![]));
        assert!(known.apply(RaftIndex(40), Update::JobGone("db".into())));
        assert!(known.is_absent());
        assert!(!apply_job(&mut known, job(10, 20, 0)), "an old line");
        assert!(!known.merge(&"db".into(), &mut full(39, Some(job(10, 35, 0)), vec![])), "an old read");
        assert!(apply_job(&mut known, job(41, 41, 0)));
        assert!(!known.merge(&"db".into(), &mut full(40, None, vec![])), "a read from before");
        assert!(known.specification().is_some());
    }

    #[test]
    fn what_a_list_no_longer_has_is_gone_unless_it_is_newer() {
        let mut known = known(full(30, Some(job(10, 20, 0)), vec![allocation(11, 0, 25, Some(0))]));
        let mut newer = allocation(33, 33, 33, None);
        newer.id = "a2".into();
        assert!(apply_allocation(&mut known, newer));
        let mut list = reading(32);
        assert!(known.merge(&"db".into(), &mut list));
        let left: Vec<&str> = known.present().unwrap().allocations.keys().map(AllocId::as_str).collect();
        assert_eq!(left, ["a2"]);
    }

    #[test]
    fn a_stub_only_moves_the_index_of_the_job_it_is_about() {
        let mut known = known(full(30, Some(job(10, 20, 0)), vec![]));
        let stub = |create| {
            let stub = JobStub {
                id: "db".into(),
                create_index: RaftIndex(create),
                modify_index: RaftIndex(28),
                job_modify_index: RaftIndex(20),
            };
            let value = BTreeMap::from([("db".into(), stub)]);
            Reading { stubs: Some(Read { value, index: RaftIndex(31) }), ..Reading::default() }
        };
        assert!(!known.merge(&"db".into(), &mut stub(27)));
        assert!(known.merge(&"db".into(), &mut stub(10)));
        assert_eq!(known.present().unwrap().job.modify_index, RaftIndex(28));
    }

    #[test]
    fn nothing_is_applied_to_a_job_that_was_not_read_yet() {
        let mut known = Known::default();
        assert!(!apply_job(&mut known, job(10, 20, 0)));
        assert!(!apply_allocation(&mut known, allocation(11, 11, 25, None)));
        assert!(known.sight().is_none());
    }
}
