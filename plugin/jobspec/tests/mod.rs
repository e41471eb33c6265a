//! Trees against a Nomad that parses by heart, and files of a task that wants to know what it may not.

mod files;
mod filled;
mod hashes;
mod nodes;
mod registered;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Error, Files, Nomad, Prepared, TaskDir, prepare};
use crate::{
    cluster::{Job, JobKey, Namespace},
    manifest::{Manifest, Tree},
    nomad,
};

/// A Nomad whose jobspecs carry the answer to parsing them: a line `# {…}` with the job, or `# refuse: text`.
#[derive(Default)]
pub(super) struct Fake {
    /// Each call of the parser: namespace and variables.
    pub(super) parsed: Mutex<Vec<(String, String)>>,
    /// What validation complains of, by job ID.
    pub(super) complaints: BTreeMap<String, Vec<String>>,
    pub(super) namespaces: BTreeSet<&'static str>,
    /// Namespaces where nothing may be done.
    pub(super) denied: BTreeSet<&'static str>,
    pub(super) jobs: BTreeMap<JobKey, Job>,
    /// Whether nothing answers.
    pub(super) is_down: bool,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
}

impl Fake {
    async fn answer<T>(&self, value: T) -> Result<T, nomad::Error> {
        let now = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_under_way.fetch_max(now, Ordering::SeqCst);
        tokio::task::yield_now().await;
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        if self.is_down {
            return Err(nomad::Error::StreamLost { address: "here".to_owned(), how: "ended".to_owned() });
        }
        Ok(value)
    }

    fn may(&self, namespace: &Namespace, wanted: &str) -> Result<(), nomad::Error> {
        if self.denied.contains(namespace.as_str()) {
            let (wanted, namespace) = (wanted.to_owned(), namespace.clone());
            return Err(nomad::Error::Denied {
                wanted,
                namespace,
                asker: None,
                capability: nomad::Capability::SubmitJob,
            });
        }
        Ok(())
    }
}

impl Nomad for Fake {
    async fn parse(
        &self,
        namespace: &Namespace,
        hcl: &str,
        variables: &str,
    ) -> Result<Result<Value, String>, nomad::Error> {
        self.answer(()).await?;
        self.may(namespace, "parse a jobspec")?;
        self.parsed.lock().unwrap().push((namespace.to_string(), variables.to_owned()));
        let said = hcl.lines().find_map(|line| line.strip_prefix("# refuse: "));
        if let Some(said) = said {
            return Ok(Err(said.replace("\\n", "\n")));
        }
        let job = hcl.lines().find_map(|line| line.strip_prefix("# ")).unwrap();
        Ok(Ok(serde_json::from_str(job).unwrap()))
    }

    async fn validate(&self, namespace: &Namespace, job: &Value) -> Result<Vec<String>, nomad::Error> {
        assert_eq!(job["Namespace"], json!(namespace), "validated where it goes");
        self.answer(self.complaints.get(job["ID"].as_str().unwrap()).cloned().unwrap_or_default()).await
    }

    async fn namespace_exists(&self, namespace: &Namespace) -> Result<bool, nomad::Error> {
        self.answer(self.namespaces.contains(namespace.as_str())).await
    }

    async fn prove_submit(&self, namespace: &Namespace) -> Result<(), nomad::Error> {
        self.answer(()).await?;
        self.may(namespace, "submit jobs")
    }

    async fn job(&self, key: &JobKey) -> Result<Option<Job>, nomad::Error> {
        self.answer(self.jobs.get(key).cloned()).await
    }
}

/// The files of a task, its tree, and the Nomad around it.
pub(super) struct Stage {
    pub(super) alloc: TempDir,
    pub(super) nomad: Fake,
}

impl Stage {
    pub(super) fn new() -> Self {
        let alloc = tempfile::tempdir().unwrap();
        for dir in ["deploy/local", "deploy/secrets", "alloc/data"] {
            fs::create_dir_all(alloc.path().join(dir)).unwrap();
        }
        let namespaces = ["shop", "data", "default"].into();
        Self { alloc, nomad: Fake { namespaces, ..Fake::default() } }
    }

    pub(super) fn file(self, name: &str, text: &str) -> Self {
        fs::write(self.alloc.path().join("deploy").join(name), text).unwrap();
        self
    }

    /// A jobspec that Nomad parses into `job`.
    pub(super) fn jobspec(self, name: &str, job: &Value) -> Self {
        self.file(name, &format!("# {job}\n"))
    }

    pub(super) fn dir(&self) -> Files {
        Files::Task(TaskDir::new(self.alloc.path(), "deploy"))
    }

    pub(super) async fn prepare(&self, jobs: &Value) -> Result<Prepared, Error> {
        let own = JobKey::new("shop", "deploy");
        prepare(&self.nomad, &self.dir(), &own, &tree(jobs)).await
    }

    pub(super) async fn problems(&self, jobs: &Value) -> String {
        match self.prepare(jobs).await.unwrap_err() {
            Error::Problems(problems) => problems.to_string(),
            Error::Nomad(error) => panic!("{error}"),
        }
    }
}

pub(super) fn tree(jobs: &Value) -> Tree {
    let config = rmp_serde::to_vec_named(&json!({ "job": jobs })).unwrap();
    let (manifest, problems) = Manifest::from_msgpack(&config);
    assert_eq!(problems.to_string(), "no problem");
    *manifest.tree.unwrap()
}
