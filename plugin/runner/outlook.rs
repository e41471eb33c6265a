//! What a run looks at, as traits: so that the loop is tested without a cluster.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    cluster::{JobKey, Place, Question, Sight, Told},
    http::Tls,
    plan::Plan,
    probe::Asking,
    watch::{Asks, Subscription},
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

    /// How those who are told over https prove who they are.
    fn trust(&self) -> Tls {
        Tls::default()
    }
}

/// The shared view, and whoever answers questions.
#[derive(Debug)]
pub struct Senses {
    /// Where jobs are seen.
    pub watch: Subscription,
    /// Where questions are answered.
    pub probe: Asking,
}

impl Outlook for Senses {
    async fn next(&mut self) -> Option<Seen> {
        // They end together, with the process.
        tokio::select! {
            seen = self.watch.next() => seen.map(|(job, sight)| Seen::Job(job, sight)),
            told = self.probe.next() => told.map(|(question, told)| Seen::Told(question, told)),
        }
    }

    fn also(&self, jobs: BTreeSet<JobKey>) {
        self.watch.also(jobs);
    }

    fn ask(&self, questions: BTreeSet<Question>) {
        self.probe.ask(questions);
    }

    fn trust(&self) -> Tls {
        self.probe.trust().clone()
    }

    fn look_again(&self) {
        self.watch.look_again();
        self.probe.look_again();
    }
}

/// Whose checks a run of `plan` at `place` asks.
pub fn asks(plan: &Plan, place: &Place) -> Asks {
    Asks { now: plan.asked(place), later: plan.asks_its_own() }
}
