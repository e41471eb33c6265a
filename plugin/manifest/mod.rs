//! What the user wrote: the `wait` blocks of a gate, the `job` blocks of a tree, the `hook` blocks of a hook task,
//! checked and typed.
//!
//! ```text
//!   config {}  ── msgpack ──▶ raw ──▶ checked values ──▶ Manifest + Problems
//! ```
//!
//! # Invariants
//!
//! * All problems are found at once. [`Manifest::from_msgpack`] never stops at the first one.
//! * An unknown key is a problem, never ignored.
//! * A manifest with problems is never carried out: whoever compiles it ([`crate::plan::Plan::compile`]) takes the
//!   problems along and refuses.
//!
//! What the blocks are called and which attributes they have stands as data in [`schema`]; Nomad's schema is made
//! from it. Names that point to other blocks are checked by `plan/`, which knows the graph.

mod expression;
mod guard;
pub(crate) mod millis;
mod output;
mod path;
mod problem;
mod raw;
pub mod schema;
mod stop;
mod subject;
mod template;
pub mod text;
mod tree;
mod value;
mod wait;
mod webhook;

use std::collections::BTreeMap;

pub use expression::Expression;
pub use guard::Guard;
pub use output::{ServicePart, Source};
pub use path::{TaskPath, leads_out};
pub use problem::{Problem, Problems};
use serde::{Deserialize, Serialize};
pub use stop::Stop;
pub use subject::{Probe, Service, Stored, Subject, Target};
pub use template::{CONTEXT, Part, Reference, Template};
pub use tree::{Hook, JobNode, Launch, Moment, Ready, Tree};
pub use value::{
    AtLeast, HealthSource, OnBlocked, OnFailure, OnHookFailure, OnLoss, OnTimeout, Provider, Retain, Scope,
    Until, Verb,
};
pub use wait::Wait;
pub use webhook::Webhook;

/// A task's whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The `wait` blocks by label. Boxed, because a map makes room for eleven at once and most gates have one.
    pub waits: BTreeMap<String, Box<Wait>>,
    /// The `job` and `hook` blocks and what is said of all of them; `None` where there are none: then it is a gate.
    pub tree: Option<Box<Tree>>,
}

impl Manifest {
    /// Whether it is a guard: its waits must stay so.
    pub fn is_guard(&self) -> bool {
        self.tree.is_none() && self.waits.values().any(|wait| wait.guard.is_some())
    }

    /// Reads the body of `config {}` as Nomad sends it: msgpack, made after [`schema::MANIFEST`].
    ///
    /// Where there are problems, the manifest holds defaults in the places that could not be read. It is then only
    /// good for finding more problems.
    pub fn from_msgpack(config: &[u8]) -> (Self, Problems) {
        let mut problems = Problems::default();
        let raw: raw::Manifest = match rmp_serde::from_slice(config) {
            Ok(raw) => raw,
            Err(error) => {
                problems.push(Problem::new("config", format!("cannot be read: {error}")));
                return (Self::default(), problems);
            }
        };
        let manifest = raw.check(&mut problems);
        if manifest.is_empty() && problems.is_empty() {
            problems.push(Self::nothing());
        }
        (manifest, problems)
    }

    /// Whether nothing is to be done.
    fn is_empty(&self) -> bool {
        self.waits.is_empty() && self.tree.is_none()
    }

    /// That nothing is to be done.
    fn nothing() -> Problem {
        Problem::new("config", "nothing to wait for, to submit or to run").with_help(
            "name each job the group needs: `wait \"postgres\" {}`, or each to submit: `job \"postgres\" { jobspec = \"local/postgres.nomad.hcl\" }`, or each to run: `hook \"migrate\" { dispatch = \"db-migrate\" }`",
        )
    }
}

/// What is written into a handle only where it is not what it was before there was such a thing.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests;
