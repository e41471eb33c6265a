//! A task from its start to its end.

use std::{fs, os::unix::fs::symlink, time::Duration};

use serde_json::json;
use tokio::time::timeout;
use tonic::Code;

use super::host::{Host, SOON};
use crate::driver::{
    pb::drivers::{
        DestroyTaskRequest, ExecTaskRequest, InspectTaskRequest, SignalTaskRequest, StartTaskRequest,
        StopTaskRequest, TaskConfig, TaskEventsRequest, TaskState, TaskStatsRequest, WaitTaskRequest,
    },
    wire::NOT_YET,
};

fn stop(id: &str) -> StopTaskRequest {
    let timeout = Some(Duration::from_secs(5).try_into().unwrap());
    StopTaskRequest { task_id: id.to_owned(), timeout, signal: String::new() }
}

#[tokio::test]
async fn a_stopped_gate_never_looks_like_an_open_one() {
    let mut host = Host::start().await;
    let handle = host.start_gate("a/gate/1").await;
    assert_eq!((handle.version, handle.state()), (1, TaskState::Running));
    assert!(!handle.driver_state.is_empty());
    assert!(host.is_waiting("a/gate/1").await);

    host.driver.stop_task(stop("a/gate/1")).await.unwrap();
    let result = host.result("a/gate/1").await;
    assert_eq!((result.exit_code, result.signal, result.oom_killed), (143, 15, false));
    // However often Nomad asks or stops.
    host.driver.stop_task(stop("a/gate/1")).await.unwrap();
    assert_eq!(host.result("a/gate/1").await, result);
}

#[tokio::test]
async fn the_handle_gives_the_task_back_as_it_came() {
    let mut host = Host::start().await;
    let task = host.task("a/gate/1", &json!({"wait": {"postgres": {}}}));
    let request = StartTaskRequest { task: Some(task.clone()) };
    let handle = host.driver.start_task(request).await.unwrap().into_inner().handle.unwrap();
    assert_eq!(handle.config, Some(task));
}

#[tokio::test]
async fn a_gate_whose_time_is_over_fails() {
    let mut host = Host::start().await;
    host.start_with("a/gate/1", &json!({"wait": {"postgres": {"timeout": "50ms"}}})).await.unwrap();
    let result = host.result("a/gate/1").await;
    assert_eq!((result.exit_code, result.signal), (1, 0));
}

#[tokio::test]
async fn everything_wrong_with_a_task_is_told_at_once_and_is_final() {
    let mut host = Host::start().await;
    let config = json!({"wait": {
        "postgres": {"until": "helthy", "timeout": "soon"},
        "redis": {"depends_on": ["postgers"]},
    }});
    let error = host.start_with("a/gate/1", &config).await.unwrap_err();
    assert_eq!(error.code(), Code::Unknown);
    assert!(error.details().is_empty(), "Nomad would try again");
    insta::assert_snapshot!(error.message(), @r#"
    3 problems:
    wait "postgres": until = "helthy" is none of running, healthy, complete, failed, finished, stopped, absent (did you mean "healthy"?)
    wait "postgres": timeout = "soon" is not a duration; write it like "90s", "5m" or "1h30m"
    wait "redis": depends_on names "postgers", which is no block of this task (did you mean "postgres"?)
    "#);
    assert_eq!(
        host.driver.wait_task(WaitTaskRequest { task_id: "a/gate/1".to_owned() }).await.unwrap_err().code(),
        Code::NotFound
    );
}

#[tokio::test]
async fn a_task_that_is_no_task_is_refused() {
    let mut host = Host::start().await;
    let good = host.task("a/gate/1", &json!({"wait": {"postgres": {}}}));
    let tasks = [
        None,
        Some(TaskConfig::default()),
        Some(TaskConfig { msgpack_driver_config: vec![0xc1, 0xff], ..good.clone() }),
        Some(TaskConfig { msgpack_driver_config: Vec::new(), ..good.clone() }),
        Some(TaskConfig { id: String::new(), ..good.clone() }),
        Some(TaskConfig { name: "../gate".to_owned(), ..good.clone() }),
        Some(TaskConfig { name: "..".to_owned(), ..good.clone() }),
        Some(TaskConfig { alloc_dir: String::new(), ..good.clone() }),
        Some(TaskConfig { alloc_dir: "relative".to_owned(), ..good.clone() }),
        Some(TaskConfig { namespace: String::new(), ..good.clone() }),
    ];
    let mut told = Vec::new();
    for task in tasks {
        told.push(host.driver.start_task(StartTaskRequest { task }).await.unwrap_err().message().to_owned());
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    there is no task to start
    config: cannot be read: IO error while reading marker: failed to fill whole buffer
    config: cannot be read: wrong msgpack marker Reserved
    config: cannot be read: IO error while reading marker: failed to fill whole buffer
    Nomad sent a task without ID
    a task cannot be named "../gate"
    a task cannot be named ".."
    Nomad sent "" as the allocation's directory, which is no absolute path
    Nomad sent "relative" as the allocation's directory, which is no absolute path
    Nomad sent a task without namespace
    "#);

    host.driver.start_task(StartTaskRequest { task: Some(good.clone()) }).await.unwrap();
    let twice = host.driver.start_task(StartTaskRequest { task: Some(good) }).await.unwrap_err();
    assert_eq!(twice.message(), "task a/gate/1 has been started already");
}

#[tokio::test]
async fn a_task_that_nobody_has_is_not_found() {
    let mut host = Host::start().await;
    let id = || "a/gate/1".to_owned();
    let driver = &mut host.driver;
    let errors = [
        driver.wait_task(WaitTaskRequest { task_id: id() }).await.unwrap_err(),
        driver.stop_task(stop("a/gate/1")).await.unwrap_err(),
        driver.destroy_task(DestroyTaskRequest { task_id: id(), force: true }).await.unwrap_err(),
        driver.inspect_task(InspectTaskRequest { task_id: id() }).await.unwrap_err(),
        driver.task_stats(TaskStatsRequest { task_id: id(), ..Default::default() }).await.unwrap_err(),
        driver
            .signal_task(SignalTaskRequest { task_id: id(), signal: "SIGHUP".to_owned() })
            .await
            .unwrap_err(),
        driver.exec_task(ExecTaskRequest { task_id: id(), ..Default::default() }).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.code(), error.message()), (Code::NotFound, "task not found for given id"));
    }
}

#[tokio::test]
async fn an_inspection_lacks_nothing_before_and_after_the_end() {
    let mut host = Host::start().await;
    host.start_gate("a/gate/1").await;
    let inspect = InspectTaskRequest { task_id: "a/gate/1".to_owned() };
    let task = host.driver.inspect_task(inspect.clone()).await.unwrap().into_inner().task.unwrap();
    assert_eq!((task.name.as_str(), task.state()), ("gate", TaskState::Running));
    assert!(task.started_at.unwrap().seconds > 1_700_000_000);
    assert_eq!(task.completed_at, Some(NOT_YET));
    assert!(task.result.is_some());

    host.driver.stop_task(stop("a/gate/1")).await.unwrap();
    let ended = async {
        loop {
            let task = host.driver.inspect_task(inspect.clone()).await.unwrap().into_inner().task.unwrap();
            if task.completed_at != Some(NOT_YET) {
                break task;
            }
            tokio::task::yield_now().await;
        }
    };
    let task = timeout(SOON, ended).await.unwrap();
    assert_eq!((task.state(), task.result.unwrap().exit_code), (TaskState::Exited, 143));
    assert!(task.completed_at.unwrap().seconds >= task.started_at.unwrap().seconds);
}

#[tokio::test]
async fn a_running_task_is_destroyed_only_by_force_and_then_forgotten() {
    let mut host = Host::start().await;
    host.start_gate("a/gate/1").await;
    let destroy = |force| DestroyTaskRequest { task_id: "a/gate/1".to_owned(), force };
    host.driver.destroy_task(destroy(false)).await.unwrap_err();
    assert!(host.is_waiting("a/gate/1").await);

    let mut events = host.driver.task_events(TaskEventsRequest {}).await.unwrap().into_inner();
    let mut waiting = host.driver.clone();
    let waiting = waiting.wait_task(WaitTaskRequest { task_id: "a/gate/1".to_owned() });
    let (waited, destroyed) = tokio::join!(waiting, async {
        // Events go out only while a call waits for the task.
        events.message().await.unwrap().unwrap();
        host.driver.destroy_task(destroy(true)).await
    });
    destroyed.unwrap();
    assert_eq!(waited.unwrap().into_inner().result.unwrap().exit_code, 143);
    assert_eq!(host.driver.destroy_task(destroy(true)).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn stats_are_one_sample_and_then_silence() {
    let mut host = Host::start().await;
    host.start_gate("a/gate/1").await;
    let request = TaskStatsRequest { task_id: "a/gate/1".to_owned(), collection_interval: None };
    let mut stats = host.driver.task_stats(request).await.unwrap().into_inner();
    let usage = stats.message().await.unwrap().unwrap().stats.unwrap().agg_resource_usage.unwrap();
    assert!(usage.cpu.is_some() && usage.memory.is_some());
    let more = timeout(Duration::from_millis(200), stats.message()).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test]
async fn only_a_hangup_is_understood_and_no_signal_opens_a_gate() {
    let mut host = Host::start().await;
    host.start_gate("a/gate/1").await;
    let signal =
        |signal: &str| SignalTaskRequest { task_id: "a/gate/1".to_owned(), signal: signal.to_owned() };
    host.driver.signal_task(signal("SIGHUP")).await.unwrap();
    for other in ["SIGUSR1", "SIGTERM", "", "BOGUS"] {
        let error = host.driver.signal_task(signal(other)).await.unwrap_err();
        assert!(error.message().contains("SIGHUP") && error.message().contains(other), "{error}");
    }
    assert!(host.is_waiting("a/gate/1").await);
}

#[tokio::test]
async fn the_log_is_where_nomad_reads_it_and_events_come_once_nomad_waits() {
    let mut host = Host::start().await;
    let mut events = host.driver.task_events(TaskEventsRequest {}).await.unwrap().into_inner();
    let config = json!({"wait": {"postgres": {"timeout": "50ms"}}});
    host.start_with("a/gate/1", &config).await.unwrap();
    // The gate fails, and nobody waits for it yet.
    let silence = timeout(Duration::from_millis(300), events.message()).await;
    assert!(silence.is_err(), "{silence:?}");

    assert_eq!(host.result("a/gate/1").await.exit_code, 1);
    let event = timeout(SOON, events.message()).await.unwrap().unwrap().unwrap();
    assert_eq!((event.task_id.as_str(), event.task_name.as_str()), ("a/gate/1", "gate"));
    assert_eq!(event.alloc_id, "61d0c2aa-0000-0000-0000-000000000000");
    assert!(event.message.contains("postgres") && event.timestamp.is_some(), "{event:?}");

    let log = fs::read_to_string(host.alloc.path().join("alloc/logs/gate.stdout.0")).unwrap();
    assert!(log.contains("Z postgres: "), "{log}");
}

#[tokio::test]
async fn a_log_that_is_a_trap_is_told_once_and_the_gate_goes_on() {
    let mut host = Host::start().await;
    let target = host.alloc.path().join("cron");
    symlink(&target, host.alloc.path().join("alloc/logs/gate.stdout.0")).unwrap();
    let mut events = host.driver.task_events(TaskEventsRequest {}).await.unwrap().into_inner();
    host.start_with("a/gate/1", &json!({"wait": {"postgres": {"timeout": "50ms"}}})).await.unwrap();
    assert_eq!(host.result("a/gate/1").await.exit_code, 1);

    let mut told = Vec::new();
    let is_complaint = |message: &String| message.starts_with("dtree cannot write this task's log");
    while !told.iter().any(is_complaint) {
        let event = timeout(SOON, events.message()).await.expect("it complains");
        told.push(event.unwrap().unwrap().message);
    }
    while let Ok(event) = timeout(Duration::from_millis(300), events.message()).await {
        told.push(event.unwrap().unwrap().message);
    }
    let complaints = told.iter().filter(|message| is_complaint(message)).count();
    assert_eq!(complaints, 1, "{told:?}");
    assert!(!target.exists());
}
