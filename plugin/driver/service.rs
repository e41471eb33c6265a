//! The driver's RPCs, one by one: each finds its task and asks it.

use std::{pin::Pin, sync::Arc, time::Duration};

use tokio::sync::watch;
use tokio_stream::{Stream, StreamExt, wrappers::WatchStream};
use tonic::{Request, Response, Status, Streaming};

use super::{
    events::Events,
    exec,
    fingerprint::{self, Health},
    pb::drivers::{
        CapabilitiesRequest, CapabilitiesResponse, CreateNetworkRequest, CreateNetworkResponse,
        DestroyNetworkRequest, DestroyNetworkResponse, DestroyTaskRequest, DestroyTaskResponse,
        DriverTaskEvent, ExecTaskRequest, ExecTaskResponse, ExecTaskStreamingRequest,
        ExecTaskStreamingResponse, FingerprintRequest, FingerprintResponse, InspectTaskRequest,
        InspectTaskResponse, RecoverTaskRequest, RecoverTaskResponse, SignalTaskRequest, SignalTaskResponse,
        StartTaskRequest, StartTaskResponse, StopTaskRequest, StopTaskResponse, TaskConfigSchemaRequest,
        TaskConfigSchemaResponse, TaskEventsRequest, TaskStatsRequest, TaskStatsResponse, WaitTaskRequest,
        WaitTaskResponse, driver_server::Driver,
    },
    schema,
    tasks::Tasks,
    wire::refusal,
};

/// How long a stop may take when Nomad does not say: the usual `kill_timeout`.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// The driver.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) health: watch::Sender<Health>,
    pub(super) events: Arc<Events>,
    pub(super) tasks: Tasks,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Driver for Service {
    async fn task_config_schema(
        &self,
        _: Request<TaskConfigSchemaRequest>,
    ) -> Result<Response<TaskConfigSchemaResponse>, Status> {
        Ok(Response::new(TaskConfigSchemaResponse { spec: Some(schema::task_config()) }))
    }

    async fn capabilities(
        &self,
        _: Request<CapabilitiesRequest>,
    ) -> Result<Response<CapabilitiesResponse>, Status> {
        Ok(Response::new(CapabilitiesResponse { capabilities: Some(fingerprint::capabilities()) }))
    }

    type FingerprintStream = Answers<FingerprintResponse>;

    async fn fingerprint(
        &self,
        _: Request<FingerprintRequest>,
    ) -> Result<Response<Self::FingerprintStream>, Status> {
        let health = WatchStream::new(self.health.subscribe());
        Ok(Response::new(Box::pin(health.map(|health| Ok(health.fingerprint())))))
    }

    async fn recover_task(
        &self,
        request: Request<RecoverTaskRequest>,
    ) -> Result<Response<RecoverTaskResponse>, Status> {
        let handle =
            request.into_inner().handle.ok_or_else(|| refusal("there is no handle to recover from"))?;
        self.tasks.recover(handle)?;
        Ok(Response::new(RecoverTaskResponse {}))
    }

    async fn start_task(
        &self,
        request: Request<StartTaskRequest>,
    ) -> Result<Response<StartTaskResponse>, Status> {
        let config = request.into_inner().task.ok_or_else(|| refusal("there is no task to start"))?;
        let handle = self.tasks.start(config)?;
        Ok(Response::new(StartTaskResponse { handle: Some(handle), ..StartTaskResponse::default() }))
    }

    async fn wait_task(
        &self,
        request: Request<WaitTaskRequest>,
    ) -> Result<Response<WaitTaskResponse>, Status> {
        let task = self.tasks.find(&request.get_ref().task_id)?;
        // From now on Nomad has a handler for the task's events.
        let _waiting = self.events.wait(&task.id);
        Ok(Response::new(task.result().await))
    }

    async fn stop_task(
        &self,
        request: Request<StopTaskRequest>,
    ) -> Result<Response<StopTaskResponse>, Status> {
        let StopTaskRequest { task_id, timeout, .. } = request.into_inner();
        let task = self.tasks.find(&task_id)?;
        let limit = timeout.and_then(|timeout| Duration::try_from(timeout).ok()).unwrap_or(STOP_LIMIT);
        if task.stop(limit).await {
            Ok(Response::new(StopTaskResponse {}))
        } else {
            Err(refusal(format!("the gate did not end within {limit:?}")))
        }
    }

    async fn destroy_task(
        &self,
        request: Request<DestroyTaskRequest>,
    ) -> Result<Response<DestroyTaskResponse>, Status> {
        let DestroyTaskRequest { task_id, force } = request.into_inner();
        self.tasks.destroy(&task_id, force).await?;
        Ok(Response::new(DestroyTaskResponse {}))
    }

    async fn inspect_task(
        &self,
        request: Request<InspectTaskRequest>,
    ) -> Result<Response<InspectTaskResponse>, Status> {
        Ok(Response::new(self.tasks.find(&request.get_ref().task_id)?.inspection()))
    }

    type TaskStatsStream = Answers<TaskStatsResponse>;

    /// One sample, then silence: a stream that ends is opened again, and one that repeats itself every second is the
    /// main cost of a waiting gate.
    async fn task_stats(
        &self,
        request: Request<TaskStatsRequest>,
    ) -> Result<Response<Self::TaskStatsStream>, Status> {
        let sample = self.tasks.find(&request.get_ref().task_id)?.stats();
        Ok(Response::new(Box::pin(tokio_stream::once(Ok(sample)).chain(tokio_stream::pending()))))
    }

    type TaskEventsStream = Answers<DriverTaskEvent>;

    async fn task_events(
        &self,
        _: Request<TaskEventsRequest>,
    ) -> Result<Response<Self::TaskEventsStream>, Status> {
        Ok(Response::new(Box::pin(self.events.stream().map(Ok))))
    }

    async fn signal_task(
        &self,
        request: Request<SignalTaskRequest>,
    ) -> Result<Response<SignalTaskResponse>, Status> {
        let SignalTaskRequest { task_id, signal } = request.into_inner();
        let task = self.tasks.find(&task_id)?;
        match signal.as_str() {
            "SIGHUP" | "HUP" => task.running.look_again(),
            other => {
                return Err(refusal(format!(
                    "dtree understands SIGHUP (look at the cluster anew), not {other:?}; \
                     a gate is opened with: nomad alloc exec -task {} ALLOC open --reason TEXT",
                    task.name
                )));
            }
        }
        Ok(Response::new(SignalTaskResponse {}))
    }

    async fn exec_task(
        &self,
        request: Request<ExecTaskRequest>,
    ) -> Result<Response<ExecTaskResponse>, Status> {
        let ExecTaskRequest { task_id, command, .. } = request.into_inner();
        let task = self.tasks.find(&task_id)?;
        Ok(Response::new(exec::answer(&command, &task.running).await.into_response()))
    }

    type ExecTaskStreamingStream = Answers<ExecTaskStreamingResponse>;

    async fn exec_task_streaming(
        &self,
        request: Request<Streaming<ExecTaskStreamingRequest>>,
    ) -> Result<Response<Self::ExecTaskStreamingStream>, Status> {
        let mut messages = request.into_inner();
        let setup = loop {
            let message = messages.message().await?;
            let message =
                message.ok_or_else(|| refusal("the exec session ended before it said what to run"))?;
            // Heartbeats are empty messages.
            if let Some(setup) = message.setup {
                break setup;
            }
        };
        let task = self.tasks.find(&setup.task_id)?;
        let answer = exec::answer(&setup.command, &task.running).await;
        let told = tokio_stream::iter(answer.into_messages(setup.tty).map(Ok));
        Ok(Response::new(Box::pin(told.chain(exec::linger(messages)))))
    }

    async fn create_network(
        &self,
        _: Request<CreateNetworkRequest>,
    ) -> Result<Response<CreateNetworkResponse>, Status> {
        Err(Status::unimplemented("dtree makes no networks"))
    }

    async fn destroy_network(
        &self,
        _: Request<DestroyNetworkRequest>,
    ) -> Result<Response<DestroyNetworkResponse>, Status> {
        Err(Status::unimplemented("dtree makes no networks"))
    }
}
