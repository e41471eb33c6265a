//! The tree that a command is about, as far as the user has chosen of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::PathBuf,
};

use super::{
    Failure, beside,
    connect::Connection,
    file::{Good, Source},
};
use crate::{
    cluster::{JobKey, Namespace, Place, TreeName, nearest},
    jobspec::{DiskDir, Files},
    manifest::{
        HealthSource, Manifest, Moment, Problems, Scope, Stop, Subject, Tree, Verb, Wait, text::identity_of,
    },
    plan::Plan,
    record::Process,
    runner,
    watch::Viewer,
};

/// What tells a tree, and what of it.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct TreeArgs {
    /// NAME.dtree.hcl, NAME.dtree.json, or a Nomad jobspec with a task of dtree; - reads from stdin. `stop` also takes the
    /// name of a tree whose job is in Nomad
    pub(super) file: PathBuf,
    /// What is in it, where that is known already.
    #[arg(skip)]
    text: Option<Source>,
    /// Which tree, where the file declares several
    #[arg(long, value_name = "NAME")]
    tree: Option<String>,
    /// Where the jobspecs are, when not beside the file
    #[arg(long, value_name = "DIR")]
    jobspecs: Option<PathBuf>,
    /// Take jobspecs from anywhere on this disk: by `..`, by absolute paths, by links
    #[arg(long)]
    outside: bool,
    /// Only this job; may be given again
    #[arg(long, value_name = "JOB", help_heading = "Selection")]
    target: Vec<String>,
    /// The targets, and all that they depend on
    #[arg(long, requires = "target", help_heading = "Selection")]
    with_dependencies: bool,
    /// The targets, and all that depends on them
    #[arg(long, requires = "target", help_heading = "Selection")]
    with_dependents: bool,
    /// Leave this job as it is; may be given again
    #[arg(long, value_name = "JOB", help_heading = "Selection")]
    exclude: Vec<String>,
}

/// A tree, ready to be carried out.
pub(super) struct Chosen {
    /// Its name, as its record has it.
    pub(super) name: TreeName,
    /// Who carries it out.
    pub(super) process: Process,
    /// Where a task of it would stand.
    pub(super) place: Place,
    /// What is carried out.
    pub(super) plan: Plan,
    /// All jobs and hooks that the file declares, also those that were not chosen.
    pub(super) declared: BTreeSet<String>,
    /// Its jobspecs.
    pub(super) files: Files,
}

/// What is to be done with it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Aim {
    /// Its jobs are brought up.
    Run,
    /// They are stopped; and forgotten by Nomad with `purge`.
    Stop {
        /// Whether Nomad forgets them.
        purge: bool,
    },
}

impl TreeArgs {
    /// The tree in `text`, whose jobspecs are in `jobspecs`: all of it, or one job, perhaps with all that it depends on.
    pub(super) fn of(
        text: Source,
        jobspecs: PathBuf,
        target: Option<String>,
        with_dependencies: bool,
    ) -> Self {
        Self {
            file: text.name().into(),
            text: Some(text),
            tree: None,
            jobspecs: Some(jobspecs),
            outside: true,
            with_dependencies: with_dependencies && target.is_some(),
            target: target.into_iter().collect(),
            with_dependents: false,
            exclude: Vec::new(),
        }
    }

    /// The directory in which its jobspecs are.
    pub(super) fn directory(&self) -> PathBuf {
        self.jobspecs.clone().unwrap_or_else(|| beside::directory(&self.file))
    }

    /// Whether it is only a part of the tree.
    pub(super) fn is_selection(&self) -> bool {
        !self.target.is_empty() || !self.exclude.is_empty()
    }

    /// Whether jobspecs may be anywhere on the disk.
    pub(super) fn may_leave(&self) -> bool {
        self.outside
    }

    /// The jobspecs.
    pub(super) fn files(&self) -> DiskDir {
        DiskDir::new(self.directory(), self.outside)
    }

    /// The one tree that is meant, and its file.
    ///
    /// # Errors
    ///
    /// When the file is wrong, declares no tree or several, or leaves something open that only Nomad can evaluate.
    pub(super) fn declared(&self) -> Result<(Source, Good), Failure> {
        let source = match &self.text {
            Some(text) => text.clone(),
            None => Source::read(&self.file)?,
        };
        let source = source.with_outside(self.outside);
        let good = source.understand()?;
        let is_tree = |good: &Good| good.plan.manifest().tree.is_some();
        let is_meant = |good: &Good| self.tree.as_deref().is_none_or(|name| good.declared.owner.job == name);
        let names: Vec<String> =
            good.iter().filter(|good| is_tree(good)).map(|good| good.declared.owner.job.clone()).collect();
        let mut trees: Vec<Good> = good.into_iter().filter(|good| is_tree(good) && is_meant(good)).collect();
        let name = source.name().to_owned();
        let only = trees.pop();
        let Some(only) = only.filter(|_| trees.is_empty()) else {
            return Err(Failure::cannot(match (names.as_slice(), self.tree.as_deref()) {
                ([], _) => {
                    format!("dtree: {name} has no job and no hook, so there is nothing to carry out\n")
                }
                (_, None) => {
                    format!("dtree: {name} declares several trees: give `--tree` {}\n", names.join(" or "))
                }
                (_, Some(wanted)) => {
                    let near = nearest(wanted, names.iter().map(String::as_str));
                    let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                    format!("dtree: {name} declares no tree {wanted}, or several of that name{near}\n")
                }
            }));
        };
        if !only.declared.unchecked.is_empty() {
            let mut why = format!(
                "dtree: {name} leaves open what Nomad evaluates where it starts a task, which does not happen here:\n"
            );
            for left in &only.declared.unchecked {
                // Writing into a string cannot fail.
                let _ = writeln!(why, "    {}: {} = {}", left.place, left.attribute, left.value);
            }
            why.push_str("\nhint: write the values in full, or register the job with `nomad job run`\n");
            return Err(Failure::cannot(why));
        }
        Ok((source, only))
    }

    /// The job that a task of the tree is of.
    pub(super) fn own(good: &Good, connection: &Connection) -> Result<JobKey, Failure> {
        let owner = &good.declared.owner;
        let said = owner.namespace.as_deref().map(Namespace::from);
        let namespace = match said {
            Some(namespace) => namespace,
            None => connection.namespace()?.unwrap_or_else(|| "default".into()),
        };
        Ok(JobKey::new(namespace, owner.job.as_str()))
    }

    /// The tree, to be carried out from here.
    pub(super) fn choose(&self, connection: &Connection, aim: Aim) -> Result<Chosen, Failure> {
        let (_, good) = self.declared()?;
        self.choose_of(&good, connection, aim)
    }

    /// The same, of what was declared.
    pub(super) fn choose_of(
        &self,
        good: &Good,
        connection: &Connection,
        aim: Aim,
    ) -> Result<Chosen, Failure> {
        self.choose_from(&good.plan, &Self::own(good, connection)?, Files::Disk(self.files()), aim)
    }

    /// The same, of a tree that would be the job `own`'s.
    pub(super) fn choose_from(
        &self,
        whole: &Plan,
        own: &JobKey,
        files: Files,
        aim: Aim,
    ) -> Result<Chosen, Failure> {
        let plan = match self.selected(whole, aim)? {
            None => whole.clone(),
            Some(manifest) => Plan::compile(manifest, Problems::default()).map_err(|problems| {
                Failure::cannot(format!("dtree: what was chosen cannot be carried out alone:\n{problems}\n"))
            })?,
        };
        if let Some((label, _)) =
            plan.manifest().waits.iter().find(|(_, wait)| matches!(wait.subject, Subject::Task { .. }))
        {
            return Err(Failure::cannot(format!(
                "dtree: wait {label:?} is for a task of its own allocation, and here is no allocation\n"
            )));
        }
        let process = Process::this(user());
        let alloc = process.alloc(runner::wall_clock().unix_millis());
        let place = Place::at_shell(own.clone(), alloc, Viewer::USERS_TASK);
        let tree = whole.manifest().tree.as_deref().into_iter();
        let declared = tree.flat_map(|tree| tree.jobs.keys().chain(tree.hooks.keys())).cloned().collect();
        Ok(Chosen { name: own.to_string().into(), process, place, plan, declared, files })
    }

    /// What was chosen of the tree; `None` for all of it as it is.
    fn selected(&self, plan: &Plan, aim: Aim) -> Result<Option<Manifest>, Failure> {
        let Some(tree) = &plan.manifest().tree else { return Ok(None) };
        self.check_names(tree)?;
        if matches!(aim, Aim::Run) && tree.verb == Verb::Run && !self.is_selection() {
            return Ok(None);
        }
        let mut manifest = plan.manifest().clone();
        let Some(tree) = manifest.tree.as_deref_mut() else { return Ok(None) };
        match aim {
            Aim::Stop { purge } => {
                tree.verb = Verb::Stop;
                if self.target.len() > 1 || self.with_dependents {
                    return Err(Failure::cannot(
                        "dtree: a stop takes one target, and what depends on it is never stopped with it: stop that first\n",
                    ));
                }
                let given = tree.stop.clone();
                tree.stop = Stop {
                    purge: purge || given.purge,
                    exclude: self.exclude.iter().chain(&given.exclude).cloned().collect(),
                    target: self.target.first().cloned().or(given.target),
                    with_dependencies: self.with_dependencies || given.with_dependencies,
                    timeout: given.timeout,
                };
            }
            Aim::Run => {
                tree.verb = Verb::Run;
                if self.is_selection() {
                    self.narrow(plan, &mut manifest)?;
                }
            }
        }
        Ok(Some(manifest))
    }

    /// Refuses what is no job of the tree.
    fn check_names(&self, tree: &Tree) -> Result<(), Failure> {
        for (option, name) in self
            .target
            .iter()
            .map(|name| ("--target", name))
            .chain(self.exclude.iter().map(|name| ("--exclude", name)))
        {
            if !tree.jobs.contains_key(name) {
                let near = nearest(name, tree.jobs.keys().map(String::as_str));
                let help = near.map_or_else(
                    || format!("its jobs: {}", tree.jobs.keys().cloned().collect::<Vec<_>>().join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                return Err(Failure::cannot(format!(
                    "dtree: {option} {name}: the tree has no such job\n\nhint: {help}\n"
                )));
            }
        }
        Ok(())
    }

    /// Leaves out what was not chosen. What a job depends on is awaited all the same: nothing begins early because less
    /// was chosen.
    fn narrow(&self, plan: &Plan, manifest: &mut Manifest) -> Result<(), Failure> {
        let is_job =
            |name: &str| plan.manifest().tree.as_ref().is_some_and(|tree| tree.jobs.contains_key(name));
        let mut kept: BTreeSet<&str> = if self.target.is_empty() {
            plan.order().iter().map(String::as_str).collect()
        } else {
            self.target.iter().map(String::as_str).collect()
        };
        // Each after all that it needs.
        if self.with_dependents {
            for name in plan.order() {
                if plan.needs(name).iter().any(|needed| kept.contains(needed.as_str())) {
                    kept.insert(name);
                }
            }
        }
        let chosen = kept.clone();
        for name in plan.order().iter().rev() {
            let wanted = plan
                .order()
                .iter()
                .any(|other| kept.contains(other.as_str()) && plan.needs(other).contains(name));
            let follows = if is_job(name) { self.with_dependencies || self.target.is_empty() } else { true };
            if wanted && follows {
                kept.insert(name);
            }
        }
        kept.retain(|name| !self.exclude.iter().any(|excluded| excluded == name));
        let whole = plan.manifest();
        let Some(tree) = manifest.tree.as_deref_mut() else { return Ok(()) };
        tree.jobs.retain(|name, _| kept.contains(name.as_str()));
        tree.hooks.retain(|name, hook| match &hook.of {
            Some(job) => kept.contains(job.as_str()),
            None => {
                matches!(hook.moment, Moment::AfterSuccess | Moment::AfterFailure)
                    || kept.contains(name.as_str())
            }
        });
        let mut awaited = BTreeMap::new();
        for (name, needed) in tree.jobs.iter().map(|(name, job)| (name, &job.depends_on)).chain(
            tree.hooks
                .iter()
                .filter(|(_, hook)| hook.of.is_none())
                .map(|(name, hook)| (name, &hook.depends_on)),
        ) {
            for needed in needed.iter().filter(|needed| !tree.jobs.contains_key(*needed)) {
                if let Some(job) = whole.tree.as_ref().and_then(|tree| tree.jobs.get(needed)) {
                    awaited.insert(needed.clone(), (name.clone(), job));
                }
            }
        }
        if tree.jobs.is_empty() {
            return Err(Failure::cannot("dtree: nothing is left of the tree: take an `--exclude` away\n"));
        }
        // What is left of the waits: those that somebody left needs, through others too.
        let used: BTreeSet<String> = kept.iter().map(|name| (*name).to_owned()).collect();
        manifest.waits.retain(|name, wait| {
            used.contains(name) || chosen.contains(name.as_str()) || wait.subject.parts().next().is_some()
        });
        for (label, (whose, job)) in awaited {
            let path = &job.jobspec;
            let text = self.files().read(path).map_err(|unreadable| {
                Failure::cannot(format!("dtree: job {label:?}: jobspec = {path:?} {unreadable}\n"))
            })?;
            let Some((id, said)) = identity_of(&text) else {
                return Err(Failure::cannot(format!(
                    "dtree: {whose} depends on {label}, which was not chosen, and whose ID its jobspec does not say in full\n\n\
                     hint: `--with-dependencies` chooses it, too\n"
                )));
            };
            let namespace = job.namespace.clone().or_else(|| said.map(Into::into));
            let subject = Subject::Job {
                job: id.into(),
                namespace,
                group: job.ready.group.clone(),
                meta: BTreeMap::new(),
                scope: Scope::default(),
                source: HealthSource::default(),
            };
            let wait = Wait { until: job.ready.until, at_least: job.ready.at_least, ..Wait::new(subject) };
            manifest.waits.insert(label, Box::new(wait));
        }
        Ok(())
    }
}

impl Chosen {
    /// Whoever looks and acts for it.
    pub(super) fn viewer(&self, connection: &Connection) -> Result<Viewer, Failure> {
        connection.viewer(self.place.job.clone())
    }
}

/// The name under which the user is known to the system.
fn user() -> String {
    let name = ["USER", "LOGNAME"].into_iter().find_map(std::env::var_os);
    let name = name.and_then(|name| name.into_string().ok()).filter(|name| !name.is_empty());
    name.unwrap_or_else(|| format!("user {}", nix::unistd::getuid()))
}
