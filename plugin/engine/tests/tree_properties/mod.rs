//! Whatever becomes of the jobs of any tree, in whatever order it is told, and wherever the process ends.
//!
//! ```text
//!   Case   the tree, what becomes of each of its jobs, and a tape of what the shell does next
//!   Shell  performs acts late, in any order, or loses them; shows old news again; dies and comes back
//!   Judge  looks at what was written in the world, at the moment it was written
//! ```
//!
//! Each number of the tape is a choice; beyond its end everything goes as well as it can, so that shrinking a case
//! makes the shell more benign.

mod checks;
mod ending;
mod graph;
mod late;
mod moves;
mod shell;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use graph::{Becomes, Case, case};
use shell::Shell;

use super::{world::*, *};
use crate::{
    cluster::{Blindness, Marks, SpecHash, sample::unseen},
    manifest::{Moment, OnHookFailure},
    plan::Blueprint,
};

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 3000,
        ..ProptestConfig::with_cases(600)
    })]

    /// Order, at most once, room, policies, root causes, one ending: at every crash point and with any news, also when
    /// an act of a process that leads no more lands at any later moment.
    #[test]
    fn a_tree_keeps_its_promises(case in case()) {
        let mut shell = Shell::new(&case);
        let result = shell.run().and_then(|()| shell.check_end()).and_then(|()| shell.land());
        if let Err(error) = result {
            return Err(match error {
                TestCaseError::Fail(why) => TestCaseError::fail(format!("{why}\n{}", shell.judge.story.join("\n"))),
                rejected @ TestCaseError::Reject(_) => rejected,
            });
        }
    }
}
