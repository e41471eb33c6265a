//! What jobs put out: the services that they register in Nomad, and their meta.

use std::collections::BTreeMap;

use hyper::StatusCode;

use super::{
    Capability, Client, Error,
    client::{Read, decode, said},
    query::{encode, within},
    wire,
};
use crate::cluster::{AllocId, JobId, JobKey, Namespace};

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
}

impl Client {
    /// All instances of a service, of any job, also of allocations that are being stopped.
    pub async fn service(&self, namespace: &Namespace, name: &str) -> Result<Vec<Instance>, Error> {
        let wanted = format!("read service `{name}`");
        let target = within(&format!("/v1/service/{}", encode(name)), namespace);
        let answer = self.ask(&target, &wanted).await?;
        let answer = self.allowed(answer, &wanted, namespace, Capability::Read)?;
        let read: Read<Option<Vec<wire::Registration>>> = decode(answer, &wanted)?;
        let instances = read.value.unwrap_or_default().into_iter().map(|service| Instance {
            job: service.job_id.into(),
            alloc: service.alloc_id.into(),
            address: service.address,
            port: service.port,
        });
        Ok(instances.collect())
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
