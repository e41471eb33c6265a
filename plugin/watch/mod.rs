//! The view of the cluster that all tasks of this client share, as far as they may.
//!
//! ```text
//!   Subscription ◀── mailbox ──┐
//!   Subscription ◀── mailbox ──┤◀── View (one for each namespace and credential) ──▶ one stream, few requests
//!   Subscription ◀── mailbox ──┘
//!         │
//!         └── joins, leaves ──▶ Hub ── who sees through whose eyes; proofs
//! ```
//!
//! A view opens the stream, waits for its first line, takes a snapshot and applies what is newer. After anything that
//! may have cost it an event it takes a new snapshot, and now and then it does so without cause.
//!
//! # Invariants
//!
//! * Nobody is shown anything that his own token may not read. With ACLs, a task sees through the plugin's credential
//!   only after a request with the task's own token over the task's own socket was allowed, and otherwise only
//!   through its own token.
//! * What is shown is true as of now, or it is [`Sight::Unseen`](crate::cluster::Sight::Unseen) with the reason.
//! * A view that all share without ACLs shows no task's token to another task's socket.
//! * Nothing is asked and nothing runs before the first subscription.
//!
//! It decides nothing about what is seen: that is `condition/`.

mod hub;
mod mailbox;
mod pace;
mod picture;
mod read;
mod subscription;
#[cfg(test)]
mod tests;
mod view;
mod viewer;

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use tokio::{sync::mpsc, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

use self::{
    hub::{Hub, Order},
    mailbox::Mailbox,
    pace::Pace,
};
pub use self::{
    subscription::Subscription,
    viewer::{Viewer, Way},
};
use crate::{cluster::JobKey, nomad};

/// What the plugin itself may see the cluster with: from its configuration.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Where.
    pub endpoint: nomad::Endpoint,
    /// The file with the token, read again at each connection. Without, Nomad's anonymous policy counts.
    pub token_file: Option<PathBuf>,
}

/// Of which jobs the own checks are asked, beside what Nomad tells of all: somebody waits until they are healthy.
#[derive(Clone, Debug, Default)]
pub struct Asks {
    /// Of these among the first subjects.
    pub now: BTreeSet<JobKey>,
    /// Whether of all that are shown later.
    pub later: bool,
}

/// The shared view. Cloning it gives another handle to the same.
#[derive(Clone, Debug)]
pub struct Watch {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    credential: Option<Credential>,
    pace: Arc<Pace>,
    stop: CancellationToken,
    tracker: TaskTracker,
    orders: OnceLock<mpsc::UnboundedSender<Order>>,
}

impl Watch {
    /// A view that sees with `credential` if there is one, and with the tasks' own tokens otherwise.
    ///
    /// Asks nothing and runs nothing before the first subscription. Ends with `stop`.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "whoever has a watch has given it a token to end it with"
    )]
    pub fn new(credential: Option<Credential>, stop: CancellationToken) -> Self {
        let pace = Arc::new(Pace::default());
        let stop = stop.child_token();
        let inner = Inner { credential, pace, stop, tracker: TaskTracker::new(), orders: OnceLock::new() };
        Self { inner: Arc::new(inner) }
    }

    /// Shows `subjects` to `viewer` until the subscription is dropped, and asks meanwhile what `asks` names.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn subscribe(&self, viewer: Viewer, subjects: BTreeSet<JobKey>, asks: Asks) -> Subscription {
        let Inner { credential, pace, stop, tracker, orders } = &*self.inner;
        let orders = orders.get_or_init(|| {
            let (sender, receiver) = mpsc::unbounded_channel();
            tracker.spawn(Hub::new(credential.clone(), Arc::clone(pace), stop.clone(), receiver).run());
            sender
        });
        let mailbox = Arc::new(Mailbox::new(&subjects));
        let subscription = Subscription::new(Arc::clone(&mailbox), asks.later, orders.clone());
        let join = Order::Join {
            member: subscription.member(),
            viewer,
            subjects,
            asked: asks.now,
            mailbox: Arc::clone(&mailbox),
        };
        if orders.send(join).is_err() {
            mailbox.close();
        }
        subscription
    }

    /// Ends all subscriptions, and waits until everything that was running for them has ended, but not for long.
    pub async fn close(&self) {
        self.inner.stop.cancel();
        self.inner.tracker.close();
        if timeout(self.inner.pace.close, self.inner.tracker.wait()).await.is_err() {
            warn!("the view of the cluster did not end in time");
        }
    }
}
