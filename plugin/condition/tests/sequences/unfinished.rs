//! Versions that do not get there: they fail, are overtaken or stopped; the numbers 11 to 14.

use super::*;

#[test]
fn a_version_that_is_rolled_back() {
    use DeploymentStatus::{Failed, Running, Successful};
    let back = "Failed due to progress deadline - rolling back to job version 2";
    let told = of_both(|kind| {
        let reverting = |sight: JobSight, status, text| {
            sight.deployed(status, move |deployment| {
                deployment.description = text;
                deployment.groups.values_mut().for_each(|group| group.auto_revert = true);
            })
        };
        let next = || job("it", kind, 1).but(|job| job.version = JobVersion(4));
        let failed = |sight: JobSight| sight.deployed(Failed, former(3, back));
        [
            (
                "unhealthy by its deadline",
                reverting(job("it", kind, 1), Running, "Deployment is running".to_owned())
                    .with("a", unhealthy),
            ),
            (
                "failed, rolls back",
                reverting(job("it", kind, 1), Failed, back.to_owned()).with("a", unhealthy),
            ),
            ("the version before, registered", failed(next()).with("a", of_version(3, unhealthy))),
            (
                "its allocation runs",
                failed(next())
                    .deployed(Running, nothing)
                    .with("a", of_version(3, unhealthy))
                    .with("b", of_version(4, runs)),
            ),
            ("healthy", failed(next()).deployed(Running, nothing).with("b", of_version(4, healthy))),
            ("successful", failed(next()).deployed(Successful, nothing).with("b", of_version(4, healthy))),
            // So it is with system jobs.
            ("healthy, with no deployment", failed(next()).with("b", of_version(4, healthy))),
        ]
    });
    insta::assert_snapshot!(told, @"
    service
    unhealthy by its deadline          not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0
    failed, rolls back                 not yet: deployment 7c41f0ab failed: Failed due to progress deadline - rolling back to job version 2; allocation a-0000-0
    the version before, registered     not yet: 0 of 1 healthy
    its allocation runs                not yet: deployment 7c41f0ab, 0 of 1 healthy
    healthy                            met: deployment 7c41f0ab, 1 of 1 healthy
    successful                         met: deployment 7c41f0ab, 1 of 1 healthy
    healthy, with no deployment        met: 1 of 1 healthy
    system
    unhealthy by its deadline          not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0
    failed, rolls back                 not yet: deployment 7c41f0ab failed: Failed due to progress deadline - rolling back to job version 2; allocation a-0000-0
    the version before, registered     not yet: 0 of 1 healthy, 1 still of an older version
    its allocation runs                not yet: deployment 7c41f0ab, 0 of 2 healthy, 1 still of an older version
    healthy                            met: deployment 7c41f0ab, 1 of 1 healthy
    successful                         met: deployment 7c41f0ab, 1 of 1 healthy
    healthy, with no deployment        met: 1 of 1 healthy
    ");
}

#[test]
fn a_deployment_that_fails_with_its_first_allocation() {
    use DeploymentStatus::{Failed, Running};
    let why = "Failed due to unhealthy allocations";
    let told = of_both(|kind| {
        [
            ("unhealthy", job("it", kind, 1).deployed(Running, nothing).with("a", unhealthy)),
            ("failed", job("it", kind, 1).deployed(Failed, described(why)).with("a", unhealthy)),
            (
                "another version, registered",
                job("it", kind, 1)
                    .but(|job| job.version = JobVersion(4))
                    .deployed(Failed, former(3, why))
                    .with("a", of_version(3, unhealthy)),
            ),
        ]
    });
    insta::assert_snapshot!(told, @"
    service
    unhealthy                          not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0
    failed                             never: deployment 7c41f0ab failed: Failed due to unhealthy allocations; allocation a-0000-0
    another version, registered        not yet: 0 of 1 healthy
    system
    unhealthy                          not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0
    failed                             never: deployment 7c41f0ab failed: Failed due to unhealthy allocations; allocation a-0000-0
    another version, registered        not yet: 0 of 1 healthy, 1 still of an older version
    ");
}

#[test]
fn a_version_that_is_overtaken() {
    use DeploymentStatus::{Cancelled, Running, Successful};
    let newer = "Cancelled due to newer version of job";
    let told = of_both(|kind| {
        let overtaken = || job("it", kind, 1).deployed(Cancelled, former(2, newer));
        [
            (
                "seen before the newer job",
                job("it", kind, 1).deployed(Cancelled, described(newer)).with("a", healthy),
            ),
            ("the newer one, placed", overtaken().with("a", of_version(2, healthy)).with("b", placed)),
            (
                "runs",
                overtaken().deployed(Running, nothing).with("a", of_version(2, healthy)).with("b", runs),
            ),
            ("healthy", overtaken().deployed(Running, nothing).with("b", healthy)),
            ("successful", overtaken().deployed(Successful, nothing).with("b", healthy)),
        ]
    });
    insta::assert_snapshot!(told, @"
    service
    seen before the newer job          not yet: deployment 7c41f0ab was cancelled: Cancelled due to newer version of job
    the newer one, placed              not yet: 0 of 1 healthy
    runs                               not yet: deployment 7c41f0ab, 0 of 1 healthy
    healthy                            met: deployment 7c41f0ab, 1 of 1 healthy
    successful                         met: deployment 7c41f0ab, 1 of 1 healthy
    system
    seen before the newer job          not yet: deployment 7c41f0ab was cancelled: Cancelled due to newer version of job
    the newer one, placed              not yet: 0 of 2 healthy, 1 still of an older version
    runs                               not yet: deployment 7c41f0ab, 0 of 2 healthy, 1 still of an older version
    healthy                            met: deployment 7c41f0ab, 1 of 1 healthy
    successful                         met: deployment 7c41f0ab, 1 of 1 healthy
    ");
}

#[test]
fn a_job_that_is_stopped_meanwhile() {
    use DeploymentStatus::{Cancelled, Running};
    let stopped = "Cancelled because job is stopped";
    let told = of_both(|kind| {
        let sight = || job("it", kind, 1).but(|job| (job.is_stopped, job.version) = (true, JobVersion(4)));
        let ended = |a: &mut Allocation| {
            healthy(a);
            a.is_wanted = false;
            a.status = AllocStatus::Complete;
            main_is(a, TaskPhase::Dead);
        };
        [
            ("under way", job("it", kind, 1).deployed(Running, nothing).with("a", runs)),
            (
                "stopped, still running",
                sight().deployed(Running, former(3, "Deployment is running")).with("a", healthy),
            ),
            ("cancelled", sight().deployed(Cancelled, former(3, stopped)).with("a", ended)),
        ]
    });
    insta::assert_snapshot!(told, @"
    under way                          not yet: deployment 7c41f0ab, 0 of 1 healthy
    stopped, still running             not yet: is stopped; start it with `nomad job start it`
    cancelled                          not yet: is stopped; start it with `nomad job start it`
    ");
}
