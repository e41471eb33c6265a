//! The blocks as they arrive: every attribute optional and untyped. Each block's `check` turns it into typed values.

mod block;
mod hook;
mod job;
mod stop;
mod subject;
mod wait;
mod webhook;

use std::collections::BTreeMap;

use serde::Deserialize;

use self::{
    block::{Block, Number},
    hook::Hook,
    job::Job,
    stop::Stop,
    wait::Wait,
    webhook::Webhook,
};
use super::{JobNode, Moment, OnFailure, Problem, Problems, Tree, Verb};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    wait: Option<BTreeMap<String, Wait>>,
    job: Option<BTreeMap<String, Job>>,
    hook: Option<BTreeMap<String, Hook>>,
    after_success: Option<BTreeMap<String, Hook>>,
    after_failure: Option<BTreeMap<String, Hook>>,
    webhook: Option<BTreeMap<String, Webhook>>,
    verb: Option<String>,
    stop: Option<Stop>,
    on_failure: Option<String>,
    max_parallel: Option<Number>,
    timeout: Option<String>,
    context: Option<BTreeMap<String, String>>,
}

impl Manifest {
    /// The manifest with typed values; what is wrong with it is added to `problems`.
    pub(super) fn check(self, problems: &mut Problems) -> super::Manifest {
        let waits = self.wait.unwrap_or_default();
        let jobs = self.job.unwrap_or_default();
        let hooks: Vec<_> = [
            (Moment::Alone, self.hook),
            (Moment::AfterSuccess, self.after_success),
            (Moment::AfterFailure, self.after_failure),
        ]
        .into_iter()
        .flat_map(|(moment, hooks)| {
            hooks.into_iter().flatten().map(move |(label, hook)| (moment, label, hook))
        })
        .collect();
        one_name_each(&waits, &jobs, &hooks, problems);
        let webhooks = self.webhook.unwrap_or_default();
        let of_trees = [
            ("webhook", !webhooks.is_empty()),
            ("after_success", hooks.iter().any(|(moment, ..)| *moment == Moment::AfterSuccess)),
            ("after_failure", hooks.iter().any(|(moment, ..)| *moment == Moment::AfterFailure)),
            ("on_failure", self.on_failure.is_some()),
            ("max_parallel", self.max_parallel.is_some()),
            ("timeout", self.timeout.is_some()),
            ("context", self.context.is_some()),
        ];

        let parts: BTreeMap<String, String> = waits
            .iter()
            .flat_map(|(label, wait)| wait.parts().into_iter().map(move |part| (part, label.clone())))
            .collect();
        let waits: BTreeMap<_, _> = waits
            .into_iter()
            .map(|(label, wait)| {
                let wait = wait.check(&label, parts.get(&label).map(String::as_str), problems);
                (label, Box::new(wait))
            })
            .collect();

        let mut block = Block::new("config", problems);
        let is_tree = !jobs.is_empty() || hooks.iter().any(|(moment, ..)| *moment == Moment::Alone);
        if !is_tree {
            for (attribute, _) in of_trees.into_iter().filter(|(_, is_given)| *is_given) {
                block.problem_with_help(
                    format!("{attribute} is about jobs and hooks, and there is no `job` or `hook` block"),
                    "take it away; what it means for one wait is written into the `wait` block",
                );
            }
        }
        if jobs.is_empty() {
            for (what, _) in [("verb", self.verb.is_some()), ("stop", self.stop.is_some())]
                .into_iter()
                .filter(|(_, is_given)| *is_given)
            {
                block.problem_with_help(
                    format!("{what} is about the jobs of a tree, and there is no `job` block"),
                    "take it away: only what a tree has submitted can be stopped by it",
                );
            }
        }
        let verb = block.word("verb", self.verb, Verb::WORDS, Verb::from_word);
        let on_failure = block.word("on_failure", self.on_failure, OnFailure::WORDS, OnFailure::from_word);
        let max_parallel = block.number("max_parallel", self.max_parallel, 1, Tree::MAX_PARALLEL);
        let timeout = block.time_limit("timeout", self.timeout);
        let context = block.context(self.context);
        let labels = jobs.keys().cloned().collect();
        let stop = self.stop.filter(|_| !jobs.is_empty()).unwrap_or_default().check(&labels, problems);
        let mut tree = Tree {
            verb: verb.unwrap_or(Verb::Run),
            stop,
            on_failure: on_failure.unwrap_or(OnFailure::Finish),
            max_parallel: max_parallel.unwrap_or(Tree::DEFAULT_MAX_PARALLEL),
            timeout,
            jobs: BTreeMap::new(),
            hooks: BTreeMap::new(),
            webhooks: BTreeMap::new(),
            context,
        };
        for (label, job) in jobs {
            let (job, hooks) = job.check(&label, problems);
            tree.jobs.insert(label, job);
            for (label, hook) in hooks {
                tree.hooks.entry(label).or_insert(hook);
            }
        }
        for (moment, label, hook) in hooks {
            let block = Block::new(moment.place(&label, None), problems);
            let hook = hook.check(&label, None, moment, block);
            tree.hooks.entry(label).or_insert(hook);
        }
        for (label, webhook) in webhooks {
            let webhook = webhook.check(Block::new(format!("webhook {label:?}"), problems));
            tree.webhooks.insert(label, webhook);
        }
        super::Manifest { waits, tree: is_tree.then(|| Box::new(tree)) }
    }
}

/// Names each label that two blocks have, with the places of both: `depends_on` could mean either.
fn one_name_each(
    waits: &BTreeMap<String, Wait>,
    jobs: &BTreeMap<String, Job>,
    hooks: &[(Moment, String, Hook)],
    problems: &mut Problems,
) {
    let mut places: BTreeMap<&str, String> = BTreeMap::new();
    let nodes = waits.keys().map(|label| (label.as_str(), format!("wait {label:?}"))).chain(
        jobs.iter().flat_map(|(job, node)| {
            let hooks =
                node.hook_labels().map(move |(moment, label)| (label, moment.place(label, Some(job))));
            [(job.as_str(), JobNode::place(job))].into_iter().chain(hooks)
        }),
    );
    let nodes =
        nodes.chain(hooks.iter().map(|(moment, label, _)| (label.as_str(), moment.place(label, None))));
    for (label, place) in nodes {
        if let Some(first) = places.get(label) {
            problems.push(
                Problem::new(place, format!("{first} has the same label"))
                    .with_help("wait, job and all hook blocks share their labels in a task: rename one"),
            );
        } else {
            places.insert(label, place);
        }
    }
}
