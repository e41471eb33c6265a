//! One attempt to run a hook, under way: how its job fares.

use super::{
    FIRST_LOOK,
    around::Around,
    memory::{Memory, Try},
    step::Out,
};
use crate::{
    cluster::{AllocId, AllocStatus, Allocation, JobKey, JobSight, Sight, TaskPhase, TaskState},
    condition::{self, Verdict},
    engine::{
        NodeState, Time,
        node::{Evidence, Node},
    },
    manifest::{Hook, Subject, Until, Wait},
};

/// The output of an attempt that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// Of this task.
    Of(AllocId, String),
    /// It was read, or there is none.
    Read,
}

/// How much of a failed hook's output is told in its report, in lines.
const TOLD_LINES: usize = 3;

/// Writes the end of a hook's output into the log, and gives its last words, if there are any.
pub(super) fn tell_output(name: &str, text: &str, out: &mut Out) -> Option<String> {
    for line in text.lines() {
        out.log(format!("{name}: | {line}"));
    }
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let told = lines.get(lines.len().saturating_sub(TOLD_LINES)..).unwrap_or_default();
    (!told.is_empty()).then(|| told.join(" / "))
}

#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) attempt: Try,
    pub(super) job: JobKey,
    pub(super) wait: Wait,
    pub(super) node: Node,
    pub(super) was_shown: bool,
    /// Whether an earlier process has given it up, and has it stopped, or meant to.
    pub(super) is_given_up: bool,
}

impl Running {
    pub(super) fn new(now: Time, hook: &Hook, attempt: Try, job: JobKey, deadline: Time) -> Self {
        let wait = Wait {
            until: Some(Until::Complete),
            // It is registered once; a stop makes another version of it.
            any_version: true,
            timeout: hook.timeout,
            ..Wait::new(Subject::of_job(&job, None))
        };
        Self { attempt, job, wait, node: Node::new(now, deadline), was_shown: false, is_given_up: false }
    }

    /// As an earlier process remembered it: all that is seen now happened after that.
    pub(super) fn again(now: Time, hook: &Hook, attempt: Try, job: JobKey, deadline: Time) -> Self {
        let mut running = Self::new(now, hook, attempt, job, deadline.max(now + FIRST_LOOK));
        running.was_shown = true;
        running
    }

    pub(super) fn judge(&mut self, now: Time, around: &Around<'_>) -> NodeState {
        let sight = around.scene.sight_of(&self.job);
        let id = &self.job.job;
        let verdict = match sight.as_ref() {
            Sight::Absent { .. } if self.was_shown => {
                return NodeState::Failed { why: format!("{id} was purged by someone else") };
            }
            // It was registered before we looked, so somebody was quick; unless we look at an old picture.
            Sight::Absent { .. } => {
                Verdict::Never(format!("{id} is not there; it was purged by someone else"))
            }
            Sight::Unseen(_) => condition::judge(&self.wait, &sight, true),
            Sight::Present(present) => {
                self.was_shown = true;
                self.node.hope();
                match condition::judge(&self.wait, &sight, true) {
                    Verdict::NotYet(_) if present.job.is_stopped => {
                        return NodeState::Failed { why: format!("{id} was stopped by someone else") };
                    }
                    verdict => verdict,
                }
            }
        };
        let (last_deadline, is_seen) = (self.node.deadline, self.was_shown);
        let missing = Vec::new();
        self.node.judge(
            now,
            Evidence { wait: &self.wait, missing, verdict, is_seen, is_known: is_seen, last_deadline },
        );
        self.node.state.clone()
    }

    /// What is to be remembered of it.
    pub(super) fn memory(&self) -> Memory {
        Memory::Running {
            attempt: self.attempt.clone(),
            job: self.job.clone(),
            deadline: self.node.deadline,
            is_given_up: self.is_given_up,
        }
    }

    /// Whether it ended because it was given up, and had not failed by itself before.
    pub(super) fn was_given_up(&self, around: &Around<'_>) -> bool {
        let has_failed = |present: &JobSight| {
            let newest = present.allocations.values().max_by_key(|allocation| allocation.create_index);
            newest.is_some_and(|newest| newest.is_wanted && newest.status == AllocStatus::Failed)
        };
        self.is_given_up
            && match around.scene.sight_of(&self.job).as_ref() {
                Sight::Present(present) => present.job.is_stopped && !has_failed(present),
                Sight::Absent { .. } => true,
                Sight::Unseen(_) => false,
            }
    }

    /// The task whose output tells how the attempt went.
    pub(super) fn output(&self, around: &Around<'_>) -> Output {
        let sight = around.scene.sight_of(&self.job);
        let Sight::Present(present) = sight.as_ref() else { return Output::Read };
        telling(present)
            .map_or(Output::Read, |(allocation, task, _)| Output::Of(allocation.id.clone(), task.clone()))
    }

    /// The exit code of that task, if it has ended.
    pub(super) fn exit_code(&self, around: &Around<'_>) -> Option<i32> {
        let sight = around.scene.sight_of(&self.job);
        let Sight::Present(present) = sight.as_ref() else { return None };
        telling(present).filter(|(_, _, state)| state.phase == TaskPhase::Dead)?.2.exit_code
    }
}

/// The task that tells how a hook's job fares, of its newest allocation or of one that failed: a task that failed, or
/// else one that runs still, or else a main one.
fn telling(present: &JobSight) -> Option<(&Allocation, &String, &TaskState)> {
    let newest = present.allocations.values().max_by_key(|allocation| {
        (allocation.tasks.values().any(|task| task.has_failed), allocation.create_index)
    })?;
    let group = present.job.groups.get(&newest.group);
    let is_main = |name: &String| {
        group.and_then(|group| group.tasks.get(name)).is_some_and(|task| task.lifecycle.is_none())
    };
    let first = |is_it: &dyn Fn(&String, &TaskState) -> bool| {
        newest.tasks.iter().find(|(name, state)| is_it(name, state))
    };
    let (name, state) = first(&|_, state| state.has_failed)
        .or_else(|| first(&|_, state| state.phase == TaskPhase::Running))
        .or_else(|| first(&|name, _| is_main(name)))
        .or_else(|| newest.tasks.first_key_value())?;
    Some((newest, name, state))
}
