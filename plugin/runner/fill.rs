//! Reads what a step takes from others, and fills it in.
//!
//! # Invariants
//!
//! * No value leaves this room but into Nomad: no message, no log and no record has one. What Nomad says of a jobspec
//!   with the items of variables in it is not repeated.
//! * Everything is read with the task's own token.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::acts::{Hands, lost, read_trouble};
use crate::{
    cluster::{AllocStatus, JobKey},
    engine::{Report, Trouble},
    jobspec::{self, Spec, Unfilled, Values},
    manifest::{Reference, ServicePart, Source, Tree},
    nomad::{self, Client},
};

/// How long a line of a secret must be to be hidden by itself, in bytes.
const WORTH_HIDING: usize = 6;
/// What is put in the place of a secret.
const HIDDEN: &str = "(hidden)";

/// What was filled in so far.
#[derive(Default)]
pub(super) struct Filled(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    specs: BTreeMap<String, Spec>,
    /// The nodes into which items of variables are filled.
    with_secrets: BTreeSet<String>,
    /// These items, whole and by their lines.
    secrets: BTreeSet<String>,
}

impl std::fmt::Debug for Filled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Filled")
    }
}

impl Filled {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the node `name` submits, once it is filled in.
    pub(super) fn spec(&self, name: &str) -> Option<Spec> {
        self.inner().specs.get(name).cloned()
    }

    /// Whether what Nomad says of the node `name` may hold a secret.
    pub(super) fn has_secrets(&self, name: &str) -> bool {
        self.inner().with_secrets.contains(name)
    }

    fn keep_secret(&self, name: &str, value: &str) {
        let mut inner = self.inner();
        inner.with_secrets.insert(name.to_owned());
        let lines = value.lines().filter(|line| line.len() >= WORTH_HIDING).map(str::to_owned);
        inner.secrets.extend(lines.chain([value.to_owned()]));
    }

    /// `text` without secrets.
    pub(super) fn hide(&self, text: String) -> String {
        let inner = self.inner();
        // The longest first: one may be a part of another.
        let mut secrets: Vec<&String> = inner.secrets.iter().filter(|secret| !secret.is_empty()).collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.into_iter().fold(text, |text, secret| text.replace(secret.as_str(), HIDDEN))
    }
}

/// Not there now, which somebody or something may still mend.
fn not_yet(why: String) -> Trouble {
    Trouble { why, is_transient: true }
}

fn never(why: String) -> Trouble {
    Trouble { why, is_transient: false }
}

impl Hands {
    /// Reads what is `wanted`, and fills it and what is `known` into what the node `name` submits.
    pub(super) async fn fill(
        &self,
        client: &Client,
        name: &str,
        wanted: &BTreeSet<Reference>,
        known: Values,
    ) -> Result<Report, Trouble> {
        let blocks = self.blocks.as_deref().ok_or_else(|| lost(name))?;
        let mut values = known;
        for reference in wanted {
            let source = source(blocks, reference).ok_or_else(|| lost(name))?;
            let value = self
                .value(client, reference, source)
                .await
                .map_err(|trouble| Trouble { why: format!("{reference}: {}", trouble.why), ..trouble })?;
            if matches!(source, Source::Variable { .. }) {
                self.filled.keep_secret(name, &value);
            }
            values.insert(reference.clone(), value);
        }
        let prepared = self.prepared(name)?;
        let spec = jobspec::fill(client, &self.viewer.job, blocks, name, prepared, &values).await;
        let spec = spec.map_err(|unfilled| match unfilled {
            Unfilled::Problems(_) if self.filled.has_secrets(name) => never(
                "Nomad refuses it with all references filled in; what it says is not repeated, because it may \
                 hold the items of variables: look whether they fit what their variables take"
                    .to_owned(),
            ),
            Unfilled::Problems(problems) => never(format!("with all references filled in: {problems}")),
            Unfilled::Another(why) => never(why),
            Unfilled::Nomad(error) => read_trouble(&error),
        })?;
        let blueprint = spec.blueprint.clone();
        self.filled.inner().specs.insert(name.to_owned(), spec);
        Ok(Report::Filled(Box::new(blueprint)))
    }

    async fn value(
        &self,
        client: &Client,
        reference: &Reference,
        source: &Source,
    ) -> Result<String, Trouble> {
        match source {
            Source::Service { name, part } => {
                let key = &self.prepared(&reference.node)?.blueprint.key;
                service(client, key, name, *part).await
            }
            Source::Variable { path, key } => {
                let namespace = &self.viewer.job.namespace;
                let variable =
                    client.variable(namespace, path).await.map_err(|error| denied(&error, path))?;
                let Some(variable) = variable else {
                    return Err(not_yet(format!("namespace \"{namespace}\" has no variable {path:?}")));
                };
                let item = variable.items.get(key).cloned();
                item.ok_or_else(|| not_yet(format!("the variable {path:?} has no item {key:?}")))
            }
            Source::Meta { key } => {
                let job = &self.prepared(&reference.node)?.blueprint.key;
                let meta = client.meta(job).await.map_err(|error| read_trouble(&error))?;
                let value = meta.and_then(|mut meta| meta.remove(key));
                value.ok_or_else(|| not_yet(format!("job {} has no {key:?} in its meta", job.job)))
            }
        }
    }

    /// Whether the variables that blocks put out may be read; that they are there is no matter yet.
    pub(super) async fn prove_outputs(&self, client: &Client, blocks: &Tree) -> Result<(), Trouble> {
        let of_jobs = blocks.jobs.values().flat_map(|job| job.outputs.values());
        let of_hooks = blocks.hooks.values().flat_map(|hook| hook.outputs.values());
        let paths: BTreeSet<&String> = of_jobs
            .chain(of_hooks)
            .filter_map(|source| match source {
                Source::Variable { path, .. } => Some(path),
                Source::Service { .. } | Source::Meta { .. } => None,
            })
            .collect();
        let mut problems = Vec::new();
        for path in paths {
            match client
                .variable(&self.viewer.job.namespace, path)
                .await
                .map_err(|error| denied(&error, path))
            {
                Ok(_) => {}
                Err(trouble) if trouble.is_transient => return Err(trouble),
                Err(trouble) => problems.push(trouble.why),
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(never(problems.join("\n"))) }
    }
}

fn source<'a>(blocks: &'a Tree, Reference { node, output }: &Reference) -> Option<&'a Source> {
    match (blocks.jobs.get(node), blocks.hooks.get(node)) {
        (Some(job), _) => job.outputs.get(output),
        (None, Some(hook)) => hook.outputs.get(output),
        (None, None) => None,
    }
}

/// The address or the port of that instance of a service which belongs to the oldest running allocation of the job's
/// current version: the same as long as that one lives.
async fn service(client: &Client, job: &JobKey, name: &str, part: ServicePart) -> Result<String, Trouble> {
    let trouble = |error: nomad::Error| read_trouble(&error);
    let namespace = &job.namespace;
    let instances = client.service(namespace, name).await.map_err(trouble)?;
    let allocations = client.allocations(namespace, std::iter::once(&job.job)).await.map_err(trouble)?.value;
    let current = client.job(job).await.map_err(trouble)?.map(|job| job.version);
    let oldest = instances
        .iter()
        .filter(|instance| instance.job == job.job)
        .filter_map(|instance| {
            let (_, allocation) =
                allocations.iter().find(|(_, allocation)| allocation.id == instance.alloc)?;
            let counts = allocation.job_version.is_some()
                && allocation.job_version == current
                && allocation.is_wanted
                && allocation.status == AllocStatus::Running;
            counts.then_some((allocation.create_index, instance))
        })
        .min_by(|(created, one), (other, another)| {
            (created, &one.alloc, &one.address, one.port).cmp(&(
                other,
                &another.alloc,
                &another.address,
                another.port,
            ))
        });
    let Some((_, instance)) = oldest else {
        return Err(not_yet(format!("service {name} of job {} has no running instance", job.job)));
    };
    match part {
        ServicePart::Address if instance.address.is_empty() => {
            Err(not_yet(format!("service {name} of job {} has no address", job.job)))
        }
        ServicePart::Address => Ok(instance.address.clone()),
        ServicePart::Port if instance.port == 0 => {
            Err(never(format!("service {name} of job {} has no port: name one in its block", job.job)))
        }
        ServicePart::Port => Ok(instance.port.to_string()),
    }
}

/// A variable that was not read, and if it may not be, what helps.
fn denied(error: &nomad::Error, path: &str) -> Trouble {
    match error {
        nomad::Error::Denied { namespace, .. } => {
            let rule = nomad::Capability::ReadVariable(path.to_owned()).rule(namespace);
            never(format!("{error}; its policy needs `{rule}`"))
        }
        error => read_trouble(error),
    }
}
