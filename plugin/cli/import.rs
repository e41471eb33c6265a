//! `dtree import`: what an older tool's file says, as a manifest.

use std::path::Path;

use super::{Outcome, file::Source, print};

/// Prints the manifest.
pub(super) fn run(file: &Path, name: &str, job: Option<&str>) -> Outcome {
    let source = Source::read(file)?;
    print(&source.import(name, job)?)
}
