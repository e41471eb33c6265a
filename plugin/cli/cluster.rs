//! `dtree graph --cluster`: all dependencies that the tasks of dtree in a cluster declare.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{Failure, connect::refused, sight::manifest};
use crate::{
    cluster::{JobKey, Namespace},
    manifest::{Manifest, Provider, Stored, Subject, Target},
    nomad::{Client, Owned},
    plan::Plan,
    show::{Graph, Kind},
};

/// How many jobs are asked about at a time.
const AT_A_TIME: usize = 16;

/// Draws what depends on what in `namespace`, or with `*` everywhere.
pub(super) async fn graph(client: &Client, namespace: &Namespace) -> Result<Graph, Failure> {
    let jobs = client.owned_jobs(namespace).await.map_err(|error| refused(&error))?;
    let mut edges = Edges::default();
    // By tree and node.
    let marked: BTreeMap<(&str, &str), &JobKey> = jobs
        .iter()
        .filter_map(|job| job.mark.as_ref().map(|(tree, node)| ((tree.as_str(), node.as_str()), &job.key)))
        .collect();
    // What was dispatched or launched is one run of another.
    let is_run = |job: &str| job.contains("/dispatch-") || job.contains("/periodic-");
    let drawn = jobs.iter().filter(|job| !job.is_stopped && !is_run(job.key.job.as_str()));
    let mut answers = stream::iter(drawn.map(|Owned { key, .. }| async move {
        let declared = client.declarations(key).await.map_err(|error| refused(&error))?;
        Ok::<_, Failure>((key, declared.unwrap_or_default()))
    }))
    .buffered(AT_A_TIME);
    while let Some((key, declared)) = answers.try_next().await? {
        let manifests: Vec<Manifest> =
            declared.iter().filter_map(|declared| manifest(&declared.config)).collect();
        if manifests.is_empty() && !declared.is_empty() {
            edges.node(key.to_string(), Kind::Job);
        }
        for manifest in manifests {
            match manifest.tree {
                None => {
                    edges.node(key.to_string(), Kind::Job);
                    for wait in manifest.waits.values() {
                        edges.awaits(&key.to_string(), &wait.subject, &key.namespace);
                    }
                }
                Some(_) => edges.tree(key, manifest, &marked),
            }
        }
    }
    for job in &jobs {
        if edges.nodes.contains_key(&job.key.to_string()) {
            edges.node(job.key.to_string(), Kind::Job);
        }
    }
    Ok(Graph::of_edges(&format!("namespace {namespace}"), edges.nodes, edges.needs))
}

/// What was found so far. Jobs are named with their namespaces.
#[derive(Default)]
struct Edges {
    nodes: BTreeMap<String, Kind>,
    needs: BTreeMap<String, Vec<String>>,
}

impl Edges {
    /// Notes a node; what is known of it by itself wins over what others say.
    fn node(&mut self, name: String, kind: Kind) {
        let known = self.nodes.entry(name).or_insert(kind);
        if *known == Kind::Absent {
            *known = kind;
        }
    }

    fn needs(&mut self, name: &str, needed: String) {
        let all = self.needs.entry(name.to_owned()).or_default();
        if name != needed && !all.contains(&needed) {
            all.push(needed);
        }
    }

    /// Notes what a wait is about.
    fn awaits(&mut self, name: &str, subject: &Subject, home: &Namespace) {
        let at = |namespace: &Option<Namespace>| namespace.as_ref().unwrap_or(home).clone();
        let (needed, kind) = match subject {
            Subject::Job { job, namespace, .. } => {
                (JobKey { namespace: at(namespace), job: job.clone() }.to_string(), Kind::Absent)
            }
            Subject::Service(service) => match service.provider {
                Provider::Nomad => (format!("service {}", service.name), Kind::Wait),
                Provider::Consul => (format!("service {} (Consul)", service.name), Kind::Wait),
            },
            Subject::Probe(probe) => match &probe.target {
                Target::Tcp { address } => (format!("tcp {address}"), Kind::Wait),
                Target::Http { url, .. } => (url.clone(), Kind::Wait),
                Target::Dns { name } => (format!("dns {name}"), Kind::Wait),
            },
            Subject::Stored(stored) => match stored.as_ref() {
                Stored::Variable { path, .. } => (format!("variable {path}"), Kind::Wait),
                Stored::ConsulKey { key, .. } => (format!("key {key} (Consul)"), Kind::Wait),
            },
            Subject::Approval { what } => (format!("approval: {what}"), Kind::Wait),
            // What is inside of an allocation, or among waits, is no dependency between jobs.
            Subject::Task { .. } | Subject::When(_) => return,
        };
        self.node(needed.clone(), kind);
        self.needs(name, needed);
    }

    /// Notes the jobs of a tree, as far as they carry its mark, and what it waits for.
    fn tree(&mut self, key: &JobKey, manifest: Manifest, marked: &BTreeMap<(&str, &str), &JobKey>) {
        let tree = format!("{}/{}", key.namespace, key.job);
        let home = key.namespace.clone();
        let Ok(plan) = Plan::compile(manifest, crate::manifest::Problems::default()) else { return };
        let job = |node: &str| marked.get(&(tree.as_str(), node)).map(ToString::to_string);
        let Some(blocks) = &plan.manifest().tree else { return };
        for name in blocks.jobs.keys() {
            // Before it was submitted, the node stands for the job.
            let own = job(name).unwrap_or_else(|| format!("{key} {name}"));
            self.node(own.clone(), if job(name).is_some() { Kind::Job } else { Kind::Absent });
            let mut next: Vec<&str> = plan.needs_of(name);
            let mut seen: Vec<&str> = Vec::new();
            while let Some(needed) = next.pop() {
                if seen.contains(&needed) {
                    continue;
                }
                seen.push(needed);
                if blocks.jobs.contains_key(needed) {
                    let needed = job(needed).unwrap_or_else(|| format!("{key} {needed}"));
                    self.needs(&own, needed);
                } else if let Some(wait) = plan.manifest().waits.get(needed) {
                    self.awaits(&own, &wait.subject, &home);
                    next.extend(plan.needs_of(needed));
                } else {
                    // A hook stands between jobs.
                    next.extend(plan.needs_of(needed));
                }
            }
        }
    }
}
