//! A variable, read again whenever it may have changed.
//!
//! Nomad 2 tells of each write: then the variable is read when it was written, and once a minute besides. Before that, and where
//! nobody tells, Nomad holds a request until something was written, which for a variable that is not there is any other.

use std::{convert::Infallible, pin::pin, time::Duration};

use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::super::{
    follow::Follower,
    table::{Line, Outcome},
};
use crate::{
    cluster::{Answer, Namespace, RaftIndex, Value},
    nomad::{self, Beat, EventStream, Topics, Variable},
};

/// How often it is read while Nomad tells of each write.
const PERIOD: Duration = Duration::from_mins(1);
/// How long Nomad may take to say that it will tell. A refusal is silence.
const ACCEPT: Duration = Duration::from_secs(5);
/// Nomad says every half a minute that it is there.
const SILENCE: Duration = Duration::from_secs(45);
/// When it is asked again where nobody tells, or not any more.
const AGAIN: Duration = Duration::from_mins(10);
/// The first version that tells.
const TELLS: u64 = 2;

/// Answers [`Question::Variable`](crate::cluster::Question::Variable).
pub(in super::super) async fn variable(
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
    let tell = |answer: Result<Value, Outcome>| match answer {
        Ok(value) => line.tell(Answer::Value(value)),
        Err(outcome) => line.tell(outcome),
    };
    let mut rest = Duration::ZERO;
    loop {
        let mut calls = {
            let mut opening = pin!(calls(line, namespace, path, rest));
            loop {
                tokio::select! {
                    biased;
                    calls = &mut opening => break calls,
                    answer = follower.next() => tell(answer),
                };
            }
        };
        // Read after that: what was written before, nobody tells.
        loop {
            follower.forget();
            let answer = follower.next().await;
            let is_read = answer.is_ok();
            tell(answer);
            if is_read && !is_called(&mut calls).await {
                break;
            }
        }
        rest = AGAIN;
    }
}

/// Nomad's word on each write to the variable, once it gives it; asked for after a `rest`.
async fn calls(line: &Line, namespace: &Namespace, path: &str, mut rest: Duration) -> EventStream {
    loop {
        sleep(rest).await;
        rest = AGAIN;
        // Who may not ask for the version is shown no topic that Nomad does not know: that takes all rights.
        let tells = line.nomad(async |client| client.major_version().await).await;
        if !tells.map_or_else(|error| error.is_denied(), |version| version >= TELLS) {
            continue;
        }
        let topic = Topics::Variable(path.to_owned());
        let open = line.nomad(async |client| client.events(namespace, &topic).await);
        if let Ok(Ok(mut calls)) = timeout(ACCEPT, open).await
            && let Ok(Ok(Some(_))) = timeout(ACCEPT, calls.next(&|_| false)).await
        {
            return calls;
        }
    }
}

/// Waits until the variable was written, or is to be read again anyway; `false` when nobody tells any more.
async fn is_called(calls: &mut EventStream) -> bool {
    let until = Instant::now() + PERIOD;
    loop {
        let silent = Instant::now() + SILENCE;
        match timeout_at(until.min(silent), calls.next(&|_| false)).await {
            Ok(Ok(Some(Beat::Transaction(_)))) => return true,
            Ok(Ok(Some(Beat::Heartbeat))) => {}
            Ok(Ok(None) | Err(_)) => return false,
            Err(_elapsed) => return until < silent,
        }
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
