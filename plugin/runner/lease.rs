//! For how long the lead of a tree is certain.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{engine::Trouble, record::TTL};

/// How often the lock is renewed.
pub(super) const PERIOD: Duration = Duration::from_millis(TTL.as_secs() * 1000 / 3);
/// How old the last renewal may be when something is begun: well before anybody else may have the lock.
const CERTAIN: Duration = Duration::from_millis(TTL.as_secs() * 2000 / 3);

/// When the lock of the tree was last renewed; nothing where there is no lock.
#[derive(Debug, Default)]
pub(super) struct Lease(Mutex<Option<Instant>>);

impl Lease {
    /// It was renewed by a request that was sent then.
    pub(super) fn renewed(&self, sent: Instant) {
        *self.last() = Some(sent);
    }

    /// When it is to be renewed, if it is a lock.
    pub(super) fn due(&self) -> Option<Instant> {
        self.last().map(|last| last + PERIOD)
    }

    /// Whether something may be written now.
    pub(super) fn check(&self) -> Result<(), Trouble> {
        let age = self.last().map(|last| last.elapsed()).unwrap_or_default();
        if age < CERTAIN {
            return Ok(());
        }
        let why = format!(
            "the tree's lock was last renewed {} s ago, and another may have it soon: nothing is begun before it is \
             renewed",
            age.as_secs()
        );
        Err(Trouble { why, is_transient: true })
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
