//! A subscriber's end: what he is shown, and his going.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::mpsc;

use super::{hub::Order, mailbox::Mailbox};
use crate::cluster::{JobKey, Sight};

/// One subscriber among all of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MemberId(u64);

/// The sights of some jobs, as they change. Dropping it ends it.
#[derive(Debug)]
pub struct Subscription {
    member: MemberId,
    mailbox: Arc<Mailbox>,
    /// Whether the checks of jobs that are shown later are asked, too.
    asks_later: bool,
    orders: mpsc::UnboundedSender<Order>,
}

impl Subscription {
    pub(super) fn new(mailbox: Arc<Mailbox>, asks_later: bool, orders: mpsc::UnboundedSender<Order>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { member: MemberId(NEXT.fetch_add(1, Ordering::Relaxed)), mailbox, asks_later, orders }
    }

    pub(super) fn member(&self) -> MemberId {
        self.member
    }

    /// A job and how it is seen now; first of each how it is seen already, then whenever that changes. What changed
    /// several times since it was taken last is given once, as it is now. `None` when the watch has ended.
    ///
    /// Nothing is lost when the returned future is dropped.
    pub async fn next(&mut self) -> Option<(JobKey, Arc<Sight>)> {
        self.mailbox.take().await
    }

    /// Shows `subjects` too, from now on. A job that is shown already is not shown anew; those that are go on being
    /// shown as they are meanwhile.
    pub fn also(&self, subjects: BTreeSet<JobKey>) {
        // When nobody takes orders any more, the mailbox is closed as well.
        let asked = if self.asks_later { subjects.clone() } else { BTreeSet::new() };
        drop(self.orders.send(Order::Also(self.member, subjects, asked)));
    }

    /// Has everything read again now.
    pub fn look_again(&self) {
        // When nobody takes orders any more, the mailbox is closed as well.
        drop(self.orders.send(Order::LookAgain(self.member)));
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // When nobody takes orders any more, there is nothing to leave.
        drop(self.orders.send(Order::Leave(self.member)));
    }
}
