//! What a wait looks at.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Expression, HealthSource, Provider, Scope, is_default};
use crate::cluster::{JobId, JobKey, Namespace, Place, Question};

/// What a wait looks at. What is rare, or large, is in a box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Subject {
    /// A job.
    Job {
        /// Its ID.
        job: JobId,
        /// Its namespace; `None` is the task's own.
        namespace: Option<Namespace>,
        /// Only this group of it; `None` is all groups.
        group: Option<String>,
        /// What its meta must hold; a version without it counts for nothing.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        meta: BTreeMap<String, String>,
        /// Which of its allocations count.
        #[serde(default, skip_serializing_if = "is_default")]
        scope: Scope,
        /// Whose word on its health counts.
        #[serde(default, skip_serializing_if = "is_default")]
        source: HealthSource,
    },
    /// Another task of the gate's own allocation.
    Task {
        /// Its name.
        task: String,
    },
    /// The instances of a service.
    Service(Box<Service>),
    /// Something that answers on the network.
    Probe(Box<Probe>),
    /// A value that somebody writes.
    Stored(Box<Stored>),
    /// A user's word.
    Approval {
        /// What is approved.
        what: Box<str>,
    },
    /// Other waits.
    When(Box<Expression>),
}

/// A service, and what is asked of its instances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Where it is registered.
    pub provider: Provider,
    /// The namespace of the jobs that register it; `None` is the task's own. Only with Nomad.
    pub namespace: Option<Namespace>,
    /// The tags that an instance must have to count.
    pub tags: Vec<String>,
    /// How many instances must pass their checks.
    pub at_least: u32,
}

/// Something that answers on the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// What.
    pub target: Target,
    /// How often it is asked.
    #[serde(with = "super::millis")]
    pub interval: Duration,
}

/// What a probe asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Target {
    /// Accepts connections.
    Tcp {
        /// `host:port`.
        address: String,
    },
    /// Answers a GET.
    Http {
        /// Where.
        url: String,
        /// With this status; `None` is any from 200 to 299.
        status: Option<u16>,
        /// With this in its body.
        contains: Option<String>,
    },
    /// Resolves.
    Dns {
        /// The name.
        name: String,
    },
}

/// A value that somebody writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Stored {
    /// A variable of Nomad.
    Variable {
        /// Its namespace; `None` is the task's own.
        namespace: Option<Namespace>,
        /// Its path.
        path: String,
        /// The item that must be there; `None`: the variable is enough.
        key: Option<String>,
        /// What the item must be.
        equals: Option<String>,
    },
    /// A key of Consul's store.
    ConsulKey {
        /// The key.
        key: String,
        /// What its value must be.
        equals: Option<String>,
    },
}

impl Subject {
    /// A job as a whole, or a group of it, wherever its allocations are.
    pub fn of_job(key: &JobKey, group: Option<String>) -> Self {
        Self::Job {
            job: key.job.clone(),
            namespace: Some(key.namespace.clone()),
            group,
            meta: BTreeMap::new(),
            scope: Scope::Cluster,
            source: HealthSource::Live,
        }
    }

    /// The job that a task at `place` looks at for this subject; `None` where it is none.
    pub fn job(&self, place: &Place) -> Option<JobKey> {
        match self {
            Self::Job { job, namespace, .. } => {
                Some(JobKey { namespace: at(namespace.as_ref(), place), job: job.clone() })
            }
            Self::Task { .. }
            | Self::Service(_)
            | Self::Probe(_)
            | Self::Stored(_)
            | Self::Approval { .. }
            | Self::When(_) => None,
        }
    }

    /// The group of a job that counts alone.
    pub fn group(&self) -> Option<&str> {
        match self {
            Self::Job { group, .. } => group.as_deref(),
            _ => None,
        }
    }

    /// Whether only what is on the own client counts.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Job { scope: Scope::Client, .. })
    }

    /// The waits that a `when` names; none of any other.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        let expression = match self {
            Self::When(expression) => Some(expression),
            _ => None,
        };
        expression.into_iter().flat_map(|expression| expression.names())
    }

    /// What a task at `place` asks for this subject, where it is no job and no task.
    pub fn question(&self, place: &Place) -> Option<Question> {
        match self {
            Self::Service(service) => Some(service.question(place)),
            Self::Probe(probe) => Some(probe.question()),
            Self::Stored(stored) => Some(stored.question(place)),
            Self::Job { .. } | Self::Task { .. } | Self::Approval { .. } | Self::When(_) => None,
        }
    }
}

fn at(namespace: Option<&Namespace>, place: &Place) -> Namespace {
    namespace.unwrap_or(&place.job.namespace).clone()
}

impl Service {
    fn question(&self, place: &Place) -> Question {
        let name = self.name.clone();
        match self.provider {
            Provider::Nomad => Question::Service { namespace: at(self.namespace.as_ref(), place), name },
            Provider::Consul => Question::ConsulService { name },
        }
    }
}

impl Probe {
    /// How often it is asked where the user does not say.
    pub const INTERVAL: Duration = Duration::from_millis(100);

    fn question(&self) -> Question {
        let every = u64::try_from(self.interval.as_millis()).unwrap_or(u64::MAX);
        match &self.target {
            Target::Tcp { address } => Question::Tcp { address: address.clone(), every },
            Target::Http { url, contains, .. } => {
                Question::Http { url: url.clone(), contains: contains.clone(), every }
            }
            Target::Dns { name } => Question::Dns { name: name.clone(), every },
        }
    }
}

impl Stored {
    fn question(&self, place: &Place) -> Question {
        match self {
            Self::Variable { namespace, path, key, equals } => Question::Variable {
                namespace: at(namespace.as_ref(), place),
                path: path.clone(),
                key: key.clone(),
                equals: equals.clone(),
            },
            Self::ConsulKey { key, equals } => {
                Question::ConsulKey { key: key.clone(), equals: equals.clone() }
            }
        }
    }
}
