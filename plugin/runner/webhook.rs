//! Tells addresses how a run ended, after it has: nothing waits for them.
//!
//! # Invariants
//!
//! * A try is bounded in time, the number of tries is bounded, and an answer's body is not read.
//! * The address and the headers are never told: they may hold secrets. The host is.
//! * Only hosts that the operator named are asked: the plugin has the client's own network.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, StatusCode, Uri, header};
use serde_json::json;
use tokio::time::timeout;

use crate::{
    engine::Notice,
    http::{Endpoint, Tls, open},
    manifest::Webhook,
};

/// How often it is tried again.
const RETRIES: usize = 4;
/// How long before the first time; each further one takes twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Why an address could not be told.
#[derive(Debug)]
struct Refused {
    why: String,
    may_try_again: bool,
}

/// What is sent: the same for all addresses. `text` is what chats show.
pub(super) fn body(notice: &Notice) -> Bytes {
    let Notice { tree, run, task, alloc, is_good, message, began, ended, steps } = notice;
    let steps: Vec<_> = steps.iter().map(|(name, state)| json!({ "name": name, "state": state })).collect();
    let body = json!({
        "text": format!("tree {tree}: {message}"),
        "tree": tree,
        "run": run,
        "task": task,
        "allocation": alloc,
        "outcome": if *is_good { "success" } else { "failure" },
        "message": message,
        "began_unix_ms": began.unix_millis(),
        "ended_unix_ms": ended.unix_millis(),
        "steps": steps,
    });
    body.to_string().into()
}

/// Tells `webhook`, trying again for about half a minute. What came of it, for the log.
pub(super) async fn send(name: &str, webhook: &Webhook, trust: &Tls, body: &Bytes) -> String {
    let retries =
        ExponentialBuilder::new().with_min_delay(FIRST_PAUSE).with_factor(2.0).with_max_times(RETRIES);
    let told = (|| post(webhook, trust, body.clone()))
        .retry(retries)
        .sleep(tokio::time::sleep)
        .when(|refused: &Refused| refused.may_try_again);
    match told.await {
        Ok(()) => format!("webhook {name}: {} was told", webhook.host),
        Err(Refused { why, .. }) => format!("webhook {name}: {} was not told: {why}", webhook.host),
    }
}

async fn post(webhook: &Webhook, trust: &Tls, body: Bytes) -> Result<(), Refused> {
    let lasting = |why: String| Refused { why, may_try_again: false };
    let passing = |why: String| Refused { why, may_try_again: true };
    let none = || lasting("its url is none".to_owned());
    let uri: Uri = webhook.url.parse().map_err(|_| none())?;
    let authority = uri.authority().ok_or_else(none)?;
    let (is_tls, default_port) = match uri.scheme_str() {
        Some("https") => (true, 443),
        _ => (false, 80),
    };
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    let port = authority.port_u16().unwrap_or(default_port);
    let endpoint =
        if is_tls { Endpoint::Tls { host, port, tls: trust.clone() } } else { Endpoint::Tcp { host, port } };
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(uri.path_and_query().map_or("/", |target| target.as_str()))
        .header(header::HOST, authority.as_str())
        .header(header::CONNECTION, "close")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, concat!("dtree/", env!("CARGO_PKG_VERSION")));
    for (name, value) in &webhook.headers {
        request = request.header(name, value);
    }
    let request =
        request.body(Full::new(body)).map_err(|_| lasting("its headers cannot be sent".to_owned()))?;
    let lost = |error: &(dyn std::error::Error + 'static)| match (endpoint.fault(error), error.source()) {
        (Some(fault), _) => passing(fault.told()),
        (None, Some(source)) => passing(format!("{error}: {source}")),
        (None, None) => passing(error.to_string()),
    };
    let asking = async {
        let io = endpoint.connect().await.map_err(|error| lost(&error))?;
        open(io, request).await.map_err(|error| lost(&error))
    };
    let answer = timeout(webhook.timeout, asking)
        .await
        .map_err(|_elapsed| passing("it did not answer in time".to_owned()))??
        .response;
    match answer.status() {
        status if status.is_success() => Ok(()),
        status @ (StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT) => {
            Err(passing(format!("it answered {status}")))
        }
        status if status.is_server_error() => Err(passing(format!("it answered {status}"))),
        status => Err(lasting(format!("it answered {status}"))),
    }
}
