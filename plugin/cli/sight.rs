//! What is known of a tree: its record in Nomad's Variables, what its job declares, and the jobs that carry its mark.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    Failure,
    connect::{Connection, refused},
    look::{is_visible, look},
};
use crate::{
    cluster::{JobKey, Namespace, TreeName},
    engine::{Entry, Memory, Spoken, Time},
    manifest::{Manifest, Problems, Subject, Verb, Wait, text},
    nomad::Client,
    plan::Plan,
    record::{self, Hidden, Process, Shown},
    runner::{spelled, wall_clock},
};

/// A tree as it is seen from outside.
pub(super) struct Sight {
    pub(super) tree: TreeName,
    pub(super) namespace: Namespace,
    pub(super) shown: Option<Shown>,
    /// What its job declares now, where there is a job.
    pub(super) plan: Option<Plan>,
    /// The jobs that carry its mark, by node.
    jobs: BTreeMap<String, JobKey>,
    /// The same of hooks: one of each hook's.
    hooks: BTreeMap<String, JobKey>,
    began: Option<Time>,
    /// Whether the run ended well, and what it said.
    ended: Option<(Time, bool, String)>,
    steps: BTreeMap<String, (Time, Memory)>,
}

/// A step, as a line of a table.
pub(super) struct Row {
    pub(super) name: String,
    /// job, hook or wait.
    pub(super) kind: &'static str,
    /// One of the six words.
    pub(super) state: &'static str,
    pub(super) since: Option<Time>,
    pub(super) job: Option<JobKey>,
    pub(super) detail: String,
    /// What Nomad shows of it now beyond that.
    pub(super) seen: Vec<String>,
    pub(super) help: Option<String>,
}

impl Sight {
    /// Reads all that is there; `None` when nobody knows of such a tree.
    pub(super) async fn of(
        client: &Client,
        namespace: &Namespace,
        name: &str,
    ) -> Result<Option<Self>, Failure> {
        let tree = TreeName::from(format!("{namespace}/{name}"));
        let shown = match record::shown(client, namespace, &tree).await {
            Ok(shown) => shown,
            Err(Hidden::Nomad(error)) => return Err(refused(&error)),
            Err(unread) => return Err(Failure::cannot(format!("dtree: {unread}\n"))),
        };
        let key = JobKey { namespace: namespace.clone(), job: name.into() };
        let plan = declared(client, &key).await?;
        let all = client.owned_jobs(&Namespace::from("*")).await.map_err(|error| refused(&error))?;
        let (mut jobs, mut hooks) = (BTreeMap::new(), BTreeMap::new());
        for job in all {
            if let Some((_, node)) = job.mark.filter(|(of, _)| of == tree.as_str()) {
                if job.is_hook { &mut hooks } else { &mut jobs }.insert(node, job.key);
            }
        }
        if shown.is_none() && plan.is_none() && jobs.is_empty() {
            return Ok(None);
        }
        let mut sight = Self {
            tree,
            namespace: namespace.clone(),
            shown,
            plan,
            jobs,
            hooks,
            began: None,
            ended: None,
            steps: BTreeMap::new(),
        };
        sight.remember()?;
        Ok(Some(sight))
    }

    fn remember(&mut self) -> Result<(), Failure> {
        for note in self.shown.iter().flat_map(|shown| &shown.notes) {
            let entry: Entry = serde_json::from_value(note.value.clone()).map_err(|error| {
                Failure::cannot(format!(
                    "dtree: the record of tree {} was written by another version of dtree: {error}\n",
                    self.tree
                ))
            })?;
            match entry {
                Entry::Began { at } => self.began = Some(at),
                Entry::Step { name, at, memory } => {
                    self.steps.insert(name, (at, memory));
                }
                Entry::Concluded { at, is_good, message } | Entry::Ended { at, is_good, message } => {
                    self.ended = Some((at, is_good, message));
                }
            }
        }
        Ok(())
    }

    /// How the run stands, in a line.
    pub(super) fn run(&self) -> String {
        let now = wall_clock();
        let ago = |at: Time| Spoken(now.since(at));
        let Some(shown) = &self.shown else {
            let none = if self.plan.is_some() { "none yet" } else { "no record is kept of any" };
            return none.to_owned();
        };
        let Some(run) = &shown.run else { return "none yet".to_owned() };
        let holder = match &shown.process {
            Some(process) => process.to_string(),
            None => format!("allocation {}", shown.holder.get(..8).unwrap_or(&shown.holder)),
        };
        match (&self.ended, self.began) {
            (Some((at, true, message)), _) => format!("{run}, ended well {} ago: {message}", ago(*at)),
            (Some((at, false, message)), _) => format!("{run}, failed {} ago: {message}", ago(*at)),
            (None, began) => {
                let since = began.map(|at| format!(" for {}", ago(at))).unwrap_or_default();
                let is_gone = shown.process.as_ref().and_then(Process::is_there) == Some(false);
                let who = match shown.is_led {
                    Some(false) => format!("but nobody leads it now; {holder} did"),
                    Some(true) | None if is_gone => format!("but {holder}, which led it, has ended"),
                    Some(true) => format!("led by {holder}"),
                    None => format!(
                        "led last by {holder} (whether it still does Nomad shows to management tokens only)"
                    ),
                };
                format!("{run}, under way{since}, {who}")
            }
        }
    }

    /// The word for how the run stands.
    pub(super) fn run_word(&self) -> &'static str {
        let is_begun = self.shown.as_ref().is_some_and(|shown| shown.run.is_some());
        match &self.ended {
            Some((_, true, _)) => "succeeded",
            Some((_, false, _)) => "failed",
            None if is_begun => "running",
            None => "none",
        }
    }

    /// Its steps by the record, and by what Nomad shows now.
    pub(super) async fn rows(&self, connection: &Connection) -> Result<Vec<Row>, Failure> {
        let mut names: Vec<String> = self.plan.iter().flat_map(|plan| plan.order().to_vec()).collect();
        let known: BTreeSet<&String> = names.iter().collect();
        let mut others: Vec<(Time, String)> = self
            .steps
            .iter()
            .filter(|(name, _)| !known.contains(name))
            .map(|(name, (at, _))| (*at, name.clone()))
            .collect();
        others.sort();
        names.extend(others.into_iter().map(|(_, name)| name));
        // What the record does not speak of, and the cluster does.
        let unsaid: Vec<&String> = self.jobs.keys().filter(|name| !names.contains(name)).collect();
        names.extend(unsaid.into_iter().cloned().collect::<Vec<_>>());
        let mut rows: Vec<Row> = names.iter().map(|name| self.row(name)).collect();
        let looks = self.looks(&rows);
        if looks.is_empty() {
            return Ok(rows);
        }
        let status = look(looks, self.namespace.clone(), connection, None).await?;
        for node in &status.nodes {
            let Some(row) = rows.iter_mut().find(|row| row.name == node.name) else { continue };
            row.seen.clone_from(&node.seen);
            match (row.state, node.state) {
                ("satisfied", "satisfied") => row.detail = format!("{}; now {}", row.detail, node.detail),
                ("gated", "satisfied") => row.detail.clone_from(&node.detail),
                ("satisfied", _) if row.since.is_none() => {
                    row.state = "gated";
                    row.detail.clone_from(&node.detail);
                    row.help.clone_from(&node.hint);
                }
                ("satisfied", _) => {
                    row.state = "gated";
                    row.detail = format!("was ready, and now: {}", node.detail);
                    row.since = None;
                    row.help.clone_from(&node.hint);
                }
                ("gated", _) => {
                    row.detail.clone_from(&node.detail);
                    row.help.clone_from(&node.hint);
                }
                _ => {}
            }
        }
        Ok(rows)
    }

    fn is_stop(&self) -> bool {
        self.plan.as_ref().is_some_and(Plan::is_stop)
    }

    /// What can be looked at now: jobs that should be up, and waits.
    fn looks(&self, rows: &[Row]) -> Vec<(String, Wait)> {
        let manifest = self.plan.as_ref().map(Plan::manifest);
        let mut looks = Vec::new();
        for row in rows.iter().filter(|row| ["satisfied", "gated"].contains(&row.state)) {
            if let Some(wait) = manifest.and_then(|manifest| manifest.waits.get(&row.name)) {
                if is_visible(wait) && !self.plan.as_ref().is_some_and(|plan| plan.is_part(&row.name)) {
                    looks.push((row.name.clone(), (**wait).clone()));
                }
            } else if let Some(key) = row.job.as_ref().filter(|_| row.kind == "job" && !self.is_stop()) {
                let node = manifest.and_then(|it| it.tree.as_ref()).and_then(|tree| tree.jobs.get(&row.name));
                let ready = node.map(|node| &node.ready);
                let group = ready.and_then(|ready| ready.group.clone());
                let mut wait = Wait::new(Subject::of_job(key, group));
                wait.until = ready.and_then(|ready| ready.until);
                wait.at_least = ready.and_then(|ready| ready.at_least);
                looks.push((row.name.clone(), wait));
            }
        }
        looks
    }

    fn row(&self, name: &str) -> Row {
        let tree = self.plan.as_ref().and_then(|plan| plan.manifest().tree.as_ref());
        let memory = self.steps.get(name);
        let kind = match (tree, memory) {
            (Some(tree), _) if tree.hooks.contains_key(name) => "hook",
            (Some(tree), _) if tree.jobs.contains_key(name) => "job",
            (
                _,
                Some((
                    _,
                    Memory::Launching(_) | Memory::Running { .. } | Memory::Failing { .. } | Memory::Ended(_),
                )),
            ) => "hook",
            (_, Some((_, Memory::Wait { .. }))) | (Some(_), None) => "wait",
            _ => "job",
        };
        let (state, detail) = self.state(name, memory.map(|(_, memory)| memory));
        let job = match memory {
            Some((_, Memory::Running { job, .. } | Memory::Failing { job, .. })) => Some(job.clone()),
            Some((_, Memory::Ended(ended))) => ended.outcome.job.clone(),
            _ => self.jobs.get(name).or_else(|| self.hooks.get(name)).cloned(),
        };
        Row {
            name: name.to_owned(),
            kind,
            state,
            since: memory.map(|(at, _)| *at),
            job,
            detail,
            seen: Vec::new(),
            help: None,
        }
    }

    /// How a step stands by the record.
    fn state(&self, name: &str, memory: Option<&Memory>) -> (&'static str, String) {
        let has_ended = self.ended.is_some();
        let is_good = self.ended.as_ref().is_some_and(|(_, is_good, _)| *is_good);
        let Some(memory) = memory else {
            if self.plan.is_none() && self.jobs.contains_key(name) {
                return ("satisfied", "this tree has submitted it".to_owned());
            }
            return match self.run_word() {
                "succeeded" => ("satisfied", "there was nothing to do".to_owned()),
                "failed" => ("skipped", "the run ended before its turn".to_owned()),
                "none" => ("blocked", "no run has begun".to_owned()),
                _ => ("blocked", self.blockers(name)),
            };
        };
        match memory {
            Memory::Wait { approved: Some(approved), .. } => {
                let by = approved.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
                ("satisfied", format!("approved{by}"))
            }
            Memory::Wait { was_met: true, .. } => ("satisfied", "it held".to_owned()),
            Memory::Wait { .. } if is_good => ("satisfied", "it held".to_owned()),
            Memory::Wait { .. } if has_ended => ("failed", "it did not hold when the run ended".to_owned()),
            Memory::Wait { .. } => ("gated", "it does not hold yet".to_owned()),
            Memory::Due(_) => ("working", "its pre hooks run first".to_owned()),
            Memory::Submitting { .. } => ("working", "is being submitted".to_owned()),
            Memory::Submitted(submitted) => {
                let how = submitted.cause.map_or("unchanged", crate::engine::Cause::word);
                let text = format!("{how}, version {}", submitted.submission.version);
                let is_ready = submitted.was_ready || is_good;
                (if is_ready { "satisfied" } else { "gated" }, text)
            }
            Memory::Stopping { .. } => ("working", "is being stopped".to_owned()),
            Memory::Stopped(_) => ("satisfied", "stopped".to_owned()),
            Memory::Failed { why } => ("failed", why.clone()),
            Memory::Launching(attempt) => {
                ("working", format!("is being launched, attempt {}", attempt.number))
            }
            Memory::Running { job, .. } => ("gated", format!("job {} runs", job.job)),
            Memory::Failing { why, .. } if has_ended => ("failed", why.clone()),
            Memory::Failing { why, .. } => ("working", format!("is tried again: {why}")),
            Memory::Ended(ended) => (if ended.is_good { "satisfied" } else { "failed" }, ended.how.clone()),
        }
    }

    /// What a step waits for that is not satisfied by the record.
    fn blockers(&self, name: &str) -> String {
        let needs = self.plan.as_ref().map(|plan| plan.needs_of(name)).unwrap_or_default();
        let open = |needed: &&str| {
            let memory = self.steps.get(*needed).map(|(_, memory)| memory);
            self.state(needed, memory).0 != "satisfied"
        };
        let open: Vec<&str> = needs.into_iter().filter(open).collect();
        if open.is_empty() {
            "waits for its turn".to_owned()
        } else {
            format!("waits for {}", open.join(", "))
        }
    }

    /// Whether everything that it is to bring up is up.
    pub(super) fn is_up(&self, rows: &[Row]) -> bool {
        !self.is_stop() && self.run_word() == "succeeded" && rows.iter().all(|row| row.state == "satisfied")
    }

    /// All of it, for programs.
    pub(super) fn document(&self, rows: &[Row]) -> Value {
        let steps: Vec<Value> = rows
            .iter()
            .map(|row| {
                json!({
                    "name": row.name, "kind": row.kind, "state": row.state, "since": row.since.map(spelled),
                    "namespace": row.job.as_ref().map(|job| job.namespace.to_string()),
                    "job": row.job.as_ref().map(|job| job.job.to_string()),
                    "detail": row.detail, "seen": row.seen, "help": row.help,
                })
            })
            .collect();
        json!({
            "tree": self.tree.as_str(),
            "up": self.is_up(rows),
            "run": self.shown.as_ref().and_then(|shown| shown.run.as_ref()).map(ToString::to_string),
            "run_state": self.run_word(),
            "began": self.began.map(spelled),
            "ended": self.ended.as_ref().map(|(at, ..)| spelled(*at)),
            "message": self.ended.as_ref().map(|(.., message)| message),
            "led": self.shown.as_ref().map_or(Some(false), |shown| shown.is_led),
            "holder": self.shown.as_ref().map(|shown| &shown.holder),
            "process": self.shown.as_ref().and_then(|shown| shown.process.as_ref()).map(|process| json!({
                "user": process.user, "host": process.host, "pid": process.pid,
            })),
            "steps": steps,
        })
    }
}

/// The tree that a job declares; `None` when there is no such job, or it has none.
pub(super) async fn declared(client: &Client, key: &JobKey) -> Result<Option<Plan>, Failure> {
    let found = client.declarations(key).await.map_err(|error| refused(&error))?;
    let manifests = found.into_iter().flatten().filter_map(|declaration| manifest(&declaration.config));
    let tree = manifests.into_iter().find(|manifest| manifest.tree.is_some());
    Ok(tree.and_then(|manifest| Plan::compile(manifest, Problems::default()).ok()))
}

/// What stands in a `config {}`, as far as it can be told before a client fills it in.
pub(super) fn manifest(config: &Value) -> Option<Manifest> {
    let (manifest, problems) = text::of_config(config);
    problems.is_empty().then_some(manifest)
}

/// Whether it brings jobs up or down, in a word.
pub(super) fn verb(plan: &Plan) -> &'static str {
    match plan.manifest().tree.as_ref().map(|tree| tree.verb) {
        Some(Verb::Stop) => "stop",
        Some(Verb::Run) | None => "run",
    }
}
