//! One block of a hook as it arrives.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::block::{Block, Number};
use crate::{
    cluster::JobId,
    manifest::{self, Launch, Moment, OnHookFailure, Retain, Source},
};

/// How long a hook's label may be: job IDs are made from it.
const MAX_LABEL: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hook {
    jobspec: Option<String>,
    dispatch: Option<String>,
    vars: Option<BTreeMap<String, String>>,
    meta: Option<BTreeMap<String, String>>,
    payload: Option<String>,
    namespace: Option<String>,
    depends_on: Option<Vec<String>>,
    timeout: Option<String>,
    retries: Option<Number>,
    on_failure: Option<String>,
    retain: Option<String>,
    once: Option<String>,
    outputs: Option<BTreeMap<String, String>>,
}

impl Hook {
    /// The block, of job `of` or of none, with typed values; what is wrong with it is told to `block`.
    pub(super) fn check(
        self,
        label: &str,
        of: Option<&str>,
        moment: Moment,
        mut block: Block<'_>,
    ) -> manifest::Hook {
        check_label(label, &mut block);
        if self.once.is_some() && moment != Moment::Alone {
            block.problem_with_help(
                "once belongs to a `hook` block",
                "take it away: this one runs once for each rollout, run or stop by itself",
            );
        }
        let once = block.once(self.once);
        if self.outputs.is_some() && !moment.has_outputs() {
            block.problem_with_help(
                format!("{} hooks have no outputs", moment.word()),
                "take it away: only jobs, `hook` blocks and post hooks have outputs",
            );
        }
        let outputs = block.outputs(self.outputs, manifest::Hook::OUTPUTS);
        for (name, source) in outputs.iter().filter(|_| moment.has_outputs()) {
            if !matches!(source, Source::Variable { .. }) {
                block.problem_with_help(
                    format!("outputs: {name} = \"{source}\" asks for what is gone when a hook has ended"),
                    "let it write a variable: \"variable:PATH#KEY\"",
                );
            }
        }
        let has_jobspec = self.jobspec.is_some();
        if self.dispatch.is_some() {
            block.apart(
                &[("jobspec", has_jobspec)],
                "dispatch",
                "one runs a jobspec, the other a job that is registered already",
            );
            block.apart(
                &[("vars", self.vars.is_some())],
                "dispatch",
                "a registered job has no variables any more; give it meta",
            );
        } else if has_jobspec {
            block.apart(&[("payload", self.payload.is_some())], "jobspec", "only a dispatched job takes one");
        }
        if self.dispatch.is_none() && !has_jobspec {
            block.problem_with_help(
                "has nothing to run",
                format!(
                    "write the path of a batch jobspec, `jobspec = \"local/{label}.nomad.hcl\"`, or the ID of a parameterized job, `dispatch = \"{label}\"`"
                ),
            );
        }
        let jobspec = self.jobspec.map(|jobspec| block.path("jobspec", jobspec));
        let vars = block.vars(self.vars);
        let payload = block.payload(self.payload);
        let launch = match block.name("dispatch", self.dispatch) {
            Some(job) => Launch::Dispatch { job: JobId::from(job), payload },
            None => Launch::Jobspec { jobspec: jobspec.unwrap_or_default(), vars },
        };
        let meta = block.meta(self.meta);
        let namespace = block.namespace(self.namespace);
        let timeout = block.time_limit("timeout", self.timeout);
        let retries = block.number("retries", self.retries, 0, manifest::Hook::MAX_RETRIES);
        let on_failure =
            block.word("on_failure", self.on_failure, OnHookFailure::WORDS, OnHookFailure::from_word);
        let retain = block.word("retain", self.retain, Retain::WORDS, Retain::from_word);
        manifest::Hook {
            of: of.map(str::to_owned),
            moment,
            launch,
            namespace,
            meta,
            depends_on: self.depends_on.unwrap_or_default(),
            once,
            timeout: timeout.unwrap_or(manifest::Hook::DEFAULT_TIMEOUT),
            retries: retries.unwrap_or_default(),
            on_failure: on_failure.unwrap_or(OnHookFailure::Fail),
            retain: retain.unwrap_or(Retain::Failed),
            outputs,
        }
    }
}

/// Refuses a label that cannot be part of a job's ID.
fn check_label(label: &str, block: &mut Block<'_>) {
    if label.is_empty() {
        block.problem("the label is empty");
        return;
    }
    if label.len() > MAX_LABEL {
        block.problem(format!(
            "the label has {} characters, and at most {MAX_LABEL} fit into a job's ID",
            label.chars().count()
        ));
    }
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    if !label.chars().all(is_good) {
        block.problem(format!(
            "the label = {label:?} becomes part of a job's ID: write it with letters, digits, `-`, `_`, `.` and `/` only"
        ));
    }
}
