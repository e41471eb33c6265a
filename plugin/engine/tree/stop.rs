//! A job of a tree that is stopped: from the look at all jobs to gone, and to forgotten.
//!
//! ```text
//!            who needs it is gone       pre_stop hooks, room          stopped             nothing of it runs
//!   Waiting ─────────────────────▶ Due ─────────────────────▶ Stopping ──────▶ Leaving ─────────────────────▶ gone
//!      │ it is stopped already                                                    ▲
//!      └──────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A job that is gone is purged, where it is to be, when its `post_stop` hooks have ended well.

use std::time::Duration;

use super::{
    FIRST_LOOK,
    around::Around,
    job::{LOOK_LIMIT, LOOKS_FIRST},
    leaving::{Leaving, Purge},
    memory::{Doomed, Memory, Stopped},
    selection::{Choice, Standing, standing},
    step::{Acting, Out},
};
use crate::{
    cluster::{JobSight, RaftIndex, Sight, TreeName},
    engine::{Act, Holder, NodeState, Report, Time, Trouble, time::Spoken},
    manifest::{HealthSource, Moment, OnBlocked, OnTimeout, Stop, Subject, Until, Wait},
    plan::Blueprint,
};

/// A job that is stopped.
#[derive(Clone, Debug)]
pub(super) struct StopStep {
    pub(super) blueprint: Blueprint,
    pub(super) tree: TreeName,
    /// What is awaited, for words.
    pub(super) wait: Wait,
    purge: bool,
    limit: Duration,
    phase: Phase,
    acting: Acting,
    /// The other trees that wait for it, once they are known.
    pub(super) holders: Option<Vec<Holder>>,
}

#[derive(Clone, Debug)]
enum Phase {
    /// Waits for those that need it; and until when it may be out of sight.
    Waiting {
        look_until: Option<Time>,
    },
    Due(Doomed),
    Stopping {
        doomed: Doomed,
        deadline: Time,
    },
    Leaving(Box<Leaving>),
    /// No job has this ID.
    Absent,
    Failed {
        why: String,
    },
}

impl StopStep {
    pub(super) fn new(
        now: Time,
        stop: &Stop,
        blueprint: Blueprint,
        tree: TreeName,
        memory: Option<Memory>,
    ) -> Self {
        let wait = Wait {
            subject: Subject::Job {
                job: blueprint.key.job.clone(),
                namespace: Some(blueprint.key.namespace.clone()),
                group: None,
                source: HealthSource::Nomad,
            },
            until: Some(Until::Stopped),
            at_least: None,
            any_version: false,
            timeout: stop.timeout,
            on_timeout: OnTimeout::Fail,
            on_blocked: OnBlocked::Wait,
            depends_on: Vec::new(),
        };
        let phase = match memory {
            Some(Memory::Stopping { doomed, deadline }) => {
                Phase::Stopping { doomed, deadline: deadline.max(now + FIRST_LOOK) }
            }
            Some(Memory::Stopped(memory)) => {
                let deadline = memory.deadline.max(now + FIRST_LOOK);
                Phase::Leaving(Box::new(Leaving::new(Stopped { deadline, ..memory }, true)))
            }
            Some(Memory::Failed { why }) => Phase::Failed { why },
            _ => Phase::Waiting { look_until: None },
        };
        let (purge, limit) = (stop.purge, stop.timeout);
        Self { blueprint, tree, wait, purge, limit, phase, acting: Acting::default(), holders: None }
    }

    /// Brings the step up to date.
    pub(super) fn advance(&mut self, now: Time, name: &str, around: &Around<'_>, out: &mut Out) -> NodeState {
        self.acting.unasked();
        loop {
            match &mut self.phase {
                Phase::Failed { why } => return NodeState::Failed { why: why.clone() },
                Phase::Waiting { .. } => {
                    if let Some(state) = self.look(now, name, around, out) {
                        return state;
                    }
                }
                Phase::Due(doomed) => {
                    let doomed = doomed.clone();
                    match around.choice(name) {
                        None => return NodeState::Blocked { why: LOOKS_FIRST.to_owned() },
                        Some(Choice::Spare(why)) => {
                            return around.spared(name, why);
                        }
                        Some(Choice::Refuse(why)) => {
                            self.fail(now, name, why.clone(), out);
                            continue;
                        }
                        Some(Choice::Stop) => {}
                    }
                    let blocked = around.halted(name).or_else(|| around.blocked(name, |_| true));
                    if let Some(state) = blocked.or_else(|| around.no_room()) {
                        return state;
                    }
                    let deadline = now + self.limit;
                    out.remember(now, name, Memory::Stopping { doomed: doomed.clone(), deadline });
                    self.phase = Phase::Stopping { doomed, deadline };
                }
                Phase::Stopping { doomed, deadline } => {
                    let (doomed, deadline) = (doomed.clone(), *deadline);
                    if !self.acting.is_under_way() {
                        if let Some(why) = around.cancelled() {
                            let why = format!("{why}; it may have been stopped, and is not waited for");
                            return NodeState::Skipped { why, root: None };
                        }
                        if deadline <= now {
                            let trouble = self.acting.describe_end("it could not be stopped");
                            let why = format!("not within {}: {trouble}", Spoken(self.limit));
                            self.fail(now, name, why, out);
                            continue;
                        }
                    }
                    let key = self.blueprint.key.clone();
                    out.actions.extend(self.acting.begin(now, name, || Act::Stop {
                        key,
                        doomed,
                        purge: false,
                    }));
                    return NodeState::Working { on: self.acting.describe("is being stopped") };
                }
                Phase::Leaving(_) => match self.leave(now, name, around, out) {
                    Ok(state) => return state,
                    Err(why) => self.fail(now, name, why, out),
                },
                Phase::Absent => {
                    if matches!(standing(self, around.scene), Standing::Live) {
                        self.fail(now, name, "it was registered by someone else meanwhile".to_owned(), out);
                        continue;
                    }
                    return NodeState::Satisfied { how: "no job has this ID".to_owned() };
                }
            }
        }
    }

    /// Takes what came of the step's act.
    pub(super) fn acted(&mut self, now: Time, name: &str, result: Result<Report, Trouble>, out: &mut Out) {
        let Some(result) = self.acting.end(now, result) else { return };
        match (&mut self.phase, result) {
            (Phase::Waiting { .. } | Phase::Due(_), Ok(Report::Holders(mut holders))) => {
                holders.retain(|holder| holder.tree != self.tree);
                self.holders = Some(holders);
            }
            (Phase::Stopping { doomed, deadline }, Ok(Report::Stopped(at))) => {
                let memory = Stopped { doomed: doomed.clone(), at, deadline: *deadline };
                out.remember(now, name, Memory::Stopped(memory.clone()));
                self.phase = Phase::Leaving(Box::new(Leaving::new(memory, true)));
            }
            (Phase::Leaving(leaving), Ok(_)) => leaving.purge = Purge::Done,
            (Phase::Leaving(_), Err(why)) => {
                self.fail(now, name, format!("it is stopped, and not purged: {why}"), out);
            }
            (Phase::Waiting { .. } | Phase::Due(_) | Phase::Stopping { .. }, Err(why)) => {
                self.fail(now, name, why, out);
            }
            // Nothing else is asked for in these phases.
            _ => {}
        }
    }

    /// The look at it, and at who waits for it; then what was chosen for it. `None` when the step has moved on.
    fn look(&mut self, now: Time, name: &str, around: &Around<'_>, out: &mut Out) -> Option<NodeState> {
        let Phase::Waiting { look_until } = &mut self.phase else { return None };
        let last = look_until.take();
        match around.choice(name) {
            Some(Choice::Spare(why)) => return Some(around.spared(name, why)),
            Some(Choice::Refuse(why)) => {
                self.fail(now, name, why.clone(), out);
                return None;
            }
            Some(Choice::Stop) | None => {}
        }
        if let Some(skipped) = around.halted(name) {
            return Some(skipped);
        }
        let sight = around.scene.sight_of(&self.blueprint.key);
        let present = match sight.as_ref() {
            Sight::Present(sight) => Some(sight),
            Sight::Unseen(_) | Sight::Absent { .. } => None,
        };
        if around.choice(name).is_none() {
            return self.look_first(now, name, last, around, out);
        }
        let is_hook = |needed: &str| around.is_hook_of(needed, name, Moment::PreStop);
        // Also where nothing is to be done: what it needs waits for what needs it through this one.
        if let Some(blocked) = around.blocked(name, |needed| !is_hook(needed)) {
            return Some(blocked);
        }
        match standing(self, around.scene) {
            Standing::Unseen(_) => self.look_first(now, name, last, around, out),
            Standing::Missing => {
                self.phase = Phase::Absent;
                None
            }
            Standing::Foreign(why) => {
                self.fail(now, name, why, out);
                None
            }
            Standing::Stopped => {
                let doomed = doomed(present?)?;
                let memory = Stopped { doomed, at: RaftIndex::default(), deadline: now + self.limit };
                self.phase = Phase::Leaving(Box::new(Leaving::new(memory, false)));
                None
            }
            Standing::Live => {
                self.phase = Phase::Due(doomed(present?)?);
                None
            }
        }
    }

    /// Before anything is chosen, or while nothing is seen of it.
    fn look_first(
        &mut self,
        now: Time,
        name: &str,
        last: Option<Time>,
        around: &Around<'_>,
        out: &mut Out,
    ) -> Option<NodeState> {
        let until = last.unwrap_or(now + LOOK_LIMIT);
        if let Phase::Waiting { look_until } = &mut self.phase {
            *look_until = Some(until);
        }
        let mut why = match standing(self, around.scene) {
            Standing::Unseen(why) => why,
            Standing::Missing | Standing::Foreign(_) | Standing::Stopped | Standing::Live => {
                LOOKS_FIRST.to_owned()
            }
        };
        self.ask(now, name, around, out);
        if let Some(trouble) = &self.acting.trouble {
            why.clone_from(trouble);
        }
        if until <= now && !self.has_seen(name, around) && !self.acting.is_under_way() {
            let why = format!("it could not be looked at within {}: {why}", Spoken(LOOK_LIMIT));
            self.fail(now, name, why, out);
            return None;
        }
        let is_first = around.scene.is_looking_at(&self.blueprint.key);
        Some(NodeState::Blocked { why: if is_first { LOOKS_FIRST.to_owned() } else { why } })
    }

    /// Asks who waits for it, where that matters.
    fn ask(&mut self, now: Time, name: &str, around: &Around<'_>, out: &mut Out) {
        if !self.has_seen(name, around) && matches!(standing(self, around.scene), Standing::Live) {
            let key = self.blueprint.key.clone();
            out.actions.extend(self.acting.begin(now, name, || Act::Holders { key }));
        }
    }

    /// Whether all is known that is needed to choose.
    pub(super) fn has_seen(&self, name: &str, around: &Around<'_>) -> bool {
        match standing(self, around.scene) {
            Standing::Unseen(_) => false,
            Standing::Missing | Standing::Foreign(_) | Standing::Stopped => true,
            Standing::Live => self.holders.is_some() || !around.is_selected(name),
        }
    }

    fn fail(&mut self, now: Time, name: &str, why: String, out: &mut Out) {
        out.remember(now, name, Memory::Failed { why: why.clone() });
        self.acting.forget();
        self.phase = Phase::Failed { why };
    }

    /// Judges a stopped job; the error is why it has failed.
    fn leave(
        &mut self,
        now: Time,
        name: &str,
        around: &Around<'_>,
        out: &mut Out,
    ) -> Result<NodeState, String> {
        let Phase::Leaving(leaving) = &mut self.phase else { return Err(String::new()) };
        let sight = around.scene.sight_of(&self.blueprint.key);
        let in_the_way = leaving.judge(&sight)?;
        if !leaving.is_gone {
            if let Some(why) = around.cancelled() {
                let why = format!("{why}; it is stopped, and not waited for");
                return Ok(NodeState::Skipped { why, root: None });
            }
            if leaving.memory.deadline <= now {
                return Err(format!("not gone within {}: {in_the_way}", Spoken(self.limit)));
            }
            return Ok(NodeState::Gated { why: in_the_way });
        }
        let is_purge_due = self.is_purge_due(name, around);
        let Phase::Leaving(leaving) = &mut self.phase else { return Err(String::new()) };
        if is_purge_due || leaving.purge == Purge::UnderWay {
            if let Some(trouble) = self.acting.is_hopeless() {
                return Err(format!("it is stopped, and could not be purged: {trouble}"));
            }
            leaving.purge = Purge::UnderWay;
            let (key, doomed) = (self.blueprint.key.clone(), leaving.memory.doomed.clone());
            out.actions.extend(self.acting.begin(now, name, || Act::Stop { key, doomed, purge: true }));
        }
        let version = leaving.memory.doomed.version;
        let how =
            if leaving.is_ours { format!("stopped, was version {version}") } else { ALREADY.to_owned() };
        let is_purged = self.purge && leaving.purge == Purge::Done;
        Ok(NodeState::Satisfied { how: if is_purged { format!("{how}; purged") } else { how } })
    }

    /// Whether it is to be purged now.
    fn is_purge_due(&self, name: &str, around: &Around<'_>) -> bool {
        let Phase::Leaving(leaving) = &self.phase else { return false };
        self.purge
            && leaving.is_gone
            && around.is_selected(name)
            && leaving.purge == Purge::Open
            && around.halt.is_none()
            && around.blocked(name, |_| true).is_none()
            && around.have_ended_well(name, Moment::PostStop)
    }

    /// Whether something remains to be done for it although its state is final.
    pub(super) fn has_chores(&self, name: &str, around: &Around<'_>) -> bool {
        self.acting.is_under_way()
            || self.is_purge_due(name, around)
            || matches!(&self.phase, Phase::Leaving(leaving) if leaving.purge == Purge::UnderWay)
    }

    /// What runs of it, when it is decided that it will be stopped, and while it is.
    pub(super) fn is_doomed(&self) -> Option<&Doomed> {
        match &self.phase {
            Phase::Due(doomed) | Phase::Stopping { doomed, .. } => Some(doomed),
            Phase::Waiting { .. } | Phase::Leaving(_) | Phase::Absent | Phase::Failed { .. } => None,
        }
    }

    /// What ran of it before this run stopped it.
    pub(super) fn was_doomed(&self) -> Option<&Doomed> {
        match &self.phase {
            Phase::Leaving(leaving) if leaving.is_ours => Some(&leaving.memory.doomed),
            Phase::Waiting { .. }
            | Phase::Due(_)
            | Phase::Stopping { .. }
            | Phase::Leaving(_)
            | Phase::Absent
            | Phase::Failed { .. } => None,
        }
    }

    /// Whether it was found stopped, or not found at all.
    pub(super) fn was_stopped_before(&self) -> bool {
        match &self.phase {
            Phase::Leaving(leaving) => !leaving.is_ours,
            Phase::Absent => true,
            Phase::Waiting { .. } | Phase::Due(_) | Phase::Stopping { .. } | Phase::Failed { .. } => false,
        }
    }

    /// Whether no job had its ID.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self.phase, Phase::Absent)
    }

    /// Whether it was purged by this run.
    pub(super) fn is_purged(&self) -> bool {
        self.purge && matches!(&self.phase, Phase::Leaving(leaving) if leaving.purge == Purge::Done)
    }

    /// Whether it was not begun yet to stop it.
    pub(super) fn is_undecided(&self) -> bool {
        matches!(self.phase, Phase::Waiting { .. } | Phase::Due(_))
    }

    /// Whether it has failed, in this process or in an earlier one.
    pub(super) fn has_failed(&self) -> bool {
        matches!(self.phase, Phase::Failed { .. })
    }

    /// Whether it takes one of the places of `max_parallel`.
    pub(super) fn is_busy(&self) -> bool {
        match &self.phase {
            Phase::Stopping { .. } => true,
            Phase::Leaving(leaving) => leaving.is_ours && !leaving.is_gone,
            Phase::Waiting { .. } | Phase::Due(_) | Phase::Absent | Phase::Failed { .. } => false,
        }
    }

    /// When its act is tried again.
    pub(super) fn retries_at(&self) -> Option<Time> {
        self.acting.next_timeout()
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        let own = match &self.phase {
            Phase::Waiting { look_until } => *look_until,
            Phase::Stopping { deadline, .. } => Some(*deadline).filter(|_| !self.acting.is_under_way()),
            Phase::Leaving(leaving) => Some(leaving.memory.deadline).filter(|_| !leaving.is_gone),
            Phase::Due(_) | Phase::Absent | Phase::Failed { .. } => None,
        };
        [own, self.acting.next_timeout()].into_iter().flatten().min()
    }

    pub(super) fn gives_up(&self) -> Option<Time> {
        match &self.phase {
            Phase::Stopping { deadline, .. } => Some(*deadline),
            Phase::Leaving(leaving) => Some(leaving.memory.deadline),
            Phase::Waiting { .. } | Phase::Due(_) | Phase::Absent | Phase::Failed { .. } => None,
        }
    }
}

/// In what way a job is satisfied that someone else has stopped.
const ALREADY: &str = "was stopped already";

/// What runs of a job.
fn doomed(sight: &JobSight) -> Option<Doomed> {
    let job = &sight.job;
    let spec = job.marks.as_deref()?.spec.clone();
    Some(Doomed { create_index: job.create_index, version: job.version, spec })
}
