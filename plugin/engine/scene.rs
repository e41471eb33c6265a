//! What a run sees at this instant, and how it is spoken of.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::Approved;
use crate::{
    cluster::{
        Answer, Blindness, CheckStatus, ClientId, JobKey, Namespace, Place, Question, Sight, TaskState, Told,
        Unseen,
    },
    condition::{self, Truth, Verdict},
    manifest::{Provider, Service, Stored, Subject, Target, Wait},
};

/// Where a run stands, and what it was shown last.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) place: Place,
    sights: BTreeMap<JobKey, Arc<Sight>>,
    answers: BTreeMap<Question, Arc<Told>>,
    /// The waits that were approved, and by whom if that was said.
    approvals: BTreeMap<String, Option<String>>,
}

/// How it looks for a wait at this instant.
pub(super) struct Look {
    pub(super) verdict: Verdict,
    /// Whether anything can be seen of its subject.
    pub(super) is_seen: bool,
    /// Whether its subject is a job that is there.
    pub(super) is_present: bool,
    /// Whether enough can be seen to say that it is *not* so.
    pub(super) is_known: bool,
}

impl Scene {
    /// Nothing was looked at yet.
    pub(super) fn new(place: Place) -> Self {
        Self { place, sights: BTreeMap::new(), answers: BTreeMap::new(), approvals: BTreeMap::new() }
    }

    /// Keeps what is seen of a job now.
    pub(super) fn see(&mut self, job: JobKey, sight: Arc<Sight>) {
        self.sights.insert(job, sight);
    }

    /// Keeps what is answered to a question now.
    pub(super) fn hear(&mut self, question: Question, told: Arc<Told>) {
        self.answers.insert(question, told);
    }

    /// Keeps that a wait was approved, once and for all.
    pub(super) fn approve(&mut self, name: String, by: Option<String>) {
        self.approvals.entry(name).or_insert(by);
    }

    /// Whether a wait was approved, and by whom if that was said.
    pub(super) fn approval(&self, name: &str) -> Option<&Option<String>> {
        self.approvals.get(name)
    }

    /// All that was approved.
    pub(super) fn approved(&self) -> BTreeMap<String, Approved> {
        let word = |(name, by): (&String, &Option<String>)| (name.clone(), Approved { by: by.clone() });
        self.approvals.iter().map(word).collect()
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

    /// What is seen of each job that is shown.
    pub(super) fn sights(&self) -> &BTreeMap<JobKey, Arc<Sight>> {
        &self.sights
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

    /// Whether the first look at what a wait is about is still under way.
    pub(super) fn is_looking_for(&self, wait: &Wait) -> bool {
        let is_asking = |question: Question| match self.answers.get(&question).map(Arc::as_ref) {
            None => true,
            Some(Err(unseen)) => unseen.because == Blindness::Looking,
            Some(Ok(_)) => false,
        };
        let is_task = matches!(wait.subject, Subject::Task { .. });
        wait.subject.job(&self.place).is_some_and(|job| self.is_looking_at(&job))
            || wait.question(&self.place).filter(|_| !is_task).is_some_and(is_asking)
    }

    /// How it looks for the wait `name`. `was_seen` says whether its job was there at any time since the run began, `part`
    /// how the waits stand that it may name.
    pub(super) fn look(&self, name: &str, wait: &Wait, was_seen: bool, part: impl Fn(&str) -> Truth) -> Look {
        match &wait.subject {
            Subject::Job { .. } => self.look_at_job(wait, was_seen),
            Subject::Task { task } => self.look_at_task(wait, task),
            Subject::Service(_) | Subject::Probe(_) | Subject::Stored(_) => {
                let told = wait.question(&self.place).and_then(|question| self.answers.get(&question));
                let told = told.map(Arc::as_ref);
                Look {
                    verdict: condition::judge_answer(wait, told),
                    is_seen: told.is_some_and(Result::is_ok),
                    is_present: false,
                    is_known: !condition::is_answer_in_doubt(wait, told),
                }
            }
            Subject::Approval { .. } => {
                let verdict = condition::judge_approval(name, &self.place, self.approval(name));
                Look { verdict, is_seen: true, is_present: false, is_known: true }
            }
            Subject::When(expression) => {
                let (verdict, truth) = condition::judge_when(expression, part);
                let is_seen = truth != Truth::Unknown;
                Look { verdict, is_seen, is_present: false, is_known: is_seen }
            }
        }
    }

    fn look_at_job(&self, wait: &Wait, was_seen: bool) -> Look {
        let job = wait.subject.job(&self.place);
        let sight = job.map_or_else(|| Arc::new(Sight::Unseen(not_looked())), |job| self.sight_of(&job));
        let here = if wait.subject.is_local() { self.here() } else { None };
        let is_seen = !matches!(*sight, Sight::Unseen(_));
        // Of what only the event stream has shown nobody can say yet whether it counts.
        let is_whole = match sight.as_ref() {
            Sight::Present(sight) => {
                sight.allocations.values().all(|allocation| allocation.job_version.is_some())
            }
            Sight::Absent { .. } | Sight::Unseen(_) => true,
        };
        let verdict = condition::judge_at(here.as_ref(), wait, &sight, was_seen);
        let is_in_doubt =
            !matches!(verdict, Verdict::Met(_)) && condition::is_in_doubt(here.as_ref(), wait, &sight);
        Look {
            verdict,
            is_seen,
            is_present: matches!(*sight, Sight::Present(_)),
            is_known: is_seen && is_whole && !is_in_doubt && (here.is_some() || !wait.subject.is_local()),
        }
    }

    fn look_at_task(&self, wait: &Wait, task: &str) -> Look {
        let sight = self.own_sight();
        let question = wait.question(&self.place);
        let told = question.as_ref().and_then(|question| self.answers.get(question));
        let checks = match told.map(Arc::as_ref) {
            Some(Ok(Answer::Checks(checks))) => Some(checks.as_slice()),
            _ => None,
        };
        let reported = match sight.as_ref() {
            Sight::Present(sight) => {
                let own = sight.allocations.get(&self.place.alloc);
                own.filter(|own| sight.is_of_current_version(own)).and_then(|own| own.tasks.get(task))
            }
            Sight::Absent { .. } | Sight::Unseen(_) => None,
        };
        let restarted = reported.and_then(TaskState::restarted_in);
        let have_answered = checks.is_some_and(|checks| {
            let mut of_task = checks.iter().filter(|check| check.task == task).peekable();
            of_task.peek().is_some()
                && of_task.all(|check| check.status_since(restarted) != CheckStatus::Pending)
        });
        Look {
            verdict: condition::judge_task(wait, task, &self.place, &sight, checks),
            is_seen: !matches!(*sight, Sight::Unseen(_)),
            is_present: matches!(*sight, Sight::Present(_)),
            is_known: reported.is_some() && (have_answered || question.is_none()),
        }
    }

    /// The client that the task is on, as its own allocation says it.
    fn here(&self) -> Option<ClientId> {
        match self.own_sight().as_ref() {
            Sight::Present(sight) => Some(sight.allocations.get(&self.place.alloc)?.client.clone()),
            Sight::Absent { .. } | Sight::Unseen(_) => None,
        }
    }

    /// All that these waits ask.
    pub(super) fn questions<'a>(&self, waits: impl IntoIterator<Item = &'a Wait>) -> BTreeSet<Question> {
        waits.into_iter().filter_map(|wait| wait.question(&self.place)).collect()
    }

    /// What is awaited, for people: `job default/postgres until healthy`.
    pub(super) fn wanted(&self, wait: &Wait) -> String {
        let subject = self.subject(wait);
        let sight = wait.subject.job(&self.place).map(|job| self.sight_of(&job));
        match (&wait.subject, wait.until, sight.as_deref()) {
            (Subject::Job { .. } | Subject::Task { .. }, Some(until), _) => format!("{subject} {until}"),
            (Subject::Job { .. }, None, Some(Sight::Present(sight))) => {
                format!("{subject} {}", condition::default_until(sight.job.kind))
            }
            (Subject::Job { .. } | Subject::Task { .. }, None, _) => format!("{subject} ready"),
            (Subject::Service(service), _, _) => format!("{} of {subject} passing", service.at_least),
            _ => subject,
        }
    }

    /// What is looked at, for people: `job default/postgres`.
    pub(super) fn subject(&self, wait: &Wait) -> String {
        match &wait.subject {
            Subject::Job { job, namespace, group, meta, .. } => {
                let namespace =
                    namespace.as_ref().filter(|namespace| **namespace != self.place.job.namespace);
                let namespace = namespace.map_or_else(String::new, |namespace| format!("{namespace}/"));
                let group = group.as_ref().map_or_else(String::new, |group| format!(", group {group},"));
                let meta: Vec<String> =
                    meta.iter().map(|(key, value)| format!("{key} = {value:?}")).collect();
                let meta = if meta.is_empty() { String::new() } else { format!(" with {}", meta.join(", ")) };
                let local = if wait.subject.is_local() { " on this client" } else { "" };
                format!("job {namespace}{job}{group}{meta}{local}")
            }
            Subject::Task { task } => format!("task {task}"),
            Subject::Service(service) => subject_of_service(service),
            Subject::Probe(probe) => match &probe.target {
                Target::Tcp { address } => format!("{address} accepting connections"),
                Target::Http { url, .. } => format!("{url} answering"),
                Target::Dns { name } => format!("an address of {name}"),
            },
            Subject::Stored(stored) => match stored.as_ref() {
                Stored::Variable { path, key: None, .. } => format!("variable {path}"),
                Stored::Variable { path, key: Some(key), .. } => format!("variable {path}, item {key}"),
                Stored::ConsulKey { key, .. } => format!("Consul's key {key}"),
            },
            Subject::Approval { what } => format!("approval: {what}"),
            Subject::When(expression) => expression.to_string(),
        }
    }

    /// What is seen of a wait's job beyond what is in its way.
    pub(super) fn observed(&self, wait: &Wait) -> Vec<String> {
        let sight = wait.subject.job(&self.place).map(|job| self.sight_of(&job));
        sight.map_or_else(Vec::new, |sight| condition::observed(wait, &sight))
    }

    /// What the user can do to see more of a wait's subject, or to help.
    pub(super) fn hint(&self, wait: &Wait) -> Option<String> {
        match &wait.subject {
            Subject::Job { .. } => self.hint_of_job(&wait.subject.job(&self.place)?),
            Subject::Task { .. } => {
                Some(format!("look with `nomad alloc status {}`", self.place.alloc.short()))
            }
            Subject::Service(service) => match service.provider {
                Provider::Nomad => {
                    let in_namespace = self.option_for(service.namespace.as_ref());
                    Some(format!("look with `nomad service info {in_namespace}{}`", service.name))
                }
                Provider::Consul => None,
            },
            Subject::Stored(stored) => match stored.as_ref() {
                Stored::Variable { path, namespace, .. } => {
                    let in_namespace = self.option_for(namespace.as_ref());
                    Some(format!("look with `nomad var get {in_namespace}{path}`"))
                }
                Stored::ConsulKey { key, .. } => Some(format!("look with `consul kv get {key}`")),
            },
            // What is in the way says what to do.
            Subject::Probe(_) | Subject::Approval { .. } | Subject::When(_) => None,
        }
    }

    fn option_for(&self, namespace: Option<&Namespace>) -> String {
        option_of(namespace.unwrap_or(&self.place.job.namespace))
    }

    fn hint_of_job(&self, job: &JobKey) -> Option<String> {
        let in_namespace = in_namespace(job);
        match self.sight_of(job).as_ref() {
            Sight::Unseen(_) => None, // What is in the way says what to do.
            Sight::Absent { .. } => Some(format!("register it with `nomad job run {in_namespace}FILE`")),
            Sight::Present(_) => Some(format!("look with `nomad job status {in_namespace}{}`", job.job)),
        }
    }
}

fn subject_of_service(service: &Service) -> String {
    let whose = match service.provider {
        Provider::Nomad => "",
        Provider::Consul => "Consul's ",
    };
    let tags =
        if service.tags.is_empty() { String::new() } else { format!(" tagged {}", service.tags.join(", ")) };
    format!("{whose}service {}{tags}", service.name)
}

/// The option of Nomad's commands that a job in another namespace than the usual one needs.
pub(super) fn in_namespace(job: &JobKey) -> String {
    option_of(&job.namespace)
}

fn option_of(namespace: &Namespace) -> String {
    if namespace.as_str() == "default" { String::new() } else { format!("-namespace {namespace} ") }
}

fn not_looked() -> Unseen {
    Unseen { because: Blindness::Looking, why: "looking at Nomad".to_owned(), hint: None }
}
