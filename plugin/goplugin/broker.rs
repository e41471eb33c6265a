//! Keeps the host's stream for further connections open: dtree needs none.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::pb::plugin::{ConnInfo, grpc_broker_server::GrpcBroker};

/// Offers and wants nothing.
#[derive(Debug)]
pub(super) struct Broker;

/// Reads what the host says, forgets it, and ends when the host does.
pub(super) struct Listening(Streaming<ConnInfo>);

impl Stream for Listening {
    type Item = Result<ConnInfo, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while let Some(Ok(_)) = ready!(Pin::new(&mut self.0).poll_next(context)) {}
        Poll::Ready(None)
    }
}

#[tonic::async_trait]
impl GrpcBroker for Broker {
    type StartStreamStream = Listening;

    async fn start_stream(
        &self,
        request: Request<Streaming<ConnInfo>>,
    ) -> Result<Response<Self::StartStreamStream>, Status> {
        Ok(Response::new(Listening(request.into_inner())))
    }
}
