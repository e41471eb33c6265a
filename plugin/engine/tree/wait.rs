//! A `wait` among the nodes of a tree.

use super::{FIRST_LOOK, around::Around, memory::Memory, step::Out};
use crate::{
    cluster::Sight,
    condition::Verdict,
    engine::{
        NodeState, Time,
        node::{Evidence, Node},
    },
    manifest::Wait,
};

/// Its time begins when what it depends on is satisfied, unlike in a gate.
#[derive(Clone, Debug)]
pub(super) struct WaitStep {
    pub(super) wait: Wait,
    node: Option<Node>,
    /// Its deadline in an earlier process, and whether its condition held there.
    remembered: Option<(Time, bool)>,
    /// Whether its condition holds; a wait can also be satisfied because its time is over.
    is_met: bool,
    was_met: bool,
}

impl WaitStep {
    pub(super) fn new(wait: Wait, memory: Option<&Memory>) -> Self {
        let remembered = match memory {
            Some(Memory::Wait { deadline, was_met }) => Some((*deadline, *was_met)),
            _ => None,
        };
        let was_met = remembered.is_some_and(|(_, was_met)| was_met);
        Self { wait, node: None, remembered, is_met: false, was_met }
    }

    pub(super) fn advance(&mut self, now: Time, name: &str, around: &Around<'_>, out: &mut Out) -> NodeState {
        if let Some(node) = &self.node
            && (node.state.is_lost() || node.state.is_satisfied() && (around.halt.is_some() || !self.is_met))
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
            let deadline = match self.remembered {
                Some((_, true)) => now + self.wait.timeout,
                Some((deadline, false)) => deadline.max(now + FIRST_LOOK),
                None => {
                    let deadline = now + self.wait.timeout;
                    out.remember(now, name, Memory::Wait { deadline, was_met: false });
                    deadline
                }
            };
            self.node = Some(Node::new(now, deadline));
        }
        let sight = around.scene.sight_for(&self.wait);
        let Some(node) = &mut self.node else { return NodeState::Blocked { why: String::new() } };
        let verdict = around.scene.judge(&self.wait, node.was_seen);
        if node.state.is_satisfied() && !matches!(verdict, Verdict::Met(_)) {
            // It held and was lost: it has its whole time again to come back.
            *node = Node::new(now, now + self.wait.timeout);
        }
        let last_deadline = node.deadline;
        let is_seen = !matches!(*sight, Sight::Unseen(_));
        node.was_seen |= matches!(*sight, Sight::Present(_));
        self.is_met = matches!(verdict, Verdict::Met(_));
        if self.is_met && !self.was_met {
            self.was_met = true;
            out.remember(now, name, Memory::Wait { deadline: node.deadline, was_met: true });
        }
        node.judge(now, Evidence { wait: &self.wait, missing: Vec::new(), verdict, is_seen, last_deadline });
        node.state.clone()
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        let node = self.node.as_ref().filter(|node| !node.state.is_satisfied() && !node.state.is_lost())?;
        [Some(node.deadline), node.believed_at()].into_iter().flatten().min()
    }

    pub(super) fn gives_up(&self) -> Option<Time> {
        self.node.as_ref().map(|node| node.deadline)
    }
}
