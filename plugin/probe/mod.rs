//! Answers to questions about things that are no jobs, shared by all tasks of this client that ask the same.
//!
//! ```text
//!   Asking ◀── mailbox ──┐
//!   Asking ◀── mailbox ──┤◀── line ◀── source (one for each question and credential) ──▶ Nomad, Consul, a peer
//!      │                 │
//!      └── ask, drop ──▶ table: who asks what; a source lives as long as somebody asks
//! ```
//!
//! # Invariants
//!
//! * What is told is so as of the last answer, or it is [`Unseen`](crate::cluster::Unseen) with the reason: at once when an
//!   answer fails to come. An answer is told again only when it has changed.
//! * Nomad is asked with the task's own token over the task's own socket. Tasks without a token share what Nomad shows to
//!   anyone, and show no token of anyone.
//! * Secrets stay here: what is compared is compared here, and no answer, message or log holds it.
//! * Every question is bounded in time and size, whatever the other side does: silence, garbage and megabytes are words in
//!   an answer, and asked again.
//! * A mistake in a source withdraws its answer and begins it anew; it ends no run.
//! * Nothing is asked and nothing runs before the first question.
//!
//! It decides nothing about what is answered, except how an instance of a service fares: that is `condition/`.

mod asking;
mod consul;
mod follow;
mod mailbox;
mod nomad;
mod peers;
mod source;
mod table;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

pub use self::asking::Asking;
use self::table::Table;
use crate::{consul::Consul, http::Tls, watch::Viewer};

/// How long the end may take.
const CLOSE: Duration = Duration::from_secs(5);

/// What asks for all tasks. Cloning it gives another handle to the same.
#[derive(Clone, Debug)]
pub struct Probe {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    consul: Option<Consul>,
    /// How those who are asked over https prove who they are.
    trust: Tls,
    turns: peers::Turns,
    table: Table,
    stop: CancellationToken,
    tracker: TaskTracker,
}

impl Probe {
    /// Asks Consul by way of `consul`, if there is one, and trusts in `trust` what is asked over https. Ends with `stop`.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "whoever has a probe has given it a token to end it with"
    )]
    pub fn new(consul: Option<Consul>, trust: Tls, stop: CancellationToken) -> Self {
        let inner = Inner {
            consul,
            trust,
            turns: peers::Turns::default(),
            table: Table::default(),
            stop: stop.child_token(),
            tracker: TaskTracker::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Asks for `viewer`, until it is dropped. Nothing yet.
    pub fn asking(&self, viewer: Viewer) -> Asking {
        Asking::new(Arc::clone(&self.inner), viewer)
    }

    /// Ends everything, and waits until it has ended, but not for long.
    pub async fn close(&self) {
        self.inner.stop.cancel();
        self.inner.tracker.close();
        if timeout(CLOSE, self.inner.tracker.wait()).await.is_err() {
            warn!("what asks for the tasks did not end in time");
        }
    }
}
