//! The plugin's log: one JSON object per line on stderr, in the form of HashiCorp's hclog, which the host reads and logs
//! as its own.
//!
//! # Invariants
//!
//! * `@level`, `@message` and `@timestamp` are always there, and every value is text: the host's parser panics on other
//!   types under these keys, and hides lines whose time or level it does not understand.
//! * A line ends before [`line::LIMIT`] and has no newline inside, whatever is logged.
//! * There is no `@module`: the host names its logger after the plugin, and would show it as one more pair.
//! * Losing a line never fails the plugin.

mod fields;
mod layer;
mod line;
mod panic;

use std::{env, io, io::Write};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, registry, util::SubscriberInitExt};

pub use layer::Layer;
pub use panic::report_panics;

/// The variable that sets the level, because the host hands no level to its plugins.
const LEVEL: &str = "DTREE_LOG";

/// Writes a finished line to stderr in one piece.
fn to_stderr(line: &[u8]) {
    // With stderr closed there is nobody left to tell.
    io::stderr().lock().write_all(line).ok();
}

/// Sends everything logged by this process, and its panics, to stderr.
pub fn install() {
    let wanted = env::var_os(LEVEL).map(|level| level.to_string_lossy().trim().to_lowercase());
    let level = wanted.as_deref().and_then(level_named).unwrap_or(LevelFilter::INFO);
    // A second subscriber in one process can only come from a test.
    registry().with(filter(level)).with(Layer::new(to_stderr)).try_init().ok();
    report_panics(to_stderr);
}

fn level_named(name: &str) -> Option<LevelFilter> {
    match name {
        "trace" => Some(LevelFilter::TRACE),
        "debug" => Some(LevelFilter::DEBUG),
        "info" => Some(LevelFilter::INFO),
        "warn" => Some(LevelFilter::WARN),
        "error" => Some(LevelFilter::ERROR),
        "off" => Some(LevelFilter::OFF),
        _ => None,
    }
}

/// What dtree says from `level` on. The libraries beneath are heard when they warn.
fn filter(level: LevelFilter) -> Targets {
    Targets::new().with_target("dtree", level).with_default(level.min(LevelFilter::WARN))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn the_libraries_beneath_are_heard_only_when_they_warn() {
        let filter = filter(level_named("debug").unwrap());
        assert!(filter.would_enable("dtree::driver", &Level::DEBUG));
        assert!(!filter.would_enable("dtree::driver", &Level::TRACE));
        assert!(filter.would_enable("h2", &Level::WARN));
        assert!(!filter.would_enable("h2", &Level::INFO));
        assert_eq!(level_named("loud"), None);
    }
}
