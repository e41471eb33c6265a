//! Expressions over other waits.
//!
//! A part that cannot be seen is *unknown*, and what depends on it does not hold: `!x` stays shut while x is out of sight.
//! An expression can never hold only when it could not even if all parts but the lost ones came to whatever helps.

use super::{Obstacle, Verdict};
use crate::manifest::Expression;

/// How a part of an expression stands at this instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    Holds,
    /// It is seen, and does not hold.
    Fails,
    /// It has failed for good.
    Lost,
    /// Nothing can be said.
    Unknown,
}

impl Truth {
    fn value(self) -> Option<bool> {
        match self {
            Self::Holds => Some(true),
            Self::Fails | Self::Lost => Some(false),
            Self::Unknown => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Fails => "does not hold",
            Self::Lost => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// Judges an expression by how its parts stand, and says how it stands itself, for another that names it.
pub fn judge(expression: &Expression, part: impl Fn(&str) -> Truth) -> (Verdict, Truth) {
    let names = expression.names();
    let parts: Vec<String> = names.iter().map(|name| format!("{name} {}", part(name).word())).collect();
    let text = parts.join(", ");
    let is_lost = |name: &&str| part(name) == Truth::Lost;
    let fixed = |name: &str| is_lost(&name).then_some(false);
    match expression.value(|name| part(name).value()) {
        Some(true) => (Verdict::Met(text), Truth::Holds),
        _ if names.iter().any(is_lost) && !expression.can_hold(fixed) => {
            (Verdict::Never(format!("`{expression}` cannot hold any more: {text}")), Truth::Fails)
        }
        value => {
            let truth = if value.is_some() { Truth::Fails } else { Truth::Unknown };
            (Verdict::NotYet(Obstacle { text, is_blocked: false }), truth)
        }
    }
}
