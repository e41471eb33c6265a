//! From a registration to health; the numbers 1 to 10, 15 and 16.

use super::*;

#[test]
fn from_a_registration_to_a_successful_deployment() {
    use DeploymentStatus::{Running, Successful};
    let told = of_both(|kind| {
        let sight = || job("it", kind, 1).checked();
        let deployed = || sight().deployed(Running, nothing);
        let passing = |lasted| LiveChecks::Passing { lasted: Duration::from_secs(lasted) };
        [
            ("registered", sight().evaluated(EvaluationStatus::Pending, &[])),
            ("placed", deployed().evaluated(EvaluationStatus::Pending, &[]).with("a", placed)),
            ("evaluated", deployed().evaluated(EvaluationStatus::Complete, &[]).with("a", placed)),
            ("service registered", deployed().with("a", placed).saying("a", LiveChecks::Pending)),
            ("running", deployed().with("a", runs).saying("a", LiveChecks::Pending)),
            ("its check passes", deployed().with("a", runs).saying("a", passing(0))),
            ("for long enough", deployed().with("a", runs).saying("a", passing(10))),
            ("healthy to Nomad", deployed().with("a", healthy).saying("a", passing(11))),
            ("successful", sight().deployed(Successful, nothing).with("a", healthy).saying("a", passing(12))),
        ]
    });
    insta::assert_snapshot!(told, @"
    service
    registered                         not yet: 0 of 1 healthy
    placed                             not yet: deployment 7c41f0ab, 0 of 1 healthy
    evaluated                          not yet: deployment 7c41f0ab, 0 of 1 healthy
    service registered                 not yet: deployment 7c41f0ab, 0 of 1 healthy
    running                            not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0: its checks have not all answered yet
    its check passes                   not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0: its checks pass, and must for 10s
    for long enough                    met: deployment 7c41f0ab, 1 of 1 healthy
    healthy to Nomad                   met: deployment 7c41f0ab, 1 of 1 healthy
    successful                         met: deployment 7c41f0ab, 1 of 1 healthy
    system
    registered                         not yet: 0 of 1 healthy, Nomad is still placing it
    placed                             not yet: deployment 7c41f0ab, 0 of 1 healthy, Nomad is still placing it
    evaluated                          not yet: deployment 7c41f0ab, 0 of 1 healthy
    service registered                 not yet: deployment 7c41f0ab, 0 of 1 healthy
    running                            not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0: its checks have not all answered yet
    its check passes                   not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0: its checks pass, and must for 10s
    for long enough                    met: deployment 7c41f0ab, 1 of 1 healthy
    healthy to Nomad                   met: deployment 7c41f0ab, 1 of 1 healthy
    successful                         met: deployment 7c41f0ab, 1 of 1 healthy
    ");
}

#[test]
fn groups_that_say_little_about_their_updates() {
    use DeploymentStatus::{Running, Successful};
    let without = || service(1).but_group(|group| group.update = None);
    let unchecked = || service(2).but_group(|group| group.has_checks = false);
    let in_prestart = |a: &mut Allocation| {
        runs(a);
        a.tasks.insert("gate".to_owned(), task(TaskPhase::Running));
        main_is(a, TaskPhase::Pending);
    };
    let told = steps([
        ("2: running", without().deployed(Running, nothing).with("a", runs)),
        ("2: healthy", without().deployed(Running, nothing).with("a", healthy)),
        ("2: successful", without().deployed(Successful, nothing).with("a", healthy)),
        ("3: running, no deployment", without().with("a", runs)),
        ("3: healthy, no deployment", without().with("a", healthy)),
        ("4: one of two", unchecked().deployed(Running, nothing).with("a", healthy).with("b", runs)),
        ("4: both", unchecked().deployed(Running, nothing).with("a", healthy).with("b", healthy)),
        ("5: running, in prestart", service(1).deployed(Running, nothing).with("a", in_prestart)),
        (
            "5: pending again",
            service(1).deployed(Running, nothing).with("a", |a| {
                runs(a);
                a.status = AllocStatus::Pending;
                main_is(a, TaskPhase::Pending);
            }),
        ),
        ("5: main runs", service(1).deployed(Running, nothing).with("a", runs)),
        ("5: healthy", service(1).deployed(Running, nothing).with("a", healthy)),
        ("6: dead at once", service(0)),
    ]);
    insta::assert_snapshot!(told, @"
    2: running                         not yet: deployment 7c41f0ab, 0 of 1 healthy
    2: healthy                         met: deployment 7c41f0ab, 1 of 1 healthy
    2: successful                      met: deployment 7c41f0ab, 1 of 1 healthy
    3: running, no deployment          not yet: 0 of 1 healthy
    3: healthy, no deployment          met: 1 of 1 healthy
    4: one of two                      not yet: deployment 7c41f0ab, 1 of 2 healthy, no checks, so running for min_healthy_time counts
    4: both                            met: deployment 7c41f0ab, 2 of 2 healthy, no checks, so running for min_healthy_time counts
    5: running, in prestart            not yet: deployment 7c41f0ab, 0 of 1 healthy
    5: pending again                   not yet: deployment 7c41f0ab, 0 of 1 healthy
    5: main runs                       not yet: deployment 7c41f0ab, 0 of 1 healthy
    5: healthy                         met: deployment 7c41f0ab, 1 of 1 healthy
    6: dead at once                    met: count = 0, nothing to wait for
    ");
}

#[test]
fn two_groups_have_one_deployment() {
    use DeploymentStatus::{Running, Successful};
    let two = || {
        service(1).but(|job| {
            let web = job.groups.get("web").cloned().unwrap();
            job.groups.insert("cache".to_owned(), web);
        })
    };
    let web = |then: fn(&mut Allocation)| {
        move |a: &mut Allocation| {
            a.group = "web".to_owned();
            then(a);
        }
    };
    let told = steps([
        ("both placed", two().deployed(Running, nothing).with("a", web(placed)).with("b", placed)),
        ("one healthy", two().deployed(Running, nothing).with("a", web(healthy)).with("b", runs)),
        ("both healthy", two().deployed(Running, nothing).with("a", web(healthy)).with("b", healthy)),
        ("successful", two().deployed(Successful, nothing).with("a", web(healthy)).with("b", healthy)),
    ]);
    insta::assert_snapshot!(told, @"
    both placed                        not yet: deployment 7c41f0ab, cache 0 of 1 healthy, web 0 of 1 healthy
    one healthy                        not yet: deployment 7c41f0ab, cache 0 of 1 healthy, web 1 of 1 healthy
    both healthy                       met: deployment 7c41f0ab, cache 1 of 1 healthy, web 1 of 1 healthy
    successful                         met: deployment 7c41f0ab, cache 1 of 1 healthy, web 1 of 1 healthy
    ");
}

#[test]
fn canaries_until_they_are_promoted() {
    use DeploymentStatus::{Running, Successful};
    let canary = |healthy: u32, is_promoted, text: &'static str| {
        move |deployment: &mut Deployment| {
            deployment.description = text.to_owned();
            for group in deployment.groups.values_mut() {
                (group.desired_canaries, group.healthy, group.is_promoted) = (1, healthy, is_promoted);
            }
        }
    };
    let by_hand = "Deployment is running but requires manual promotion";
    let by_itself = "Deployment is running pending automatic promotion";
    let old = || of_version(2, healthy);
    let told = steps([
        ("first version: no canaries", service(1).deployed(Running, nothing).with("a", healthy)),
        (
            "8: canary placed",
            service(1).deployed(Running, canary(0, false, by_hand)).with("a", old()).with("b", placed),
        ),
        (
            "8: canary healthy",
            service(1).deployed(Running, canary(1, false, by_hand)).with("a", old()).with("b", healthy),
        ),
        (
            "8: promoted",
            service(1).deployed(Running, canary(1, true, by_hand)).with("a", old()).with("b", healthy),
        ),
        (
            "8: successful",
            service(1)
                .deployed(Successful, canary(1, true, "Deployment completed successfully"))
                .with("b", healthy),
        ),
        (
            "9: canary healthy",
            service(1).deployed(Running, canary(1, false, by_itself)).with("a", old()).with("b", healthy),
        ),
        (
            "9: promoted, and told twice",
            service(1).deployed(Running, canary(1, true, by_itself)).with("a", old()).with("b", healthy),
        ),
    ]);
    insta::assert_snapshot!(told, @"
    first version: no canaries         met: deployment 7c41f0ab, 1 of 1 healthy
    8: canary placed                   not yet: deployment 7c41f0ab, group web: 0 of 1 canaries healthy, not promoted; promote with `nomad deployment promote 7c41f0ab`
    8: canary healthy                  not yet: deployment 7c41f0ab, group web: 1 of 1 canaries healthy, not promoted; promote with `nomad deployment promote 7c41f0ab`
    8: promoted                        met: deployment 7c41f0ab, 1 of 1 healthy
    8: successful                      met: deployment 7c41f0ab, 1 of 1 healthy
    9: canary healthy                  not yet: deployment 7c41f0ab, group web: 1 of 1 canaries healthy, not promoted; promote with `nomad deployment promote 7c41f0ab`
    9: promoted, and told twice        met: deployment 7c41f0ab, 1 of 1 healthy
    ");
}

#[test]
fn an_update_in_place() {
    use DeploymentStatus::{Running, Successful};
    let before = || service(1).deployed(Successful, former(2, "Deployment completed successfully"));
    let unread = |a: &mut Allocation| a.job_version = None;
    let told = steps([
        ("registered", before().with("a", of_version(2, healthy))),
        ("its allocation, from the stream", before().deployed(Running, nothing).with("a", unread)),
        ("health reset", before().deployed(Running, nothing).with("a", runs)),
        ("healthy again", before().deployed(Running, nothing).with("a", healthy)),
        ("successful", before().deployed(Successful, nothing).with("a", healthy)),
    ]);
    insta::assert_snapshot!(told, @"
    registered                         not yet: 0 of 1 healthy
    its allocation, from the stream    not yet: deployment 7c41f0ab, 0 of 1 healthy
    health reset                       not yet: deployment 7c41f0ab, 0 of 1 healthy
    healthy again                      met: deployment 7c41f0ab, 1 of 1 healthy
    successful                         met: deployment 7c41f0ab, 1 of 1 healthy
    ");
}

#[test]
fn a_job_that_is_scaled() {
    use DeploymentStatus::{Running, Successful};
    let before = || service(2).deployed(Successful, former(2, "Deployment completed successfully"));
    let told = steps([
        ("registered", before().with("a", of_version(2, healthy))),
        ("one more placed", before().deployed(Running, nothing).with("a", runs).with("b", placed)),
        ("both run", before().deployed(Running, nothing).with("a", healthy).with("b", runs)),
        ("both healthy", before().deployed(Running, nothing).with("a", healthy).with("b", healthy)),
        ("successful", before().deployed(Successful, nothing).with("a", healthy).with("b", healthy)),
    ]);
    insta::assert_snapshot!(told, @"
    registered                         not yet: 0 of 2 healthy
    one more placed                    not yet: deployment 7c41f0ab, 0 of 2 healthy
    both run                           not yet: deployment 7c41f0ab, 1 of 2 healthy
    both healthy                       met: deployment 7c41f0ab, 2 of 2 healthy
    successful                         met: deployment 7c41f0ab, 2 of 2 healthy
    ");
}
