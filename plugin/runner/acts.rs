//! What a run of a tree does with Nomad, one act at a time.
//!
//! # Invariants
//!
//! * Every act looks first, or writes only where there is nothing yet, so that it can be done again after its answer was
//!   lost: a job that is registered as wanted is not registered again, a hook that was launched under its name is not
//!   launched again.
//! * An answer that does not come is not an answer: the engine tries again, and the act looks again.
//! * Everything is asked and written with the task's own token.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
};

use tokio::sync::Semaphore;

use super::{
    fill::Filled,
    lease::Lease,
    past::{DONE, HOOKS, Past},
    tail::Output,
};
use crate::{
    cluster::{JobKey, JobVersion, Marks, Namespace, RaftIndex, TreeName},
    condition::{self, Attested, Claim},
    engine::{Act, HookOutcome, Kept, Report, Submission, Trouble},
    http::Spares,
    jobspec::{self, Files, Prepared, Spec},
    manifest::Tree,
    nomad::{self, Cas, Client, Variable},
    plan,
    watch::Viewer,
};

/// How many acts are under way at a time. More make Nomad no faster, but a burst of writes makes it drop event streams.
const AT_A_TIME: usize = 8;

/// A tree's way to Nomad and to its jobspecs.
#[derive(Debug)]
pub(super) struct Hands {
    pub(super) viewer: Viewer,
    pub(super) tree: TreeName,
    pub(super) blocks: Option<Box<Tree>>,
    files: Files,
    pub(super) lease: Arc<Lease>,
    /// What is submitted, once it is prepared.
    prepared: OnceLock<Prepared>,
    places: Semaphore,
    /// The connections of the acts that are under way, which go with the last of them.
    spares: Mutex<Weak<Spares>>,
    /// And where that takes values from others, when these are filled in.
    pub(super) filled: Filled,
}

impl Hands {
    pub(super) fn new(
        viewer: Viewer,
        tree: TreeName,
        blocks: Option<Box<Tree>>,
        files: Files,
        lease: Arc<Lease>,
    ) -> Self {
        Self {
            viewer,
            tree,
            blocks,
            files,
            lease,
            prepared: OnceLock::new(),
            places: Semaphore::new(AT_A_TIME),
            spares: Mutex::default(),
            filled: Filled::default(),
        }
    }

    /// A client with the task's own token as it is now. The acts that are under way share its connections.
    fn client(&self) -> Result<Client, Trouble> {
        let client = self.viewer.client().map_err(|error| read_trouble(&error))?;
        let mut shared = self.spares.lock().unwrap_or_else(PoisonError::into_inner);
        let spares = shared.upgrade().unwrap_or_default();
        *shared = Arc::downgrade(&spares);
        Ok(client.with_spares(spares))
    }

    /// Takes what is prepared. Only once: a run submits what it began with.
    pub(super) fn take(&self, prepared: Prepared) {
        self.prepared.get_or_init(|| prepared);
    }

    /// Reads, parses and checks all jobspecs.
    pub(super) async fn prepare(&self) -> Result<Prepared, Trouble> {
        let client = self.client()?;
        let Some(blocks) = &self.blocks else { return Ok(Prepared::new()) };
        let prepared = jobspec::prepare(&client, &self.files, &self.viewer.job, blocks).await;
        let prepared = prepared.map_err(|error| match error {
            jobspec::Error::Problems(problems) => Trouble { why: problems.to_string(), is_transient: false },
            jobspec::Error::Nomad(error) => read_trouble(&error),
        });
        let proven = match self.prove_outputs(&client, blocks).await {
            Ok(()) => self.prove_once(&client, blocks).await,
            denied => denied,
        };
        match (prepared, proven) {
            (Ok(prepared), Ok(())) => Ok(prepared),
            (Err(problems), Err(denied)) if !problems.is_transient && !denied.is_transient => {
                Err(Trouble { why: format!("{}\n{}", problems.why, denied.why), is_transient: false })
            }
            (Err(trouble), _) | (Ok(_), Err(trouble)) => Err(trouble),
        }
    }

    /// Whether the records of what runs once can be read and written: by a write that Nomad refuses to whoever may do
    /// it, because no variable was last written so early.
    async fn prove_once(&self, client: &Client, blocks: &Tree) -> Result<(), Trouble> {
        let namespace = &self.viewer.job.namespace;
        for (name, hook) in blocks.hooks_of_verb() {
            let Some(key) = &hook.once else { continue };
            let path = plan::once_path(name, key);
            client.variable(namespace, &path).await.map_err(|error| read_trouble(&error))?;
            let items = [("hook".to_owned(), name.clone())].into();
            match client.put_variable(namespace, &path, &items, Cas::At(RaftIndex(1))).await {
                Err(error) if !error.is_conflict() => return Err(write_trouble(&error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Does `act` for step `name`.
    pub(super) async fn perform(&self, name: &str, act: Act) -> Result<Report, Trouble> {
        // The semaphore is never closed; without a place it would only be faster.
        let _place = match act {
            // It has one for each reading, and none between them.
            Act::Tail { .. } => None,
            _ => self.places.acquire().await.ok(),
        };
        match self.act(name, act).await {
            Ok(Report::Tail(text)) => Ok(Report::Tail(self.filled.hide(text))),
            Ok(report) => Ok(report),
            Err(trouble) => Err(Trouble { why: self.filled.hide(trouble.why), ..trouble }),
        }
    }

    async fn act(&self, name: &str, act: Act) -> Result<Report, Trouble> {
        let client = self.client()?;
        match act {
            Act::Recall { .. }
            | Act::Fill { .. }
            | Act::Tail { .. }
            | Act::Holders { .. }
            | Act::ReadOnce { .. } => {}
            Act::Submit { .. }
            | Act::Launch { .. }
            | Act::Retire { .. }
            | Act::Attest { .. }
            | Act::Hold { .. }
            | Act::LetGo { .. }
            | Act::WriteOnce { .. }
            | Act::Stop { .. } => {
                self.lease.check()?;
            }
        }
        match act {
            Act::Recall { key } => self.recall(&client, &key).await,
            Act::Fill { wanted, known } => self.fill(&client, name, &wanted, known).await,
            Act::Submit { key, marks, may_adopt, is_new } => {
                if is_new && let Some(created) = self.create(&client, name, &key, &marks).await? {
                    return Ok(Report::Submitted(created));
                }
                self.submit(&client, name, &key, &marks, may_adopt).await
            }
            Act::Launch { key, marks, dispatch: None, about } => {
                self.launch(&client, name, &key, &marks, &about).await
            }
            Act::Launch { key, dispatch: Some(parent), about, .. } => {
                self.dispatch(&client, name, &key, &parent, &about).await
            }
            Act::Retire { key, purge } => {
                client.deregister(&key, purge).await.map_err(|error| write_trouble(&error))?;
                Ok(Report::Done)
            }
            Act::Attest { key, done, hooks } => self.attest(&client, &key, &done, &hooks).await,
            Act::Holders { key } => self.holders(&client, &key).await,
            Act::Hold { key } => self.hold(&client, &key).await,
            Act::LetGo { key } => self.let_go(&client, &key).await,
            Act::Stop { key, doomed, purge } => self.stop(&client, &key, &doomed, purge).await,
            Act::ReadOnce { path } => self.read_once(&client, &path).await,
            Act::WriteOnce { path, items, over } => {
                let namespace = &self.viewer.job.namespace;
                match client.put_variable(namespace, &path, &items, over.map_or(Cas::Absent, Cas::At)).await {
                    Ok(index) => Ok(Report::Written(Some(index))),
                    Err(error) if error.is_conflict() => Ok(Report::Written(None)),
                    Err(error) => Err(write_trouble(&error)),
                }
            }
            Act::Tail { key, alloc, task, has_failed } => {
                let output =
                    Output { client: &client, namespace: &key.namespace, alloc: &alloc, task: &task };
                output.end(has_failed, Some(&self.places)).await.map(Report::Tail)
            }
        }
    }

    /// Registers a job that was not there when it was looked at; `None` when it is.
    async fn create(
        &self,
        client: &Client,
        name: &str,
        key: &JobKey,
        marks: &Marks,
    ) -> Result<Option<Submission>, Trouble> {
        let job = self.spec(name)?.marked(marks).ok_or_else(|| lost(name))?;
        match client.register(key, &job, RaftIndex(0)).await {
            Ok(create_index) => Ok(Some(Submission { create_index, version: JobVersion(0) })),
            Err(error) if error.is_conflict() => Ok(None),
            Err(error) => Err(self.refused(name, &error)),
        }
    }

    async fn submit(
        &self,
        client: &Client,
        name: &str,
        key: &JobKey,
        marks: &Marks,
        may_adopt: bool,
    ) -> Result<Report, Trouble> {
        let found = client.job(key).await.map_err(|error| read_trouble(&error))?;
        match condition::claim(found.as_ref(), marks, may_adopt) {
            Claim::Foreign(why) => return Err(Trouble { why, is_transient: false }),
            Claim::Unchanged => {
                return found.map_or_else(|| Err(lost(name)), |job| Ok(submitted(&job)));
            }
            Claim::Create | Claim::Update(_) => {}
        }
        let mut job = self.spec(name)?.marked(marks).ok_or_else(|| lost(name))?;
        if let Some(found) = &found {
            job = jobspec::with_counts_of(job, found);
        }
        let as_seen = found.map_or(RaftIndex(0), |job| job.job_modify_index);
        client.register(key, &job, as_seen).await.map_err(|error| self.refused(name, &error))?;
        let registered = client.job(key).await.map_err(|error| read_trouble(&error))?;
        match registered {
            Some(job) if condition::claim(Some(&job), marks, false) == Claim::Unchanged => {
                Ok(submitted(&job))
            }
            Some(_) | None => Err(Trouble {
                why: format!("job {} was changed by someone else while it was being submitted", key.job),
                is_transient: true,
            }),
        }
    }

    async fn launch(
        &self,
        client: &Client,
        name: &str,
        key: &JobKey,
        marks: &Marks,
        about: &About,
    ) -> Result<Report, Trouble> {
        let found = client.job(key).await.map_err(|error| read_trouble(&error))?;
        if let Some(job) = found {
            let is_ours = job.marks.as_deref() == Some(marks);
            return match (is_ours, job.is_stopped) {
                (true, true) => Ok(Report::Spent),
                (true, false) => Ok(Report::Launched(key.clone())),
                (false, _) => Err(Trouble {
                    why: format!(
                        "there is a job {} already, which is not this hook's; stop and purge it",
                        key.job
                    ),
                    is_transient: false,
                }),
            };
        }
        let spec = self.spec(name)?;
        let meta = with(&spec.meta, about, |_| true);
        let job = spec.marked_as(&key.job, &meta, marks).ok_or_else(|| lost(name))?;
        client.register(key, &job, RaftIndex(0)).await.map_err(|error| self.refused(name, &error))?;
        Ok(Report::Launched(key.clone()))
    }

    async fn dispatch(
        &self,
        client: &Client,
        name: &str,
        token: &JobKey,
        parent: &JobKey,
        about: &About,
    ) -> Result<Report, Trouble> {
        let spec = self.spec(name)?;
        // Nomad refuses a dispatch with meta that the job does not name.
        let allowed = client.job(parent).await.map_err(|error| read_trouble(&error))?;
        let allowed = allowed.map(|job| job.dispatch_meta).unwrap_or_default();
        let meta = with(&spec.meta, about, |key| allowed.iter().any(|allowed| allowed == key));
        let child = client
            .dispatch(parent, &meta, spec.payload.as_bytes(), token.job.as_str())
            .await
            .map_err(|error| self.refused(name, &error))?;
        let job = client.job(&child).await.map_err(|error| read_trouble(&error))?;
        if job.is_some_and(|job| job.is_stopped) { Ok(Report::Spent) } else { Ok(Report::Launched(child)) }
    }

    async fn read_once(&self, client: &Client, path: &str) -> Result<Report, Trouble> {
        let variable = client.variable(&self.viewer.job.namespace, path).await;
        match variable.map_err(|error| read_trouble(&error))? {
            Some(variable) if variable.lock.is_some() => Err(Trouble {
                why: format!(
                    "the variable {path} is locked, which dtree never does: have it unlocked by whoever locked it"
                ),
                is_transient: true,
            }),
            Some(Variable { items, index, .. }) => Ok(Report::Record(Some(Kept { index, items }))),
            None => Ok(Report::Record(None)),
        }
    }

    async fn recall(&self, client: &Client, key: &JobKey) -> Result<Report, Trouble> {
        let past = Past::of(client, &self.viewer.job.namespace, &self.tree, key).await;
        let Past { versions, done, hooks, denied: _ } = past.map_err(|error| read_trouble(&error))?;
        Ok(Report::Recalled { versions, done, hooks })
    }

    async fn attest(
        &self,
        client: &Client,
        key: &JobKey,
        done: &Attested,
        hooks: &BTreeMap<String, HookOutcome>,
    ) -> Result<Report, Trouble> {
        let (namespace, path) = self.record_of(key);
        let unwritten = |error: serde_json::Error| Trouble { why: error.to_string(), is_transient: false };
        let done = serde_json::to_string(done).map_err(unwritten)?;
        let hooks = serde_json::to_string(hooks).map_err(unwritten)?;
        let items = [("tree", self.tree.to_string()), ("job", key.to_string()), (DONE, done), (HOOKS, hooks)];
        let items = items.map(|(name, value)| (name.to_owned(), value)).into();
        // Over what is there now: an attestation of a former leader that is still on its way then comes too late.
        let found = client.variable(&namespace, &path).await.map_err(|error| read_trouble(&error))?;
        let expected = found.as_ref().map_or(Cas::Absent, |found| Cas::At(found.index));
        if found.is_none_or(|found| found.items != items) {
            let written = client.put_variable(&namespace, &path, &items, expected).await;
            written.map_err(|error| write_trouble(&error))?;
        }
        Ok(Report::Done)
    }

    /// Where it is written down what has become of a job: in the tree's own namespace.
    pub(super) fn record_of(&self, key: &JobKey) -> (Namespace, String) {
        (self.viewer.job.namespace.clone(), crate::record::path_of_job(&self.tree, key))
    }

    /// A write of what the node `name` submits that may not have been carried out.
    fn refused(&self, name: &str, error: &nomad::Error) -> Trouble {
        match error {
            nomad::Error::Refused { wanted, status, .. } if self.filled.has_secrets(name) => Trouble {
                why: format!(
                    "Nomad answered {status} when asked to {wanted}; what it says is not repeated, because it may hold \
                     the items of variables"
                ),
                is_transient: error.is_unsettled(),
            },
            error => write_trouble(error),
        }
    }

    /// What the node `name` submits.
    fn spec(&self, name: &str) -> Result<Spec, Trouble> {
        match self.filled.spec(name) {
            Some(spec) => Ok(spec),
            None => self.prepared(name).cloned(),
        }
    }

    /// What the node `name` was prepared as.
    pub(super) fn prepared(&self, name: &str) -> Result<&Spec, Trouble> {
        self.prepared.get().and_then(|prepared| prepared.get(name)).ok_or_else(|| lost(name))
    }
}

/// What a hook is told of the run.
type About = BTreeMap<&'static str, String>;

/// The hook's own meta, with what it is told of the run as far as that is allowed.
fn with(
    meta: &BTreeMap<String, String>,
    about: &About,
    is_allowed: impl Fn(&str) -> bool,
) -> BTreeMap<String, String> {
    let about = about.iter().filter(|(key, _)| is_allowed(key));
    let about = about.map(|(key, value)| ((*key).to_owned(), value.clone()));
    meta.clone().into_iter().chain(about).collect()
}

fn submitted(job: &crate::cluster::Job) -> Report {
    Report::Submitted(Submission { create_index: job.create_index, version: job.version })
}

/// Something that was prepared is not there: a mistake in dtree.
pub(super) fn lost(name: &str) -> Trouble {
    Trouble {
        why: format!("dtree has lost the jobspec of {name}; this is a mistake in dtree"),
        is_transient: false,
    }
}

/// A question that was not answered.
pub(super) fn read_trouble(error: &nomad::Error) -> Trouble {
    Trouble { why: told(error), is_transient: error.is_transient() }
}

/// A write that may not have been carried out.
pub(super) fn write_trouble(error: &nomad::Error) -> Trouble {
    Trouble { why: told(error), is_transient: error.is_unsettled() }
}

/// An error, with what to do, in one line.
pub(super) fn told(error: &nomad::Error) -> String {
    let chain = error.chain();
    match error.hint() {
        Some(hint) => {
            let hint: Vec<&str> = hint.lines().map(str::trim).collect();
            format!("{chain}; {}", hint.join(" "))
        }
        None => chain,
    }
}
