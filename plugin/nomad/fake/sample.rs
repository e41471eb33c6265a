//! Things as Nomad writes them, to be changed by a test.

use serde_json::{Value, json};

/// A service job with one group `g` of one task `t`.
pub(crate) fn job(namespace: &str, id: &str) -> Value {
    json!({
        "ID": id, "Namespace": namespace, "Type": "service", "Stop": false, "Status": "pending",
        "Periodic": null, "ParameterizedJob": null, "Meta": null,
        "TaskGroups": [{
            "Name": "g", "Count": 1, "Services": null,
            "Update": {
                "MaxParallel": 1, "HealthCheck": "checks", "HealthyDeadline": 300_000_000_000_u64,
                "ProgressDeadline": 600_000_000_000_u64, "AutoRevert": false,
            },
            "Tasks": [{ "Name": "t", "Driver": "docker", "Lifecycle": null, "Services": null }],
        }],
    })
}

/// The same with so many checks of Nomad's own, which must pass for two seconds.
pub(crate) fn checked_job(namespace: &str, id: &str, checks: usize) -> Value {
    let mut job = job(namespace, id);
    let check = |n| json!({ "Name": format!("check-{n}"), "OnUpdate": "require_healthy" });
    let checks: Vec<Value> = (0..checks).map(check).collect();
    job["TaskGroups"][0]["Services"] = json!([{ "Provider": "nomad", "Checks": checks }]);
    job["TaskGroups"][0]["Update"]["MinHealthyTime"] = json!(2_000_000_000_u64);
    job
}

/// An allocation of `job`'s group `g`.
pub(crate) fn allocation(namespace: &str, job: &str, id: &str, version: u64, client_status: &str) -> Value {
    json!({
        "ID": id, "Namespace": namespace, "JobID": job, "JobVersion": version, "Name": format!("{job}.g[0]"),
        "NodeID": "client-1", "TaskGroup": "g", "DesiredStatus": "run", "ClientStatus": client_status,
        "ClientDescription": "", "DeploymentStatus": null, "FollowupEvalID": "", "NextAllocation": "",
        "TaskStates": { "t": { "State": "running", "Failed": false, "Restarts": 0, "Events": null } },
    })
}

/// A deployment of `job`.
pub(crate) fn deployment(namespace: &str, job: &str, id: &str, version: u64, status: &str) -> Value {
    json!({
        "ID": id, "Namespace": namespace, "JobID": job, "JobVersion": version, "Status": status,
        "StatusDescription": "", "TaskGroups": { "g": {
            "DesiredTotal": 1, "DesiredCanaries": 0, "Promoted": false, "PlacedAllocs": 1, "HealthyAllocs": 1,
            "UnhealthyAllocs": 0, "AutoRevert": false,
        } },
    })
}

/// An evaluation of `job`.
pub(crate) fn evaluation(namespace: &str, job: &str, id: &str, status: &str) -> Value {
    json!({
        "ID": id, "Namespace": namespace, "JobID": job, "Status": status, "TriggeredBy": "job-register",
        "FailedTGAllocs": null,
    })
}
