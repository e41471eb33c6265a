//! The view that tasks share, made when the first of them asks for it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::settings::{Nomad, Settings};
use crate::watch::{Credential, Watch};

/// The view of the present configuration.
#[derive(Debug)]
pub(super) struct Views {
    current: Mutex<Current>,
    stop: CancellationToken,
}

#[derive(Debug, Default)]
struct Current {
    settings: Settings,
    watch: Option<Watch>,
}

impl Views {
    /// None yet. They end when `stop` is cancelled.
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self { current: Mutex::default(), stop }
    }

    /// Takes the operator's choices. Tasks that run already keep the view they have.
    pub(super) fn configure(&self, settings: Settings) {
        let mut current = self.current();
        if current.settings != settings {
            *current = Current { settings, watch: None };
        }
    }

    /// The view for a task that begins now.
    pub(super) fn watch(&self) -> Watch {
        let mut current = self.current();
        let Current { settings, watch } = &mut *current;
        let made = watch.get_or_insert_with(|| {
            let nomad = settings.nomad.clone();
            let credential = nomad.map(|Nomad { endpoint, token_file }| Credential { endpoint, token_file });
            Watch::new(credential, self.stop.clone())
        });
        made.clone()
    }

    /// Whether the operator lets `webhook` blocks name this host.
    pub(super) fn allows_webhook(&self, host: &str) -> bool {
        self.current().settings.webhook_hosts.iter().any(|allowed| allowed == host)
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        // A panic while a view is made leaves none behind.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_share_a_view_until_the_configuration_changes() {
        let views = Views::new(CancellationToken::new());
        assert!(views.current().watch.is_none(), "nothing is made before a task asks for it");
        views.watch();
        views.configure(Settings::default());
        assert!(views.current().watch.is_some());

        let endpoint = "unix:///run/nomad.sock".parse().unwrap();
        let nomad = Some(Nomad { endpoint, token_file: None });
        views.configure(Settings { nomad, webhook_hosts: Vec::new() });
        assert!(views.current().watch.is_none());
    }
}
