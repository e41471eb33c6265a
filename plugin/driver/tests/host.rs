//! A Nomad client, as far as a driver sees it.

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::oneshot, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{
    Response, Status,
    transport::{Channel, Endpoint},
};

use crate::{
    driver::{
        pb::{
            base::base_plugin_client::BasePluginClient,
            drivers::{
                DestroyTaskRequest, ExitResult, RecoverTaskRequest, RecoverTaskResponse, StartTaskRequest,
                TaskConfig, TaskHandle, WaitTaskRequest, driver_client::DriverClient,
            },
        },
        routes,
    },
    goplugin::{ORPHAN_AFTER, Socket, serve},
};

/// Long enough for a loaded machine.
pub(super) const SOON: Duration = Duration::from_mins(1);

/// A plugin on its socket, and someone who talks to it. The plugin ends with it.
pub(super) struct Host {
    pub(super) base: BasePluginClient<Channel>,
    pub(super) driver: DriverClient<Channel>,
    pub(super) alloc: TempDir,
    stop: CancellationToken,
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Host {
    pub(super) async fn start() -> Self {
        let stop = CancellationToken::new();
        let (ready, path) = oneshot::channel();
        TaskTracker::new().spawn({
            let stop = stop.clone();
            async move {
                let socket = Socket::bind().unwrap();
                let announce = |path: &std::path::Path| {
                    ready.send(path.to_owned()).unwrap();
                    Ok(())
                };
                serve(socket, routes(&stop), ORPHAN_AFTER, &stop, announce).await
            }
        });
        let path: PathBuf = path.await.unwrap();
        let channel =
            Endpoint::try_from(format!("unix://{}", path.display())).unwrap().connect().await.unwrap();
        let alloc = tempfile::tempdir().unwrap();
        fs::create_dir_all(alloc.path().join("alloc/logs")).unwrap();
        Self { base: BasePluginClient::new(channel.clone()), driver: DriverClient::new(channel), alloc, stop }
    }

    /// The task `gate` as Nomad describes it, with this configuration.
    pub(super) fn task(&self, id: &str, config: &Value) -> TaskConfig {
        TaskConfig {
            id: id.to_owned(),
            name: "gate".to_owned(),
            msgpack_driver_config: rmp_serde::to_vec_named(config).unwrap(),
            env: BTreeMap::from([("NOMAD_TASK_NAME".to_owned(), "gate".to_owned())]),
            alloc_dir: self.alloc.path().to_str().unwrap().to_owned(),
            task_group_name: "web".to_owned(),
            job_name: "shop".to_owned(),
            job_id: "shop".to_owned(),
            alloc_id: "61d0c2aa-0000-0000-0000-000000000000".to_owned(),
            namespace: "default".to_owned(),
            ..TaskConfig::default()
        }
    }

    /// A gate that waits for a job nobody can see.
    pub(super) async fn start_gate(&mut self, id: &str) -> TaskHandle {
        self.start_with(id, &json!({"wait": {"postgres": {}}})).await.unwrap()
    }

    pub(super) async fn start_with(&mut self, id: &str, config: &Value) -> Result<TaskHandle, Status> {
        let task = Some(self.task(id, config));
        let answer = self.driver.start_task(StartTaskRequest { task }).await?;
        Ok(answer.into_inner().handle.unwrap())
    }

    pub(super) async fn recover(
        &mut self,
        handle: Option<TaskHandle>,
    ) -> Result<Response<RecoverTaskResponse>, Status> {
        self.driver.recover_task(RecoverTaskRequest { task_id: String::new(), handle }).await
    }

    /// How the task ended.
    pub(super) async fn result(&mut self, id: &str) -> ExitResult {
        let answer = timeout(SOON, self.driver.wait_task(WaitTaskRequest { task_id: id.to_owned() }));
        answer.await.expect("the gate ends").unwrap().into_inner().result.unwrap()
    }

    /// Whether the task still runs.
    pub(super) async fn is_waiting(&mut self, id: &str) -> bool {
        let answer = self.driver.wait_task(WaitTaskRequest { task_id: id.to_owned() });
        timeout(Duration::from_millis(100), answer).await.is_err()
    }

    pub(super) async fn destroy(&mut self, id: &str) {
        let request = DestroyTaskRequest { task_id: id.to_owned(), force: true };
        self.driver.destroy_task(request).await.unwrap();
    }
}
