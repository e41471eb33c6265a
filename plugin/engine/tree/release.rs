//! A wait in the stop of a tree: when nothing that needs it is left, the record that the tree waits is taken back.

use super::{
    around::Around,
    job::LOOKS_FIRST,
    selection::Choice,
    step::{Acting, Out},
};
use crate::{
    cluster::JobKey,
    engine::{Act, NodeState, Report, Time, Trouble},
    manifest::Wait,
};

/// A wait that is let go.
#[derive(Clone, Debug)]
pub(super) struct ReleaseStep {
    pub(super) wait: Wait,
    /// The job of which it may be recorded that the tree waits for it.
    job: Option<JobKey>,
    acting: Acting,
    /// In what way it is over.
    done: Option<String>,
}

impl ReleaseStep {
    pub(super) fn new(wait: Wait, job: Option<JobKey>) -> Self {
        Self { wait, job, acting: Acting::default(), done: None }
    }

    /// Brings the step up to date.
    pub(super) fn advance(&mut self, now: Time, name: &str, around: &Around<'_>, out: &mut Out) -> NodeState {
        self.acting.unasked();
        if let Some(how) = &self.done {
            return NodeState::Satisfied { how: how.clone() };
        }
        if !self.acting.is_under_way() {
            let waits = match around.choice(name) {
                Some(Choice::Stop) => around.halted(name).or_else(|| around.blocked(name, |_| true)),
                Some(Choice::Spare(why) | Choice::Refuse(why)) => Some(around.spared(name, why)),
                None => {
                    around.halted(name).or_else(|| Some(NodeState::Blocked { why: LOOKS_FIRST.to_owned() }))
                }
            };
            if let Some(state) = waits {
                return state;
            }
        }
        let Some(key) = self.job.clone() else {
            let how = "nothing is recorded of it".to_owned();
            self.done = Some(how.clone());
            return NodeState::Satisfied { how };
        };
        if let Some(why) = self.acting.is_hopeless() {
            return NodeState::Satisfied { how: self.keep(name, &key, &why, out) };
        }
        out.actions.extend(self.acting.begin(now, name, || Act::LetGo { key }));
        NodeState::Working { on: self.acting.describe("is being let go") }
    }

    /// Takes what came of the step's act.
    pub(super) fn acted(&mut self, now: Time, name: &str, result: Result<Report, Trouble>, out: &mut Out) {
        let Some(result) = self.acting.end(now, result) else { return };
        if let (Err(why), Some(key)) = (result, self.job.clone()) {
            self.keep(name, &key, &why, out);
        } else {
            self.done = Some("no longer waited for".to_owned());
        }
    }

    fn keep(&mut self, name: &str, key: &JobKey, why: &str, out: &mut Out) -> String {
        out.log(format!(
            "{name}: that this tree waited for job {key} stays written down, and keeps its tree from stopping it: {why}"
        ));
        let how = "its record stays".to_owned();
        self.done = Some(how.clone());
        how
    }

    /// Whether something remains to be done for it although its state is final.
    pub(super) fn has_chores(&self) -> bool {
        self.acting.is_under_way()
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.acting.next_timeout()
    }
}
