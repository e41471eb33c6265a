//! The view that tasks share, and what asks for them, made when the first of them begins.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

use super::settings::{Nomad, Settings};
use crate::{
    cluster::JobKey,
    http::Tls,
    probe::Probe,
    runner::Senses,
    watch::{Asks, Credential, Viewer, Watch},
};

/// The view of the present configuration.
#[derive(Debug)]
pub(super) struct Views {
    current: Mutex<Current>,
    stop: CancellationToken,
}

#[derive(Debug, Default)]
struct Current {
    settings: Settings,
    made: Option<(Watch, Probe)>,
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
            *current = Current { settings, made: None };
        }
    }

    /// What a task that begins now sees of `subjects`, and whom it asks.
    pub(super) fn senses(&self, viewer: &Viewer, subjects: BTreeSet<JobKey>, asks: Asks) -> Senses {
        let mut current = self.current();
        let Current { settings, made } = &mut *current;
        let (watch, probe) = made.get_or_insert_with(|| {
            let nomad = settings.nomad.clone();
            let credential = nomad.map(|Nomad { endpoint, token_file }| Credential { endpoint, token_file });
            let trust = Tls::new(settings.trust.clone());
            let probe = Probe::new(settings.consul.clone(), trust, self.stop.clone());
            (Watch::new(credential, self.stop.clone()), probe)
        });
        Senses { watch: watch.subscribe(viewer.clone(), subjects, asks), probe: probe.asking(viewer.clone()) }
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
    use crate::{nomad, watch::Way};

    #[tokio::test]
    async fn tasks_share_a_view_until_the_configuration_changes() {
        let views = Views::new(CancellationToken::new());
        assert!(views.current().made.is_none(), "nothing is made before a task asks for it");
        let viewer = Viewer {
            way: Way::Task {
                socket: "/nowhere/api.sock".into(),
                token_file: "/nowhere/nomad_token".into(),
                env_token: None,
            },
            job: JobKey::new("default", "shop"),
            task: "gate".to_owned(),
        };
        drop(views.senses(&viewer, BTreeSet::new(), Asks::default()));
        views.configure(Settings::default());
        assert!(views.current().made.is_some());

        let endpoint = nomad::endpoint("unix:///run/nomad.sock").unwrap();
        let nomad = Some(Nomad { endpoint, token_file: None });
        views.configure(Settings { nomad, ..Settings::default() });
        assert!(views.current().made.is_none());
    }
}
