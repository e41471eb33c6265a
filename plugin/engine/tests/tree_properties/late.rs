//! An act that lands when nobody waits for it any more: its process has ended, or has taken it for lost. Another may lead by
//! then, and may be done.

use super::{shell::Late, *};

impl Shell<'_> {
    /// From now on nobody waits for it. There is one such act in a case; others do not happen at all.
    pub(super) fn becomes_late(&mut self, name: &str, act: &Act) {
        if self.case.lands_after.is_none() || self.late.is_some() || self.lands_after.is_none() {
            return;
        }
        let look = self.choice().is_multiple_of(2).then(|| self.world.look(name, act));
        self.tell(format!("{name}: {act:?} is under way, and nobody waits for it: {look:?}"));
        let (name, act) = (name.to_owned(), act.clone());
        let is_given_up = self.is_lost(&name);
        self.late = Some(Late { name, act, look, is_given_up });
    }

    /// Time for something else to happen.
    pub(super) fn another_moment(&mut self) -> Result<(), TestCaseError> {
        if self.late.is_some() {
            match self.lands_after {
                Some(0) | None => self.land()?,
                Some(left) => self.lands_after = Some(left - 1),
            }
        }
        Ok(())
    }

    /// It lands.
    pub(super) fn land(&mut self) -> Result<(), TestCaseError> {
        let Some(Late { name, act, look, is_given_up }) = self.late.take() else { return Ok(()) };
        self.lands_after = None;
        self.tell(format!("{name}: {act:?} LANDS"));
        if let Act::Retire { key, .. } = &act {
            // Who leads now may not know yet that the run has failed, or what made it fail is well again.
            let is_awaited = !is_given_up && self.is_awaited(&name, key);
            prop_assert!(!is_awaited, "{} is retired while it is awaited", key.job);
        }
        let look = look.unwrap_or_else(|| self.world.look(&name, &act));
        // Nobody hears of it.
        drop(self.carry_out(&name, &act, look)?);
        Ok(())
    }

    /// Whether nothing will become of the step any more, for who leads now.
    pub(super) fn is_lost(&self, name: &str) -> bool {
        let status = self.engine.status(self.now);
        status.nodes.iter().any(|node| node.name == name && matches!(node.state, "failed" | "skipped"))
    }

    /// Whether who leads now waits for the result of this job.
    fn is_awaited(&self, name: &str, key: &JobKey) -> bool {
        let last = self.memory.iter().rev().find_map(|entry| match entry {
            Entry::Step { name: step, memory, .. } if step == name => Some(memory),
            _ => None,
        });
        let is_pending = self.world.jobs.get(key).is_some_and(|job| job.fate == Fate::Pending);
        is_pending
            && !self.is_lost(name)
            && self.judge.finishes.is_empty()
            && matches!(last, Some(Memory::Running { job, .. }) if job == key)
    }
}
