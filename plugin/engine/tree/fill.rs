//! The values that a step takes from others: read once in a process, when all that it needs is satisfied and before it is
//! decided what is to be done about it.
//!
//! # Invariants
//!
//! * No value is in here but what is no secret: the names of jobs, and the exit codes of hooks. The others the shell
//!   reads and keeps.
//! * Nothing of it is remembered but the hash of the job that came of it. A new process reads anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    around::Around,
    step::{Acting, Out},
};
use crate::{
    engine::{Act, NodeState, Time, time::Spoken},
    manifest::Reference,
};

/// How long outputs may be read in vain: a service is registered before its job is healthy, so there is not much to
/// wait for.
const FILL_LIMIT: Duration = Duration::from_mins(5);
/// How many references a status names.
const MOST_NAMED: usize = 6;

/// What a step takes from others.
#[derive(Clone, Debug)]
pub(super) struct Fill {
    references: BTreeSet<Reference>,
    /// Whether the shell has what the step submits, in this process.
    is_done: bool,
    /// When its time is over; `None` while it is not its turn.
    until: Option<Time>,
    /// The same when the step was brought up to date before.
    until_before: Option<Time>,
}

impl Fill {
    pub(super) fn new(references: BTreeSet<Reference>) -> Self {
        Self { is_done: references.is_empty(), references, until: None, until_before: None }
    }

    /// The step is about to be brought up to date, and it is not its turn until it is asked: what it needs may have been
    /// lost meanwhile, and then nothing is read and no time runs.
    pub(super) fn unasked(&mut self) {
        self.until_before = self.until.take();
    }

    /// Whether there is nothing to fill in any more.
    pub(super) fn is_done(&self) -> bool {
        self.is_done
    }

    /// Whether the step takes anything from others.
    pub(super) fn is_of_use(&self) -> bool {
        !self.references.is_empty()
    }

    /// The shell has filled it in.
    pub(super) fn done(&mut self) {
        self.is_done = true;
        self.until = None;
    }

    /// Has the values read. `None` when nothing is to be read any more; the error is why that cannot be.
    pub(super) fn advance(
        &mut self,
        now: Time,
        name: &str,
        around: &Around<'_>,
        acting: &mut Acting,
        out: &mut Out,
    ) -> Result<Option<NodeState>, String> {
        if self.is_done {
            return Ok(None);
        }
        let known = self.known(around)?;
        let before = self.until_before.unwrap_or(now + FILL_LIMIT);
        let until = *self.until.get_or_insert(before);
        if until <= now && !acting.is_under_way() {
            let what = format!("{} could not be read within {}", self.named(), Spoken(FILL_LIMIT));
            return Err(acting.describe_end(&what));
        }
        let wanted = || self.references.iter().filter(|reference| !known.contains_key(reference)).cloned();
        let act = || Act::Fill { wanted: wanted().collect(), known: known.clone() };
        out.actions.extend(acting.begin(now, name, act));
        Ok(Some(NodeState::Working { on: acting.describe(&format!("reads {}", self.named())) }))
    }

    /// What is known without asking anybody; the error is what nobody knows.
    fn known(&self, around: &Around<'_>) -> Result<BTreeMap<Reference, String>, String> {
        let mut known = BTreeMap::new();
        for reference in &self.references {
            let Reference { node, output } = reference;
            let value = match (around.job(node), output.as_str()) {
                (Some(job), "id") => Some(job.blueprint.key.job.to_string()),
                (Some(job), "namespace") => Some(job.blueprint.key.namespace.to_string()),
                (None, "id" | "exit_code") => {
                    let outcome = around.outcome(node);
                    let value = outcome.and_then(|outcome| match output.as_str() {
                        "id" => outcome.job.map(|job| job.job.to_string()),
                        _ => outcome.exit_code.map(|code| code.to_string()),
                    });
                    Some(value.ok_or_else(|| without(reference))?)
                }
                _ => None,
            };
            known.extend(value.map(|value| (reference.clone(), value)));
        }
        Ok(known)
    }

    fn named(&self) -> String {
        let named: Vec<String> = self.references.iter().take(MOST_NAMED).map(ToString::to_string).collect();
        match self.references.len().saturating_sub(MOST_NAMED) {
            0 => named.join(", "),
            more => format!("{} and {more} more", named.join(", ")),
        }
    }

    /// When its time is over.
    pub(super) fn gives_up(&self) -> Option<Time> {
        self.until
    }
}

/// Why an output of a hook that has ended is not there.
fn without(Reference { node, output }: &Reference) -> String {
    match output.as_str() {
        "exit_code" => {
            format!(
                "no exit code of {node} is known for $({node}.{output}): no task of it has ended by itself"
            )
        }
        _ => format!("no job of {node} is known for $({node}.{output}): none was launched"),
    }
}
