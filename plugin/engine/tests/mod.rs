//! Runs of gates on simulated time.

mod circles;
mod guard_properties;
mod guards;
mod once_properties;
mod properties;
mod recovery;
mod stop_properties;
mod stories;
mod subjects;
mod tree_properties;
mod trees;
mod when_properties;
mod world;

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::*;
use crate::{
    cluster::{Answer, Check, JobKey, JobSight, Question, Sight, Told, sample},
    manifest::Manifest,
};

/// The gate of `job shop/web`, with the given `wait` blocks.
pub(super) fn plan(waits: &Value) -> Plan {
    let (manifest, problems) = Manifest::from_msgpack(&rmp_serde::to_vec(&json!({ "wait": waits })).unwrap());
    Plan::compile(manifest, problems).unwrap()
}

pub(super) fn place() -> Place {
    Place {
        job: JobKey::new("default", "shop"),
        group: "web".to_owned(),
        alloc: "own-0000-0000".into(),
        task: "gate".to_owned(),
    }
}

/// The gate's own job, in which it stands well.
pub(super) fn own_job() -> JobSight {
    sample::job("shop", crate::cluster::JobType::Service, 1).with("own", |own| {
        own.is_healthy = None;
        own.tasks.clear();
    })
}

/// A run and everything it did.
struct Simulation {
    engine: Engine,
    began: Time,
    now: Time,
    lines: Vec<String>,
    /// What a guard must not forget.
    kept: Keepsake,
}

impl Simulation {
    /// A run that has just begun, and sees its own job.
    fn gate(waits: &Value) -> Self {
        Self::gate_that_sees(waits, own_job().seen())
    }

    fn gate_that_sees(waits: &Value, own: Sight) -> Self {
        let now = Time::from_unix_millis(1_000_000);
        let plan = plan(waits);
        let deadlines = deadlines(&plan, now);
        let engine = Engine::gate(plan, place(), &deadlines, now);
        let mut run = Self { engine, began: now, now, lines: Vec::new(), kept: Keepsake::default() };
        run.happens("the run begins", Event::Started);
        run.sees("shop", own);
        run
    }

    fn happens(&mut self, what: &str, event: Event) -> &mut Self {
        let actions = self.engine.step(self.now, event);
        let at = Spoken(self.now.since(self.began));
        self.lines.push(format!("{at}: {what}"));
        for action in actions {
            self.lines.push(match action {
                Action::Announce(message) => format!("    event   {message}"),
                Action::Log(line) => format!("    log     {line}"),
                Action::Ask(questions) => format!("    ask     {questions:?}"),
                Action::Watch(jobs) => format!("    watch   {jobs:?}"),
                Action::Keep(kept) => {
                    let line = format!("    keep    {}", serde_json::to_string(&kept).unwrap());
                    self.kept = kept;
                    line
                }
                Action::KeepApprovals(approved) => {
                    format!("    keep    {}", serde_json::to_string(&approved).unwrap())
                }
                Action::Do(name, deed) => format!("    do      {}: {deed:?}", name.trim_matches('\0')),
                Action::Act(name, Act::Tail { alloc, task, .. }) => {
                    format!("    read    {name}: what task {task} of allocation {} wrote last", alloc.short())
                }
                Action::Lead
                | Action::Remember(_)
                | Action::Prepare
                | Action::Act(..)
                | Action::Notify(_) => {
                    panic!("a gate does nothing: {action:?}")
                }
                Action::Finish(outcome) => format!(
                    "    finish  {}",
                    match outcome {
                        Outcome::Done => "opened",
                        Outcome::Failed(_) => "failed",
                        Outcome::Stopped => "stopped",
                    }
                ),
            });
        }
        self
    }

    fn sees(&mut self, job: &str, sight: Sight) -> &mut Self {
        let what = format!("{job} is seen");
        self.happens(&what, Event::Seen(JobKey::new("default", job), Arc::new(sight)))
    }

    fn told(&mut self, what: &str, question: Question, told: Told) -> &mut Self {
        self.happens(&format!("{what} is answered"), Event::Told(question, Arc::new(told)))
    }

    fn approve(&mut self, name: &str, by: Option<&str>) -> &mut Self {
        let by = by.map(str::to_owned);
        self.happens(&format!("{name} is approved"), Event::Approved { name: name.to_owned(), by })
    }

    /// Lets time pass, with a tick at each instant that the engine asks for.
    fn wait(&mut self, seconds: u64) -> &mut Self {
        let until = self.now + Duration::from_secs(seconds);
        while let Some(at) = self.engine.next_timeout().filter(|at| *at <= until) {
            assert!(at >= self.now, "a timeout in the past");
            self.now = at;
            let before = self.lines.len();
            self.happens("time passes", Event::Tick);
            assert!(
                self.lines.len() > before + 1 || self.engine.next_timeout() != Some(at),
                "the engine asks for {at:?} again and again: {}",
                self.transcript()
            );
        }
        self.now = until;
        self
    }

    fn transcript(&self) -> String {
        self.lines.join("\n")
    }
}

fn nobody() -> Sight {
    Sight::Absent { similar: None }
}
