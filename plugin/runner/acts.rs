//! What a run of a tree does with Nomad, one act at a time.
//!
//! # Invariants
//!
//! * Every act looks first, so that it can be done again after its answer was lost: a job that is registered as wanted
//!   is not registered again, a hook that was launched under its name is not launched again.
//! * An answer that does not come is not an answer: the engine tries again, and the act looks again.
//! * Everything is asked and written with the task's own token.

use std::{path::PathBuf, sync::OnceLock};

use crate::{
    cluster::{JobKey, Marks, Namespace, RaftIndex, TreeName},
    condition::{self, Attested, Claim},
    engine::{Act, Kept, Report, Submission, Trouble},
    jobspec::{self, Prepared, Spec, TaskDir},
    manifest::{Hook, Launch, Moment, Tree},
    nomad::{self, Cas, Client, LogStream, Variable},
    plan,
    watch::Viewer,
};

/// How much of a failed task's output is read, in bytes.
const TAIL: u64 = 4 << 10;
/// How many lines of it are told.
const TAIL_LINES: usize = 20;

/// A tree's way to Nomad and to its jobspecs.
#[derive(Debug)]
pub(super) struct Hands {
    viewer: Viewer,
    pub(super) tree: TreeName,
    blocks: Option<Box<Tree>>,
    alloc_dir: PathBuf,
    /// What is submitted, once it is prepared.
    prepared: OnceLock<Prepared>,
}

impl Hands {
    pub(super) fn new(viewer: Viewer, tree: TreeName, blocks: Option<Box<Tree>>, alloc_dir: PathBuf) -> Self {
        Self { viewer, tree, blocks, alloc_dir, prepared: OnceLock::new() }
    }

    /// Takes what is prepared. Only once: a run submits what it began with.
    pub(super) fn take(&self, prepared: Prepared) {
        self.prepared.get_or_init(|| prepared);
    }

    /// Reads, parses and checks all jobspecs, and proves that what outlives the run can be kept.
    pub(super) async fn prepare(&self) -> Result<Prepared, Trouble> {
        let client = self.viewer.client().map_err(|error| read_trouble(&error))?;
        let Some(blocks) = &self.blocks else { return Ok(Prepared::new()) };
        let directory = TaskDir::new(self.alloc_dir.clone(), self.viewer.task.clone());
        let prepared = jobspec::prepare(&client, &directory, &self.viewer.job, blocks).await;
        let prepared = prepared.map_err(|error| match error {
            jobspec::Error::Problems(problems) => Trouble { why: problems.to_string(), is_transient: false },
            jobspec::Error::Nomad(error) => read_trouble(&error),
        });
        let proven = match self.prove_record(&client, blocks).await {
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

    /// Whether the records of jobs with post hooks can be read. That they can be written only writing tells.
    async fn prove_record(&self, client: &Client, blocks: &Tree) -> Result<(), Trouble> {
        if blocks.hooks.values().all(|hook| hook.moment != Moment::Post) {
            return Ok(());
        }
        let (namespace, path) = self.record_of(&self.viewer.job);
        client.variable(&namespace, &path).await.map(drop).map_err(|error| read_trouble(&error))
    }

    /// Whether the records of what runs once can be read and written: by a write that Nomad refuses to whoever may do
    /// it, because no variable was last written so early.
    async fn prove_once(&self, client: &Client, blocks: &Tree) -> Result<(), Trouble> {
        let namespace = &self.viewer.job.namespace;
        for (name, hook) in &blocks.hooks {
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
        let client = self.viewer.client().map_err(|error| read_trouble(&error))?;
        match act {
            Act::Recall { key } => self.recall(&client, &key).await,
            Act::Submit { key, marks, may_adopt } => {
                self.submit(&client, name, &key, &marks, may_adopt).await
            }
            Act::Launch { key, marks, dispatch: None } => self.launch(&client, name, &key, &marks).await,
            Act::Launch { key, dispatch: Some(parent), .. } => {
                self.dispatch(&client, name, &key, &parent).await
            }
            Act::Retire { key, purge } => {
                client.deregister(&key, purge).await.map_err(|error| write_trouble(&error))?;
                Ok(Report::Done)
            }
            Act::Attest { key, done } => self.attest(&client, &key, &done).await,
            Act::ReadOnce { path } => self.read_once(&client, &path).await,
            Act::WriteOnce { path, items, over } => {
                let namespace = &self.viewer.job.namespace;
                match client.put_variable(namespace, &path, &items, over.map_or(Cas::Absent, Cas::At)).await {
                    Ok(index) => Ok(Report::Written(Some(index))),
                    Err(error) if error.is_conflict() => Ok(Report::Written(None)),
                    Err(error) => Err(write_trouble(&error)),
                }
            }
            Act::Tail { key, alloc, task } => {
                let mut text = String::new();
                for stream in [LogStream::Stdout, LogStream::Stderr] {
                    let tail = client.log_tail(&alloc, &key.namespace, &task, stream, TAIL).await;
                    text.push_str(&tail.map_err(|error| read_trouble(&error))?);
                    if !text.is_empty() && !text.ends_with('\n') {
                        text.push('\n');
                    }
                }
                let lines: Vec<&str> = text.lines().collect();
                let last = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default();
                Ok(Report::Tail(last.join("\n")))
            }
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
        client.register(key, &job, as_seen).await.map_err(|error| write_trouble(&error))?;
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
        let hook = self.hook(name)?;
        let job = self.spec(name)?.marked_as(&key.job, &hook.meta, marks).ok_or_else(|| lost(name))?;
        client.register(key, &job, RaftIndex(0)).await.map_err(|error| write_trouble(&error))?;
        Ok(Report::Launched(key.clone()))
    }

    async fn dispatch(
        &self,
        client: &Client,
        name: &str,
        token: &JobKey,
        parent: &JobKey,
    ) -> Result<Report, Trouble> {
        let hook = self.hook(name)?;
        let payload = match &hook.launch {
            Launch::Dispatch { payload, .. } => payload.as_bytes(),
            Launch::Jobspec { .. } => &[],
        };
        let child = client
            .dispatch(parent, &hook.meta, payload, token.job.as_str())
            .await
            .map_err(|error| write_trouble(&error))?;
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
        let versions = client.versions(key).await.map_err(|error| read_trouble(&error))?;
        let (namespace, path) = self.record_of(key);
        let items = client.variable(&namespace, &path).await.map_err(|error| read_trouble(&error))?;
        // What is not understood attests nothing.
        let done = items.and_then(|items| serde_json::from_str::<Attested>(items.items.get(DONE)?).ok());
        Ok(Report::Recalled { versions, done })
    }

    async fn attest(&self, client: &Client, key: &JobKey, done: &Attested) -> Result<Report, Trouble> {
        let (namespace, path) = self.record_of(key);
        let text = serde_json::to_string(done)
            .map_err(|error| Trouble { why: error.to_string(), is_transient: false })?;
        let items = [("tree", self.tree.to_string()), ("job", key.to_string()), (DONE, text)];
        let items = items.map(|(name, value)| (name.to_owned(), value)).into();
        client
            .put_variable(&namespace, &path, &items, Cas::Any)
            .await
            .map_err(|error| write_trouble(&error))?;
        Ok(Report::Done)
    }

    /// Where it is written down what has become of a job: in the tree's own namespace.
    fn record_of(&self, key: &JobKey) -> (Namespace, String) {
        (self.viewer.job.namespace.clone(), crate::record::path_of_job(&self.tree, key))
    }

    fn spec(&self, name: &str) -> Result<&Spec, Trouble> {
        self.prepared.get().and_then(|prepared| prepared.get(name)).ok_or_else(|| lost(name))
    }

    fn hook(&self, name: &str) -> Result<&Hook, Trouble> {
        self.blocks.as_ref().and_then(|blocks| blocks.hooks.get(name)).ok_or_else(|| lost(name))
    }
}

/// The item of a record that says what is done.
const DONE: &str = "done";

fn submitted(job: &crate::cluster::Job) -> Report {
    Report::Submitted(Submission { create_index: job.create_index, version: job.version })
}

/// Something that was prepared is not there: a mistake in dtree.
fn lost(name: &str) -> Trouble {
    Trouble {
        why: format!("dtree has lost the jobspec of {name}; this is a mistake in dtree"),
        is_transient: false,
    }
}

/// A question that was not answered.
fn read_trouble(error: &nomad::Error) -> Trouble {
    Trouble { why: told(error), is_transient: error.is_transient() }
}

/// A write that may not have been carried out.
fn write_trouble(error: &nomad::Error) -> Trouble {
    Trouble { why: told(error), is_transient: error.is_unsettled() }
}

fn told(error: &nomad::Error) -> String {
    let chain = error.chain();
    match error.hint() {
        Some(hint) => {
            let hint: Vec<&str> = hint.lines().map(str::trim).collect();
            format!("{chain}; {}", hint.join(" "))
        }
        None => chain,
    }
}
