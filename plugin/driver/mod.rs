//! Nomad's driver RPCs: what a client asks of dtree, and what dtree keeps of each task.
//!
//! ```text
//!   base ── settings ──▶ views ─────┐               health ──▶ fingerprint
//!   service ──▶ tasks ──▶ task ─────┴─▶ runner
//!                 │         ▲ notices ◀───┘
//!               handle      ├─▶ events ──▶ Nomad's "Recent Events"
//!                           └─▶ log_file ─▶ `nomad alloc logs`
//!   service ──▶ exec ──▶ show
//! ```
//!
//! # Invariants
//!
//! * A stopped gate, a failed one and one that is not understood never look like a success: only an open gate exits
//!   with 0.
//! * When the process ends, its tasks have no result: Nomad gives them to the next process, which goes on with them.
//! * Start-up touches neither network nor files. Nomad is asked when the first task is there, and not before.
//! * A message without the parts it should have is an error to the caller, never a panic.

mod base;
mod events;
mod exec;
mod fingerprint;
mod handle;
mod log_file;
mod notices;
mod pb;
mod schema;
mod service;
mod settings;
mod task;
mod tasks;
#[cfg(test)]
mod tests;
mod views;
mod wire;

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::service::Routes;

use self::{
    base::Base,
    events::Events,
    fingerprint::Health,
    pb::{base::base_plugin_server::BasePluginServer, drivers::driver_server::DriverServer},
    service::Service,
    tasks::Tasks,
    views::Views,
};
use crate::goplugin::Handshake;

/// dtree's version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How a Nomad client and its drivers know each other.
pub const HANDSHAKE: Handshake = Handshake {
    cookie_name: "NOMAD_PLUGIN_MAGIC_COOKIE",
    cookie_value: "e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255",
    app_protocol: 2,
};

/// The largest message that is read. A task's configuration is as large as its author likes, and Nomad's own limit on a
/// job is beyond tonic's usual 4 MiB.
const MAX_MESSAGE: usize = 64 * 1024 * 1024;

/// The driver's services. What they run ends when `stop` is cancelled.
pub fn routes(stop: &CancellationToken) -> Routes {
    let health = watch::Sender::new(Health::Healthy);
    let views = Arc::new(Views::new(stop.clone()));
    let events = Arc::new(Events::new());
    let base = Base { health: health.clone(), views: Arc::clone(&views) };
    let tasks = Tasks::new(views, Arc::clone(&events), TaskTracker::new(), stop.clone());
    let service = Service { health, events, tasks };
    Routes::default()
        .add_service(BasePluginServer::new(base).max_decoding_message_size(MAX_MESSAGE))
        .add_service(DriverServer::new(service).max_decoding_message_size(MAX_MESSAGE))
}
