//! What jobs put out: the services that they register in Nomad, and their meta.

use std::collections::BTreeMap;

use hyper::StatusCode;

use super::{
    Capability, Client, Error,
    client::{Read, decode, said},
    convert,
    query::{encode, within},
    wire,
};
use crate::cluster::{AllocId, JobId, JobKey, JobVersion, Namespace, RaftIndex};

/// An instance of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// The job that has registered it.
    pub job: JobId,
    /// And which allocation of it.
    pub alloc: AllocId,
    /// Where it is.
    pub address: String,
    /// By which port; zero where it has none.
    pub port: u16,
    /// Its tags.
    pub tags: Vec<String>,
}

/// What an allocation's own version of its job says of the services in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The version.
    pub version: JobVersion,
    /// The tasks that its group exists for.
    pub main_tasks: Vec<String>,
    /// How many checks that count for health each of Nomad's own services has, by its name as it is written.
    checks: Vec<(String, usize)>,
}

impl Offer {
    pub(super) fn new(version: JobVersion, main_tasks: Vec<String>, checks: Vec<(String, usize)>) -> Self {
        Self { version, main_tasks, checks }
    }

    /// How many checks that count for health the service has. A name that only the client can tell, with a variable in
    /// it, may be this one: then one check is enough to be waited for.
    pub fn n_checks(&self, service: &str) -> usize {
        let named = |of: fn(&str, &str) -> bool| {
            self.checks.iter().filter(move |(name, _)| of(name, service)).map(|(_, n)| *n)
        };
        if self.checks.iter().any(|(name, _)| name == service) {
            named(|name, service| name == service).sum()
        } else {
            usize::from(named(|name, _| name.contains("${")).any(|n| n > 0))
        }
    }
}

impl Client {
    /// All instances of a service, of any job, also of allocations that are being stopped.
    pub async fn service(&self, namespace: &Namespace, name: &str) -> Result<Vec<Instance>, Error> {
        Ok(self.service_after(namespace, name, None).await?.value)
    }

    /// The same once anything has changed after `after`, or a while later.
    pub async fn service_after(
        &self,
        namespace: &Namespace,
        name: &str,
        after: Option<RaftIndex>,
    ) -> Result<Read<Vec<Instance>>, Error> {
        let wanted = format!("read service `{name}`");
        let target = within(&format!("/v1/service/{}", encode(name)), namespace);
        let answer = self.ask_after(target, after, &wanted).await?;
        let answer = self.allowed(answer, &wanted, namespace, Capability::Read)?;
        let read: Read<Option<Vec<wire::Registration>>> = decode(answer, &wanted)?;
        let instances = read.value.unwrap_or_default().into_iter().map(|service| Instance {
            job: service.job_id.into(),
            alloc: service.alloc_id.into(),
            address: service.address,
            port: service.port,
            tags: service.tags,
        });
        Ok(Read { value: instances.collect(), index: read.index })
    }

    /// What an allocation was placed to offer, or `None` when Nomad knows of no such allocation.
    pub async fn offer(&self, alloc: &AllocId, namespace: &Namespace) -> Result<Option<Offer>, Error> {
        let wanted = format!("read allocation {}", alloc.short());
        let target = within(&format!("/v1/allocation/{}", encode(alloc.as_str())), namespace);
        let answer = self.ask(&target, &wanted).await?;
        if answer.head.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let answer = self.allowed(answer, &wanted, namespace, Capability::Read)?;
        let placed: wire::Placed = decode(answer, &wanted)?.value;
        Ok(convert::offer(placed))
    }

    /// The meta of a registered job, or `None` when there is no such job.
    pub async fn meta(&self, key: &JobKey) -> Result<Option<BTreeMap<String, String>>, Error> {
        let wanted = format!("read job `{}`", key.job);
        let target = within(&format!("/v1/job/{}", encode(key.job.as_str())), &key.namespace);
        let answer = self.ask(&target, &wanted).await?;
        if answer.head.status() == StatusCode::NOT_FOUND && said(&answer.body) == "job not found" {
            return Ok(None);
        }
        let answer = self.allowed(answer, &wanted, &key.namespace, Capability::Read)?;
        let read: Read<wire::JobMeta> = decode(answer, &wanted)?;
        Ok(Some(read.value.meta))
    }
}
