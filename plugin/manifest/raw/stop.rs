//! The `stop` block as it arrives.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::block::Block;
use crate::{
    cluster::nearest,
    manifest::{self, Problems},
};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stop {
    purge: Option<bool>,
    exclude: Option<Vec<String>>,
    target: Option<String>,
    with_dependencies: Option<bool>,
    timeout: Option<String>,
}

impl Stop {
    /// The block with typed values, in a tree of these jobs; what is wrong with it is added to `problems`.
    pub(super) fn check(self, jobs: &BTreeSet<String>, problems: &mut Problems) -> manifest::Stop {
        let mut block = Block::new(manifest::Stop::PLACE, problems);
        let exclude = self.exclude.unwrap_or_default();
        let with_dependencies = self.with_dependencies.unwrap_or(false);
        let named = exclude.iter().map(|label| ("exclude", label));
        for (attribute, label) in named.chain(self.target.iter().map(|label| ("target", label))) {
            if jobs.contains(label) {
                continue;
            }
            let text = format!("{attribute} names {label:?}, which is no job of this tree");
            match nearest(label, jobs.iter().map(String::as_str)) {
                Some(near) => block.problem_with_help(text, format!("did you mean {near:?}?")),
                None => block.problem(text),
            }
        }
        if self.target.is_some() {
            block.apart(
                &[("exclude", !exclude.is_empty())],
                "target",
                "with a target nothing else is stopped that has to be excluded",
            );
        } else if with_dependencies {
            block.problem_with_help(
                "with_dependencies is about a target, and there is none",
                "name one, `target = \"…\"`, or take it away: without a target all jobs are stopped",
            );
        }
        let timeout = block.time_limit("timeout", self.timeout);
        manifest::Stop {
            purge: self.purge.unwrap_or(false),
            exclude,
            target: self.target,
            with_dependencies,
            timeout: timeout.unwrap_or(manifest::Stop::DEFAULT_TIMEOUT),
        }
    }
}
