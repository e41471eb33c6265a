//! A gate that is carried out from here: what a shell waits for, and what is looked at to say how it is.
//!
//! It is the engine's gate and no other: whatever opens one in a task opens one here.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Failure, connect::Connection, tls::with_system};
use crate::{
    cluster::{Namespace, Place},
    consul::Consul,
    engine::{Line, Status, deadlines},
    manifest::{Manifest, OnTimeout, Problems, Subject, Wait},
    plan::Plan,
    probe::Probe,
    runner::{self, Notices, Order, Running, Senses, asks, wall_clock},
    watch::Watch,
};

/// How long a first look may take.
const FIRST_LOOK: Duration = Duration::from_secs(10);
/// How often it is looked whether the first look is over: it is a question to this process itself.
const TICK: Duration = Duration::from_millis(25);

/// A gate under way.
pub(super) struct Gate {
    pub(super) running: Running,
    tasks: TaskTracker,
    stop: CancellationToken,
    watch: Watch,
    probe: Probe,
}

impl Gate {
    /// Begins, in `namespace`. In a tokio runtime.
    pub(super) fn begin(
        plan: Plan,
        namespace: Namespace,
        connection: &Connection,
        consul: Option<Consul>,
        notices: Arc<dyn Notices>,
    ) -> Result<Self, Failure> {
        let place = Place::outside(namespace);
        let viewer = connection.viewer(place.job.clone())?;
        let stop = CancellationToken::new();
        let (watch, probe) =
            (Watch::new(None, stop.clone()), Probe::new(consul, with_system(), stop.clone()));
        let asks = asks(&plan, &place);
        let senses = Senses {
            watch: watch.subscribe(viewer.clone(), plan.subjects(&place), asks),
            probe: probe.asking(viewer.clone()),
        };
        let tasks = TaskTracker::new();
        let deadlines = deadlines(&plan, wall_clock());
        let viewer = Some(Box::new(viewer));
        let order = Order { plan, place, deadlines, equipment: None, viewer, approvals: None };
        let running = runner::start(order, senses, notices, &tasks, stop.clone());
        Ok(Self { running, tasks, stop, watch, probe })
    }

    /// Ends everything that runs for it.
    pub(super) async fn close(self) {
        self.stop.cancel();
        self.tasks.close();
        // What does not end now ends with the process.
        timeout(Duration::from_secs(1), self.tasks.wait()).await.ok();
        timeout(Duration::from_secs(1), self.watch.close()).await.ok();
        timeout(Duration::from_secs(1), self.probe.close()).await.ok();
    }
}

/// Nobody is told anything.
pub(super) struct Silent;

impl Notices for Silent {
    fn event(&self, _: &str) {}
    fn log(&self, _: &Line) {}
}

/// How the `waits` stand now, for whoever looks from `namespace`: each was seen, or could not be for ten seconds.
///
/// # Errors
///
/// When Nomad is not there any more.
pub(super) async fn look(
    waits: Vec<(String, Wait)>,
    namespace: Namespace,
    connection: &Connection,
    consul: Option<Consul>,
) -> Result<Status, Failure> {
    let mut manifest = Manifest::default();
    let names: BTreeSet<String> = waits.iter().map(|(name, _)| name.clone()).collect();
    for (name, mut wait) in waits {
        // It is looked at, and not waited for: nothing ends it before it was seen.
        wait.timeout = FIRST_LOOK * 2;
        wait.on_timeout = OnTimeout::Fail;
        wait.depends_on.retain(|needed| names.contains(needed));
        wait.guard = None;
        manifest.waits.insert(name, Box::new(wait));
    }
    let plan = Plan::compile(manifest, Problems::default())
        .map_err(|problems| Failure::cannot(format!("dtree: {problems}\n")))?;
    let gate = Gate::begin(plan, namespace, connection, consul, Arc::new(Silent))?;
    let seen = async {
        loop {
            if gate.running.ending().is_some() || !gate.running.is_looking() {
                return;
            }
            sleep(TICK).await;
        }
    };
    // Whatever was not seen by then says so.
    timeout(FIRST_LOOK, seen).await.ok();
    let status = gate.running.status();
    gate.close().await;
    // A Nomad that has gone away meanwhile has shown nothing.
    connection.client().await?;
    Ok(status)
}

/// Whether somebody outside of the task can look at it.
pub(super) fn is_visible(wait: &Wait) -> bool {
    match &wait.subject {
        Subject::Task { .. } | Subject::Approval { .. } | Subject::When(_) => false,
        subject @ Subject::Job { .. } => !subject.is_local(),
        Subject::Service(_) | Subject::Probe(_) | Subject::Stored(_) => true,
    }
}
