//! What Consul is asked, by the plugin's own token.

use std::{convert::Infallible, future::pending};

use super::{follow::Follower, table::Line};
use crate::{
    cluster::{Answer, Blindness, Unseen, Value},
    consul::{self, Consul},
};

/// Answers [`Question::ConsulService`](crate::cluster::Question::ConsulService).
pub(super) async fn service(line: &Line, way: Option<&Consul>, name: &str) -> Infallible {
    let Some(consul) = way else { return nowhere(line).await };
    let mut follower = Follower::new(async |after| {
        let read = consul.service(name, after).await?;
        let seen = if read.is_doubtful { Err(consul.doubt(name)) } else { Ok(read.value) };
        Ok::<_, consul::Error>((seen, read.index))
    });
    loop {
        match follower.next().await {
            Ok(Ok(instances)) => line.tell(Answer::Instances(instances)),
            Ok(Err(doubt)) => line.tell(doubt),
            Err(outcome) => line.tell(outcome),
        };
    }
}

/// Answers [`Question::ConsulKey`](crate::cluster::Question::ConsulKey).
pub(super) async fn key(line: &Line, way: Option<&Consul>, key: &str, equals: Option<&str>) -> Infallible {
    let Some(consul) = way else { return nowhere(line).await };
    let mut follower = Follower::new(async |after| {
        let read = consul.key(key, after).await?;
        let value = match (read.value, equals) {
            (None, _) => Value::Absent,
            (Some(value), Some(equals)) if value != equals.as_bytes() => Value::Differs,
            (Some(_), _) => Value::Holds,
        };
        Ok::<_, consul::Error>((value, read.index))
    });
    loop {
        match follower.next().await {
            Ok(value) => line.tell(Answer::Value(value)),
            Err(outcome) => line.tell(outcome),
        };
    }
}

/// The operator has named no Consul.
async fn nowhere(line: &Line) -> Infallible {
    line.tell(Unseen {
        because: Blindness::Denied,
        why: "this client's dtree plugin does not know where Consul is".to_owned(),
        hint: Some(
            "in the client's configuration: `plugin \"dtree\" { config { consul { address = \"http://127.0.0.1:8500\" } } }`"
                .to_owned(),
        ),
    });
    pending().await
}
