//! Questions to Consul.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::{
    cluster::{Blindness, Value},
    consul::{Bearer, endpoint},
    http::fake::{Peer, Reply},
};

fn key(equals: Option<&str>) -> Question {
    Question::ConsulKey { key: "release".to_owned(), equals: equals.map(str::to_owned) }
}

fn probe_of(peer: &Peer) -> Probe {
    let endpoint = endpoint(&format!("http://{}", peer.address())).unwrap();
    Probe::new(
        Some(Consul { endpoint, bearer: Bearer::Plugin(None) }),
        Tls::default(),
        CancellationToken::new(),
    )
}

#[tokio::test]
async fn without_consul_in_the_configuration_it_is_said_what_to_write() {
    let probe = probe();
    let told = told(&mut asks(&probe, &Question::ConsulService { name: "db".to_owned() })).await;
    let unseen = told.unwrap_err();
    insta::assert_snapshot!(format!("{}\n{}", unseen.why, unseen.hint.unwrap()), @r#"
    this client's dtree plugin does not know where Consul is
    in the client's configuration: `plugin "dtree" { config { consul { address = "http://127.0.0.1:8500" } } }`
    "#);
}

#[tokio::test]
async fn a_key_is_compared_here_and_only_how_that_came_out_is_told() {
    let peer = Peer::start(|head| {
        assert!(head.starts_with("GET /v1/kv/release"), "{head}");
        if head.contains("index=") {
            return Reply::Stalls(Vec::new());
        }
        Reply::http(200, "X-Consul-Index: 4\r\n", r#"[{"Value": "Mi4w"}]"#)
    })
    .await;
    let probe = probe_of(&peer);
    assert_eq!(answer(&mut asks(&probe, &key(None))).await, Answer::Value(Value::Holds));
    assert_eq!(answer(&mut asks(&probe, &key(Some("2.0")))).await, Answer::Value(Value::Holds));
    assert_eq!(answer(&mut asks(&probe, &key(Some("2.1")))).await, Answer::Value(Value::Differs));
}

#[tokio::test]
async fn nothing_shown_to_whoever_has_no_token_is_no_answer_and_is_followed_all_the_same() {
    let peer = Peer::start(|head| match head {
        head if head.contains("?index=6") => Reply::Stalls(Vec::new()),
        head if head.contains("?index=5") => Reply::http(
            200,
            "X-Consul-Index: 6\r\nX-Consul-Default-Acl-Policy: deny\r\n",
            r#"[{"Node": {"Address": "10.0.0.1"}, "Service": {"ID": "db", "Port": 1}, "Checks": []}]"#,
        ),
        _ => Reply::http(200, "X-Consul-Index: 5\r\nX-Consul-Default-Acl-Policy: deny\r\n", "[]"),
    })
    .await;
    let probe = probe_of(&peer);
    let mut asking = asks(&probe, &Question::ConsulService { name: "db".to_owned() });
    let unseen = told(&mut asking).await.unwrap_err();
    assert_eq!(unseen.because, Blindness::Denied);
    insta::assert_snapshot!(format!("{}\n{}", unseen.why, unseen.hint.unwrap()), @r#"
    Consul does not allow the dtree plugin to read service `db`: its answer is empty, and who shows no token is not told whether anything was left out
    give the token in `consul.token_file` of the plugin's configuration a policy with the rules
      service "db" { policy = "read" } node_prefix "" { policy = "read" }
    "#);
    let Answer::Instances(shown) = answer(&mut asking).await else { panic!("no instances") };
    assert_eq!(shown.len(), 1, "what is shown counts");
}

#[tokio::test]
async fn a_service_is_told_when_it_changes_and_unseen_while_consul_is_away() {
    static IS_AWAY: AtomicBool = AtomicBool::new(false);
    let peer = Peer::start(|head| match head {
        _ if IS_AWAY.load(Ordering::SeqCst) => Reply::Bytes(b"garbage\r\n\r\n".to_vec()),
        head if head.contains("?index=5") => Reply::http(200, "X-Consul-Index: 6\r\n", "[]"),
        // Each answer after a wait: the same again.
        head if head.contains("?index=6") => Reply::http(200, "X-Consul-Index: 6\r\n", "[]"),
        _ => Reply::http(
            200,
            "X-Consul-Index: 5\r\n",
            r#"[{"Node": {"Address": "10.0.0.1"}, "Service": {"ID": "db", "Port": 1}, "Checks": []}]"#,
        ),
    })
    .await;
    let probe = probe_of(&peer);
    let mut asking = asks(&probe, &Question::ConsulService { name: "db".to_owned() });
    let Answer::Instances(first) = answer(&mut asking).await else { panic!("no instances") };
    assert_eq!(first.len(), 1);
    assert_eq!(answer(&mut asking).await, Answer::Instances(Vec::new()));
    IS_AWAY.store(true, Ordering::SeqCst);
    let unseen = told(&mut asking).await.unwrap_err();
    assert_eq!(unseen.because, Blindness::Unreachable);
    assert!(unseen.why.starts_with("cannot reach Consul at http://127.0.0.1:"), "{unseen:?}");
    IS_AWAY.store(false, Ordering::SeqCst);
    assert_eq!(answer(&mut asking).await, Answer::Instances(first), "from the beginning");
}
