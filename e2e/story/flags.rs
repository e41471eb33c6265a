//! Files by which a story and its tasks tell each other something.

use std::path::{Path, PathBuf};

/// A file whose appearing a task can wait for.
#[derive(Debug, Clone)]
pub(crate) struct Flag(pub(crate) PathBuf);

impl Flag {
    /// The one of the allocation with this index.
    pub(crate) fn of(&self, index: usize) -> Self {
        Self(self.0.with_added_extension(index.to_string()))
    }

    /// The one of this client.
    pub(crate) fn on(&self, client: &str) -> Self {
        Self(self.0.with_added_extension(client))
    }

    /// Now it is there.
    pub(crate) fn raise(&self) {
        std::fs::write(&self.0, "").expect("the cluster's directory can be written to");
    }
}

/// A file that gets a line each time that something runs.
#[derive(Debug, Clone)]
pub(crate) struct Tally(pub(super) Flag);

impl Tally {
    /// A script that first adds the line `what`.
    pub(crate) fn script(&self, what: &str, then: &str) -> String {
        format!("echo {what} >> {}; {then}", self.path().display())
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.0.0
    }

    /// What is in the file; nothing while there is none.
    pub(crate) fn text(&self) -> String {
        std::fs::read_to_string(self.path()).unwrap_or_default()
    }

    /// Its lines, sorted.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.text().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}
