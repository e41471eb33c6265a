//! The blocks as they arrive: every attribute optional and untyped. Each block's `check` turns it into typed values.

mod block;
mod hook;
mod job;
mod wait;

use std::collections::BTreeMap;

use serde::Deserialize;

use self::{
    block::{Block, Number},
    job::Job,
    wait::Wait,
};
use super::{JobNode, OnFailure, Problem, Problems, Tree};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    wait: Option<BTreeMap<String, Wait>>,
    job: Option<BTreeMap<String, Job>>,
    on_failure: Option<String>,
    max_parallel: Option<Number>,
    timeout: Option<String>,
}

impl Manifest {
    /// The manifest with typed values; what is wrong with it is added to `problems`.
    pub(super) fn check(self, problems: &mut Problems) -> super::Manifest {
        let waits = self.wait.unwrap_or_default();
        let jobs = self.job.unwrap_or_default();
        one_name_each(&waits, &jobs, problems);
        let of_trees = [
            ("on_failure", self.on_failure.is_some()),
            ("max_parallel", self.max_parallel.is_some()),
            ("timeout", self.timeout.is_some()),
        ];

        let waits: BTreeMap<_, _> = waits
            .into_iter()
            .map(|(label, wait)| {
                let wait = wait.check(&label, problems);
                (label, Box::new(wait))
            })
            .collect();

        let mut block = Block::new("config", problems);
        let has_jobs = !jobs.is_empty();
        if !has_jobs {
            for (attribute, _) in of_trees.into_iter().filter(|(_, is_given)| *is_given) {
                block.problem_with_help(
                    format!("{attribute} is about a tree of jobs, and there is no `job` block"),
                    "take it away; what it means for one wait is written into the `wait` block",
                );
            }
        }
        let on_failure = block.word("on_failure", self.on_failure, OnFailure::WORDS, OnFailure::from_word);
        let max_parallel = block.number("max_parallel", self.max_parallel, 1, Tree::MAX_PARALLEL);
        let timeout = block.time_limit("timeout", self.timeout);
        let mut tree = Tree {
            on_failure: on_failure.unwrap_or(OnFailure::Finish),
            max_parallel: max_parallel.unwrap_or(Tree::DEFAULT_MAX_PARALLEL),
            timeout,
            jobs: BTreeMap::new(),
            hooks: BTreeMap::new(),
        };
        for (label, job) in jobs {
            let (job, hooks) = job.check(&label, problems);
            tree.jobs.insert(label, job);
            for (label, hook) in hooks {
                tree.hooks.entry(label).or_insert(hook);
            }
        }
        super::Manifest { waits, tree: has_jobs.then(|| Box::new(tree)) }
    }
}

/// Names each label that two blocks have, with the places of both: `depends_on` could mean either.
fn one_name_each(waits: &BTreeMap<String, Wait>, jobs: &BTreeMap<String, Job>, problems: &mut Problems) {
    let mut places: BTreeMap<&str, String> = BTreeMap::new();
    let nodes = waits.keys().map(|label| (label.as_str(), format!("wait {label:?}"))).chain(
        jobs.iter().flat_map(|(job, node)| {
            let hooks = node.hook_labels().map(move |(moment, label)| (label, moment.place(label, job)));
            [(job.as_str(), JobNode::place(job))].into_iter().chain(hooks)
        }),
    );
    for (label, place) in nodes {
        if let Some(first) = places.get(label) {
            problems.push(
                Problem::new(place, format!("{first} has the same label"))
                    .with_help("wait, job, pre and post share their labels in a task: rename one"),
            );
        } else {
            places.insert(label, place);
        }
    }
}
