//! How what a guard does is spoken of.

use crate::{
    engine::Spoken,
    manifest::{Guard as Terms, OnLoss},
};

/// What a guard promises to do, in short: `hold after 10s`.
pub(super) fn promise(terms: &Terms) -> String {
    format!("{} after {}", terms.on_loss, Spoken(terms.grace))
}

/// What it does now, for people.
pub(super) fn spoken(terms: &Terms) -> String {
    match terms.on_loss {
        OnLoss::Report => "reported".to_owned(),
        OnLoss::Restart => "restarts the allocation's running tasks".to_owned(),
        OnLoss::Hold => "restarts the allocation with all its tasks, so that its gate holds it".to_owned(),
        OnLoss::Signal => {
            let signal = terms.signal.as_deref().unwrap_or(Terms::DEFAULT_SIGNAL);
            let tasks =
                if terms.tasks.is_empty() { "the main tasks".to_owned() } else { terms.tasks.join(", ") };
            format!("sends {signal} to {tasks}")
        }
    }
}

/// A count of acts, for people.
pub(super) fn times(n: u32) -> String {
    if n == 1 { "once".to_owned() } else { format!("{n} times") }
}

/// A count as it is written in a manifest. There are never as many acts as would not fit.
pub(super) fn clamp(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
