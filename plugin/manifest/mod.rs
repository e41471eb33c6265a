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

pub(crate) mod millis;
mod output;
mod path;
mod problem;
mod raw;
pub mod schema;
mod stop;
mod template;
mod tree;
mod value;
mod wait;
mod webhook;

use std::collections::BTreeMap;

pub use output::{ServicePart, Source};
pub use path::TaskPath;
pub use problem::{Problem, Problems};
use serde::{Deserialize, Serialize};
pub use stop::Stop;
pub use template::{CONTEXT, Part, Reference, Template};
pub use tree::{Hook, JobNode, Launch, Moment, Ready, Tree};
pub use value::{AtLeast, HealthSource, OnBlocked, OnFailure, OnHookFailure, OnTimeout, Retain, Until, Verb};
pub use wait::{Subject, Wait};
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
        if manifest.waits.is_empty() && manifest.tree.is_none() && problems.is_empty() {
            problems.push(Problem::new("config", "nothing to wait for, to submit or to run").with_help(
                "name each job the group needs: `wait \"postgres\" {}`, or each to submit: `job \"postgres\" { jobspec = \"local/postgres.nomad.hcl\" }`, or each to run: `hook \"migrate\" { dispatch = \"db-migrate\" }`",
            ));
        }
        (manifest, problems)
    }
}

/// Whether a field holds what an older handle, which does not have it, means.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests;
