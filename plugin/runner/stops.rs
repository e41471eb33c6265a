//! What a stop of a tree does with Nomad, and what it must know of other trees.
//!
//! # Invariants
//!
//! * A job is stopped only if it is still what the run has seen, by its marks, its first registration and its spec.
//! * That nobody waits for a job is believed only where the token may read who does: a list shows to others nothing.

use std::collections::BTreeMap;

use super::{
    acts::{Hands, read_trouble, write_trouble},
    clock::wall_clock,
};
use crate::{
    cluster::{JobKey, RaftIndex, TreeName},
    condition,
    engine::{Doomed, Holder, Report, Trouble},
    nomad::{Cas, Client},
    record,
};

/// The items of a record that says who waits.
const TREE: &str = "tree";
const JOB: &str = "job";
const SINCE: &str = "since";

impl Hands {
    /// Stops a job, or purges it, and reads it back.
    pub(super) async fn stop(
        &self,
        client: &Client,
        key: &JobKey,
        doomed: &Doomed,
        purge: bool,
    ) -> Result<Report, Trouble> {
        let found = client.job(key).await.map_err(|error| read_trouble(&error))?;
        let Some(job) = found else {
            if purge {
                self.forget(client, key).await?;
            }
            return Ok(Report::Stopped(RaftIndex(0)));
        };
        condition::may_stop(&job, &self.tree, doomed.create_index, &doomed.spec)
            .map_err(|why| Trouble { why, is_transient: false })?;
        if purge && !job.is_stopped {
            let why = format!("job {} was started again by someone else while the tree was stopped", key.job);
            return Err(Trouble { why, is_transient: false });
        }
        if job.is_stopped && !purge {
            return Ok(Report::Stopped(job.job_modify_index));
        }
        // Looking took its time.
        self.lease.check()?;
        client.deregister(key, purge).await.map_err(|error| write_trouble(&error))?;
        let left = client.job(key).await.map_err(|error| read_trouble(&error))?;
        match left {
            None => {
                if purge {
                    self.forget(client, key).await?;
                }
                Ok(Report::Stopped(RaftIndex(0)))
            }
            Some(job) if job.is_stopped && !purge => Ok(Report::Stopped(job.job_modify_index)),
            // It is looked at again, and may be someone else's by now.
            Some(_) => Err(Trouble {
                why: format!("job {} was changed by someone else while it was being stopped", key.job),
                is_transient: true,
            }),
        }
    }

    /// Takes back what is written down of a job that is purged. What may not be deleted stays.
    async fn forget(&self, client: &Client, key: &JobKey) -> Result<(), Trouble> {
        let (namespace, path) = self.record_of(key);
        match client.delete_variable(&namespace, &path, Cas::Any).await {
            Err(error) if !error.is_denied() => Err(write_trouble(&error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Which trees wait for a job.
    pub(super) async fn holders(&self, client: &Client, key: &JobKey) -> Result<Report, Trouble> {
        let prefix = record::held_all_of(key);
        let stubs = client
            .list_variables(&key.namespace, &prefix)
            .await
            .map_err(|error| whether_waited_for(key, &read_trouble(&error)))?;
        let mut holders = Vec::new();
        // What nobody has put there is asked for, too: it is denied to those to whom a list shows nothing.
        for path in stubs.into_iter().map(|stub| stub.path).chain([format!("{prefix}~")]) {
            let found = client
                .variable(&key.namespace, &path)
                .await
                .map_err(|error| whether_waited_for(key, &read_trouble(&error)))?;
            let tree = found.and_then(|found| found.items.get(TREE).cloned());
            holders.extend(tree.map(|tree| Holder { tree: TreeName::from(tree), path }));
        }
        Ok(Report::Holders(holders))
    }

    /// Writes down that the tree waits for a job, unless it says so already.
    pub(super) async fn hold(&self, client: &Client, key: &JobKey) -> Result<Report, Trouble> {
        let path = record::held_by(&self.tree, key);
        let found = client.variable(&key.namespace, &path).await.map_err(|error| read_trouble(&error))?;
        if found.is_some_and(|found| found.items.get(TREE).map(String::as_str) == Some(self.tree.as_str())) {
            return Ok(Report::Done);
        }
        let since = wall_clock().unix_millis() / 1000;
        let items: BTreeMap<String, String> =
            [(TREE, self.tree.to_string()), (JOB, key.to_string()), (SINCE, since.to_string())]
                .map(|(name, value)| (name.to_owned(), value))
                .into();
        client
            .put_variable(&key.namespace, &path, &items, Cas::Any)
            .await
            .map_err(|error| write_trouble(&error))?;
        Ok(Report::Done)
    }

    /// Takes it back.
    pub(super) async fn let_go(&self, client: &Client, key: &JobKey) -> Result<Report, Trouble> {
        let path = record::held_by(&self.tree, key);
        client
            .delete_variable(&key.namespace, &path, Cas::Any)
            .await
            .map_err(|error| write_trouble(&error))?;
        Ok(Report::Done)
    }
}

/// It is not known whether anybody waits for a job: then it is not stopped.
fn whether_waited_for(key: &JobKey, trouble: &Trouble) -> Trouble {
    Trouble {
        why: format!("whether another tree waits for job {} cannot be read: {}", key.job, trouble.why),
        is_transient: trouble.is_transient,
    }
}
