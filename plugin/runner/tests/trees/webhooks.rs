//! Addresses that are told how a run ended.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;

/// A listener that answers each request with the next of `answers`; the requests, as they arrive.
async fn listens(answers: &'static [&'static str]) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, requests) = mpsc::unbounded_channel();
    let server = async move {
        for answer in answers {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let whole = |request: &[u8]| {
                let text = String::from_utf8_lossy(request).into_owned();
                let (head, body) = text.split_once("\r\n\r\n")?;
                let length = head.to_lowercase().split_once("content-length: ")?.1.to_owned();
                let length: usize = length.split("\r\n").next()?.parse().ok()?;
                (body.len() >= length).then_some(())
            };
            while whole(&request).is_none() {
                assert_ne!(socket.read_buf(&mut request).await.unwrap(), 0, "a whole request");
            }
            tell.send(String::from_utf8(request).unwrap()).unwrap();
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    };
    TaskTracker::new().spawn(server);
    (address, requests)
}

fn with_webhook(address: SocketAddr) -> Value {
    let mut shop = shop();
    shop["webhook"] = json!({"chat": {
        "url": format!("http://{address}/hooks/s3cret"), "headers": {"X-Key": "s3cret-too"},
    }});
    shop
}

const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn a_webhook_is_told_once_after_the_run_and_tried_again_when_it_is_busy() {
    let (address, mut requests) = listens(&[BUSY, GOOD]).await;
    let stage = Stage::of(&with_webhook(address));
    let run = stage.process(false);
    stage.healthy("postgres").await;
    stage.goes_on(&run).await;
    let (first, second) = (requests.recv().await.unwrap(), requests.recv().await.unwrap());
    assert_eq!(first, second, "the same again");
    let (head, body) = first.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /hooks/s3cret HTTP/1.1") && head.contains("s3cret-too"), "{head}");
    let mut body: Value = serde_json::from_str(body).unwrap();
    for key in ["run", "began_unix_ms", "ended_unix_ms"] {
        assert!(!body.as_object_mut().unwrap().remove(key).unwrap().is_null(), "{key}");
    }
    insta::assert_snapshot!(body, @r#"{"allocation":"own","message":"done after 0s: created postgres, api, 1 hook run","outcome":"success","steps":[{"name":"postgres","state":"satisfied"},{"name":"setup","state":"satisfied"},{"name":"api","state":"satisfied"}],"task":"shop/g/gate","text":"tree default/shop: done after 0s: created postgres, api, 1 hook run","tree":"default/shop"}"#);
    run.tasks.close();
    run.tasks.wait().await;
    let diary = run.diary.text();
    assert!(diary.contains(&format!("webhook chat: {address} was told")), "{diary}");
    assert!(!diary.contains("s3cret"), "{diary}");

    // Nothing has changed, so there is nothing to tell.
    let again = stage.process(false);
    again.is_done().await;
    again.tasks.close();
    again.tasks.wait().await;
    assert!(!again.diary.text().contains("webhook"), "{}", again.diary.text());
}

#[tokio::test]
async fn a_webhook_that_is_not_there_holds_no_run_back_and_is_told_in_the_log() {
    let (address, requests) = listens(&[]).await;
    drop(requests);
    let stage = Stage::of(&with_webhook(address));
    let run = stage.process(false);
    stage.healthy("postgres").await;
    let hook = stage.ends("setup-", 1).await;
    let message = run.fails().await;
    assert!(message.contains(&hook), "{message}");
    tokio::time::pause();
    run.tasks.close();
    run.tasks.wait().await;
    let diary = run.diary.text();
    assert!(diary.contains(&format!("webhook chat: {address} was not told: ")), "{diary}");
    assert!(!diary.contains("s3cret"), "{diary}");
}
