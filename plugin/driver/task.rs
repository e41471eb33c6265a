//! One task: its run, and what Nomad wants to know about it.

use std::{path::Path, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::timeout;

use super::{
    pb::drivers::{
        CpuUsage, ExitResult, InspectTaskResponse, MemoryUsage, TaskConfig, TaskResourceUsage, TaskState,
        TaskStats, TaskStatsResponse, TaskStatus, WaitTaskResponse,
    },
    wire::{self, NO_RESULT, NOT_YET, TaskId},
};
use crate::{
    cluster::{JobKey, Place},
    nomad::Token,
    runner::{Ending, Running},
    watch::{Viewer, Way},
};

/// The number of SIGTERM, by which a stopped process would have ended.
const SIGTERM: i32 = 15;

/// The file with the task's own token, in its secrets directory. Nomad renews it there.
const TOKEN_FILE: &str = "nomad_token";

/// A task that this process has.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) id: TaskId,
    pub(super) name: String,
    pub(super) running: Running,
    started: Timestamp,
}

impl Task {
    pub(super) fn new(id: TaskId, name: String, running: Running) -> Arc<Self> {
        Arc::new(Self { id, name, running, started: Timestamp::now() })
    }

    /// Waits for the end.
    pub(super) async fn result(&self) -> WaitTaskResponse {
        let ending = self.running.ended().await;
        let err = match ending {
            Ending::Done | Ending::Stopped => String::new(),
            // In the event of the end too: the task event before it comes by another way and may come too late.
            Ending::Failed { ref message } => message.clone(),
            Ending::Panicked => "dtree panicked; the client's log says where".to_owned(),
        };
        WaitTaskResponse { result: Some(exit_result(&ending)), err }
    }

    /// Ends the run, and waits for that at most `limit`. Whether it has ended.
    pub(super) async fn stop(&self, limit: Duration) -> bool {
        let stopped = async {
            self.running.stop();
            self.running.ended().await;
        };
        timeout(limit, stopped).await.is_ok()
    }

    /// How the task stands. Nothing in it may be missing.
    pub(super) fn inspection(&self) -> InspectTaskResponse {
        let ending = self.running.ending();
        let status = TaskStatus {
            id: self.id.to_string(),
            name: self.name.clone(),
            state: if ending.is_some() { TaskState::Exited } else { TaskState::Running }.into(),
            started_at: Some(wire::timestamp(self.started)),
            completed_at: Some(self.running.ended_at().map_or(NOT_YET, wire::instant)),
            result: Some(ending.as_ref().map_or(NO_RESULT, exit_result)),
        };
        InspectTaskResponse { task: Some(status), driver: None, network_override: None }
    }

    /// What the task uses: nothing that could be told from the plugin's own use.
    pub(super) fn stats(&self) -> TaskStatsResponse {
        let usage =
            TaskResourceUsage { cpu: Some(CpuUsage::default()), memory: Some(MemoryUsage::default()) };
        let stats = TaskStats {
            id: self.id.to_string(),
            timestamp: Some(wire::timestamp(Timestamp::now())),
            agg_resource_usage: Some(usage),
            ..TaskStats::default()
        };
        TaskStatsResponse { stats: Some(stats) }
    }
}

/// An ending as that of a process. Only an open gate is a success.
fn exit_result(ending: &Ending) -> ExitResult {
    let (exit_code, signal) = match ending {
        Ending::Done => (0, 0),
        Ending::Failed { .. } | Ending::Panicked => (1, 0),
        Ending::Stopped => (128 + SIGTERM, SIGTERM),
    };
    ExitResult { exit_code, signal, oom_killed: false }
}

/// Where the task of `config` stands, and how it reaches Nomad.
///
/// # Errors
///
/// What is missing in it, or is no name for a directory.
pub(super) fn whereabouts(config: &TaskConfig) -> Result<(Place, Viewer), String> {
    let TaskConfig { name, alloc_dir, job_id, namespace, alloc_id, task_group_name, env, .. } = config;
    let given = [
        ("ID", &config.id),
        ("name", name),
        ("job ID", job_id),
        ("namespace", namespace),
        ("allocation ID", alloc_id),
    ];
    if let Some((missing, _)) = given.iter().find(|(_, value)| value.is_empty()) {
        return Err(format!("Nomad sent a task without {missing}"));
    }
    if name.contains(['/', '\0']) || [".", ".."].contains(&name.as_str()) {
        return Err(format!("a task cannot be named {name:?}"));
    }
    if !Path::new(alloc_dir).is_absolute() {
        return Err(format!(
            "Nomad sent {alloc_dir:?} as the allocation's directory, which is no absolute path"
        ));
    }
    let job = JobKey::new(namespace.as_str(), job_id.as_str());
    // The paths in the task's environment are those inside an image.
    let secrets = Path::new(alloc_dir).join(name).join("secrets");
    let viewer = Viewer {
        way: Way::Task {
            socket: secrets.join("api.sock"),
            token_file: secrets.join(TOKEN_FILE),
            env_token: env.get("NOMAD_TOKEN").and_then(|token| Token::new(token)),
        },
        job: job.clone(),
        task: name.clone(),
    };
    let place =
        Place { job, group: task_group_name.clone(), alloc: alloc_id.as_str().into(), task: name.clone() };
    Ok((place, viewer))
}
