//! The values an attribute can have.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$variant_doc])* $variant),+
        }

        impl $name {
            /// Every word, in the order of the documentation.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The value that `word` stands for.
            pub fn from_word(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// The word the user writes.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

words!(
    /// What must be so.
    Until {
        /// The main tasks run.
        Running = "running",
        /// Nomad finds the current version healthy, and its main tasks run.
        Healthy = "healthy",
        /// A batch job ended well.
        Complete = "complete",
        /// A batch job ended badly for good, or the current version's deployment failed.
        Failed = "failed",
        /// Ended for good, well or badly.
        Finished = "finished",
        /// Stopped by a user, and nothing of it runs any more.
        Stopped = "stopped",
        /// No job has this ID.
        Absent = "absent",
    }
);

words!(
    /// Whose word on a job's health counts.
    #[derive(Default)]
    HealthSource {
        /// That of its checks, as soon as they say it; else Nomad's.
        #[default]
        Live = "live",
        /// Nomad's alone.
        Nomad = "nomad",
    }
);

words!(
    /// What a tree does with its jobs.
    Verb {
        /// Brings them up.
        Run = "run",
        /// Stops them.
        Stop = "stop",
    }
);

words!(
    /// What happens when the time is over.
    OnTimeout {
        /// The gate fails.
        Fail = "fail",
        /// The gate goes on as if the wait held.
        Continue = "continue",
    }
);

words!(
    /// What happens when Nomad finds no room for the job that is waited for.
    OnBlocked {
        /// Waiting goes on: room may come.
        Wait = "wait",
        /// The gate fails.
        Fail = "fail",
    }
);

words!(
    /// What happens to the rest of a tree when one of its nodes fails.
    OnFailure {
        /// Nothing new is begun; what is under way is let end; then the run fails.
        Finish = "finish",
        /// What does not depend on the failed node goes on; then the run fails.
        Continue = "continue",
        /// The run fails at once; hook jobs under way are stopped, other jobs are left as they are.
        Cancel = "cancel",
    }
);

words!(
    /// What the failure of a hook means.
    OnHookFailure {
        /// The hook has failed, and with it what waits for it.
        Fail = "fail",
        /// It goes on as if the hook had ended well.
        Continue = "continue",
    }
);

words!(
    /// Which finished jobs of a hook stay registered.
    Retain {
        /// Those that failed.
        Failed = "failed",
        /// All of them.
        All = "all",
        /// None.
        None = "none",
    }
);

/// How many allocations of a group are enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AtLeast {
    /// This many; 1 or more.
    Count(u32),
    /// This share of those wanted, rounded up; 1 to 100.
    Percent(u8),
}

impl AtLeast {
    /// Reads `"2"` or `"50%"`.
    pub fn from_text(text: &str) -> Option<Self> {
        match text.strip_suffix('%') {
            Some(percent) => {
                percent.parse().ok().filter(|percent| (1..=100).contains(percent)).map(Self::Percent)
            }
            None => text.parse().ok().filter(|count| *count >= 1).map(Self::Count),
        }
    }

    /// How many of `wanted` that is.
    pub fn of(self, wanted: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => {
                let share = (u64::from(wanted) * u64::from(percent)).div_ceil(100);
                u32::try_from(share).unwrap_or(wanted)
            }
        }
    }
}

/// The longest time limit that makes sense to write: 30 days.
const LONGEST: Duration = Duration::from_hours(30 * 24);

/// Reads a duration such as `"1h30m"` or `"0.5s"`.
///
/// # Errors
///
/// A sentence that says what is wrong with it.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let duration = duration_or_none(text)?;
    if duration < Duration::from_millis(1) {
        return Err(format!("\"{text}\" leaves no time to wait; write \"1s\" or more"));
    }
    Ok(duration)
}

/// Reads a duration such as `"10s"`, or `"0s"` for none.
///
/// # Errors
///
/// A sentence that says what is wrong with it.
pub(super) fn duration_or_none(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|_| format!("\"{text}\" is not a duration; write it like \"90s\", \"5m\" or \"1h30m\""))?;
    if duration > LONGEST {
        return Err(format!("\"{text}\" is more than 30 days"));
    }
    Ok(duration)
}
