//! The client, against a peer that answers as Consul does, and as it does not.

use std::{fs, time::Duration};

use super::{Bearer, Consul, Error, Token, endpoint};
use crate::{
    cluster::{Instance, Unwell},
    http::fake::{Peer, Reply},
};

fn consul(peer: &Peer) -> Consul {
    Consul {
        endpoint: endpoint(&format!("http://{}", peer.address())).unwrap(),
        bearer: Bearer::Plugin(None),
    }
}

/// Shortened from what Consul 1.22.3 answers.
const HEALTH: &str = r#"[
  {"Node": {"Node": "one", "Address": "10.0.0.1"},
   "Service": {"ID": "db-1", "Service": "db", "Tags": ["primary"], "Address": "", "Port": 5432},
   "Checks": [{"Name": "Serf Health Status", "Status": "passing", "Output": "Agent alive"},
              {"Name": "query", "Status": "passing", "Output": ""}]},
  {"Node": {"Node": "two", "Address": "10.0.0.2"},
   "Service": {"ID": "db-0", "Service": "db", "Tags": null, "Address": "10.9.0.2", "Port": 5433},
   "Checks": [{"Name": "query", "Status": "critical", "Output": "connection refused\nmore"}]},
  {"Node": {"Node": "two", "Address": "10.0.0.2"},
   "Service": {"ID": "db-2", "Service": "db", "Tags": [], "Address": "", "Port": 1},
   "Checks": [{"Name": "disk", "Status": "warning", "Output": ""}]}
]"#;

#[tokio::test]
async fn only_an_instance_whose_checks_all_pass_is_well() {
    let peer = Peer::start(|_| Reply::http(200, "X-Consul-Index: 7\r\n", HEALTH)).await;
    let read = consul(&peer).service("my/db", Some(5)).await.unwrap();
    assert_eq!(read.index, 7);
    let instance = |id: &str, address: &str, tags: &[&str], health| Instance {
        id: id.to_owned(),
        address: address.to_owned(),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        health,
    };
    let refused = "check \"query\" is critical: connection refused".to_owned();
    assert_eq!(
        read.value,
        [
            instance("db-0", "10.9.0.2:5433", &[], Err(Unwell::Failing(refused))),
            instance("db-1", "10.0.0.1:5432", &["primary"], Ok(())),
            instance("db-2", "10.0.0.2:1", &[], Err(Unwell::Failing("check \"disk\" is warning".to_owned()))),
        ]
    );
    let request = peer.take_requests().remove(0);
    assert!(request.starts_with("GET /v1/health/service/my%2Fdb?index=5&wait=25s HTTP/1.1\r\n"), "{request}");
    assert!(!request.to_lowercase().contains("x-consul-token"), "{request}");
}

#[tokio::test]
async fn a_key_is_read_with_its_slashes_and_an_absent_one_is_no_error() {
    let peer = Peer::start(|head| match head {
        head if head.contains("/absent") => Reply::http(404, "X-Consul-Index: 3\r\n", ""),
        head if head.contains("/empty") => Reply::http(200, "", r#"[{"Value": null}]"#),
        _ => Reply::http(200, "X-Consul-Index: 4\r\n", r#"[{"Value": "Mi4w"}]"#),
    })
    .await;
    let consul = consul(&peer);
    let read = consul.key("app/release", None).await.unwrap();
    assert_eq!((read.value.as_deref(), read.index), (Some(&b"2.0"[..]), 4));
    assert!(peer.take_requests().remove(0).starts_with("GET /v1/kv/app/release HTTP/1.1\r\n"));
    let read = consul.key("absent", None).await.unwrap();
    assert_eq!((read.value, read.index), (None, 3));
    let read = consul.key("empty", None).await.unwrap();
    assert_eq!((read.value.as_deref(), read.index), (Some(&b""[..]), 0));
}

#[tokio::test]
async fn the_token_is_read_anew_for_each_request_and_a_missing_right_is_named() {
    let peer = Peer::start(|head| {
        if head.contains("x-consul-token: good\r\n") {
            Reply::http(200, "", "[]")
        } else if head.contains("/v1/health") {
            // As Consul does without `service:read`.
            Reply::http(200, "X-Consul-Results-Filtered-By-ACLs: true\r\n", "[]")
        } else {
            Reply::http(403, "", "Permission denied: lacks permission 'key:read'\nmore")
        }
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    let consul = Consul { bearer: Bearer::Plugin(Some(path.clone())), ..consul(&peer) };
    let missing = consul.service("db", None).await.unwrap_err();
    assert!(matches!(missing, Error::TokenFile { .. }), "{missing}");
    assert!(peer.take_requests().is_empty(), "nothing is asked without the token that was configured");
    fs::write(&path, "bad\n").unwrap();
    let told = async |error: Error| format!("{error}\n  {}", error.hint().unwrap());
    insta::assert_snapshot!(told(consul.service("db", None).await.unwrap_err()).await, @r#"
    Consul does not allow the dtree plugin to read service `db`: its answer was left empty by ACLs
      give the token in `consul.token_file` of the plugin's configuration a policy with the rules
      service "db" { policy = "read" } node_prefix "" { policy = "read" }
    "#);
    insta::assert_snapshot!(told(consul.key("k", None).await.unwrap_err()).await, @r#"
    Consul does not allow the dtree plugin to read key `k`: Permission denied: lacks permission 'key:read'
      give the token in `consul.token_file` of the plugin's configuration a policy with the rules
      key "k" { policy = "read" }
    "#);
    fs::write(&path, "good\n").unwrap();
    assert_eq!(consul.service("db", None).await.unwrap().value, []);
    assert!(!format!("{consul:?}").contains("good"));

    // A user's own token goes before the file, and the words are for a user.
    let user = |token: &str| Bearer::User { token: Token::new(token), file: Some("/nowhere/token".into()) };
    let consul = Consul { bearer: user("good"), ..consul };
    assert_eq!(consul.service("db", None).await.unwrap().value, []);
    assert!(!format!("{consul:?}").contains("good"));
    let consul = Consul { bearer: user("bad"), ..consul };
    insta::assert_snapshot!(told(consul.key("k", None).await.unwrap_err()).await, @r#"
    Consul does not allow your token to read key `k`: Permission denied: lacks permission 'key:read'
      set CONSUL_HTTP_TOKEN to a token that has a policy with the rules
      key "k" { policy = "read" }
    "#);
    let consul = Consul { bearer: user(""), ..consul };
    insta::assert_snapshot!(told(consul.key("k", None).await.unwrap_err()).await, @"
    cannot read Consul's token in `/nowhere/token`: No such file or directory (os error 2)
      check CONSUL_HTTP_TOKEN_FILE
    ");
}

#[tokio::test]
async fn what_is_no_answer_of_consuls_is_an_error_that_does_not_repeat_it() {
    let peer = Peer::start(|head| match head {
        head if head.contains("service/status") => Reply::http(500, "", "No cluster leader\nx"),
        head if head.contains("service/json") => Reply::http(200, "", r#"[{"Node": "s3cret"}]"#),
        head if head.contains("service/flood") => Reply::Flood(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
        head if head.contains("service/gone") => Reply::Bytes(Vec::new()),
        _ => Reply::Bytes(b"\x00\x01\x02 garbage\r\n\r\n".to_vec()),
    })
    .await;
    let consul = consul(&peer);
    let mut told = Vec::new();
    for name in ["status", "json", "flood", "gone", "garbage"] {
        told.push(consul.service(name, None).await.unwrap_err().to_string());
    }
    let pair = r#"[{"Value": "not in base 64, s3cret"}]"#;
    let other = Peer::start(move |_| Reply::http(200, "", pair)).await;
    told.push(self::consul(&other).key("k", None).await.unwrap_err().to_string());
    let told = told.join("\n").replace(&peer.address(), "ADDRESS");
    assert!(!told.contains("s3cret"), "{told}");
    insta::assert_snapshot!(told, @"
    Consul answered 500 when asked to read service `status`: No cluster leader
    cannot understand Consul's answer when asked to read service `json`: it goes wrong at line 1 column 18
    Consul's answer when asked to read service `flood` is longer than 2097152 bytes
    cannot reach Consul at http://ADDRESS: connection closed before message completed
    cannot reach Consul at http://ADDRESS: invalid HTTP version parsed
    cannot understand Consul's answer when asked to read key `k`: a value that is not in base 64
    ");
}

#[tokio::test]
async fn nobody_at_the_address_is_told_with_it() {
    let peer = Peer::start(|_| Reply::Bytes(Vec::new())).await;
    let consul = consul(&peer);
    drop(peer);
    let error = crate::http::fake::until(async || match consul.service("db", None).await {
        Err(error) if error.to_string().contains("refused") => Some(error),
        _ => None,
    })
    .await;
    assert!(error.hint().unwrap().contains("consul.address"));
}

/// Unix sockets are within the process, so time may be paused.
#[tokio::test(start_paused = true)]
async fn who_hangs_is_waited_for_ten_seconds_or_as_long_as_the_question_holds() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("consul.sock");
    let _listener = tokio::net::UnixListener::bind(&path).unwrap();
    let endpoint = endpoint(&format!("unix://{}", path.display())).unwrap();
    let consul = Consul { endpoint, bearer: Bearer::Plugin(None) };
    for (after, limit) in [(None, 10), (Some(1), 36)] {
        let began = tokio::time::Instant::now();
        let error = consul.service("db", after).await.unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
        assert_eq!(began.elapsed().as_secs(), limit, "{after:?}");
    }
    assert!(super::WAIT < Duration::from_secs(36));
}
