//! One `job` block as it arrives, with the blocks in it.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use super::{block::Block, hook::Hook};
use crate::manifest::{self, JobNode, Moment, OnBlocked, Problems, Until};

/// What a job that was just submitted can be asked to become.
const READY_WORDS: &[&str] = &["running", "healthy", "complete", "finished"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Job {
    jobspec: Option<String>,
    vars: Option<BTreeMap<String, String>>,
    namespace: Option<String>,
    depends_on: Option<Vec<String>>,
    exclusive: Option<String>,
    adopt: Option<bool>,
    outputs: Option<BTreeMap<String, String>>,
    ready: Option<Ready>,
    pre: Option<BTreeMap<String, Hook>>,
    post: Option<BTreeMap<String, Hook>>,
    pre_stop: Option<BTreeMap<String, Hook>>,
    post_stop: Option<BTreeMap<String, Hook>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ready {
    until: Option<String>,
    at_least: Option<String>,
    group: Option<String>,
    stable_for: Option<String>,
    timeout: Option<String>,
    on_blocked: Option<String>,
}

impl Job {
    /// The labels of its hooks.
    pub(super) fn hook_labels(&self) -> impl Iterator<Item = (Moment, &str)> {
        let hooks = [
            (Moment::Pre, &self.pre),
            (Moment::Post, &self.post),
            (Moment::PreStop, &self.pre_stop),
            (Moment::PostStop, &self.post_stop),
        ];
        hooks.into_iter().flat_map(|(moment, hooks)| {
            hooks.iter().flat_map(BTreeMap::keys).map(move |label| (moment, label.as_str()))
        })
    }

    /// The block with typed values, and its hooks by label; what is wrong with them is added to `problems`.
    pub(super) fn check(
        self,
        label: &str,
        problems: &mut Problems,
    ) -> (JobNode, Vec<(String, manifest::Hook)>) {
        let mut block = Block::new(JobNode::place(label), problems);
        block.name("the label", Some(label.to_owned()));
        let jobspec = if let Some(jobspec) = self.jobspec {
            block.path("jobspec", jobspec)
        } else {
            block.problem_with_help(
                "jobspec is missing",
                format!("write the path of its jobspec: `jobspec = \"local/{label}.nomad.hcl\"`"),
            );
            String::new()
        };
        let vars = block.vars(self.vars);
        let namespace = block.namespace(self.namespace);
        let exclusive = block.name("exclusive", self.exclusive);
        let outputs = block.outputs(self.outputs, JobNode::OUTPUTS);
        let ready = self.ready.unwrap_or_default().check(label, problems);
        let hooks = [
            (Moment::Pre, self.pre),
            (Moment::Post, self.post),
            (Moment::PreStop, self.pre_stop),
            (Moment::PostStop, self.post_stop),
        ];
        let hooks = hooks.into_iter().flat_map(|(moment, hooks)| {
            hooks.into_iter().flatten().map(move |(label, hook)| (moment, label, hook))
        });
        let hooks = hooks
            .map(|(moment, name, hook)| {
                let block = Block::new(moment.place(&name, Some(label)), problems);
                let hook = hook.check(&name, Some(label), moment, block);
                (name, hook)
            })
            .collect();
        let node = JobNode {
            jobspec,
            vars,
            namespace,
            depends_on: self.depends_on.unwrap_or_default(),
            ready,
            exclusive,
            adopt: self.adopt.unwrap_or(false),
            outputs,
        };
        (node, hooks)
    }
}

impl Ready {
    fn check(self, job: &str, problems: &mut Problems) -> manifest::Ready {
        let mut block = Block::new(format!("ready of job {job:?}"), problems);
        let until = block.word("until", self.until, READY_WORDS, Until::from_word);
        if let Some(until @ (Until::Failed | Until::Stopped | Until::Absent)) = until {
            block.problem_with_help(
                format!("until = \"{until}\" makes no sense of a job that was just submitted"),
                format!("write one of {}", READY_WORDS.join(", ")),
            );
        }
        let at_least = block.at_least(self.at_least);
        let group = block.name("group", self.group);
        let stable_for = block.duration("stable_for", self.stable_for);
        let timeout = block.time_limit("timeout", self.timeout);
        let on_blocked = block.word("on_blocked", self.on_blocked, OnBlocked::WORDS, OnBlocked::from_word);
        manifest::Ready {
            until,
            at_least,
            group,
            stable_for: stable_for.unwrap_or(Duration::ZERO),
            timeout,
            on_blocked: on_blocked.unwrap_or(OnBlocked::Wait),
        }
    }
}
