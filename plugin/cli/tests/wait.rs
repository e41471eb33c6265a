//! Conditions for scripts.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Command, Stdio},
};

use insta::assert_snapshot;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::dtree;

#[test]
fn conditions_that_are_none_are_told_all_of_them() {
    let words = ["wait", "foo", "job/", "pod/api", "job/api=helthy", "tcp/db", "--timeout", "soon"];
    assert_snapshot!(dtree(&[], &words, ""), @"
    --- stderr
    dtree: `foo` is no condition; write job/ID, job/ID=UNTIL, service/NAME, service/consul:NAME, tcp/HOST:PORT, http/URL, dns/NAME, variable/PATH, variable/PATH#KEY=VALUE, consul/KEY or consul/KEY=VALUE
    dtree: `job/` does not say what of it; write job/ID, job/ID=UNTIL, service/NAME, service/consul:NAME, tcp/HOST:PORT, http/URL, dns/NAME, variable/PATH, variable/PATH#KEY=VALUE, consul/KEY or consul/KEY=VALUE
    dtree: `pod/api` is of no kind that is known; write job/ID, job/ID=UNTIL, service/NAME, service/consul:NAME, tcp/HOST:PORT, http/URL, dns/NAME, variable/PATH, variable/PATH#KEY=VALUE, consul/KEY or consul/KEY=VALUE
    --- exit 2
    ");
    let words = ["wait", "job/api=helthy", "job/db", "tcp/db", "--timeout", "soon"];
    assert_snapshot!(dtree(&[], &words, ""), @r#"
    --- stderr
    dtree: "job/api=helthy": until = "helthy" is none of running, healthy, complete, failed, finished, stopped, absent (did you mean "healthy"?)
    dtree: "job/api=helthy": timeout = "soon" is not a duration; write it like "90s", "5m" or "1h30m"
    dtree: "tcp/db": tcp = "db" is no `host:port`, with a port from 1 to 65535
    --- exit 2
    "#);
    assert_snapshot!(dtree(&[], &["wait"], ""), @"
    --- stderr
    error: the following required arguments were not provided:
      <CONDITION>...

    Usage: dtree wait --address <URL> <CONDITION>...

    For more information, try '--help'.
    --- exit 2
    ");
}

#[test]
fn a_socket_is_waited_for_without_nomad() {
    let open = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = open.local_addr().unwrap().port();
    let condition = format!("tcp/127.0.0.1:{port}");
    let said = dtree(&[], &["wait", &condition, "dns/localhost", "--json"], "");
    assert!(said.contains("\"met\": true") && said.ends_with("--- exit 0"), "{said}");
    drop(open);
    let said = dtree(&[], &["wait", &condition, "--timeout", "2s"], "");
    let said = said.replace(&port.to_string(), "PORT");
    assert_snapshot!(said, @"
    --- stderr
    ==> tcp/127.0.0.1:PORT: gated: 127.0.0.1:PORT: connection refused
    ==> tcp/127.0.0.1:PORT: failed: not within 2s: 127.0.0.1:PORT: connection refused
    ==> tcp/127.0.0.1:PORT: wanted 127.0.0.1:PORT accepting connections, but not within 2s: 127.0.0.1:PORT: connection refused
    --- exit 1
    ");
    let said = dtree(&[], &["wait", &condition, "--timeout", "2s", "--json"], "");
    let (document, _) = said.split_once("--- stderr").unwrap();
    assert_snapshot!(document.replace(&port.to_string(), "PORT"), @r#"
    {
      "conditions": [
        {
          "condition": "tcp/127.0.0.1:PORT",
          "detail": "not within 2s: 127.0.0.1:PORT: connection refused",
          "state": "failed"
        }
      ],
      "interrupted": false,
      "message": "tcp/127.0.0.1:PORT: wanted 127.0.0.1:PORT accepting connections, but not within 2s: 127.0.0.1:PORT: connection refused",
      "met": false
    }
    "#);
}

#[test]
fn an_interrupt_says_what_was_still_awaited() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dtree"))
        .args(["wait", "tcp/127.0.0.1:1"])
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut talk = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("connection refused") {
        line.clear();
        assert_ne!(talk.read_line(&mut line).unwrap(), 0, "it has ended");
    }
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    let mut rest = String::new();
    talk.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    let (_, rest) = rest.split_once("==> Interrupted").unwrap();
    assert_snapshot!(rest, @"
    : not all that was waited for is so
        still awaited: tcp/127.0.0.1:1: 127.0.0.1:1: connection refused
    ");
}
