//! What a user at the command line wants to know of the whole cluster: whose jobs there are, what dtree's tasks declare,
//! where the driver is.

use std::collections::BTreeMap;

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Capability, Client, Error, Read,
    client::decode,
    query::{encode, within},
};
use crate::cluster::{AllocId, JobKey, Marks, Namespace};

/// The name of our driver.
const DRIVER: &str = "dtree";

/// A job, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// Which.
    pub key: JobKey,
    /// The tree that has submitted it, and as what.
    pub mark: Option<(String, String)>,
    /// Whether it was launched as a hook.
    pub is_hook: bool,
    /// Whether it is stopped.
    pub is_stopped: bool,
}

/// A task of dtree, as a job's spec has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// Its group.
    pub group: String,
    /// Its name.
    pub task: String,
    /// The body of its `config {}`, as Nomad keeps it.
    pub config: Value,
    /// The texts of its templates in which nothing is evaluated, by the paths that they are put to, without `.` or a slash
    /// before them.
    pub files: BTreeMap<String, String>,
}

/// An allocation, with the last words of its tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its ID.
    pub alloc: AllocId,
    /// Its job.
    pub key: JobKey,
    /// Its group.
    pub group: String,
    /// By task: its state, and what was said of it, the newest last.
    pub tasks: BTreeMap<String, (String, Vec<String>)>,
}

impl Placed {
    /// Whether the task runs.
    pub fn runs(&self, task: &str) -> bool {
        self.tasks.get(task).is_some_and(|(state, _)| state == "running")
    }
}

/// The driver on one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverSight {
    /// The client's name.
    pub client: String,
    /// Whether the client is ready.
    pub is_ready: bool,
    /// The driver; `None` where the client has none of ours.
    pub driver: Option<Driver>,
}

/// What a client says of the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Driver {
    /// Whether it is there.
    pub is_detected: bool,
    /// Whether it can do its work.
    pub is_healthy: bool,
    /// In words.
    pub description: String,
    /// The plugin's version.
    pub version: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireStub {
    #[serde(rename = "ID")]
    id: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    stop: bool,
    meta: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireJob {
    task_groups: Option<Vec<WireGroup>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireGroup {
    #[serde(default)]
    name: String,
    tasks: Option<Vec<WireTask>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireTask {
    #[serde(default)]
    name: String,
    #[serde(default)]
    driver: String,
    config: Option<Value>,
    templates: Option<Vec<WireTemplate>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireTemplate {
    embedded_tmpl: Option<String>,
    dest_path: Option<String>,
    left_delim: Option<String>,
    right_delim: Option<String>,
}

impl WireTemplate {
    /// Where it is put, and its text, if that stands for itself.
    fn literal(self) -> Option<(String, String)> {
        let (text, path) = (self.embedded_tmpl?, self.dest_path?);
        let given = |delimiter: Option<String>, usual: &str| {
            delimiter.filter(|delimiter| !delimiter.is_empty()).unwrap_or_else(|| usual.to_owned())
        };
        let delimiters = [given(self.left_delim, "{{"), given(self.right_delim, "}}")];
        let names: Vec<&str> = path.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
        let is_literal = !text.is_empty() && delimiters.iter().all(|delimiter| !text.contains(delimiter));
        is_literal.then(|| (names.join("/"), text))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireAlloc {
    #[serde(rename = "ID")]
    id: String,
    #[serde(default)]
    namespace: String,
    #[serde(rename = "JobID", default)]
    job_id: String,
    #[serde(default)]
    task_group: String,
    task_states: Option<BTreeMap<String, WireState>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireWhole {
    job: Option<WireJob>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireState {
    #[serde(default)]
    state: String,
    events: Option<Vec<WireEvent>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireEvent {
    #[serde(default)]
    display_message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireNode {
    #[serde(default)]
    name: String,
    #[serde(default)]
    status: String,
    drivers: Option<BTreeMap<String, WireDriver>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireDriver {
    #[serde(default)]
    detected: bool,
    #[serde(default)]
    healthy: bool,
    #[serde(default)]
    health_description: String,
    attributes: Option<BTreeMap<String, String>>,
}

impl WireJob {
    /// The tasks of dtree in it.
    fn declarations(self) -> Vec<Declaration> {
        let groups = self.task_groups.unwrap_or_default().into_iter();
        let tasks = groups.flat_map(|group| {
            let tasks = group.tasks.unwrap_or_default().into_iter();
            tasks.map(move |task| (group.name.clone(), task))
        });
        let ours = tasks.filter(|(_, task)| task.driver == DRIVER).map(|(group, task)| Declaration {
            group,
            files: task.templates.into_iter().flatten().filter_map(WireTemplate::literal).collect(),
            task: task.name,
            config: task.config.unwrap_or_default(),
        });
        ours.collect()
    }
}

impl From<WireAlloc> for Placed {
    fn from(alloc: WireAlloc) -> Self {
        let said = |state: WireState| {
            let events = state.events.unwrap_or_default().into_iter();
            (state.state, events.map(|event| event.display_message).collect())
        };
        Self {
            alloc: alloc.id.as_str().into(),
            key: JobKey::new(alloc.namespace.as_str(), alloc.job_id.as_str()),
            group: alloc.task_group,
            tasks: alloc
                .task_states
                .unwrap_or_default()
                .into_iter()
                .map(|(task, state)| (task, said(state)))
                .collect(),
        }
    }
}

impl Client {
    /// All jobs of a namespace, or with `*` of all that the token may list, and whose they are.
    pub async fn owned_jobs(&self, namespace: &Namespace) -> Result<Vec<Owned>, Error> {
        let target = format!("{}&meta=true", within("/v1/jobs", namespace));
        let answer = self.ask(&target, "list jobs").await?;
        let answer = self.allowed(answer, "list jobs", namespace, Capability::Read)?;
        let read: Read<Option<Vec<WireStub>>> = decode(answer, "list jobs")?;
        let jobs = read.value.unwrap_or_default().into_iter().map(|stub| {
            let meta = stub.meta.unwrap_or_default();
            let mark = meta.get(Marks::TREE).cloned().zip(meta.get(Marks::NODE).cloned());
            Owned {
                key: JobKey::new(stub.namespace.as_str(), stub.id.as_str()),
                mark,
                is_hook: meta.contains_key(Marks::RUN),
                is_stopped: stub.stop,
            }
        });
        Ok(jobs.collect())
    }

    /// The tasks of dtree that a job has; `None` when there is no such job.
    pub async fn declarations(&self, key: &JobKey) -> Result<Option<Vec<Declaration>>, Error> {
        let wanted = format!("read job `{}`", key.job);
        let target = within(&format!("/v1/job/{}", encode(key.job.as_str())), &key.namespace);
        let answer = self.ask(&target, &wanted).await?;
        if answer.head.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let answer = self.allowed(answer, &wanted, &key.namespace, Capability::Read)?;
        let read: Read<WireJob> = decode(answer, &wanted)?;
        Ok(Some(read.value.declarations()))
    }

    /// The tasks of dtree that an allocation has, by the version of the job that it is of.
    pub async fn declarations_in(&self, placed: &Placed) -> Result<Vec<Declaration>, Error> {
        let wanted = format!("read allocation {}", placed.alloc.short());
        let path = format!("/v1/allocation/{}", encode(placed.alloc.as_str()));
        let target = within(&path, &placed.key.namespace);
        let answer = self.ask(&target, &wanted).await?;
        let answer = self.allowed(answer, &wanted, &placed.key.namespace, Capability::Read)?;
        let read: Read<WireWhole> = decode(answer, &wanted)?;
        let all = read.value.job.map(WireJob::declarations).unwrap_or_default();
        Ok(all.into_iter().filter(|declared| declared.group == placed.group).collect())
    }

    /// The allocations of a job, of each version.
    pub async fn placed_of(&self, key: &JobKey) -> Result<Vec<Placed>, Error> {
        let wanted = format!("list the allocations of job `{}`", key.job);
        let path = format!("/v1/job/{}/allocations", encode(key.job.as_str()));
        let answer = self.ask(&format!("{}&all=true", within(&path, &key.namespace)), &wanted).await?;
        let answer = self.allowed(answer, &wanted, &key.namespace, Capability::Read)?;
        let read: Read<Option<Vec<WireAlloc>>> = decode(answer, &wanted)?;
        Ok(read.value.unwrap_or_default().into_iter().map(Into::into).collect())
    }

    /// The allocations whose IDs begin with `begin`, wherever they are; none where the token sees none.
    pub async fn placed(&self, begin: &str) -> Result<Vec<Placed>, Error> {
        let all = Namespace::from("*");
        let target = format!("{}&prefix={}", within("/v1/allocations", &all), encode(begin));
        let answer = self.ask(&target, "list allocations").await?;
        let answer = self.allowed(answer, "list allocations", &all, Capability::Read)?;
        let read: Read<Option<Vec<WireAlloc>>> = decode(answer, "list allocations")?;
        Ok(read.value.unwrap_or_default().into_iter().map(Into::into).collect())
    }

    /// What each client says of the driver. It takes `node { policy = "read" }`.
    pub async fn drivers(&self) -> Result<Vec<DriverSight>, Error> {
        let nowhere = Namespace::from("*");
        let answer = self.ask("/v1/nodes", "list clients").await?;
        let answer = self.allowed(answer, "list clients", &nowhere, Capability::Read)?;
        let read: Read<Option<Vec<WireNode>>> = decode(answer, "list clients")?;
        let clients = read.value.unwrap_or_default().into_iter().map(|node| {
            let driver = node.drivers.unwrap_or_default().remove(DRIVER);
            DriverSight {
                client: node.name,
                is_ready: node.status == "ready",
                driver: driver.map(|driver| Driver {
                    is_detected: driver.detected,
                    is_healthy: driver.healthy,
                    description: driver.health_description,
                    version: driver.attributes.unwrap_or_default().get("driver.dtree.version").cloned(),
                }),
            }
        });
        Ok(clients.collect())
    }
}
