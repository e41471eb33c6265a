//! A registered job: whether it is ready, and the record that its post hooks have run.

use super::{JobStep, Phase};
use crate::{
    condition::{Attested, Verdict},
    engine::{
        Act, NodeState, Time,
        node::{Evidence, Node},
        tree::{
            around::Around,
            held::Record,
            memory::{Cause, Memory},
            step::Out,
        },
    },
    manifest::Moment,
};

impl JobStep {
    /// Judges a registered job; the error is why it has failed.
    pub(super) fn hold(
        &mut self,
        now: Time,
        name: &str,
        around: &Around<'_>,
        out: &mut Out,
    ) -> Result<NodeState, String> {
        let Phase::Submitted(held) = &mut self.phase else { return Err(String::new()) };
        let is_over = around.halt.is_some() && held.node.state.is_satisfied();
        if !is_over {
            let verdict = held.verdict(&self.wait, &self.marks, around)?;
            let verdict = held.node.stable(now, self.stable_for, verdict);
            if held.node.state.is_satisfied() && !matches!(verdict, Verdict::Met(_)) {
                held.node = Node::fresh(now, now + self.limit);
            }
            if let Some(why) = around.cancelled().filter(|_| !matches!(verdict, Verdict::Met(_))) {
                let why = format!("{why}; it is submitted, and not waited for");
                // Nor does the time go on for which it must stay so: nothing is timed any more.
                held.node.interrupt();
                return Ok(NodeState::Skipped { why, root: None });
            }
            let last_deadline = held.node.deadline;
            let is_seen = held.was_shown;
            held.node.judge(
                now,
                Evidence {
                    wait: &self.wait,
                    missing: Vec::new(),
                    verdict,
                    is_seen,
                    is_known: is_seen,
                    last_deadline,
                },
            );
        }
        if let NodeState::Failed { why } = &held.node.state {
            return Err(match held.memory.cause {
                Some(_) => why.clone(),
                None => format!("{why}; its jobspec is unchanged, so it was not submitted again"),
            });
        }
        if !held.node.state.is_satisfied() {
            return Ok(held.node.state.clone());
        }
        if !held.memory.was_ready {
            held.memory.was_ready = true;
            out.remember(now, name, Memory::Submitted(held.memory.clone()));
        }
        let how = held.node.state.detail();
        let cause = held.memory.cause.map_or("unchanged", Cause::word);
        let how = format!("{cause}, version {}: {how}", held.memory.submission.version);
        if around.has_hooks(name, Moment::Post) {
            self.keep_record(now, name, around, out)?;
        }
        Ok(NodeState::Satisfied { how })
    }

    /// Finds out which rollout a ready job with post hooks belongs to, and writes down that these have run.
    fn keep_record(
        &mut self,
        now: Time,
        name: &str,
        around: &Around<'_>,
        out: &mut Out,
    ) -> Result<(), String> {
        let Phase::Submitted(held) = &mut self.phase else { return Ok(()) };
        let key = &self.blueprint.key;
        let Some(rollout) = &held.memory.rollout else {
            if around.halt.is_some() {
                return Ok(());
            }
            if let Some(trouble) = self.acting.is_hopeless() {
                return Err(format!("its past cannot be read: {trouble}"));
            }
            out.actions.extend(self.acting.begin(now, name, || Act::Recall { key: key.clone() }));
            return Ok(());
        };
        if matches!(held.record, Record::Done | Record::GivenUp)
            || !around.have_ended_well(name, Moment::Post)
        {
            return Ok(());
        }
        if let Some(trouble) = self.acting.is_hopeless() {
            held.give_up_record(name, &trouble, out);
            return Ok(());
        }
        held.record = Record::UnderWay;
        let done = Attested {
            create_index: rollout.create_index,
            version: rollout.version,
            spec: self.marks.spec.clone(),
        };
        let hooks = around.hooks_of(name, Moment::Post);
        let hooks = hooks.filter_map(|hook| Some((hook.to_owned(), around.outcome(hook)?))).collect();
        out.actions.extend(self.acting.begin(now, name, || Act::Attest { key: key.clone(), done, hooks }));
        Ok(())
    }
}
