//! Connections that are kept for the next request.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::json;

use crate::{
    cluster::{JobKey, RaftIndex},
    http::{
        Spares,
        fake::{Peer, Reply},
    },
    nomad::{Client, Endpoint, Trust},
};

fn api() -> JobKey {
    JobKey::new("default", "api")
}

fn absent() -> Reply {
    Reply::http(404, "", "job not found")
}

fn client(peer: &Peer) -> Client {
    let address = format!("http://{}", peer.address());
    Client::new(Endpoint::read(&address, 4646, &Trust::default()).unwrap(), None)
}

#[tokio::test]
async fn who_keeps_connections_asks_over_one_and_who_does_not_over_many() {
    let peer = Peer::start(|_head| absent().stays()).await;
    for _ in 0..3 {
        assert!(client(&peer).job(&api()).await.unwrap().is_none());
    }
    assert_eq!(peer.n_connections(), 3);
    let spares = Arc::new(Spares::default());
    for _ in 0..3 {
        let client = client(&peer).with_spares(Arc::clone(&spares));
        assert!(client.job(&api()).await.unwrap().is_none());
    }
    assert_eq!(peer.n_connections(), 4);
}

#[tokio::test]
async fn a_connection_that_has_ended_meanwhile_is_replaced() {
    let peer = Peer::start(|_head| absent()).await;
    let client = client(&peer).with_spares(Arc::default());
    for _ in 0..3 {
        assert!(client.job(&api()).await.unwrap().is_none());
    }
    assert_eq!(peer.n_connections(), 3);
}

/// Answers the first request, and the second not at all.
async fn forgetful() -> Peer {
    let n = AtomicUsize::new(0);
    Peer::start(move |_head| match n.fetch_add(1, Ordering::Relaxed) {
        1 => Reply::Bytes(Vec::new()),
        _ => absent().stays(),
    })
    .await
}

#[tokio::test]
async fn a_question_that_was_lost_with_its_connection_is_asked_again() {
    let peer = forgetful().await;
    let client = client(&peer).with_spares(Arc::default());
    assert!(client.job(&api()).await.unwrap().is_none());
    assert!(client.job(&api()).await.unwrap().is_none());
    assert_eq!((peer.n_requests(), peer.n_connections()), (3, 2));
}

#[tokio::test]
async fn a_write_that_was_lost_with_its_connection_is_not_sent_again() {
    let peer = forgetful().await;
    let client = client(&peer).with_spares(Arc::default());
    assert!(client.job(&api()).await.unwrap().is_none());
    let error = client.register(&api(), &json!({}), RaftIndex(0)).await.unwrap_err();
    assert!(error.is_unsettled(), "{error}");
    assert_eq!((peer.n_requests(), peer.n_connections()), (2, 1));
}
