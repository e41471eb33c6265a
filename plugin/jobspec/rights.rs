//! What a task needs to be allowed in Nomad for what its manifest says, and nothing more.
//!
//! | what is done | where | what it takes |
//! |---|---|---|
//! | a wait for a job | its namespace | `list-jobs`, `read-job` |
//! | a wait for a service of Nomad | its namespace | `read-job` |
//! | a wait for a variable, an output that is one | its namespace | `read` at its path |
//! | a guard that acts | the own namespace | `alloc-lifecycle` |
//! | a job, a hook with a jobspec | its namespace | `list-jobs`, `read-job`, `submit-job` |
//! | a hook with `dispatch` | its namespace | the same, and `dispatch-job` |
//! | a hook | its namespace | `read-logs` |
//! | the record of a tree, what a hook has done once | the own namespace | `read`, `write` beneath its path |
//! | that a tree waits for a job; a stop | the job's namespace | `read`, `write`, `destroy`; `read` of all who wait |

use crate::{
    cluster::{JobKey, LONGEST_PATH, Namespace, VARIABLES, path_of, segment_of},
    manifest::{Hook, Launch, Manifest, Moment, OnLoss, Provider, Source, Stored, Subject, Tree, Verb},
    nomad::{Access, Right, Rights},
};

/// What a tree may not be longer than for its paths to fit.
const ROOM: usize = LONGEST_PATH / 2;

/// What the task of job `own` needs for `manifest`. `namespace_of` says in which namespace a jobspec is, where that is
/// known: else it is the task's own.
pub fn rights(
    manifest: &Manifest,
    own: &JobKey,
    namespace_of: &impl Fn(&str) -> Option<Namespace>,
) -> Rights {
    let mut rights = Rights::default();
    let home = &own.namespace;
    for wait in manifest.waits.values() {
        match &wait.subject {
            Subject::Job { namespace, .. } => {
                rights.allow_to_look(namespace.as_ref().unwrap_or(home));
            }
            Subject::Task { .. } => rights.allow(home, Right::ReadJob),
            Subject::Service(service) if service.provider == Provider::Nomad => {
                rights.allow(service.namespace.as_ref().unwrap_or(home), Right::ReadJob);
            }
            Subject::Stored(stored) => {
                if let Stored::Variable { namespace, path, .. } = stored.as_ref() {
                    let namespace = namespace.as_ref().unwrap_or(home);
                    rights.allow_variable(namespace, path, &[Access::Read]);
                }
            }
            Subject::Service(_) | Subject::Probe(_) | Subject::Approval { .. } | Subject::When(_) => {}
        }
        if wait.guard.as_ref().is_some_and(|guard| guard.on_loss != OnLoss::Report) {
            rights.allow(home, Right::AllocLifecycle);
        }
    }
    if let Some(tree) = &manifest.tree {
        of_tree(&mut rights, manifest, tree, own, namespace_of);
    }
    rights
}

fn of_tree(
    rights: &mut Rights,
    manifest: &Manifest,
    tree: &Tree,
    own: &JobKey,
    namespace_of: &impl Fn(&str) -> Option<Namespace>,
) {
    let home = &own.namespace;
    let place = |given: Option<&Namespace>, jobspec: Option<&str>| {
        given.cloned().or_else(|| namespace_of(jobspec?)).unwrap_or_else(|| home.clone())
    };
    for job in tree.jobs.values() {
        let namespace = place(job.namespace.as_ref(), Some(&job.jobspec));
        rights.allow_to_look(&namespace);
        rights.allow(&namespace, Right::SubmitJob);
        if tree.verb == Verb::Stop {
            // Who waits for it is asked before it is stopped.
            let all = format!("{VARIABLES}/~held/{}/*", segment_of(namespace.as_str()));
            rights.allow_variable(&namespace, &all, &[Access::Read]);
        } else {
            job.outputs.values().for_each(|source| output(rights, home, source));
        }
    }
    for (name, hook) in tree.hooks_of_verb() {
        let jobspec = match &hook.launch {
            Launch::Jobspec { jobspec, .. } => Some(jobspec.as_str()),
            Launch::Dispatch { .. } => None,
        };
        let namespace = place(hook.namespace.as_ref(), jobspec);
        of_hook(rights, hook, &namespace);
        hook.outputs.values().for_each(|source| output(rights, home, source));
        if hook.once.is_some() {
            let path = format!("{VARIABLES}/~once/{}/*", segment_of(name));
            rights.allow_variable(home, &path, &[Access::Read, Access::Write]);
        }
    }
    // A task with hooks alone leads nothing, and keeps its record with the task.
    if tree.jobs.is_empty() {
        return;
    }
    let name = path_of(&format!("{home}/{}", own.job));
    let mut access = vec![Access::Read, Access::Write];
    // That the post hooks of a job have run is forgotten with the job.
    let has_post = tree.hooks.values().any(|hook| hook.moment == Moment::Post);
    if tree.verb == Verb::Stop && tree.stop.purge && has_post {
        access.push(Access::Destroy);
    }
    rights.allow_variable(home, &format!("{VARIABLES}/{name}/*"), &access);
    if name.len() > ROOM {
        rights.allow_variable(home, &format!("{VARIABLES}/~long/*"), &access);
    }
    for wait in manifest.waits.values() {
        let Subject::Job { job, namespace, .. } = &wait.subject else { continue };
        let namespace = namespace.as_ref().unwrap_or(home);
        let path =
            format!("{VARIABLES}/~held/{}/{}/*", segment_of(namespace.as_str()), segment_of(job.as_str()));
        rights.allow_variable(namespace, &path, &[Access::Read, Access::Write, Access::Destroy]);
    }
}

fn of_hook(rights: &mut Rights, hook: &Hook, namespace: &Namespace) {
    rights.allow_to_look(namespace);
    rights.allow(namespace, Right::ReadLogs);
    // Its job is stopped when its result was taken.
    rights.allow(namespace, Right::SubmitJob);
    if matches!(hook.launch, Launch::Dispatch { .. }) {
        rights.allow(namespace, Right::DispatchJob);
    }
}

fn output(rights: &mut Rights, home: &Namespace, source: &Source) {
    if let Source::Variable { path, .. } = source {
        rights.allow_variable(home, path, &[Access::Read]);
    }
}
