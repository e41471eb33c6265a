//! The record of a hook that runs once: a Nomad variable that everyone who wants it to run reads and writes.
//!
//! ```text
//!                 claimed                    launched                  ended well
//!   (no record) ──────────▶ launching, by me ────────▶ running, as job ──────────▶ done
//!                             ▲     │    ▲                   │ failed
//!        taken over, released └─────┘    └───────────────────┤
//!                                          another attempt   └──────────────────▶ failed
//! ```
//!
//! Each arrow is a write that lands only on what its writer has read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cluster::JobKey;

/// The items of the variable: the version of this format, what it is about, and the record itself.
const FORMAT: &str = "format";
const HOOK: &str = "hook";
const KEY: &str = "key";
const RECORD: &str = "record";
/// The format that this dtree writes and understands.
const OWN_FORMAT: &str = "1";

/// What became of a hook for one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// What runs.
    pub(super) runs: Runs,
    /// The number of the first attempt since there is this record: a record that was purged has left its jobs behind.
    pub(super) first: u32,
    /// Which attempt this is about: the last part of its job's ID.
    pub(super) attempt: u32,
    pub(super) state: State,
}

/// What a hook runs: another job would be another hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Runs {
    /// A parameterized job is dispatched.
    Dispatch(JobKey),
    /// A jobspec with this ID is registered under another.
    Jobspec(JobKey),
}

impl Runs {
    /// For people.
    pub(super) fn spoken(&self) -> String {
        match self {
            Self::Dispatch(job) => format!("a dispatch of {job}"),
            Self::Jobspec(job) => format!("the jobspec of {job}"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum State {
    /// It may be launched already, or not yet.
    Launching {
        /// Who does that, as `allocation/task`; `None`: whoever comes.
        by: Option<String>,
        /// The job of the attempt before, which must be stopped before this one begins.
        over: Option<JobKey>,
    },
    Running {
        /// Who launched it.
        by: String,
        job: JobKey,
    },
    Done {
        job: JobKey,
        how: String,
        exit_code: Option<i32>,
    },
    /// For good.
    Failed {
        job: Option<JobKey>,
        why: String,
        exit_code: Option<i32>,
    },
}

impl Record {
    /// How many attempts came before this one.
    pub(super) fn before(&self) -> u32 {
        self.attempt.saturating_sub(self.first)
    }

    /// As the variable of `hook` and `key` says it.
    pub(super) fn items(&self, hook: &str, key: &str) -> BTreeMap<String, String> {
        // Texts and numbers only: this cannot fail, and nothing would be understood of an empty text.
        let record = serde_json::to_string(self).unwrap_or_default();
        [(FORMAT, OWN_FORMAT), (HOOK, hook), (KEY, key), (RECORD, record.as_str())]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    /// What the variable says of `hook` and `key`; the error is why that is not understood.
    pub(super) fn read(items: &BTreeMap<String, String>, hook: &str, key: &str) -> Result<Self, String> {
        let item = |name: &str| items.get(name).map(String::as_str);
        match item(FORMAT) {
            Some(OWN_FORMAT) => {}
            Some(other) => {
                return Err(format!(
                    "it has the format {other:?}, which a newer dtree may have written, and this one knows {OWN_FORMAT:?}"
                ));
            }
            None => return Err("it is not what dtree has written: it has no item `format`".to_owned()),
        }
        if (item(HOOK), item(KEY)) != (Some(hook), Some(key)) {
            return Err(format!(
                "it is about hook {:?} and key {:?}",
                item(HOOK).unwrap_or_default(),
                item(KEY).unwrap_or_default()
            ));
        }
        let record = item(RECORD).ok_or("it is not what dtree has written: it has no item `record`")?;
        serde_json::from_str(record)
            .map_err(|error| format!("it is not what dtree has written: its item `record`: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_everything_else_is_refused() {
        let record = Record {
            runs: Runs::Dispatch(JobKey::new("default", "migrate")),
            first: 1,
            attempt: 2,
            state: State::Launching { by: Some("a/b".to_owned()), over: None },
        };
        let items = record.items("migrate", "v7");
        assert_eq!(Record::read(&items, "migrate", "v7"), Ok(record));
        let but = |name: &str, value: &str| {
            let mut items = items.clone();
            items.insert(name.to_owned(), value.to_owned());
            Record::read(&items, "migrate", "v7").unwrap_err()
        };
        insta::assert_snapshot!(but(FORMAT, "2"), @r#"it has the format "2", which a newer dtree may have written, and this one knows "1""#);
        insta::assert_snapshot!(but(KEY, "v8"), @r#"it is about hook "migrate" and key "v8""#);
        insta::assert_snapshot!(but(RECORD, "done!"), @"it is not what dtree has written: its item `record`: expected value at line 1 column 1");
        insta::assert_snapshot!(Record::read(&BTreeMap::new(), "migrate", "v7").unwrap_err(), @"it is not what dtree has written: it has no item `format`");
    }
}
