//! Keeps the host's stream for printed output open, and silent: dtree prints nothing.

use tokio_stream::Pending;
use tonic::{Request, Response, Status};

use super::pb::plugin::{StdioData, grpc_stdio_server::GrpcStdio};

/// Never says a word.
#[derive(Debug)]
pub(super) struct Stdio;

#[tonic::async_trait]
impl GrpcStdio for Stdio {
    type StreamStdioStream = Pending<Result<StdioData, Status>>;

    async fn stream_stdio(&self, _: Request<()>) -> Result<Response<Self::StreamStdioStream>, Status> {
        Ok(Response::new(tokio_stream::pending()))
    }
}
