//! What Nomad is asked, each time by the token of those who want to know.

mod health;
mod service;

use std::{convert::Infallible, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

pub(super) use self::service::service;
use super::{follow::Follower, table::Line};
use crate::{
    cluster::{AllocId, Answer, Namespace, RaftIndex, Value},
    nomad::{self, Variable},
};

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

/// Answers [`Question::Variable`](crate::cluster::Question::Variable).
pub(super) async fn variable(
    line: &Line,
    namespace: &Namespace,
    path: &str,
    key: Option<&str>,
    equals: Option<&str>,
) -> Infallible {
    let mut follower = Follower::new(async |after: Option<u64>| {
        let after = after.map(RaftIndex);
        let read = line.nomad(async |client| client.variable_after(namespace, path, after).await).await?;
        Ok::<_, nomad::Error>((how_it_is(read.value.as_ref(), key, equals), read.index.0))
    });
    loop {
        match follower.next().await {
            Ok(value) => line.tell(Answer::Value(value)),
            Err(outcome) => line.tell(outcome),
        };
    }
}

fn how_it_is(variable: Option<&Variable>, key: Option<&str>, equals: Option<&str>) -> Value {
    let Some(variable) = variable else { return Value::Absent };
    let Some(key) = key else { return Value::Holds };
    match (variable.items.get(key), equals) {
        (None, _) => Value::NoItem,
        (Some(item), Some(equals)) if item != equals => Value::Differs,
        (Some(_), _) => Value::Holds,
    }
}
