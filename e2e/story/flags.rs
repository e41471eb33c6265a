//! A file that gets a line each time that something runs.

use std::path::Path;

use super::Flag;

/// What has run, and how often.
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
