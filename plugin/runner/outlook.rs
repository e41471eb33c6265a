//! What a run looks at, as traits: so that the loop is tested without a cluster.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    cluster::{AllocId, Check, JobKey, Place, Question, Sight, Told},
    nomad,
    plan::Plan,
    watch::{Asks, Subscription, Viewer},
};

/// Something that a run is shown.
#[derive(Clone, Debug)]
pub enum Seen {
    /// A job, as it is now.
    Job(JobKey, Arc<Sight>),
    /// What is answered to a question now.
    Told(Question, Arc<Told>),
}

/// Sights of the jobs that a run is about, and answers to its questions.
pub trait Outlook: Send + 'static {
    /// The next thing seen. `None` when nothing will be seen any more.
    fn next(&mut self) -> impl Future<Output = Option<Seen>> + Send;

    /// Shows these jobs too.
    fn also(&self, jobs: BTreeSet<JobKey>);

    /// Asks these too, and goes on asking.
    fn ask(&self, questions: BTreeSet<Question>);

    /// Asks for everything to be read anew.
    fn look_again(&self);
}

impl Outlook for Subscription {
    async fn next(&mut self) -> Option<Seen> {
        Self::next(self).await.map(|(job, sight)| Seen::Job(job, sight))
    }

    fn ask(&self, _questions: BTreeSet<Question>) {}

    fn also(&self, jobs: BTreeSet<JobKey>) {
        Self::also(self, jobs);
    }

    fn look_again(&self) {
        Self::look_again(self);
    }
}

/// Whose checks a run of `plan` at `place` asks.
pub fn asks(plan: &Plan, place: &Place) -> Asks {
    Asks { now: plan.asked(place), later: plan.asks_its_own() }
}

/// Who asks for the checks of the own allocation.
pub trait Checker: Send + 'static {
    /// Their last results.
    fn checks(&self) -> impl Future<Output = Result<Vec<Check>, nomad::Error>> + Send;
}

/// Asks Nomad, with the task's own token: these are its own allocation's checks.
#[derive(Clone, Debug)]
pub struct OwnChecks {
    /// The task's way to Nomad.
    pub viewer: Viewer,
    /// Its allocation.
    pub alloc: AllocId,
}

impl Checker for OwnChecks {
    async fn checks(&self) -> Result<Vec<Check>, nomad::Error> {
        self.viewer.client()?.checks(&self.alloc, &self.viewer.job.namespace).await
    }
}
