//! Sockets, GETs and names. The loopback is quick, so most of it runs in real time.

use super::*;
use crate::{
    cluster::HttpAnswer,
    http::fake::{Peer, Reply, until},
};

fn tcp(address: &str) -> Question {
    Question::Tcp { address: address.to_owned(), every: 20 }
}

fn http(address: &str, contains: Option<&str>) -> Question {
    let contains = contains.map(str::to_owned);
    Question::Http { url: format!("http://{address}/health?x=1"), contains, every: 20 }
}

fn dns(name: &str) -> Question {
    Question::Dns { name: name.to_owned(), every: 20 }
}

fn status(status: u16, is_found: bool) -> Answer {
    Answer::Http(Ok(HttpAnswer { status, is_found }))
}

async fn peer(reply: fn() -> Reply) -> Peer {
    Peer::start(move |_| reply()).await
}

#[tokio::test]
async fn a_socket_is_asked_until_it_accepts_and_only_changes_are_told() {
    let (probe, peer) = (probe(), peer(|| Reply::Bytes(Vec::new())).await);
    let address = peer.address();
    let mut asking = asks(&probe, &tcp(&address));
    assert_eq!(answer(&mut asking).await, Answer::Accepts(Ok(())));
    until(async || (peer.n_requests() > 1).then_some(())).await;
    drop(peer);
    let refused = Answer::Accepts(Err("connection refused".to_owned()));
    assert_eq!(answer(&mut asking).await, refused, "not once more that it accepts");
    let _peer = Peer::start_at(&address, |_| Reply::Bytes(Vec::new())).await;
    assert_eq!(answer(&mut asking).await, Answer::Accepts(Ok(())));
    let mut nonsense = asks(&probe, &tcp("nonsense"));
    let told = answer(&mut nonsense).await;
    assert_eq!(told, Answer::Accepts(Err("`nonsense` is no address: it must be `host:port`".to_owned())));
}

#[tokio::test]
async fn who_ask_the_same_share_it_and_it_ends_with_the_last_of_them() {
    let (probe, peer) = (probe(), peer(|| Reply::Bytes(Vec::new())).await);
    let question = Question::Tcp { address: peer.address(), every: 60_000 };
    let mut askers: Vec<Asking> = (0..20).map(|_| asks(&probe, &question)).collect();
    for asking in &mut askers {
        assert_eq!(answer(asking).await, Answer::Accepts(Ok(())));
    }
    assert_eq!(probe.inner.table.n_sources(), 1);
    until(async || (peer.n_requests() > 0).then_some(())).await;
    assert_eq!(peer.take_requests().len(), 1, "one connection for all of them");
    let mut late = asks(&probe, &question);
    assert_eq!(answer(&mut late).await, Answer::Accepts(Ok(())), "as it was told last, at once");
    askers.clear();
    assert_eq!(probe.inner.table.n_sources(), 1);
    late.look_again();
    until(async || (peer.n_requests() > 0).then_some(())).await;
    drop(late);
    assert_eq!(probe.inner.table.n_sources(), 0);
    until(async || probe.inner.tracker.is_empty().then_some(())).await;
}

#[tokio::test]
async fn everything_ends_when_it_is_closed() {
    let (probe, peer) = (probe(), peer(|| Reply::Bytes(Vec::new())).await);
    let mut asking = asks(&probe, &tcp(&peer.address()));
    answer(&mut asking).await;
    probe.close().await;
    assert!(probe.inner.tracker.is_empty());
    assert_eq!(asking.next().await, None);
}

#[tokio::test]
async fn an_answer_is_told_with_its_status_and_whether_the_text_is_in_it() {
    let (probe, peer) = (probe(), peer(|| Reply::http(503, "", "warming up")).await);
    assert_eq!(answer(&mut asks(&probe, &http(&peer.address(), None))).await, status(503, true));
    assert_eq!(answer(&mut asks(&probe, &http(&peer.address(), Some("ming u")))).await, status(503, true));
    assert_eq!(answer(&mut asks(&probe, &http(&peer.address(), Some("ready")))).await, status(503, false));
    let request = peer.take_requests().remove(0);
    assert!(request.starts_with("GET /health?x=1 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("host: {}\r\n", peer.address())), "{request}");
}

#[tokio::test]
async fn a_text_is_found_across_pieces_and_before_the_body_ends() {
    let chunked = peer(|| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        Reply::Stalls(format!("{head}4\r\n..re\r\n3\r\nady\r\n").into_bytes())
    })
    .await;
    let probe = probe();
    assert_eq!(answer(&mut asks(&probe, &http(&chunked.address(), Some("ready")))).await, status(200, true));
}

#[tokio::test]
async fn garbage_silence_and_megabytes_are_words_in_the_answer() {
    let garbage = peer(|| Reply::Bytes(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec())).await;
    let gone = peer(|| Reply::Bytes(Vec::new())).await;
    let silent = peer(|| Reply::Stalls(Vec::new())).await;
    let stalls = peer(|| Reply::Stalls(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nnot".to_vec())).await;
    let flood = peer(|| Reply::Flood(b"HTTP/1.1 200 OK\r\n\r\n".to_vec())).await;
    let endless = peer(|| Reply::Flood(b"HTTP/1.1 200 OK\r\nX: ".to_vec())).await;
    let probe = probe();
    let mut words = Vec::new();
    for (name, peer) in [
        ("garbage", &garbage),
        ("gone", &gone),
        ("silent", &silent),
        ("stalls", &stalls),
        ("flood", &flood),
        ("endless head", &endless),
    ] {
        let began = tokio::time::Instant::now();
        let Answer::Http(Err(why)) = answer(&mut asks(&probe, &http(&peer.address(), Some("ready")))).await
        else {
            panic!("{name}: an answer")
        };
        assert!(began.elapsed() < Duration::from_secs(20), "{name}");
        words.push(format!("{name}: {why}"));
    }
    let url = format!("https://{}/", garbage.address());
    let tls = Question::Http { url, contains: None, every: 20 };
    words.push(format!("{:?}", answer(&mut asks(&probe, &tls)).await));
    insta::assert_snapshot!(words.join("\n"), @r#"
    garbage: no answer in HTTP: invalid HTTP version parsed
    gone: no answer in HTTP: connection closed before message completed
    silent: no answer within 2 s
    stalls: no answer within 2 s
    flood: status 200, but the text is not in the first 1 MiB of its body
    endless head: no answer in HTTP: message head is too large
    Http(Err("no answer within 2 s"))
    "#);
    // Without a text to look for, the head is enough.
    assert_eq!(answer(&mut asks(&probe, &http(&stalls.address(), None))).await, status(200, true));
    assert_eq!(answer(&mut asks(&probe, &http(&flood.address(), None))).await, status(200, true));
}

#[tokio::test]
async fn a_name_is_told_with_its_addresses_or_why_it_has_none() {
    let probe = probe();
    let Answer::Addresses(Ok(found)) = answer(&mut asks(&probe, &dns("localhost"))).await else {
        panic!("localhost is nowhere")
    };
    assert!(found.iter().any(|address| address == "127.0.0.1" || address == "::1"), "{found:?}");
    let given = answer(&mut asks(&probe, &dns("192.0.2.7"))).await;
    assert_eq!(given, Answer::Addresses(Ok(vec!["192.0.2.7".to_owned()])));
    let Answer::Addresses(Err(why)) = answer(&mut asks(&probe, &dns("no such name"))).await else {
        panic!("it is somewhere")
    };
    assert!(why.starts_with("cannot resolve `no such name`: "), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_mistake_in_a_source_withdraws_its_answer_and_begins_it_anew() {
    use std::sync::atomic::{AtomicU32, Ordering};
    let (probe, question) = (probe(), tcp("x"));
    let mut asking = probe.asking(viewer(Path::new("/nowhere/secrets/api.sock"), None));
    let (line, again) = asking.line(question);
    let n = AtomicU32::new(0);
    let asked = async || {
        line.tell(Answer::Accepts(Ok(())));
        assert!(n.fetch_add(1, Ordering::SeqCst) > 0, "a mistake");
        std::future::pending().await
    };
    let run = source::keep_asking(&line, &again, asked);
    let test = async {
        let Err(unseen) = told(&mut asking).await else { panic!("the old answer stands") };
        assert!(unseen.why.contains("panicked"), "{unseen:?}");
        assert_eq!(answer(&mut asking).await, Answer::Accepts(Ok(())));
    };
    tokio::select! {
        () = run => panic!("it ended"),
        () = test => {}
    }
}
