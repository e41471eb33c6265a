//! What makes a `wait` block that of a guard, as it arrives.

use std::collections::{BTreeMap, BTreeSet};

use super::block::{Block, Number};
use crate::manifest::{self, Guard, OnLoss, Problem, Problems};

/// The attributes of a guard's wait.
pub(super) struct Given {
    pub(super) on_loss: Option<String>,
    pub(super) grace: Option<String>,
    pub(super) signal: Option<String>,
    pub(super) tasks: Option<Vec<String>>,
    pub(super) max_actions: Option<Number>,
    pub(super) period: Option<String>,
}

impl Given {
    /// The attributes with typed values; `None` for the wait of a gate. `of_gates` are those that the block has and
    /// that mean nothing to a guard.
    pub(super) fn check(self, block: &mut Block<'_>, of_gates: &[(&str, bool)]) -> Option<Guard> {
        let about_actions = [
            ("tasks", self.tasks.is_some()),
            ("signal", self.signal.is_some()),
            ("max_actions", self.max_actions.is_some()),
            ("period", self.period.is_some()),
        ];
        let Some(text) = self.on_loss else {
            for attribute in about_actions
                .iter()
                .chain(&[("grace", self.grace.is_some())])
                .filter_map(|(attribute, is_given)| is_given.then_some(*attribute))
            {
                block.problem_with_help(
                    format!("{attribute} is about what a guard does, and there is no on_loss"),
                    format!(
                        "add `on_loss = \"report\"` or another of {}, or take {attribute} away",
                        OnLoss::WORDS.join(", ")
                    ),
                );
            }
            return None;
        };
        let on_loss = block.word("on_loss", Some(text), OnLoss::WORDS, OnLoss::from_word);
        block.apart(of_gates, "on_loss", "a guard watches until it is stopped, and has no time limit");
        // What is no word contradicts nothing.
        if let Some(on_loss) = on_loss {
            let given = about_actions.iter().filter(|(attribute, _)| match on_loss {
                OnLoss::Report => true,
                OnLoss::Restart | OnLoss::Hold => matches!(*attribute, "tasks" | "signal"),
                OnLoss::Signal => false,
            });
            let given: Vec<(&str, bool)> = given.copied().collect();
            let why = match on_loss {
                OnLoss::Report => "a report sends nothing, and is not counted",
                OnLoss::Restart | OnLoss::Hold | OnLoss::Signal => "the whole allocation is restarted",
            };
            block.apart(&given, &format!("on_loss = \"{on_loss}\""), why);
        }
        let grace = block.duration("grace", self.grace).unwrap_or(Guard::DEFAULT_GRACE);
        if grace < Guard::LEAST_GRACE {
            block.problem("grace is less than \"1s\", in which nothing can be seen for certain");
        }
        let signal = self.signal.filter(|signal| {
            let word = |text: &str| Guard::SIGNALS.contains(&text).then_some(());
            block.word("signal", Some(signal.clone()), Guard::SIGNALS, word).is_some()
        });
        if self.tasks.as_ref().is_some_and(Vec::is_empty) {
            block.problem_with_help(
                "tasks is empty, so nobody would be signalled",
                "name tasks of the group, or take it away: then all main tasks are signalled",
            );
        }
        let tasks = self.tasks.unwrap_or_default();
        let tasks =
            tasks.into_iter().filter_map(|task| block.name("a member of tasks", Some(task))).collect();
        let max_actions = block.number("max_actions", self.max_actions, 1, Guard::MOST_ACTIONS);
        let period = block.time_limit("period", self.period).unwrap_or(Guard::DEFAULT_PERIOD);
        if period < Guard::LEAST_GRACE {
            block.problem("period is less than \"1s\"");
        }
        let on_loss = on_loss.unwrap_or(OnLoss::Report);
        Some(Guard {
            on_loss,
            grace,
            signal: (on_loss == OnLoss::Signal)
                .then(|| signal.unwrap_or_else(|| Guard::DEFAULT_SIGNAL.to_owned())),
            tasks,
            max_actions: max_actions.unwrap_or(Guard::DEFAULT_MAX_ACTIONS),
            period,
        })
    }
}

/// A task is a gate, a guard or a tree.
pub(super) fn one_kind(
    waits: &BTreeMap<String, Box<manifest::Wait>>,
    is_tree: bool,
    problems: &mut Problems,
) {
    let parts: BTreeSet<&str> = waits.values().flat_map(|wait| wait.subject.parts()).collect();
    let whole = waits.iter().filter(|(name, _)| !parts.contains(name.as_str()));
    let (guards, gates): (Vec<_>, Vec<_>) = whole.partition(|(_, wait)| wait.guard.is_some());
    let Some((guarding, _)) = guards.first() else { return };
    if is_tree {
        problems.push(
            Problem::new(
                format!("wait {guarding:?}"),
                "on_loss contradicts the `job` or `hook` blocks beside it",
            )
            .with_help("a guard is a task of its own: a sidecar with the waits that have on_loss"),
        );
    } else if !gates.is_empty() {
        let names: Vec<String> = gates.iter().map(|(name, _)| format!("{name:?}")).collect();
        problems.push(
            Problem::new(
                "config",
                format!("wait {guarding:?} has on_loss, and these have not: {}", names.join(", ")),
            )
            .with_help(
                "a task holds its group back or keeps watch: give on_loss to all waits of a guard, and put the others into a gate",
            ),
        );
    }
}
