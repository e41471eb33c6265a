//! A `wait` among the nodes of a tree.

use super::{
    FIRST_LOOK,
    around::Around,
    memory::{Approved, Memory},
    step::{Acting, Out},
};
use crate::{
    cluster::JobKey,
    condition::{Truth, Verdict},
    engine::{
        Act, Action, NodeState, Report, Time, Trouble,
        node::{Evidence, Node},
    },
    manifest::{Subject, Wait},
};

/// Its time begins when what it depends on is satisfied, unlike in a gate.
#[derive(Clone, Debug)]
pub(super) struct WaitStep {
    pub(super) wait: Wait,
    node: Option<Node>,
    /// Its deadline in an earlier process, and whether its condition held there.
    remembered: Option<(Time, bool)>,
    is_part: bool,
    /// Whether its condition holds; a wait can also be satisfied because its time is over.
    is_met: bool,
    was_met: bool,
    /// The job of which it is to be written down that the tree waits for it, until that is done or given up.
    held: Option<JobKey>,
    acting: Acting,
}

impl WaitStep {
    pub(super) fn new(wait: Wait, held: Option<JobKey>, is_part: bool, memory: Option<&Memory>) -> Self {
        let remembered = match memory {
            Some(Memory::Wait { deadline, was_met, approved: _ }) => Some((*deadline, *was_met)),
            _ => None,
        };
        let was_met = remembered.is_some_and(|(_, was_met)| was_met);
        Self {
            wait,
            node: None,
            remembered,
            is_part,
            is_met: false,
            was_met,
            held,
            acting: Acting::default(),
        }
    }

    /// How it stands for a `when` that names it.
    pub(super) fn truth(&self) -> Truth {
        self.node.as_ref().map_or(Truth::Unknown, Node::truth)
    }

    /// Whether it waits for a user's word, and it is its turn.
    pub(super) fn may_be_approved(&self) -> bool {
        let is_waiting = |node: &Node| matches!(node.state, NodeState::Gated { .. });
        matches!(self.wait.subject, Subject::Approval { .. }) && self.node.as_ref().is_some_and(is_waiting)
    }

    /// What is remembered of it when it is its turn.
    pub(super) fn memory(&self, approved: Option<Approved>) -> Memory {
        let deadline = self.node.as_ref().map_or(Time::NEVER, |node| node.deadline);
        Memory::Wait { deadline, was_met: self.was_met, approved }
    }

    pub(super) fn advance(&mut self, now: Time, name: &str, around: &Around<'_>, out: &mut Out) -> NodeState {
        self.acting.unasked();
        let state = self.judge(now, name, around, out);
        if self.is_record_due(around) {
            if let Some(why) = self.acting.is_hopeless() {
                self.give_up_record(name, &why, out);
            } else if let Some(key) = self.held.clone() {
                out.actions.extend(self.acting.begin(now, name, || Act::Hold { key }));
            }
        }
        state
    }

    /// Takes what came of the step's act.
    pub(super) fn acted(&mut self, now: Time, name: &str, result: Result<Report, Trouble>, out: &mut Out) {
        match self.acting.end(now, result) {
            Some(Ok(_)) => self.held = None,
            Some(Err(why)) => self.give_up_record(name, &why, out),
            None => {}
        }
    }

    fn give_up_record(&mut self, name: &str, why: &str, out: &mut Out) {
        if let Some(key) = self.held.take() {
            out.log(format!(
                "{name}: that this tree waits for job {key} cannot be written down, so its tree may stop it: {why}"
            ));
        }
    }

    /// Whether it is to be written down now that the tree waits.
    fn is_record_due(&self, around: &Around<'_>) -> bool {
        self.held.is_some()
            && self.is_met
            && around.has_looked
            && around.halt.is_none()
            && self.node.as_ref().is_some_and(|node| node.was_seen && node.state.is_satisfied())
    }

    /// Whether something remains to be done for it although its state is final.
    pub(super) fn has_chores(&self, around: &Around<'_>) -> bool {
        self.acting.is_under_way() || self.is_record_due(around)
    }

    fn judge(&mut self, now: Time, name: &str, around: &Around<'_>, out: &mut Out) -> NodeState {
        if let Some(node) = &self.node
            && (node.state.is_lost()
                || node.state.is_satisfied() && (around.halt.is_some() || !self.is_met) && !self.is_part)
        {
            return node.state.clone();
        }
        if let Some(skipped) = around.halted(name) {
            return skipped;
        }
        if self.node.is_none() {
            if let Some(blocked) = around.blocked(name, |_| true) {
                return blocked;
            }
            out.actions
                .extend(self.wait.question(around.place()).map(|question| Action::Ask([question].into())));
            let deadline = match self.remembered {
                _ if self.is_part => Time::NEVER,
                Some((_, true)) => now + self.wait.timeout,
                Some((deadline, false)) => deadline.max(now + FIRST_LOOK),
                None => {
                    let deadline = now + self.wait.timeout;
                    out.remember(now, name, Memory::Wait { deadline, was_met: false, approved: None });
                    deadline
                }
            };
            self.node = Some(if self.is_part { Node::part(now) } else { Node::new(now, deadline) });
        }
        let Some(node) = &mut self.node else { return NodeState::Blocked { why: String::new() } };
        let look = around.scene.look(name, &self.wait, node.was_seen, |part| around.truth(part));
        let verdict = node.stable(now, self.wait.stable_for, look.verdict);
        if self.is_part {
            // Has no time of its own that could begin anew.
        } else if node.state.is_satisfied() && !matches!(verdict, Verdict::Met(_)) {
            // It held and was lost: it has its whole time again to come back.
            *node = Node::new(now, now + self.wait.timeout);
        }
        let last_deadline = node.deadline;
        node.was_seen |= look.is_present;
        self.is_met = matches!(verdict, Verdict::Met(_));
        if self.is_met && !self.was_met && !self.is_part {
            self.was_met = true;
            let approved = around.scene.approval(name).cloned().map(|by| Approved { by });
            out.remember(now, name, Memory::Wait { deadline: node.deadline, was_met: true, approved });
        }
        let (is_seen, is_known) = (look.is_seen, look.is_known);
        let missing = Vec::new();
        node.judge(now, Evidence { wait: &self.wait, missing, verdict, is_seen, is_known, last_deadline });
        node.state.clone()
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        let node = self.node.as_ref().filter(|node| !node.state.is_satisfied() && !node.state.is_lost());
        let limit = |node: &Node| Some(node.deadline).filter(|_| !node.is_part());
        let own = node.map(|node| [limit(node), node.believed_at(), node.stable_at(self.wait.stable_for)]);
        own.into_iter().flatten().chain([self.acting.next_timeout()]).flatten().min()
    }

    pub(super) fn gives_up(&self) -> Option<Time> {
        self.node.as_ref().filter(|node| !node.is_part()).map(|node| node.deadline)
    }
}
