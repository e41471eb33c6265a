//! Questions and answers, against peers and a Nomad within the process.

mod consul;
mod nomad;
mod peers;

use std::{collections::BTreeSet, path::Path, time::Duration};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    cluster::{Answer, JobKey, Question, Told},
    http::Tls,
    nomad::Token,
    watch::Way,
};

/// What a task sees with, in which there may be a token.
fn viewer(socket: &Path, token: Option<&str>) -> Viewer {
    Viewer {
        way: Way::Task {
            socket: socket.to_owned(),
            token_file: socket.with_file_name("nomad_token"),
            env_token: token.and_then(Token::new),
        },
        job: JobKey::new("default", "shop"),
        task: "gate".to_owned(),
    }
}

fn probe() -> Probe {
    Probe::new(None, Tls::default(), CancellationToken::new())
}

/// Somebody who asks `question` and nothing else.
fn asks(probe: &Probe, question: &Question) -> Asking {
    let asking = probe.asking(viewer(Path::new("/nowhere/secrets/api.sock"), None));
    asking.ask(BTreeSet::from([question.clone()]));
    asking
}

/// The next answer.
async fn told(asking: &mut Asking) -> Told {
    let next = timeout(Duration::from_mins(5), asking.next()).await.expect("an answer");
    (*next.unwrap().1).clone()
}

/// The next answer, which must be one.
async fn answer(asking: &mut Asking) -> Answer {
    told(asking).await.expect("seen")
}

/// Nothing more is told for so long.
async fn is_silent(asking: &mut Asking, seconds: u64) {
    let news = timeout(Duration::from_secs(seconds), asking.next()).await;
    assert!(news.is_err(), "{news:?}");
}
