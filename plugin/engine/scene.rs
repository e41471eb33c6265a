//! What a run sees at this instant, and how it is spoken of.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    cluster::{Blindness, Check, JobKey, Place, Question, Sight, Told, Unseen},
    condition::{self, Verdict},
    manifest::{Subject, Until, Wait},
};

/// Where a run stands, and what it was shown last.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) place: Place,
    sights: BTreeMap<JobKey, Arc<Sight>>,
    checks: Option<Vec<Check>>,
    answers: BTreeMap<Question, Arc<Told>>,
}

impl Scene {
    /// Nothing was looked at yet.
    pub(super) fn new(place: Place) -> Self {
        Self { place, sights: BTreeMap::new(), checks: None, answers: BTreeMap::new() }
    }

    /// Keeps what is seen of a job now.
    pub(super) fn see(&mut self, job: JobKey, sight: Arc<Sight>) {
        self.sights.insert(job, sight);
    }

    /// Keeps the results of the own allocation's checks.
    pub(super) fn check(&mut self, checks: Vec<Check>) {
        self.checks = Some(checks);
    }

    /// Keeps what is answered to a question now.
    pub(super) fn hear(&mut self, question: Question, told: Arc<Told>) {
        self.answers.insert(question, told);
    }

    /// Forgets everything: nobody looks any more, and others may share it.
    pub(super) fn close(&mut self) {
        self.sights.clear();
        self.answers.clear();
    }

    /// What is seen of `job`.
    pub(super) fn sight_of(&self, job: &JobKey) -> Arc<Sight> {
        self.sights.get(job).cloned().unwrap_or_else(|| Arc::new(Sight::Unseen(not_looked())))
    }

    /// What is seen of the task's own job.
    pub(super) fn own_sight(&self) -> Arc<Sight> {
        self.sight_of(&self.place.job)
    }

    /// Whether the first look at `job` is still under way.
    pub(super) fn is_looking_at(&self, job: &JobKey) -> bool {
        match self.sight_of(job).as_ref() {
            Sight::Unseen(unseen) => unseen.because == Blindness::Looking,
            Sight::Absent { .. } | Sight::Present(_) => false,
        }
    }

    /// What is seen of a wait's subject.
    pub(super) fn sight_for(&self, wait: &Wait) -> Arc<Sight> {
        match wait.subject.job(&self.place) {
            Some(job) => self.sight_of(&job),
            None => self.own_sight(),
        }
    }

    /// How it looks for a wait; `was_seen` says whether its job was there at any time since the run began.
    pub(super) fn judge(&self, wait: &Wait, was_seen: bool) -> Verdict {
        let sight = self.sight_for(wait);
        match &wait.subject {
            Subject::Job { .. } => condition::judge(wait, &sight, was_seen),
            Subject::Task { task } => {
                condition::judge_task(wait, task, &self.place, &sight, self.checks.as_deref())
            }
        }
    }

    /// What is awaited, for people: `job default/postgres until healthy`.
    pub(super) fn wanted(&self, wait: &Wait) -> String {
        let sight = wait.subject.job(&self.place).map(|job| self.sight_of(&job));
        let until = match (wait.until, sight.as_deref()) {
            (Some(until), _) => format!(" {until}"),
            (None, Some(Sight::Present(sight))) => format!(" {}", condition::default_until(sight.job.kind)),
            (None, _) => " ready".to_owned(),
        };
        format!("{}{until}", self.subject(wait))
    }

    /// What is looked at, for people: `job default/postgres`.
    pub(super) fn subject(&self, wait: &Wait) -> String {
        match &wait.subject {
            Subject::Job { job, namespace, group, .. } => {
                let namespace =
                    namespace.as_ref().filter(|namespace| **namespace != self.place.job.namespace);
                let namespace = namespace.map_or_else(String::new, |namespace| format!("{namespace}/"));
                let group = group.as_ref().map_or_else(String::new, |group| format!(", group {group},"));
                format!("job {namespace}{job}{group}")
            }
            Subject::Task { task } => format!("task {task}"),
        }
    }

    /// What is seen of a wait's job beyond what is in its way.
    pub(super) fn observed(&self, wait: &Wait) -> Vec<String> {
        let sight = wait.subject.job(&self.place).map(|job| self.sight_of(&job));
        sight.map_or_else(Vec::new, |sight| condition::observed(wait, &sight))
    }

    /// What the user can do to see more of a wait's subject, or to help.
    pub(super) fn hint(&self, wait: &Wait) -> Option<String> {
        let job = wait.subject.job(&self.place);
        let Some(job) = job else {
            return Some(format!("look with `nomad alloc status {}`", self.place.alloc.short()));
        };
        let in_namespace = in_namespace(&job);
        match self.sight_of(&job).as_ref() {
            Sight::Unseen(_) => None, // What is in the way says what to do.
            Sight::Absent { .. } => Some(format!("register it with `nomad job run {in_namespace}FILE`")),
            Sight::Present(_) => Some(format!("look with `nomad job status {in_namespace}{}`", job.job)),
        }
    }
}

/// The option of Nomad's commands that a job in another namespace than the usual one needs.
pub(super) fn in_namespace(job: &JobKey) -> String {
    if job.namespace.as_str() == "default" { String::new() } else { format!("-namespace {} ", job.namespace) }
}

/// Whether a wait asks for the checks of the own allocation.
pub(super) fn asks_for_checks(wait: &Wait) -> bool {
    match wait.subject {
        Subject::Task { .. } => matches!(wait.until, None | Some(Until::Healthy)),
        Subject::Job { .. } => false,
    }
}

fn not_looked() -> Unseen {
    Unseen { because: Blindness::Looking, why: "looking at Nomad".to_owned(), hint: None }
}
