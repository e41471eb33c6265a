//! The tasks of this process, by ID: how they come and go.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::Status;
use tracing::{info, warn};

use super::{
    events::Events,
    handle::Handle,
    log_file::LogFile,
    notices::Notices,
    pb::drivers::{TaskConfig, TaskHandle, TaskState},
    task::{Task, whereabouts},
    views::Views,
    wire::{TaskId, no_such_task, refusal},
};
use crate::{
    engine::{Time, deadlines},
    manifest::{Manifest, Problem, Problems},
    plan::Plan,
    runner::{self, Approvals, Equipment, Errand, Order, Patrol},
    watch::Viewer,
};

/// The version of the handle around our own state, which has a version of its own.
const HANDLE_VERSION: i32 = 1;

/// How long a run may take to end when nobody says how long: it has nothing to do but to say so.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// All tasks of this process.
#[derive(Debug)]
pub(super) struct Tasks {
    by_id: Mutex<BTreeMap<TaskId, Arc<Task>>>,
    views: Arc<Views>,
    events: Arc<Events>,
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// None yet. Runs live on `tracker` and look until `stop` is cancelled.
    pub(super) fn new(
        views: Arc<Views>,
        events: Arc<Events>,
        tracker: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        Self { by_id: Mutex::default(), views, events, tracker, stop }
    }

    /// The task `id`.
    ///
    /// # Errors
    ///
    /// When this process does not have it.
    pub(super) fn find(&self, id: &str) -> Result<Arc<Task>, Status> {
        self.tasks().get(&TaskId::from(id)).cloned().ok_or_else(no_such_task)
    }

    /// Begins the task of `config`.
    ///
    /// # Errors
    ///
    /// All problems of its manifest at once. None of them goes away by itself, so Nomad does not try again.
    pub(super) fn start(&self, config: TaskConfig) -> Result<TaskHandle, Status> {
        let (manifest, problems) = Manifest::from_msgpack(&config.msgpack_driver_config);
        let plan = Plan::compile(manifest, problems).map_err(refusal)?;
        self.check_webhooks(plan.manifest()).map_err(refusal)?;
        let deadlines = deadlines(&plan, runner::wall_clock());
        let handle = Handle::new(plan.manifest().clone(), deadlines.clone());
        let driver_state = handle.to_bytes().map_err(refusal)?;
        if !self.begin(&config, plan, deadlines, false)? {
            return Err(refusal(format!("task {} has been started already", config.id)));
        }
        Ok(TaskHandle {
            version: HANDLE_VERSION,
            config: Some(config),
            state: TaskState::Running.into(),
            driver_state,
        })
    }

    /// Goes on with the task of `handle`, unless this process has it still.
    ///
    /// # Errors
    ///
    /// When its state is not understood. Nomad then starts the task anew, and nothing opens meanwhile.
    pub(super) fn recover(&self, handle: TaskHandle) -> Result<(), Status> {
        let config = handle.config.ok_or_else(|| refusal("this task's handle has no configuration"))?;
        if self.find(&config.id).is_ok() {
            return Ok(());
        }
        let Handle { manifest, deadlines, .. } =
            Handle::from_bytes(&handle.driver_state).map_err(|error| {
                warn!(error = &error as &dyn std::error::Error, task_id = config.id, "cannot recover a task");
                refusal(error.chain())
            })?;
        let plan = Plan::compile(manifest, Problems::default()).map_err(refusal)?;
        if self.begin(&config, plan, deadlines, true)? {
            info!(task_id = config.id, "task recovered");
        }
        Ok(())
    }

    /// Forgets the task `id`; with `force`, stops it first.
    pub(super) async fn destroy(&self, id: &str, force: bool) -> Result<(), Status> {
        let task = self.find(id)?;
        if task.running.ending().is_none() {
            if !force {
                return Err(refusal("the task still runs; only a forced destroy stops it"));
            }
            if !task.stop(STOP_LIMIT).await {
                warn!(task_id = id, "a task did not end when told to");
            }
        }
        self.tasks().remove(&task.id);
        self.events.forget(&task.id);
        Ok(())
    }

    /// Begins a run. `false` when this process has the task already.
    fn begin(
        &self,
        config: &TaskConfig,
        plan: Plan,
        deadlines: BTreeMap<String, Time>,
        is_recovery: bool,
    ) -> Result<bool, Status> {
        let (place, viewer) = whereabouts(config).map_err(refusal)?;
        let id = TaskId::from(config.id.as_str());
        let mut tasks = self.tasks();
        if tasks.contains_key(&id) {
            return Ok(false);
        }
        let equipment = equipment(config, &plan, &viewer, is_recovery)?;
        self.events.add(&id);
        let notices = Notices {
            id: id.clone(),
            place: place.clone(),
            events: Arc::clone(&self.events),
            log: Mutex::new(LogFile::new(PathBuf::from(&config.alloc_dir), config.name.clone())),
        };
        let senses = self.views.senses(&viewer, plan.subjects(&place), runner::asks(&plan, &place));
        let viewer = equipment.is_none().then(|| Box::new(viewer));
        let approvals = match &equipment {
            None => {
                Approvals::open(&plan, Path::new(&config.alloc_dir), &config.name, &deadlines, is_recovery)
            }
            Some(_) => None,
        };
        let order = Order { plan, place, deadlines, equipment, viewer, approvals: approvals.map(Box::new) };
        let running = runner::start(order, senses, Arc::new(notices), &self.tracker, self.stop.clone());
        let task = Task::new(id.clone(), config.name.clone(), running);
        tasks.insert(id, task);
        Ok(true)
    }

    /// Refuses addresses that the operator did not name: the plugin has the client's own network.
    fn check_webhooks(&self, manifest: &Manifest) -> Result<(), Problems> {
        let mut problems = Problems::default();
        for (name, webhook) in manifest.tree.iter().flat_map(|tree| &tree.webhooks) {
            let host = &webhook.host;
            if !self.views.allows_webhook(host) {
                let problem = Problem::new(
                    format!("webhook {name:?}"),
                    format!("the operator of this client does not let dtree ask {host}"),
                );
                problems.push(problem.with_help(format!(
                    "in the client's configuration: `plugin \"dtree\" {{ config {{ webhook_hosts = [{host:?}] }} }}`"
                )));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    fn tasks(&self) -> MutexGuard<'_, BTreeMap<TaskId, Arc<Task>>> {
        // A task is only put in when it is complete.
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a tree or a guard needs; `None` for a gate.
fn equipment(
    config: &TaskConfig,
    plan: &Plan,
    viewer: &Viewer,
    is_recovery: bool,
) -> Result<Option<Equipment>, Status> {
    let alloc_dir = Path::new(&config.alloc_dir);
    if plan.manifest().is_guard() {
        let patrol = Patrol::open(viewer.clone(), config.alloc_id.as_str().into(), alloc_dir, is_recovery);
        return Ok(Some(Equipment::Patrol(Box::new(patrol))));
    }
    if plan.manifest().tree.is_none() {
        return Ok(None);
    }
    // A periodic or dispatched job is a new one each time; the tree is that of its parent.
    let job = [&config.parent_job_id, &config.job_id].into_iter().find(|job| !job.is_empty());
    let tree = format!("{}/{}", config.namespace, job.map_or("", String::as_str));
    let alloc = config.alloc_id.as_str().into();
    let errand = Errand::open(tree.into(), viewer.clone(), alloc_dir, plan.manifest(), alloc, is_recovery);
    let errand = errand.map_err(|error| refusal(error.chain()))?;
    Ok(Some(Equipment::Errand(Box::new(errand))))
}
