//! `nomad alloc exec`, as it comes over the wire.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use tokio_stream::wrappers::ReceiverStream;

use super::host::{Host, SOON};
use crate::driver::pb::drivers::{
    ExecTaskRequest, ExecTaskStreamingIoOperation, ExecTaskStreamingRequest, ExecTaskStreamingResponse,
    TaskHandle,
    exec_task_streaming_request::{Setup, TerminalSize},
};

fn words(command: &str) -> Vec<String> {
    command.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// A session as a terminal holds it: its size, a heartbeat, typing; then what it printed and its exit code.
pub(super) async fn session(host: &mut Host, command: &str, tty: bool) -> (String, String, i32) {
    let setup = Setup { task_id: "a/gate/1".to_owned(), command: words(command), tty };
    let heartbeat = ExecTaskStreamingRequest::default();
    let messages = [
        heartbeat.clone(),
        ExecTaskStreamingRequest { setup: Some(setup), ..heartbeat.clone() },
        ExecTaskStreamingRequest {
            tty_size: Some(TerminalSize { height: 24, width: 80 }),
            ..heartbeat.clone()
        },
        heartbeat.clone(),
        ExecTaskStreamingRequest {
            stdin: Some(ExecTaskStreamingIoOperation { data: b"\x03".to_vec(), close: true }),
            ..heartbeat
        },
    ];
    let answers = host.driver.exec_task_streaming(tokio_stream::iter(messages)).await.unwrap();
    let mut answers = answers.into_inner();
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let exit_code = timeout(SOON, async {
        loop {
            let answer: ExecTaskStreamingResponse =
                answers.message().await.unwrap().expect("`exited` comes first");
            stdout.extend(answer.stdout.into_iter().flat_map(|piece| piece.data));
            stderr.extend(answer.stderr.into_iter().flat_map(|piece| piece.data));
            if answer.exited {
                return answer.result.unwrap().exit_code;
            }
        }
    });
    let exit_code = exit_code.await.unwrap();
    (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap(), exit_code)
}

#[tokio::test]
async fn the_pictures_are_shown() {
    let mut host = Host::start().await;
    host.start_gate("a/gate/1").await;
    for command in ["tree", "why", "status"] {
        let (stdout, stderr, exit_code) = session(&mut host, command, false).await;
        assert!(stdout.contains("postgres") && !stdout.contains('\r'), "{command}: {stdout}");
        assert_eq!((stderr.as_str(), exit_code), ("", 0));
        let (raw, _, _) = session(&mut host, command, true).await;
        assert_eq!(raw.matches("\r\n").count(), raw.matches('\n').count());
        assert!(raw.contains("\r\n"));
    }
}

#[tokio::test]
async fn its_steps_are_told_to_programs_with_since_when_and_until_when() {
    let mut host = Host::start().await;
    let config =
        json!({"wait": {"release": {"approval": "it is announced", "timeout": "10m"}, "postgres": {}}});
    host.start_with("a/gate/1", &config).await.unwrap();
    let (stdout, stderr, exit_code) = session(&mut host, "why --json", false).await;
    assert_eq!((stderr.as_str(), exit_code), ("", 0));
    let document: Value = serde_json::from_str(&stdout).unwrap();
    let steps = document["steps"].as_array().unwrap();
    assert_eq!(
        steps.iter().map(|step| step["name"].as_str().unwrap()).collect::<Vec<_>>(),
        ["postgres", "release"]
    );
    let at = |key: &str| steps[1][key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!((9..=10).contains(&at("until").duration_since(at("since")).as_mins()), "{stdout}");
    assert_eq!((&steps[1]["state"], &steps[1]["then"]), (&"gated".into(), &"fail".into()), "{stdout}");
}

#[tokio::test]
async fn a_wait_is_approved_by_its_name() {
    let mut host = Host::start().await;
    let config = json!({"wait": {"release": {"approval": "it is announced"}, "postgres": {}}});
    host.start_with("a/gate/1", &config).await.unwrap();
    let (_, stderr, exit_code) = session(&mut host, "approve", false).await;
    assert!(exit_code == 2 && stderr.contains("approve NAME"), "{stderr}");
    let (_, stderr, exit_code) = session(&mut host, "approve postgres", false).await;
    assert!(exit_code == 1 && stderr.contains("these do: release"), "{stderr}");
    assert_eq!(session(&mut host, "approvals", false).await.0, "release\n");
    let (stdout, stderr, exit_code) = session(&mut host, "approve release --by kim", false).await;
    assert_eq!((stdout.as_str(), stderr.as_str(), exit_code), ("release is approved\n", "", 0));
    let (_, stderr, exit_code) = session(&mut host, "approve release", false).await;
    assert!(exit_code == 1 && stderr.contains("nothing waits for an approval"), "{stderr}");
    assert_eq!(session(&mut host, "approvals", false).await, (String::new(), String::new(), 0));
    assert!(host.is_waiting("a/gate/1").await, "it waits for postgres");
}

#[tokio::test]
async fn a_gate_is_opened_by_hand_once_and_with_a_reason() {
    let mut host = Host::start().await;
    host.start_gate("a/gate/1").await;
    let (_, stderr, exit_code) = session(&mut host, "open", false).await;
    assert!(stderr.contains("open --reason TEXT"), "{stderr}");
    assert_eq!(exit_code, 2);
    assert!(host.is_waiting("a/gate/1").await);

    assert_eq!(
        session(&mut host, "open --reason tested", false).await,
        ("the gate is open\n".to_owned(), String::new(), 0)
    );
    let result = host.result("a/gate/1").await;
    assert_eq!((result.exit_code, result.signal), (0, 0));
    let (_, stderr, exit_code) = session(&mut host, "open --reason again", false).await;
    assert_eq!((stderr.as_str(), exit_code), ("dtree: the gate has ended already: it is open\n", 1));
}

/// Nomad takes input that it cannot pass on for a broken session, unless it has read the exit before.
#[tokio::test]
async fn a_session_takes_input_for_a_while_after_its_exit() {
    let mut host = Host::start().await;
    host.start_gate("a/gate/1").await;
    let setup = Setup { task_id: "a/gate/1".to_owned(), command: words("why"), tty: false };
    let (input, messages) = mpsc::channel(1);
    input.send(ExecTaskStreamingRequest { setup: Some(setup), ..Default::default() }).await.unwrap();
    let answers = host.driver.exec_task_streaming(ReceiverStream::new(messages)).await.unwrap();
    let mut answers = answers.into_inner();
    while !answers.message().await.unwrap().unwrap().exited {}

    let exited = Instant::now();
    let early = timeout(Duration::from_millis(100), answers.message()).await;
    if early.is_ok() {
        // A machine that stood still for all of that time shows nothing.
        assert!(exited.elapsed() >= Duration::from_millis(400), "{early:?}");
        return;
    }
    input.send(ExecTaskStreamingRequest::default()).await.unwrap();
    let end = timeout(SOON, answers.message()).await.expect("the session ends though nobody hangs up");
    assert_eq!(end.unwrap(), None);
}

#[tokio::test]
async fn an_unknown_command_is_usage_and_not_a_broken_session() {
    let mut host = Host::start().await;
    host.start_gate("a/gate/1").await;
    let (stdout, stderr, exit_code) = session(&mut host, "/bin/sh", false).await;
    assert!(stdout.is_empty() && stderr.contains("usage: nomad alloc exec"), "{stderr}");
    assert_eq!(exit_code, 2);
    assert_eq!(session(&mut host, "", false).await.2, 2);
}

#[tokio::test]
async fn a_session_without_setup_is_an_error() {
    let mut host = Host::start().await;
    let messages = [ExecTaskStreamingRequest::default(); 1];
    let error = host.driver.exec_task_streaming(tokio_stream::iter(messages)).await.unwrap_err();
    assert!(error.message().contains("before it said what to run"), "{error}");
}

#[tokio::test]
async fn a_script_check_gets_its_answer_in_one_piece() {
    let mut host = Host::start().await;
    let _handle: TaskHandle = host.start_with("a/gate/1", &json!({"wait": {"redis": {}}})).await.unwrap();
    let request = ExecTaskRequest { task_id: "a/gate/1".to_owned(), command: words("why"), timeout: None };
    let answer = host.driver.exec_task(request).await.unwrap().into_inner();
    assert!(String::from_utf8(answer.stdout).unwrap().contains("redis"));
    assert_eq!(answer.result.unwrap().exit_code, 0);
}
