//! What befalls a job that was healthy; the numbers 17 to 22.

use super::*;

#[test]
fn a_check_that_turns_bad_afterwards() {
    let told = of_both(|kind| {
        let sight = || job("it", kind, 1).checked().deployed(DeploymentStatus::Successful, nothing);
        let passing = |lasted| LiveChecks::Passing { lasted: Duration::from_secs(lasted) };
        let failing = LiveChecks::Failing { check: "http".to_owned(), output: "HTTP 503".to_owned() };
        [
            ("passes", sight().with("a", healthy).saying("a", passing(60))),
            ("fails, and nothing else changes", sight().with("a", healthy).saying("a", failing)),
            ("passes again", sight().with("a", healthy).saying("a", passing(0))),
            (
                "its client is away",
                sight().with("a", healthy).saying("a", LiveChecks::Unknown("No path to node".to_owned())),
            ),
        ]
    });
    insta::assert_snapshot!(told, @"
    passes                             met: deployment 7c41f0ab, 1 of 1 healthy
    fails, and nothing else changes    not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0: check `http` fails: HTTP 503
    passes again                       met: deployment 7c41f0ab, 1 of 1 healthy
    its client is away                 met: deployment 7c41f0ab, 1 of 1 healthy, the checks of allocation a-0000-0 cannot be asked, so Nomad's word counts: No path to node
    ");
}

#[test]
fn a_check_that_restarts_its_task() {
    let told = of_both(|kind| {
        let sight = || job("it", kind, 1).checked().deployed(DeploymentStatus::Successful, nothing);
        let passing = |lasted| LiveChecks::Passing { lasted: Duration::from_secs(lasted) };
        let failing = LiveChecks::Failing { check: "http".to_owned(), output: "HTTP 503".to_owned() };
        let restarting = |a: &mut Allocation| {
            healthy(a);
            a.status = AllocStatus::Pending;
            main_is(a, TaskPhase::Pending);
        };
        let again = |a: &mut Allocation| {
            healthy(a);
            a.tasks.values_mut().for_each(|task| (task.restarts, task.started) = (1, Some(0)));
        };
        [
            ("fails", sight().with("a", healthy).saying("a", failing)),
            ("restarting", sight().with("a", restarting).saying("a", LiveChecks::Pending)),
            ("runs again, not checked yet", sight().with("a", again).saying("a", LiveChecks::Pending)),
            ("passes again", sight().with("a", healthy).saying("a", passing(0))),
            ("restarts exhausted", sight().with("a", exhausted).saying("a", LiveChecks::Pending)),
        ]
    });
    insta::assert_snapshot!(told, @"
    fails                              not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0: check `http` fails: HTTP 503
    restarting                         not yet: deployment 7c41f0ab, 0 of 1 healthy
    runs again, not checked yet        not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0: its checks have not all answered since its restart
    passes again                       met: deployment 7c41f0ab, 1 of 1 healthy
    restarts exhausted                 not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0: task main: Exit Code: 1
    ");
}

#[test]
fn a_crash_and_what_follows() {
    let told = of_both(|kind| {
        let sight = || job("it", kind, 1).deployed(DeploymentStatus::Successful, nothing);
        let restarting = |a: &mut Allocation| {
            healthy(a);
            a.status = AllocStatus::Pending;
            main_is(a, TaskPhase::Pending);
        };
        let again = |a: &mut Allocation| {
            let main = a.tasks.get_mut("main").unwrap();
            (main.restarts, main.last_event) = (1, "Started".to_owned());
        };
        [
            ("19: crashed, restarting", sight().with("a", restarting)),
            ("19: runs again, still healthy", sight().with("a", again)),
            ("20: failed for good", sight().with("a", exhausted)),
            (
                "20: to be placed again later",
                sight().with("a", exhausted).evaluated(EvaluationStatus::Pending, &[]),
            ),
            ("20: its replacement is placed", sight().with("a", replaced).with("b", placed)),
            ("20: it runs, not judged", sight().with("a", replaced).with("b", runs)),
            ("20: it is unhealthy", sight().with("a", replaced).with("b", unhealthy)),
            ("20: it is healthy", sight().with("a", replaced).with("b", healthy)),
        ]
    });
    insta::assert_snapshot!(told, @"
    service
    19: crashed, restarting            not yet: deployment 7c41f0ab, 0 of 1 healthy
    19: runs again, still healthy      met: deployment 7c41f0ab, 1 of 1 healthy
    20: failed for good                not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0: task main: Exit Code: 1
    20: to be placed again later       not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0: task main: Exit Code: 1
    20: its replacement is placed      not yet: deployment 7c41f0ab, 0 of 1 healthy
    20: it runs, not judged            not yet: deployment 7c41f0ab, 0 of 1 healthy
    20: it is unhealthy                not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation b-0000-0
    20: it is healthy                  met: deployment 7c41f0ab, 1 of 1 healthy
    system
    19: crashed, restarting            not yet: deployment 7c41f0ab, 0 of 1 healthy
    19: runs again, still healthy      met: deployment 7c41f0ab, 1 of 1 healthy
    20: failed for good                not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0: task main: Exit Code: 1
    20: to be placed again later       not yet: deployment 7c41f0ab, 0 of 1 healthy, Nomad is still placing it, allocation a-0000-0: task main: Exit Code: 1
    20: its replacement is placed      not yet: deployment 7c41f0ab, 0 of 1 healthy
    20: it runs, not judged            not yet: deployment 7c41f0ab, 0 of 1 healthy
    20: it is unhealthy                not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation b-0000-0
    20: it is healthy                  met: deployment 7c41f0ab, 1 of 1 healthy
    ");
}

#[test]
fn a_client_that_is_killed() {
    let told = of_both(|kind| {
        let sight = || job("it", kind, 1).checked().deployed(DeploymentStatus::Successful, nothing);
        let lost = |a: &mut Allocation| {
            healthy(a);
            a.status = AllocStatus::Lost;
            a.is_wanted = false;
        };
        let unknown = |why: &str| LiveChecks::Unknown(why.to_owned());
        let passing = LiveChecks::Passing { lasted: Duration::from_secs(10) };
        let full: &[(&str, &str)] = &[("web", "1 client filtered: missing drivers")];
        [
            ("its checks break off", sight().with("a", healthy).saying("a", unknown("EOF"))),
            ("no path to it", sight().with("a", healthy).saying("a", unknown("No path to node"))),
            ("lost, still called healthy", sight().with("a", lost)),
            ("no other client", sight().with("a", lost).evaluated(EvaluationStatus::Blocked, full)),
            ("placed elsewhere", sight().with("a", lost).with("b", placed)),
            ("healthy there", sight().with("a", lost).with("b", runs).saying("b", passing)),
        ]
    });
    insta::assert_snapshot!(told, @"
    its checks break off               met: deployment 7c41f0ab, 1 of 1 healthy, the checks of allocation a-0000-0 cannot be asked, so Nomad's word counts: EOF
    no path to it                      met: deployment 7c41f0ab, 1 of 1 healthy, the checks of allocation a-0000-0 cannot be asked, so Nomad's word counts: No path to node
    lost, still called healthy         not yet: deployment 7c41f0ab, 0 of 1 healthy
    no other client                    blocked: deployment 7c41f0ab, 0 of 1 healthy; Nomad has no room for it: group web: 1 client filtered: missing drivers
    placed elsewhere                   not yet: deployment 7c41f0ab, 0 of 1 healthy
    healthy there                      met: deployment 7c41f0ab, 1 of 1 healthy
    ");
}

#[test]
fn an_allocation_that_is_stopped_by_hand() {
    let told = of_both(|kind| {
        let sight = || job("it", kind, 1).deployed(DeploymentStatus::Successful, nothing);
        let stopping = |a: &mut Allocation| {
            healthy(a);
            a.is_wanted = false;
        };
        let stopped = |a: &mut Allocation| {
            stopping(a);
            a.status = AllocStatus::Complete;
            main_is(a, TaskPhase::Dead);
        };
        [
            ("told to stop, still running", sight().with("a", stopping)),
            ("its replacement is placed", sight().with("a", stopped).with("b", placed)),
            ("it runs, not judged", sight().with("a", stopped).with("b", runs)),
            ("it is healthy", sight().with("a", stopped).with("b", healthy)),
        ]
    });
    insta::assert_snapshot!(told, @"
    told to stop, still running        not yet: deployment 7c41f0ab, 0 of 1 healthy
    its replacement is placed          not yet: deployment 7c41f0ab, 0 of 1 healthy
    it runs, not judged                not yet: deployment 7c41f0ab, 0 of 1 healthy
    it is healthy                      met: deployment 7c41f0ab, 1 of 1 healthy
    ");
}
