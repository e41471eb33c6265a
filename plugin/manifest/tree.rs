//! The blocks of a tree: `job` with its `ready` and its hooks, and the hooks that belong to none.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{AtLeast, OnBlocked, OnFailure, OnHookFailure, Retain, Source, Stop, Until, Verb, Webhook};
use crate::cluster::{JobId, Namespace};

/// What a manifest with `job` or `hook` blocks describes. One without jobs is a hook task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tree {
    /// Whether its jobs are brought up or stopped.
    pub verb: Verb,
    /// What is stopped, where they are.
    pub stop: Stop,
    /// What happens to the rest when a node fails.
    pub on_failure: OnFailure,
    /// How many nodes may be worked on at the same time; 1 or more.
    pub max_parallel: u32,
    /// How long the whole run may take, in milliseconds; `None` is as long as its nodes may.
    #[serde(with = "super::millis::option")]
    pub timeout: Option<Duration>,
    /// The `job` blocks by label.
    pub jobs: BTreeMap<String, JobNode>,
    /// All hooks by label, those of the jobs and the others: labels are unique in the whole task.
    pub hooks: BTreeMap<String, Hook>,
    /// The `webhook` blocks by label.
    pub webhooks: BTreeMap<String, Webhook>,
    /// Values for `$(context.key)`.
    pub context: BTreeMap<String, String>,
}

impl Tree {
    /// [`Tree::max_parallel`] where the user gives none.
    pub const DEFAULT_MAX_PARALLEL: u32 = 10;
    /// The most that [`Tree::max_parallel`] can be: as many nodes as a tree may have.
    pub const MAX_PARALLEL: u32 = 1000;

    /// The hooks whose jobspecs are looked at: those of a run are of no use to who stops.
    pub fn hooks_of_verb(&self) -> impl Iterator<Item = (&String, &Hook)> {
        self.hooks.iter().filter(|(_, hook)| self.verb == Verb::Run || !hook.moment.is_of_run())
    }
}

/// A job that must be there and be ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobNode {
    /// The path of its jobspec, in the task's directory.
    pub jobspec: String,
    /// Values for the jobspec's variables, as HCL text.
    pub vars: BTreeMap<String, String>,
    /// Where it is registered; `None` is what the jobspec says, and else the task's own.
    pub namespace: Option<Namespace>,
    /// The nodes that must be satisfied before it is submitted.
    pub depends_on: Vec<String>,
    /// When it counts as ready.
    pub ready: Ready,
    /// Jobs with the same word are never updated at the same time.
    pub exclusive: Option<String>,
    /// Whether a job that nobody's tree has submitted is taken over.
    pub adopt: bool,
    /// What other blocks can take from it, beside [`JobNode::OUTPUTS`].
    pub outputs: BTreeMap<String, Source>,
}

impl JobNode {
    /// The outputs that every job has.
    pub const OUTPUTS: &[&str] = &["id", "namespace"];

    /// The attributes in which references may stand: what each is called in messages, and its text.
    pub fn texts(&self) -> impl Iterator<Item = (String, &str)> {
        named("vars", &self.vars)
    }

    /// The block of the node `name` as the author wrote it, for messages.
    pub fn place(name: &str) -> String {
        format!("job {name:?}")
    }
}

/// When a submitted job counts as ready: what `wait` can ask of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    /// What must be so of it; `None` is the default of its kind.
    pub until: Option<Until>,
    /// How many allocations of each awaited group are enough; `None` is all.
    pub at_least: Option<AtLeast>,
    /// Only this group of it; `None` is all groups.
    pub group: Option<String>,
    /// For how long it must be so without a break, in milliseconds.
    #[serde(with = "super::millis")]
    pub stable_for: Duration,
    /// How long it may take, in milliseconds; `None` is the job's own progress deadline and half a minute.
    #[serde(with = "super::millis::option")]
    pub timeout: Option<Duration>,
    /// What happens when Nomad finds no room for it.
    pub on_blocked: OnBlocked,
}

/// A batch job that must run to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// The job node that it belongs to; `None` for one of the task itself.
    pub of: Option<String>,
    /// When it runs.
    pub moment: Moment,
    /// What runs.
    pub launch: Launch,
    /// Where it is registered or dispatched; `None` is what the jobspec says, and else the task's own.
    pub namespace: Option<Namespace>,
    /// Values for the meta of the job that runs. A jobspec's own meta is kept, but for what is given here.
    pub meta: BTreeMap<String, String>,
    /// What must be satisfied before: for a `hook` block any nodes, for others hooks of the same job and moment.
    pub depends_on: Vec<String>,
    /// It runs at most once for this key, wherever it stands; `None`: each time. Only for a `hook` block.
    pub once: Option<String>,
    /// How long one attempt may take, in milliseconds.
    #[serde(with = "super::millis")]
    pub timeout: Duration,
    /// How many attempts may follow the first.
    pub retries: u32,
    /// What its failure means.
    pub on_failure: OnHookFailure,
    /// Which of its finished jobs are kept.
    pub retain: Retain,
    /// What other blocks can take from it, beside [`Hook::OUTPUTS`].
    pub outputs: BTreeMap<String, Source>,
}

/// The texts of the attribute `attribute`, which takes several.
fn named<'a>(
    attribute: &'a str,
    texts: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = (String, &'a str)> {
    texts.iter().map(move |(name, text)| (format!("{attribute}: {name}"), text.as_str()))
}

impl Hook {
    /// The outputs that every hook has of which there are any: [`Moment::has_outputs`].
    pub const OUTPUTS: &[&str] = &["exit_code", "id"];

    /// The attributes in which references may stand: what each is called in messages, and its text.
    pub fn texts(&self) -> impl Iterator<Item = (String, &str)> {
        let (vars, payload) = match &self.launch {
            Launch::Jobspec { vars, .. } => (Some(vars), None),
            Launch::Dispatch { payload, .. } => (None, Some(("payload".to_owned(), payload.as_str()))),
        };
        vars.into_iter().flat_map(|vars| named("vars", vars)).chain(named("meta", &self.meta)).chain(payload)
    }

    /// [`Hook::timeout`] where the user gives none.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_mins(10);

    /// The most that [`Hook::retries`] can be: what fails a hundred times fails for another reason than chance.
    pub const MAX_RETRIES: u32 = 100;

    /// The block of this hook, which is called `name`, as the author wrote it, for messages.
    pub fn place(&self, name: &str) -> String {
        self.moment.place(name, self.of.as_deref())
    }
}

/// When a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// Before its job is created or changed.
    Pre,
    /// When its job, created or changed, is ready; before anything that depends on the job.
    Post,
    /// Before its job is stopped.
    PreStop,
    /// When nothing of its stopped job runs any more.
    PostStop,
    /// In its place among the nodes: a `hook` block.
    Alone,
    /// When everything else has ended well, and anything was changed.
    AfterSuccess,
    /// When something has failed.
    AfterFailure,
}

impl Moment {
    /// The block of the hook `name` at this moment, of job `of` or of none, as the author wrote it, for messages.
    pub fn place(self, name: &str, of: Option<&str>) -> String {
        match of {
            Some(of) => format!("{} {name:?} of job {of:?}", self.word()),
            None => format!("{} {name:?}", self.word()),
        }
    }

    /// What such a block is called.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pre => "pre",
            Self::Post => "post",
            Self::PreStop => "pre_stop",
            Self::PostStop => "post_stop",
            Self::Alone => "hook",
            Self::AfterSuccess => "after_success",
            Self::AfterFailure => "after_failure",
        }
    }

    /// Whether such a hook has outputs. One before its job does not run where the job is unchanged, and others run
    /// when nobody asks any more.
    pub fn has_outputs(self) -> bool {
        matches!(self, Self::Post | Self::Alone)
    }

    /// Whether it is a step of bringing a tree up: it has a place among the nodes.
    pub fn is_of_run(self) -> bool {
        matches!(self, Self::Pre | Self::Post | Self::Alone)
    }

    /// Whether it is a step of stopping a tree: it has a place around its job's stop.
    pub fn is_of_stop(self) -> bool {
        matches!(self, Self::PreStop | Self::PostStop)
    }
}

/// What a hook runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Launch {
    /// A batch jobspec, under a name of its own for each rollout.
    Jobspec {
        /// Its path, in the task's directory.
        jobspec: String,
        /// Values for the jobspec's variables, as HCL text.
        vars: BTreeMap<String, String>,
    },
    /// A parameterized job that is registered already, dispatched.
    Dispatch {
        /// Its ID.
        job: JobId,
        /// What is dispatched with it; empty is none.
        payload: String,
    },
}
