//! From Nomad's JSON to plain data. Nothing here can fail: what is not understood was refused in `wire`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;

use super::{JobStub, Offer, Variable, VariableStub, gates::gates, wire};
use crate::cluster::{
    AllocStatus, Allocation, Check, CheckStatus, Deployment, DeploymentGroup, DeploymentStatus, Evaluation,
    EvaluationStatus, Group, Job, JobKey, JobType, JobVersion, Lifecycle, LifecycleHook, LockId, Marks,
    RaftIndex, TaskPhase, TaskSpec, TaskState, UpdatePolicy, VersionRecord,
};

/// Nomad's name for its own service registry.
const OWN_PROVIDER: &str = "nomad";
/// A check with this word does not count when Nomad judges health.
const IGNORE: &str = "ignore";
/// The event of a task that ended; the only one whose exit code means something.
const TERMINATED: &str = "Terminated";
/// How much of a check's output is kept, in characters.
const MAX_OUTPUT: usize = 200;

/// Nomad's duration, in nanoseconds; a negative one is none.
fn duration(nanoseconds: i64) -> Duration {
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or_default())
}

/// An ID, which Nomad writes empty where there is none.
fn present<Id: From<String>>(id: String) -> Option<Id> {
    (!id.is_empty()).then(|| id.into())
}

impl From<wire::JobStub> for JobStub {
    fn from(stub: wire::JobStub) -> Self {
        Self {
            id: stub.id.into(),
            create_index: RaftIndex(stub.create_index),
            modify_index: RaftIndex(stub.modify_index),
            job_modify_index: RaftIndex(stub.spec_modify_index),
        }
    }
}

impl From<wire::Version> for VersionRecord {
    fn from(mut version: wire::Version) -> Self {
        Self {
            version: JobVersion(version.number),
            create_index: RaftIndex(version.create_index),
            is_stopped: version.stop,
            marks: marks(&mut version.meta).map(|marks| (marks.tree, marks.spec)),
        }
    }
}

/// Takes the marks out of a job's meta: all of them, or none.
fn marks(meta: &mut BTreeMap<String, String>) -> Option<Marks> {
    let [tree, node, spec] = [Marks::TREE, Marks::NODE, Marks::SPEC].map(|key| meta.remove(key));
    Some(Marks { tree: tree?.into(), node: node?, spec: spec?.into() })
}

impl From<wire::Job> for Job {
    fn from(mut job: wire::Job) -> Self {
        let kind = match job.kind {
            wire::JobType::Service => JobType::Service,
            wire::JobType::Batch => JobType::Batch,
            wire::JobType::System => JobType::System,
            wire::JobType::Sysbatch => JobType::Sysbatch,
        };
        let gates = job.task_groups.iter().flat_map(|group| gates(&job.namespace, group)).collect();
        Self {
            gates,
            key: JobKey::new(job.namespace, job.id),
            kind,
            version: JobVersion(job.version),
            create_index: RaftIndex(job.create_index),
            modify_index: RaftIndex(job.modify_index),
            job_modify_index: RaftIndex(job.spec_modify_index),
            is_stopped: job.stop,
            is_periodic: job.periodic.is_some(),
            // A dispatched child still carries the block of its parent.
            is_parameterized: job.parameterized.is_some() && !job.dispatched,
            dispatch_meta: job
                .parameterized
                .map_or_else(Vec::new, |it| [it.meta_required, it.meta_optional].concat()),
            marks: marks(&mut job.meta).map(Box::new),
            meta: job.meta,
            groups: job
                .task_groups
                .into_iter()
                .map(|group| (group.name.clone(), convert_group(kind, group)))
                .collect(),
        }
    }
}

fn convert_group(kind: JobType, group: wire::Group) -> Group {
    let is_judged = |check: &wire::ServiceCheck| check.on_update != IGNORE;
    let judged_by_checks =
        group.update.as_ref().is_none_or(|update| matches!(update.health_check.as_str(), "" | "checks"));
    let task_services = group.tasks.iter().flat_map(|task| &task.services);
    let judging = |service: &wire::Service| service.checks.iter().filter(|check| is_judged(check)).count();
    let services = group.services.iter().chain(task_services).filter(|_| judged_by_checks);
    let (own, others): (Vec<_>, Vec<_>) = services.partition(|service| service.provider == OWN_PROVIDER);
    let check_intervals = own
        .iter()
        .flat_map(|service| &service.checks)
        .map(|check| (check.name.clone(), duration(check.interval)))
        .collect();
    // Checks that differ in nothing but their service are one to Nomad.
    let own_checks = own.into_iter().flat_map(|service| &service.checks).filter(|check| is_judged(check));
    let own_checks = own_checks.map(|check| &check.name).collect::<BTreeSet<_>>().len();
    let has_other_checks = others.into_iter().any(|service| judging(service) > 0);

    let names = |service: &wire::Service, task: &str| {
        service.provider == OWN_PROVIDER
            && service
                .checks
                .iter()
                .any(|check| is_judged(check) && (service.task_name == task || check.task_name == task))
    };
    let tasks = group
        .tasks
        .iter()
        .map(|task| {
            let own = task
                .services
                .iter()
                .any(|service| service.provider == OWN_PROVIDER && service.checks.iter().any(is_judged));
            let spec = TaskSpec {
                lifecycle: task.lifecycle.map(Into::into),
                has_nomad_checks: own || group.services.iter().any(|service| names(service, &task.name)),
            };
            (task.name.clone(), spec)
        })
        .collect();

    let has_deployments = matches!(kind, JobType::Service | JobType::System);
    Group {
        count: group.count,
        tasks,
        update: group.update.filter(|update| has_deployments && update.max_parallel > 0).map(|update| {
            UpdatePolicy {
                min_healthy_time: update.min_healthy_time.map_or(UpdatePolicy::MIN_HEALTHY_TIME, duration),
                healthy_deadline: duration(update.healthy_deadline),
                progress_deadline: duration(update.progress_deadline),
                auto_revert: update.auto_revert,
            }
        }),
        has_checks: own_checks > 0 || has_other_checks,
        own_checks: u32::try_from(own_checks).unwrap_or(u32::MAX),
        has_other_checks,
        check_intervals,
    }
}

impl From<wire::Lifecycle> for Lifecycle {
    fn from(lifecycle: wire::Lifecycle) -> Self {
        let hook = match lifecycle.hook {
            wire::LifecycleHook::Prestart => LifecycleHook::Prestart,
            wire::LifecycleHook::Poststart => LifecycleHook::Poststart,
            wire::LifecycleHook::Poststop => LifecycleHook::Poststop,
        };
        Self { hook, is_sidecar: lifecycle.sidecar }
    }
}

impl From<wire::Variable> for Variable {
    fn from(variable: wire::Variable) -> Self {
        let lock = variable.lock.map(|lock| LockId::from(lock.id));
        Self { items: variable.items, index: RaftIndex(variable.modify_index), lock }
    }
}

impl From<wire::VariableStub> for VariableStub {
    fn from(stub: wire::VariableStub) -> Self {
        Self { path: stub.path, index: RaftIndex(stub.modify_index), is_locked: stub.lock.is_some() }
    }
}

impl From<wire::Allocation> for Allocation {
    fn from(allocation: wire::Allocation) -> Self {
        let health = allocation.deployment_status;
        Self {
            id: allocation.id.into(),
            name: allocation.name,
            group: allocation.task_group,
            client: allocation.node_id.into(),
            job_version: allocation.job_version.map(JobVersion),
            is_wanted: allocation.desired_status == wire::DesiredStatus::Run,
            status: match allocation.client_status {
                wire::ClientStatus::Pending => AllocStatus::Pending,
                wire::ClientStatus::Running => AllocStatus::Running,
                wire::ClientStatus::Complete => AllocStatus::Complete,
                wire::ClientStatus::Failed => AllocStatus::Failed,
                wire::ClientStatus::Lost => AllocStatus::Lost,
                wire::ClientStatus::Unknown => AllocStatus::Unknown,
            },
            description: allocation.client_description,
            deployment: present(allocation.deployment_id),
            is_healthy: health.as_ref().and_then(|health| health.healthy),
            judged: health.and_then(|health| instant(&health.timestamp)),
            next: present(allocation.next),
            tasks: allocation.task_states.into_iter().map(|(name, state)| (name, state.into())).collect(),
            create_index: RaftIndex(allocation.create_index),
            modify_index: RaftIndex(allocation.modify_index),
            // Lists leave it out: then the server's last write is no later than the last write of all.
            alloc_modify_index: RaftIndex(allocation.alloc_modify_index.unwrap_or(allocation.modify_index)),
        }
    }
}

/// In microseconds of the Unix epoch.
fn instant(rfc3339: &str) -> Option<i64> {
    rfc3339.parse().ok().map(Timestamp::as_microsecond)
}

impl From<wire::TaskState> for TaskState {
    fn from(state: wire::TaskState) -> Self {
        let said = |event: &wire::TaskEvent| {
            if event.display_message.is_empty() { event.kind.clone() } else { event.display_message.clone() }
        };
        Self {
            phase: match state.state {
                wire::TaskPhase::Pending => TaskPhase::Pending,
                wire::TaskPhase::Running => TaskPhase::Running,
                wire::TaskPhase::Dead => TaskPhase::Dead,
            },
            has_failed: state.failed,
            restarts: state.restarts,
            started: instant(&state.started_at),
            exit_code: state
                .events
                .iter()
                .rev()
                .find(|event| event.kind == TERMINATED)
                .map(|event| event.exit_code),
            last_event: state.events.last().map(said).unwrap_or_default(),
        }
    }
}

impl From<wire::Deployment> for Deployment {
    fn from(deployment: wire::Deployment) -> Self {
        let group = |group: wire::DeploymentGroup| DeploymentGroup {
            desired_total: group.desired_total,
            desired_canaries: group.desired_canaries,
            is_promoted: group.promoted,
            healthy: group.healthy_allocs,
            auto_revert: group.auto_revert,
        };
        Self {
            id: deployment.id.into(),
            job_version: JobVersion(deployment.job_version),
            job_create_index: RaftIndex(deployment.job_create_index),
            status: match deployment.status {
                wire::DeploymentStatus::Running => DeploymentStatus::Running,
                wire::DeploymentStatus::Paused => DeploymentStatus::Paused,
                wire::DeploymentStatus::Failed => DeploymentStatus::Failed,
                wire::DeploymentStatus::Successful => DeploymentStatus::Successful,
                wire::DeploymentStatus::Cancelled => DeploymentStatus::Cancelled,
                wire::DeploymentStatus::Initializing
                | wire::DeploymentStatus::Pending
                | wire::DeploymentStatus::Blocked
                | wire::DeploymentStatus::Unblocking => DeploymentStatus::Pending,
            },
            description: deployment.status_description,
            groups: deployment.task_groups.into_iter().map(|(name, part)| (name, group(part))).collect(),
            modify_index: RaftIndex(deployment.modify_index),
        }
    }
}

impl From<wire::Evaluation> for Evaluation {
    fn from(evaluation: wire::Evaluation) -> Self {
        Self {
            id: evaluation.id.into(),
            status: match evaluation.status {
                wire::EvaluationStatus::Pending => EvaluationStatus::Pending,
                wire::EvaluationStatus::Blocked => EvaluationStatus::Blocked,
                wire::EvaluationStatus::Complete => EvaluationStatus::Complete,
                wire::EvaluationStatus::Failed => EvaluationStatus::Failed,
                wire::EvaluationStatus::Cancelled => EvaluationStatus::Cancelled,
            },
            failed_placements: evaluation
                .failed_groups
                .into_iter()
                .map(|(group, placement)| (group, reasons(&placement)))
                .collect(),
            create_index: RaftIndex(evaluation.create_index),
            modify_index: RaftIndex(evaluation.modify_index),
        }
    }
}

/// Why a group could not be placed, as one line.
fn reasons(placement: &wire::Placement) -> String {
    let clients = |n: &u64| if *n == 1 { "1 client".to_owned() } else { format!("{n} clients") };
    let filtered =
        placement.constraint_filtered.iter().map(|(why, n)| format!("{} filtered: {why}", clients(n)));
    let exhausted =
        placement.dimension_exhausted.iter().map(|(what, n)| format!("{} exhausted: {what}", clients(n)));
    let quotas = placement.quota_exhausted.iter().map(|quota| format!("quota exhausted: {quota}"));
    let reasons: Vec<String> = filtered.chain(exhausted).chain(quotas).collect();
    if !reasons.is_empty() {
        reasons.join(", ")
    } else if placement.nodes_evaluated == 0 {
        "no client fits its datacenters and node pool".to_owned()
    } else {
        format!("none of {} fits", clients(&placement.nodes_evaluated))
    }
}

/// What an allocation was placed to offer; `None` when its job has no such group.
pub(super) fn offer(placed: wire::Placed) -> Option<Offer> {
    let wire::Placed { task_group, job } = placed;
    let group = job.task_groups.into_iter().find(|group| group.name == task_group)?;
    let main = group.tasks.iter().filter(|task| task.lifecycle.is_none());
    let main = main.map(|task| task.name.clone()).collect();
    let services = group.services.iter().chain(group.tasks.iter().flat_map(|task| &task.services));
    let own = services.filter(|service| service.provider == OWN_PROVIDER);
    let n_judged =
        |service: &wire::Service| service.checks.iter().filter(|check| check.on_update != IGNORE).count();
    let checks = own.map(|service| (service.name.clone(), n_judged(service))).collect();
    Some(Offer::new(JobVersion(job.version), main, checks))
}

/// A check that counts for health; `None` for one that does not.
pub(super) fn check(check: wire::Check) -> Option<Check> {
    (check.mode == wire::CheckMode::Healthiness).then(|| Check {
        output: output(&check),
        at: check.timestamp,
        name: check.name,
        service: check.service,
        task: check.task,
        status: match check.status {
            wire::CheckStatus::Success => CheckStatus::Success,
            wire::CheckStatus::Failure => CheckStatus::Failure,
            wire::CheckStatus::Pending => CheckStatus::Pending,
        },
    })
}

/// What a check answered, in one line. Nomad keeps the status of an HTTP answer beside its body, which is often empty.
fn output(check: &wire::Check) -> String {
    let first = check.output.lines().next().unwrap_or_default();
    let line = match (check.status, check.status_code, first) {
        (wire::CheckStatus::Failure, code @ 1.., "") => format!("HTTP {code}"),
        (wire::CheckStatus::Failure, code @ 1.., body) => format!("HTTP {code}: {body}"),
        _ => first.to_owned(),
    };
    line.chars().take(MAX_OUTPUT).collect()
}
