//! One step of a run: its state, and the one function that changes it.
//!
//! ```text
//!              dependencies satisfied            it is so
//!     Blocked ───────────────────────▶ Gated ──────────────▶ Satisfied
//!        ▲                              │  ▲                     │
//!        └── a dependency is lost ──────┘  └──── it is lost ─────┘
//!                                       │
//!                                       │ never, blocked and told to fail, or the time is over
//!                                       ▼
//!                                     Failed
//! ```
//!
//! # States are levels, not edges
//!
//! A state says how things stand now. What was satisfied and is lost goes back, so that all conditions hold together
//! when the gate opens; news that repeat themselves change nothing.
//!
//! # When *never* is believed
//!
//! A failure that happens while we watch is believed after [`SETTLES`]: reads of several lists are not one instant,
//! and Nomad itself shows jobs as failed for the blink of an eye. A failure that stood when we began may be what
//! somebody is mending right now: it is believed only when it has stood for [`PATIENCE`].

use std::time::Duration;

use super::{Time, time::Spoken};
use crate::{
    condition::{Truth, Verdict},
    manifest::{OnBlocked, OnTimeout, Wait},
};

/// How long a failure that we saw happen must stand.
pub(super) const SETTLES: Duration = Duration::from_millis(500);
/// How long a failure must stand that was there when we began.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// How a step stands. The words are the same in task events, logs and commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// Waits for other steps, or for its turn.
    Blocked {
        /// For which.
        why: String,
    },
    /// Something is being done for it.
    Working {
        /// What.
        on: String,
    },
    /// Waits for its condition.
    Gated {
        /// What is in the way.
        why: String,
    },
    /// Its condition holds, or its time is over and the user said to go on then.
    Satisfied {
        /// In what way.
        how: String,
    },
    /// It can no longer be satisfied.
    Failed {
        /// Why.
        why: String,
    },
    /// It will not be begun, or not be waited for any longer.
    Skipped {
        /// Because of what.
        why: String,
        /// The failed step that it needs, directly or through others; `None`: it is skipped for another reason.
        root: Option<String>,
    },
}

impl NodeState {
    /// The names of all states.
    pub const WORDS: [&str; 6] = ["blocked", "working", "gated", "satisfied", "failed", "skipped"];

    /// The state's name.
    pub fn word(&self) -> &'static str {
        let [blocked, working, gated, satisfied, failed, skipped] = Self::WORDS;
        match self {
            Self::Blocked { .. } => blocked,
            Self::Working { .. } => working,
            Self::Gated { .. } => gated,
            Self::Satisfied { .. } => satisfied,
            Self::Failed { .. } => failed,
            Self::Skipped { .. } => skipped,
        }
    }

    /// What is in the way, or in what way its condition holds.
    pub fn detail(&self) -> String {
        match self {
            Self::Blocked { why }
            | Self::Gated { why }
            | Self::Failed { why }
            | Self::Skipped { why, .. } => why.clone(),
            Self::Working { on } => on.clone(),
            Self::Satisfied { how } => how.clone(),
        }
    }

    /// Whether its condition holds.
    pub fn is_satisfied(&self) -> bool {
        matches!(self, Self::Satisfied { .. })
    }

    /// Whether nothing will become of it any more.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Skipped { .. })
    }
}

/// A step with what must be remembered about it.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) state: NodeState,
    /// Since when it has been in a state of this name.
    pub(super) since: Time,
    /// When its time is over.
    pub(super) deadline: Time,
    /// Whether its job was there at any time since the run began.
    pub(super) was_seen: bool,
    /// Whether its condition held at any time since the run began.
    was_met: bool,
    /// Whether it could already be seen at some time that it had not failed.
    had_hope: bool,
    /// Since when it looks as if it could never become so.
    hopeless_since: Option<Time>,
    /// Since when its condition holds without a break.
    met_since: Option<Time>,
    /// How it stands for a `when` that names it.
    truth: Truth,
}

/// What a step is judged by.
pub(super) struct Evidence<'a> {
    pub(super) wait: &'a Wait,
    /// The steps it depends on that are not satisfied.
    pub(super) missing: Vec<String>,
    pub(super) verdict: Verdict,
    /// Whether anything can be seen of its subject.
    pub(super) is_seen: bool,
    /// Whether enough can be seen to say that it is not so.
    pub(super) is_known: bool,
    /// When the last of the run's deadlines is over.
    pub(super) last_deadline: Time,
}

impl Node {
    pub(super) fn new(now: Time, deadline: Time) -> Self {
        Self {
            state: NodeState::Gated { why: "not looked at yet".to_owned() },
            since: now,
            deadline,
            was_seen: false,
            was_met: false,
            had_hope: false,
            hopeless_since: None,
            met_since: None,
            truth: Truth::Unknown,
        }
    }

    /// A step that counts only through the `when` of another: it has no time limit, and never fails.
    pub(super) fn part(now: Time) -> Self {
        Self::new(now, Time::NEVER)
    }

    /// Whether it counts only through the `when` of another. Nothing else has no time limit.
    pub(super) fn is_part(&self) -> bool {
        self.deadline == Time::NEVER
    }

    /// How it stands for a `when` that names it.
    pub(super) fn truth(&self) -> Truth {
        self.truth
    }

    /// A step whose subject is ours and new: a failure of it is believed as soon as it has settled.
    pub(super) fn fresh(now: Time, deadline: Time) -> Self {
        Self { had_hope: true, ..Self::new(now, deadline) }
    }

    /// From now on a failure is believed as soon as it has settled.
    pub(super) fn hope(&mut self) {
        self.had_hope = true;
    }

    /// Brings the state up to date. Returns whether anything of it changed.
    pub(super) fn judge(&mut self, now: Time, evidence: Evidence<'_>) -> bool {
        let deadline = self.effective_deadline(evidence.last_deadline);
        let is_believed = self.believe(now, &evidence);
        self.was_met |= evidence.missing.is_empty() && matches!(evidence.verdict, Verdict::Met(_));
        self.truth = self.truth_now(is_believed, &evidence);
        let next = after(now, deadline, is_believed, self.is_part(), evidence);
        if next == self.state {
            return false;
        }
        if next.word() != self.state.word() {
            self.since = now;
        }
        self.state = next;
        true
    }

    /// A step whose condition held and was lost again has until the end of the whole run to come back.
    pub(super) fn effective_deadline(&self, last_deadline: Time) -> Time {
        if self.was_met && !self.is_part() { last_deadline } else { self.deadline }
    }

    /// A condition that must hold for a while has not come true before that; a break of it begins anew.
    pub(super) fn stable(&mut self, now: Time, stable_for: Duration, verdict: Verdict) -> Verdict {
        let Verdict::Met(how) = verdict else {
            self.met_since = None;
            return verdict;
        };
        let since = *self.met_since.get_or_insert(now);
        if self.state.is_satisfied() || now.since(since) >= stable_for {
            return Verdict::Met(how);
        }
        // Without the time that is left: a state is news only when something has changed.
        Verdict::not_yet(format!("{how}; must stay so for {}", Spoken(stable_for)))
    }

    /// What is not looked at has no time behind it in which it held.
    pub(super) fn interrupt(&mut self) {
        self.met_since = None;
    }

    /// When it will have held for so long if nothing changes.
    pub(super) fn stable_at(&self, stable_for: Duration) -> Option<Time> {
        self.met_since.filter(|_| !self.state.is_satisfied()).map(|since| since + stable_for)
    }

    /// While it only has to stay so, or waits for others, nobody can say that it is not so.
    fn truth_now(&self, is_believed: bool, evidence: &Evidence<'_>) -> Truth {
        let has_no_room = matches!(&evidence.verdict, Verdict::NotYet(obstacle) if obstacle.is_blocked)
            && evidence.wait.on_blocked == OnBlocked::Fail;
        match &evidence.verdict {
            _ if !evidence.missing.is_empty() => Truth::Unknown,
            Verdict::Met(_) => Truth::Holds,
            _ if is_believed || has_no_room => Truth::Lost,
            _ if !evidence.is_known || self.met_since.is_some() => Truth::Unknown,
            Verdict::NotYet(_) | Verdict::Never(_) => Truth::Fails,
        }
    }

    /// When a *never* will be believed if nothing changes, and it is not yet.
    pub(super) fn believed_at(&self) -> Option<Time> {
        self.settles_at().filter(|_| self.truth != Truth::Lost)
    }

    fn settles_at(&self) -> Option<Time> {
        self.hopeless_since.map(|since| since + if self.had_hope { SETTLES } else { PATIENCE })
    }

    /// Remembers since when it looks hopeless; says whether that is believed. A blocked step is not looked at.
    fn believe(&mut self, now: Time, evidence: &Evidence<'_>) -> bool {
        match evidence.verdict {
            Verdict::Never(_) if evidence.missing.is_empty() => {
                self.hopeless_since.get_or_insert(now);
            }
            Verdict::Never(_) => self.hopeless_since = None,
            Verdict::Met(_) | Verdict::NotYet(_) => {
                self.hopeless_since = None;
                self.had_hope |= evidence.is_seen;
            }
        }
        self.settles_at().is_some_and(|at| at <= now)
    }
}

/// What a step waits for, in words.
pub(super) fn waits_for(names: &[String]) -> String {
    format!("waits for {}", names.join(", "))
}

/// The whole truth about a step.
fn after(now: Time, deadline: Time, is_believed: bool, is_part: bool, evidence: Evidence<'_>) -> NodeState {
    let wait = evidence.wait;
    let failed = |why: String| match (is_part, wait.optional) {
        (true, _) => NodeState::Gated { why },
        (false, true) => NodeState::Satisfied { how: format!("not waited for, as it is optional: {why}") },
        (false, false) => NodeState::Failed { why },
    };
    let is_over = deadline <= now;
    let limit = Spoken(wait.timeout);
    let gated = match (evidence.missing.is_empty(), evidence.verdict) {
        (true, Verdict::Met(how)) => return NodeState::Satisfied { how },
        (true, Verdict::Never(why)) if is_believed => return failed(why),
        (true, Verdict::NotYet(obstacle)) if obstacle.is_blocked && wait.on_blocked == OnBlocked::Fail => {
            return failed(obstacle.text);
        }
        (true, Verdict::Never(why)) => NodeState::Gated { why },
        (true, Verdict::NotYet(obstacle)) => NodeState::Gated { why: obstacle.text },
        (false, _) => NodeState::Blocked { why: waits_for(&evidence.missing) },
    };
    match (is_over, wait.on_timeout) {
        (false, _) => gated,
        (true, OnTimeout::Fail) => {
            NodeState::Failed { why: format!("not within {limit}: {}", gated.detail()) }
        }
        (true, OnTimeout::Continue) => NodeState::Satisfied {
            how: format!(
                "not waited for any longer than {limit} (on_timeout = continue): {}",
                gated.detail()
            ),
        },
    }
}
