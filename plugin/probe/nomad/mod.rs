//! What Nomad is asked, each time by the token of those who want to know.

mod health;
mod service;
mod variable;

use std::{convert::Infallible, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

pub(super) use self::{service::service, variable::variable};
use super::table::Line;
use crate::cluster::{AllocId, Answer};

/// How often the checks of the own allocation are asked for. Nomad runs no check more often.
const CHECK_PERIOD: Duration = Duration::from_secs(1);

/// Answers [`Question::OwnChecks`](crate::cluster::Question::OwnChecks).
pub(super) async fn own_checks(line: &Line, alloc: &AllocId) -> Infallible {
    let namespace = line.namespace();
    let mut period = interval(CHECK_PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        period.tick().await;
        let (alloc, namespace) = (&alloc, &namespace);
        match line.nomad(async |client| client.checks(alloc, namespace).await).await {
            Ok(checks) => line.tell(Answer::Checks(checks)),
            Err(error) => line.tell(error),
        };
    }
}
