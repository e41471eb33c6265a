//! Reads files of a user, on the disk of whoever sits at the command line.
//!
//! A path is one of a task, so that the same manifest is good for both: `local/x` is `local/x` in the directory, or, where
//! there is no such file, `x`. Links may lead around in the directory, but neither links nor paths out of it unless the
//! user says so.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::{
    Unreadable,
    task_dir::{MAX_NAMES, text},
};
use crate::{
    cluster::nearest,
    manifest::{TaskPath, leads_out},
};

/// Where a task finds what templates and artifacts have brought.
const LOCAL: &str = "local";
/// What lets a user read elsewhere.
const ALLOWS: &str = "`--outside` allows it";

/// The files of a user.
#[derive(Clone, Debug)]
pub struct DiskDir {
    root: PathBuf,
    may_leave: bool,
}

impl DiskDir {
    /// The files in `root`; `may_leave` says whether links and paths may lead out of it. Nothing is opened yet.
    pub fn new(root: impl Into<PathBuf>, may_leave: bool) -> Self {
        Self { root: root.into(), may_leave }
    }

    /// The text of the file that the author calls `path`. Blocks, for the time that a local file of at most 1 MiB takes.
    ///
    /// # Errors
    ///
    /// When there is no such file, or it is out of the directory, or no text.
    pub fn read(&self, path: &str) -> Result<String, Unreadable> {
        let found = self.find(path)?;
        let unread = |error: io::Error| Unreadable {
            why: format!("cannot be read: {}: {error}", found.display()),
            help: None,
        };
        // Opening a FIFO would wait.
        if !fs::metadata(&found).map_err(unread)?.is_file() {
            return Err(Unreadable { why: format!("is no regular file: {}", found.display()), help: None });
        }
        text(File::open(&found).map_err(unread)?)
    }

    /// Where the file is, without links.
    fn find(&self, path: &str) -> Result<PathBuf, Unreadable> {
        if self.may_leave && leads_out(path) {
            let named = self.root.join(path);
            return fs::canonicalize(&named).map_err(|error| Unreadable {
                why: match error.kind() {
                    io::ErrorKind::NotFound => format!("is not there: {}", named.display()),
                    _ => format!("cannot be opened: {}: {error}", named.display()),
                },
                help: None,
            });
        }
        let TaskPath { is_shared, names } = TaskPath::new(path)
            .map_err(|why| Unreadable { why, help: leads_out(path).then(|| ALLOWS.to_owned()) })?;
        if is_shared {
            return Err(Unreadable {
                why: "is in an allocation's shared directory, and there is no allocation here".to_owned(),
                help: Some("put the file beside the manifest, and name it without \"/alloc/\"".to_owned()),
            });
        }
        let without_local = names.strip_prefix(&[LOCAL]).filter(|rest| !rest.is_empty());
        let candidates = [Some(names.as_slice()), without_local].into_iter().flatten();
        for names in candidates {
            let named = names.iter().fold(self.root.clone(), |path, name| path.join(name));
            let found = match fs::canonicalize(&named) {
                Ok(found) => found,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    let why = format!("cannot be opened: {}: {error}", named.display());
                    return Err(Unreadable { why, help: None });
                }
            };
            let root = fs::canonicalize(&self.root).unwrap_or_else(|_| self.root.clone());
            if !self.may_leave && !found.starts_with(&root) {
                return Err(Unreadable {
                    why: format!(
                        "is a link out of the directory {}, to {}",
                        self.root.display(),
                        found.display()
                    ),
                    help: Some(ALLOWS.to_owned()),
                });
            }
            return Ok(found);
        }
        Err(self.missing(without_local.unwrap_or(&names)))
    }

    /// That there is no such file, with one that may be meant.
    fn missing(&self, names: &[&str]) -> Unreadable {
        let (name, before) = names.split_last().map_or(("", names), |(name, before)| (*name, before));
        let directory = before.iter().fold(self.root.clone(), |path, name| path.join(name));
        let there = listed(&directory);
        let help = match nearest(name, there.iter().map(String::as_str)) {
            Some(near) => format!("did you mean {:?}?", [before, &[near]].concat().join("/")),
            None => "`--jobspecs DIR` says where the jobspecs are".to_owned(),
        };
        let why = format!("is not there: nothing in {} is called {name:?}", directory.display());
        Unreadable { why, help: Some(help) }
    }
}

/// The names in a directory, as far as they are text; none if it cannot be listed.
fn listed(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().take(MAX_NAMES).flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn said(dir: &DiskDir, root: &Path, path: &str) -> String {
        let said = dir.read(path).unwrap_or_else(|unreadable| unreadable.to_string());
        said.replace(&*fs::canonicalize(root).unwrap().to_string_lossy(), "ROOT")
            .replace(&*root.to_string_lossy(), "ROOT")
    }

    #[test]
    fn a_path_of_a_task_is_found_in_the_users_directory() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("local")).unwrap();
        fs::write(root.path().join("local/both"), "in local").unwrap();
        fs::write(root.path().join("both"), "beside").unwrap();
        fs::write(root.path().join("api.hcl"), "api").unwrap();
        let dir = DiskDir::new(root.path(), false);
        let say = |path| said(&dir, root.path(), path);
        assert_eq!(say("local/both"), "in local");
        assert_eq!(say("both"), "beside");
        assert_eq!(say("local/api.hcl"), "api");
        assert_eq!(say("/local/api.hcl"), "api");
        insta::assert_snapshot!(say("local/apj.hcl"), @r#"is not there: nothing in ROOT is called "apj.hcl" (did you mean "api.hcl"?)"#);
        insta::assert_snapshot!(say("sub/web.hcl"), @r#"is not there: nothing in ROOT/sub is called "web.hcl" (`--jobspecs DIR` says where the jobspecs are)"#);
        insta::assert_snapshot!(say("local"), @"is no regular file: ROOT/local");
        insta::assert_snapshot!(say("/alloc/x"), @r#"is in an allocation's shared directory, and there is no allocation here (put the file beside the manifest, and name it without "/alloc/")"#);
        insta::assert_snapshot!(say("../x"), @r#"leads out of the task's directory; let a template or artifact block bring the file to "local/" (`--outside` allows it)"#);
    }

    #[test]
    fn a_path_out_of_the_directory_is_read_only_when_the_user_says_so() {
        let above = tempfile::tempdir().unwrap();
        let root = above.path().join("trees");
        fs::create_dir(&root).unwrap();
        fs::write(above.path().join("x"), "above").unwrap();
        let absolute = above.path().join("x").display().to_string();
        for path in ["../x", absolute.as_str()] {
            let why = DiskDir::new(&root, false).read(path).unwrap_err().to_string();
            assert!(why.ends_with("(`--outside` allows it)"), "{why}");
            assert_eq!(DiskDir::new(&root, true).read(path).unwrap(), "above");
        }
        let why = DiskDir::new(&root, true).read("../y").unwrap_err().to_string();
        assert!(why.starts_with("is not there: "), "{why}");
    }

    #[test]
    fn a_link_out_of_the_directory_is_followed_only_when_the_user_says_so() {
        let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(other.path().join("secret"), "secret").unwrap();
        fs::write(root.path().join("here"), "here").unwrap();
        symlink(other.path().join("secret"), root.path().join("out")).unwrap();
        symlink(other.path(), root.path().join("outside")).unwrap();
        symlink("here", root.path().join("inside")).unwrap();
        let dir = DiskDir::new(root.path(), false);
        assert_eq!(dir.read("inside").unwrap(), "here");
        for path in ["out", "outside/secret"] {
            let why = dir.read(path).unwrap_err().to_string();
            assert!(why.contains("is a link out of the directory"), "{why}");
            assert_eq!(DiskDir::new(root.path(), true).read(path).unwrap(), "secret");
        }
    }

    #[test]
    fn a_fifo_does_not_block() {
        let root = tempfile::tempdir().unwrap();
        nix::unistd::mkfifo(&root.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(
            DiskDir::new(root.path(), false).read("fifo").unwrap_err().why.starts_with("is no regular file")
        );
    }
}
