//! The small pieces that messages are made of.

use std::fmt;

use jiff::Timestamp;
use tonic::Status;

use super::pb::drivers::ExitResult;
use crate::engine::Time;

/// A task's ID, as Nomad makes it: `<allocation>/<task>/<8 hex digits>`, new at each start.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TaskId(String);

impl From<&str> for TaskId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What Go calls the zero time, which Nomad takes for "not yet".
pub(super) const NOT_YET: prost_types::Timestamp =
    prost_types::Timestamp { seconds: -62_135_596_800, nanos: 0 };

/// An instant, for Nomad.
pub(super) fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() }
}

/// An instant of the core, for Nomad.
pub(super) fn instant(at: Time) -> prost_types::Timestamp {
    let millis = i64::try_from(at.unix_millis()).unwrap_or(i64::MAX);
    timestamp(Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX))
}

/// A result that is not there yet. Nomad reads it without asking whether there is one.
pub(super) const NO_RESULT: ExitResult = ExitResult { exit_code: 0, signal: 0, oom_killed: false };

/// The answer for a task that this process does not have.
pub(super) fn no_such_task() -> Status {
    // Nomad's own drivers say it in these words.
    Status::not_found("task not found for given id")
}

/// An error that trying again will not mend: the allocation fails at once. Nothing that the driver does when a task starts
/// can fail for a while only, so there is no other kind.
pub(super) fn refusal(why: impl fmt::Display) -> Status {
    Status::unknown(why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_before_1970_are_instants_too() {
        let at = Timestamp::from_millisecond(1_500).unwrap();
        assert_eq!(timestamp(at), prost_types::Timestamp { seconds: 1, nanos: 500_000_000 });
        assert_eq!(timestamp("0001-01-01T00:00:00Z".parse().unwrap()), NOT_YET);
    }
}
