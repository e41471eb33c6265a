//! Whole trees over a fake Nomad: watch, runner, acts and journal. The fake schedules nothing; a test does.

mod errors;
mod lead;
mod memory;
mod once;
mod outputs;
mod runs;
mod stops;
mod webhooks;

use std::path::Path;

use serde_json::Value;

use super::*;
use crate::{
    nomad::fake::{self, Answer, FakeNomad},
    watch::Watch,
};

/// Everything that a run tells its user.
#[derive(Default)]
struct Diary(Mutex<Vec<String>>);

impl Notices for Diary {
    fn event(&self, message: &str) {
        self.0.lock().unwrap().push(format!("event {message}"));
    }

    fn log(&self, line: &Line) {
        self.0.lock().unwrap().push(line.to_string());
    }
}

impl Diary {
    fn text(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }
}

struct Stage {
    fake: FakeNomad,
    alloc_dir: tempfile::TempDir,
    config: Value,
    /// The tree's name.
    tree: &'static str,
}

/// A run, and the process that it lives in.
struct Process {
    running: Running,
    diary: Arc<Diary>,
    tasks: TaskTracker,
    stop: CancellationToken,
    _watch: Watch,
}

impl Process {
    /// The process ends, and its run is not over.
    async fn crash(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        assert_eq!(self.running.ending(), None, "{}", self.diary.text());
    }

    async fn fails(&self) -> String {
        match self.running.ended().await {
            Ending::Failed { message } => message,
            ending => panic!("{ending:?}: {}", self.diary.text()),
        }
    }

    async fn is_done(&self) {
        assert_eq!(self.running.ended().await, Ending::Done, "{}", self.diary.text());
    }
}

fn shop() -> Value {
    json!({"job": {
        "postgres": {"jobspec": "local/postgres", "post": {"setup": {"jobspec": "local/setup"}}},
        "api": {"jobspec": "local/api", "depends_on": ["postgres"]},
    }})
}

impl Stage {
    fn of(config: &Value) -> Self {
        let fake = FakeNomad::start();
        fake.transact(|write| write.register(fake::job("default", "shop")));
        let alloc_dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(alloc_dir.path().join("gate/local")).unwrap();
        let stage = Self { fake, alloc_dir, config: config.clone(), tree: "default/shop" };
        for name in ["postgres", "api"] {
            stage.file(name, &fake::job("default", name));
        }
        stage.file("setup", &batch("setup"));
        stage
    }

    /// A jobspec, which is JSON for the fake.
    fn file(&self, name: &str, job: &Value) {
        std::fs::write(self.task_dir().join("local").join(name), job.to_string()).unwrap();
    }

    fn task_dir(&self) -> std::path::PathBuf {
        self.alloc_dir.path().join("gate")
    }

    /// Nomad refuses all variables: what is remembered is in the task's directory.
    fn without_variables(self) -> Self {
        self.fake.answer("/v1/var", Answer::Text(403, "Permission denied".to_owned()));
        self
    }

    /// A process that begins the tree, or goes on with it.
    fn process(&self, is_recovery: bool) -> Process {
        self.process_of("own", is_recovery)
    }

    /// The same in an allocation.
    fn process_of(&self, alloc: &str, is_recovery: bool) -> Process {
        let (plan, place) = (plan(&self.config), Place { alloc: alloc.into(), ..placed() });
        let viewer = viewer(&self.fake, &place);
        let watch = Watch::new(None, CancellationToken::new());
        let outlook = senses(&watch, viewer.clone(), plan.subjects(&place), asks(&plan, &place));
        let (tree, dir): (_, &Path) = (self.tree.into(), self.alloc_dir.path());
        let errand =
            Errand::open(tree, viewer, dir, plan.manifest(), place.alloc.clone(), is_recovery).unwrap();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let diary = Arc::new(Diary::default());
        let order = Order {
            plan,
            place,
            deadlines: BTreeMap::new(),
            equipment: Some(Equipment::Errand(Box::new(errand))),
            viewer: None,
            approvals: None,
        };
        let notices = Arc::clone(&diary) as Arc<dyn Notices>;
        let running = start(order, outlook, notices, &tasks, stop.clone());
        Process { running, diary, tasks, stop, _watch: watch }
    }

    /// The job whose ID begins so, once it is registered and not stopped.
    async fn appears(&self, beginning: &str) -> String {
        for _ in 0..600 {
            let ids = self.fake.job_ids("default");
            let runs = |id: &&String| {
                id.starts_with(beginning) && self.fake.job("default", id).unwrap()["Stop"] == false
            };
            if let Some(id) = ids.iter().find(runs) {
                return id.clone();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no job {beginning}: {:?}", self.fake.job_ids("default"));
    }

    /// A job that was submitted becomes healthy.
    async fn healthy(&self, id: &str) {
        self.appears(id).await;
        let version = self.fake.job("default", id).unwrap()["Version"].as_u64().unwrap();
        becomes_healthy(&self.fake, id, &format!("{id}-{version}"), version);
    }

    /// A hook runs to its end; what it ran as.
    async fn ends(&self, hook: &str, exit_code: i32) -> String {
        let id = self.appears(hook).await;
        let status = if exit_code == 0 { "complete" } else { "failed" };
        let mut allocation = fake::allocation("default", &id, &format!("alloc-{id}"), 0, status);
        allocation["TaskStates"]["t"] = json!({
            "State": "dead", "Failed": exit_code != 0, "Restarts": 0,
            "Events": [{"Type": "Terminated", "ExitCode": exit_code, "DisplayMessage": ""}],
        });
        self.fake.log(&format!("alloc-{id}"), "t", "stderr", "connecting\npsql: no route to host\n");
        self.fake.transact(|write| write.allocation(allocation));
        id
    }

    /// The rest of a shop whose `postgres` is healthy goes well; what the hook ran as.
    async fn goes_on(&self, run: &Process) -> String {
        let hook = self.ends("setup-", 0).await;
        self.healthy("api").await;
        run.is_done().await;
        hook
    }

    /// What was written, each write in a line.
    fn writes(&self) -> String {
        let writes = self.fake.take_writes();
        let lines: Vec<String> = writes
            .iter()
            // How a run asks whether it may submit: nothing has this name.
            .filter(|write| !write.path.contains("dtree-may-i-submit"))
            // The record of the run, and its lock.
            .filter(|write| !write.path.contains("/shop/~"))
            .map(|write| {
                let id = write.body["Job"]["ID"].as_str().unwrap_or_default();
                let path = write.path.trim_start_matches("/v1/");
                format!("{} {path} {id} {}", write.method, write.status)
            })
            .collect();
        lines.join("\n")
    }
}

fn batch(id: &str) -> Value {
    let mut job = fake::job("default", id);
    job["Type"] = "batch".into();
    job["TaskGroups"][0]["Update"] = Value::Null;
    job
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}
