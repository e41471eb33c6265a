//! The jobspecs that stand beside a file, as far as they say in which namespaces the jobs are.

use std::path::{Path, PathBuf};

use crate::{
    cluster::Namespace,
    jobspec::DiskDir,
    manifest::{Launch, Manifest, Verb, text::namespace_of},
};

/// The directory of a file; of what comes from stdin the one where we are.
pub(super) fn directory(file: &Path) -> PathBuf {
    match file.parent() {
        Some(directory) if directory != Path::new("") => directory.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// What the jobspecs of a tree say.
pub(super) struct Beside {
    namespaces: Vec<(String, Namespace)>,
    /// Those that are not there, or cannot be read.
    pub(super) missing: Vec<String>,
}

impl Beside {
    /// Those that `manifest` names, which may be anywhere on the disk where they `may_leave` the directory of `file`.
    pub(super) fn of(file: &Path, manifest: &Manifest, may_leave: bool) -> Self {
        let mut beside = Self { namespaces: Vec::new(), missing: Vec::new() };
        let Some(tree) = &manifest.tree else { return beside };
        let jobs = tree.jobs.values().filter(|job| job.namespace.is_none()).map(|job| &job.jobspec);
        let hooks = tree.hooks.values().filter(|hook| hook.namespace.is_none());
        let hooks = hooks.filter(|hook| tree.verb == Verb::Run || !hook.moment.is_of_run());
        let hooks = hooks.filter_map(|hook| match &hook.launch {
            Launch::Jobspec { jobspec, .. } => Some(jobspec),
            Launch::Dispatch { .. } => None,
        });
        let files = DiskDir::new(directory(file), may_leave);
        for jobspec in jobs.chain(hooks) {
            match files.read(jobspec) {
                Ok(text) => {
                    let namespace = namespace_of(&text).map(|namespace| (jobspec.clone(), namespace.into()));
                    beside.namespaces.extend(namespace);
                }
                Err(_) => beside.missing.push(jobspec.clone()),
            }
        }
        beside
    }

    /// Where the job of a jobspec is, if that says so.
    pub(super) fn namespace_of(&self, jobspec: &str) -> Option<Namespace> {
        let found = self.namespaces.iter().find(|(path, _)| path == jobspec);
        found.map(|(_, namespace)| namespace.clone())
    }
}
