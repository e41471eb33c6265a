//! The first look at a job, and what is to be done about it.

use super::{JobStep, LOOK_LIMIT, LOOKS_FIRST, Phase};
use crate::{
    cluster::Sight,
    condition::{self, Change, Claim, Obstacle, Verdict},
    engine::{
        NodeState, Submission, Time,
        time::Spoken,
        tree::{
            around::Around,
            memory::{Cause, Due, Memory},
            step::Out,
        },
    },
    manifest::Moment,
};

impl JobStep {
    /// The first look, and what follows from it. `None` when the step has moved on.
    pub(super) fn look(
        &mut self,
        now: Time,
        name: &str,
        around: &Around<'_>,
        out: &mut Out,
    ) -> Option<NodeState> {
        let Phase::Waiting { look_until } = &mut self.phase else { return None };
        let look_until = look_until.take();
        let sight = around.scene.sight_of(&self.blueprint.key);
        let claimed = match sight.as_ref() {
            Sight::Unseen(_) => None,
            Sight::Absent { .. } => Some((condition::claim(None, &self.marks, self.may_adopt), None)),
            Sight::Present(sight) => {
                Some((condition::claim(Some(&sight.job), &self.marks, self.may_adopt), Some(&sight.job)))
            }
        };
        // Told at once, before anything is written, and not when its turn comes.
        if let Some((Claim::Foreign(why), _)) = claimed {
            self.fail(now, name, why, out);
            return None;
        }
        if let Some(skipped) = around.halted(name) {
            return Some(skipped);
        }
        let is_pre = |needed: &str| around.is_hook_of(needed, name, Moment::Pre);
        let blocked = around.blocked(name, |needed| !is_pre(needed));
        let Some((claim, job)) = claimed else {
            if around.has_looked && blocked.is_some() {
                return blocked;
            }
            // Its turn has come, or the whole tree waits for this look.
            let verdict = condition::judge(&self.wait, &around.scene.sight_of(&self.blueprint.key), false);
            let why = match verdict {
                Verdict::NotYet(Obstacle { text, .. }) | Verdict::Met(text) | Verdict::Never(text) => text,
            };
            let until = look_until.unwrap_or(now + LOOK_LIMIT);
            if until <= now {
                let why = format!("it could not be looked at within {}: {why}", Spoken(LOOK_LIMIT));
                self.fail(now, name, why, out);
                return None;
            }
            self.phase = Phase::Waiting { look_until: Some(until) };
            let is_first = around.scene.is_looking_at(&self.blueprint.key);
            let why = if is_first { LOOKS_FIRST.to_owned() } else { why };
            return Some(blocked.filter(|_| is_first).unwrap_or(NodeState::Blocked { why }));
        };
        if blocked.is_some() {
            return blocked;
        }
        if !around.has_looked {
            return Some(NodeState::Blocked { why: LOOKS_FIRST.to_owned() });
        }
        if let Some(reading) = self.read(now, name, around, out) {
            return Some(reading);
        }
        let why = match claim {
            Claim::Unchanged => {
                let job = job?;
                let submission = Submission { create_index: job.create_index, version: job.version };
                self.submitted(now, name, submission, None, None, out);
                return None;
            }
            Claim::Create => Cause::Created,
            Claim::Update(Change::Changed) => Cause::Updated,
            Claim::Update(Change::Stopped) => Cause::Restarted,
            Claim::Update(Change::Adopted) => Cause::Adopted,
            Claim::Foreign(_) => return None,
        };
        let due = Due {
            before: job.map(|job| job.job_modify_index).unwrap_or_default(),
            version: job.map(|job| job.version),
            why,
            spec: self.spec_of_values(),
        };
        if around.has_hooks(name, Moment::Pre) {
            out.remember(now, name, Memory::Due(due.clone()));
        }
        self.phase = Phase::Due(due);
        None
    }
}
