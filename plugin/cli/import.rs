//! `dtree import`: what an older tool's file says, as a manifest.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
};

use serde_json::json;

use super::{Failure, Outcome, file::Source, print};
use crate::manifest::text::{Import, Jobspecs};

/// The longest jobspec that is looked at, in bytes: Nomad takes no longer one.
const MAX_JOBSPEC: u64 = 1 << 20;
/// The most files of a directory that are looked at.
const MAX_JOBSPECS: usize = 10_000;

/// Prints the manifest.
pub(super) fn run(
    file: &Path,
    name: Option<&str>,
    job: Option<&str>,
    jobspecs: Option<&Path>,
    is_json: bool,
) -> Outcome {
    let source = Source::read(file)?;
    let jobspecs = jobspecs.map(directory).transpose()?;
    let import = Import { tree: name, target: job, jobspecs: jobspecs.as_ref(), adopt: false };
    if !is_json {
        return print(&source.import(import)?);
    }
    let imported = source.imported(import).map_err(|problems| source.documents(&problems));
    let document = json!({
        "file": file.display().to_string(),
        "manifest": imported.as_ref().ok(),
        "problems": imported.as_ref().err().cloned().unwrap_or_default(),
    });
    print(&format!("{document:#}\n"))?;
    if imported.is_ok() { Ok(()) } else { Err(Failure::cannot("")) }
}

/// The jobspecs of a directory.
pub(super) fn directory(path: &Path) -> Result<Jobspecs, Failure> {
    let cannot = |path: &Path, error: &io::Error| {
        let why = match error.kind() {
            io::ErrorKind::NotFound => "there is no such directory".to_owned(),
            io::ErrorKind::NotADirectory => {
                "it is no directory; name the one that the jobspecs are in".to_owned()
            }
            _ => error.to_string(),
        };
        Failure::cannot(format!("dtree: cannot read the jobspecs in {}: {why}\n", path.display()))
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| cannot(path, &error))?.take(MAX_JOBSPECS) {
        let entry = entry.map_err(|error| cannot(path, &error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !Jobspecs::is_one(&name) || !entry.path().is_file() {
            continue;
        }
        let mut bytes = Vec::new();
        let opened = File::open(entry.path());
        let read = opened.and_then(|file| file.take(MAX_JOBSPEC).read_to_end(&mut bytes));
        read.map_err(|error| cannot(&entry.path(), &error))?;
        files.push((name, String::from_utf8_lossy(&bytes).into_owned()));
    }
    Ok(Jobspecs::read(files))
}
