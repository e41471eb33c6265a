//! One question, asked as long as anybody wants to know.

use std::{convert::Infallible, panic::AssertUnwindSafe, pin::Pin, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::{sync::Notify, time::sleep};
use tracing::error;

use super::{consul, nomad, peers, table::Line};
use crate::{
    cluster::{Blindness, Question, Unseen},
    consul::Consul,
};

/// How long a source rests after a mistake in it.
const REST: Duration = Duration::from_secs(10);

/// Asks, and tells what changes, until it is dropped. `again` has it begin anew.
pub(super) async fn run(line: Line, consul: Option<Consul>, again: Arc<Notify>) {
    keep_asking(&line, &again, || answer(&line, consul.as_ref())).await;
}

/// Begins `ask` anew whenever it is called again, and after a mistake in it.
pub(super) async fn keep_asking<F: Future<Output = Infallible>>(
    line: &Line,
    again: &Notify,
    ask: impl Fn() -> F,
) {
    loop {
        let answered = AssertUnwindSafe(ask()).catch_unwind();
        tokio::select! {
            biased;
            () = again.notified() => {}
            Err(_panic) = answered => {
                error!(question = kind(line.question()), "asking ended abnormally");
                let why = "dtree panicked while it asked; the client's log says where".to_owned();
                line.tell(Unseen { because: Blindness::Unreachable, why, hint: None });
                sleep(REST).await;
            }
        }
    }
}

/// Boxed each by itself: to ask for a service takes much more room than to ask a socket.
fn answer<'a>(
    line: &'a Line,
    way: Option<&'a Consul>,
) -> Pin<Box<dyn Future<Output = Infallible> + Send + 'a>> {
    match line.question() {
        Question::Service { namespace, name } => Box::pin(nomad::service(line, namespace, name)),
        Question::Variable { namespace, path, key, equals } => {
            Box::pin(nomad::variable(line, namespace, path, key.as_deref(), equals.as_deref()))
        }
        Question::OwnChecks { alloc } => Box::pin(nomad::own_checks(line, alloc)),
        Question::ConsulService { name } => Box::pin(consul::service(line, way, name)),
        Question::ConsulKey { key, equals } => Box::pin(consul::key(line, way, key, equals.as_deref())),
        Question::Tcp { address, every } => Box::pin(peers::tcp(line, address, *every)),
        Question::Http { url, contains, every } => {
            Box::pin(peers::http(line, url, contains.as_deref(), *every))
        }
        Question::Dns { name, every } => Box::pin(peers::dns(line, name, *every)),
    }
}

/// Without what it compares with, which may be a secret.
fn kind(question: &Question) -> &'static str {
    match question {
        Question::Service { .. } => "service",
        Question::ConsulService { .. } => "service in Consul",
        Question::Variable { .. } => "variable",
        Question::ConsulKey { .. } => "key in Consul",
        Question::Tcp { .. } => "tcp",
        Question::Http { .. } => "http",
        Question::Dns { .. } => "dns",
        Question::OwnChecks { .. } => "own checks",
    }
}
