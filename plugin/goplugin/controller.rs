//! Ends the process when the host says so.

use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::pb::plugin::{Empty, grpc_controller_server::GrpcController};

/// Answers `Shutdown`, and passes it on.
#[derive(Debug)]
pub(super) struct Controller {
    /// Cancelled by the host's `Shutdown`.
    pub(super) shutdown: CancellationToken,
}

#[tonic::async_trait]
impl GrpcController for Controller {
    async fn shutdown(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        // The server lets requests under way finish, so the answer still goes out.
        self.shutdown.cancel();
        Ok(Response::new(Empty {}))
    }
}
