//! What the cluster still knows of what was done for a job: its versions, and what was attested of it.

use std::collections::BTreeMap;

use crate::{
    cluster::{JobKey, Namespace, TreeName, VersionRecord},
    condition::Attested,
    engine::HookOutcome,
    nomad::{self, Client},
};

/// The item of a record that says what is done.
pub(super) const DONE: &str = "done";
/// The item that says what the post hooks came to. One of its own: a dtree that does not know it reads the other.
pub(super) const HOOKS: &str = "hooks";

/// What was done for a job.
#[derive(Debug)]
pub struct Past {
    /// Its versions, the newest first; none when it is not registered.
    pub versions: Vec<VersionRecord>,
    /// What was attested of it, as far as that is understood.
    pub done: Option<Attested>,
    /// What its post hooks came to then.
    pub hooks: BTreeMap<String, HookOutcome>,
    /// Why it may not be known what was attested. Then this tree has attested nothing, and the hooks' jobs have stayed.
    pub denied: Option<nomad::Error>,
}

impl Past {
    /// Reads what was done for the job `key` by the tree `tree`, whose records are in `namespace`.
    ///
    /// # Errors
    ///
    /// When Nomad does not tell; that it may not tell what was attested is no error.
    pub async fn of(
        client: &Client,
        namespace: &Namespace,
        tree: &TreeName,
        key: &JobKey,
    ) -> Result<Self, nomad::Error> {
        let versions = client.versions(key).await?;
        let (variable, denied) =
            match client.variable(namespace, &crate::record::path_of_job(tree, key)).await {
                Err(error) if error.is_denied() => (None, Some(error)),
                variable => (variable?, None),
            };
        // What is not understood attests nothing.
        let items = variable.map(|variable| variable.items).unwrap_or_default();
        let done = items.get(DONE).and_then(|text| serde_json::from_str(text).ok());
        let hooks = items.get(HOOKS).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        Ok(Self { versions, done, hooks, denied })
    }
}
