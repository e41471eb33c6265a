//! What dtree writes into the meta of a job that it submits, and what of it says whose the job is.
//!
//! Marks are stable: they say whose a job is and from what it was made, never which run made it. A changed meta
//! replaces a service's allocations.

use serde::{Deserialize, Serialize};

/// The marks of a job that a tree has submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// The tree that the job belongs to.
    pub tree: TreeName,
    /// The node of the tree.
    pub node: String,
    /// Made from the jobspec before it was marked: equal means unchanged.
    pub spec: SpecHash,
}

impl Marks {
    /// The key in the job's meta of [`Marks::tree`].
    pub const TREE: &'static str = "dtree_tree";
    /// The key in the job's meta of [`Marks::node`].
    pub const NODE: &'static str = "dtree_node";
    /// The key in the job's meta of [`Marks::spec`].
    pub const SPEC: &'static str = "dtree_spec";
    /// The key in the meta of a hook's job, and of no other, of the run that has launched it.
    pub const RUN: &'static str = "dtree_run";
}

super::id::text_id!(
    /// A tree's name: `namespace/job` of the task that runs it.
    TreeName
);
super::id::text_id!(
    /// A hash of all that a job is made of: lower-case hex.
    SpecHash
);

impl SpecHash {
    /// The first eight digits, which are enough for people and for parts of names.
    pub fn short(&self) -> &str {
        self.as_str().get(..8).unwrap_or(self.as_str())
    }
}
