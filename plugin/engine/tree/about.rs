//! What a hook is told in its job's meta: a task of it reads `NOMAD_META_dtree_cause` and the like.

use std::collections::BTreeMap;

use super::{around::Around, conclusion::Conclusion};
use crate::{cluster::Marks, manifest::Hook};

/// What the run does: `run` or `stop`.
const VERB: &str = "dtree_verb";
/// Why the hook runs.
const CAUSE: &str = "dtree_cause";
/// The job that it runs for.
const JOB: &str = "dtree_job";
/// That job's version before.
const BEFORE: &str = "dtree_version_before";
/// That job's version after.
const AFTER: &str = "dtree_version_after";
/// What the run came to.
const MESSAGE: &str = "dtree_message";
/// How long a value may become: meta is part of a job, and Nomad keeps it with each version.
const LONGEST: usize = 1000;

/// What `hook` is told. One that runs once for a key, whoever asks, is told nothing: its job is the same for all.
pub(super) fn about(hook: &Hook, around: &Around<'_>) -> BTreeMap<&'static str, String> {
    let mut about: BTreeMap<_, _> = around.tree.run.iter().map(|run| (Marks::RUN, run.to_string())).collect();
    about.extend(around.tree.blocks().map(|tree| (VERB, tree.verb.to_string())));
    if let Some(job) = hook.of.as_deref().and_then(|of| around.job(of)) {
        let (cause, before, after) = job.change();
        about.insert(JOB, job.blueprint.key.to_string());
        about.extend(cause.map(|cause| (CAUSE, cause.word().to_owned())));
        about.extend(before.map(|version| (BEFORE, version.to_string())));
        about.extend(after.map(|version| (AFTER, version.to_string())));
    }
    if let Some(job) = hook.of.as_deref().and_then(|of| around.stop(of)) {
        about.insert(JOB, job.blueprint.key.to_string());
        let doomed = job.was_doomed().or_else(|| job.is_doomed());
        about.extend(doomed.map(|doomed| (BEFORE, doomed.version.to_string())));
    }
    if let Some(Conclusion { is_good, message }) = &around.tree.conclusion {
        about.insert(CAUSE, if *is_good { "success" } else { "failure" }.to_owned());
        let end = message.char_indices().map(|(at, _)| at).nth(LONGEST).unwrap_or(message.len());
        about.insert(MESSAGE, message.get(..end).unwrap_or_default().to_owned());
    }
    about
}
