//! Where a run's words go: task events and the task's own log.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tracing::warn;

use super::{events::Events, log_file::LogFile, wire::TaskId};
use crate::{cluster::Place, engine::Line, runner};

/// The two places for one task.
#[derive(Debug)]
pub(super) struct Notices {
    pub(super) id: TaskId,
    pub(super) place: Place,
    pub(super) events: Arc<Events>,
    pub(super) log: Mutex<LogFile>,
}

impl runner::Notices for Notices {
    fn event(&self, message: &str) {
        self.events.tell(&self.id, &self.place, message);
    }

    fn log(&self, line: &Line) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = log.append(Timestamp::now(), &line.to_string()) {
            warn!(error = &error as &dyn std::error::Error, "cannot write the log of a task");
            self.event(&format!("dtree cannot write this task's log: {error}"));
        }
    }
}
