//! Clusters that stories share.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::Story;
use crate::harness::{Cluster, Options};

/// A cluster that the stories of a file share while any of them runs.
pub(crate) struct Shared {
    options: fn() -> Options,
    cluster: Mutex<Weak<Cluster>>,
}

impl Shared {
    /// Started by the first story that asks for it.
    pub(crate) const fn new(options: fn() -> Options) -> Self {
        Self { options, cluster: Mutex::new(Weak::new()) }
    }

    /// A new story on it.
    pub(crate) fn story(&self) -> Story {
        let mut shared = self.cluster.lock().unwrap_or_else(PoisonError::into_inner);
        let cluster = shared.upgrade().unwrap_or_else(|| {
            let cluster = Arc::new(start((self.options)()));
            *shared = Arc::downgrade(&cluster);
            cluster
        });
        Story::on(cluster)
    }
}

/// A cluster, or the reason why this machine cannot have one.
pub(super) fn start(options: Options) -> Cluster {
    Cluster::start(options).unwrap_or_else(|why| panic!("there is no cluster to tell this story on: {why}"))
}
