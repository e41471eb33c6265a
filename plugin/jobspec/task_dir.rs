//! Reads files of a task, in whose directory the task may have put anything.
//!
//! | what a task may put there | what happens |
//! |---|---|
//! | a link to a file of the client, or a directory that is one | not followed |
//! | a second name of a file of the client | seen after opening; nothing is read |
//! | a FIFO or a device | opening does not wait; nothing is read |
//! | a file without end | one byte more than the limit is read |

use std::{
    fmt,
    fs::File,
    io::Read as _,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use nix::{
    dir::Dir,
    errno::Errno,
    fcntl::{OFlag, openat},
    sys::stat::Mode,
};

use crate::{
    beneath::{self, Unfit},
    cluster::nearest,
    manifest::TaskPath,
};

/// How large a file may be: as large as the sources that Nomad keeps of a job.
const MAX_SIZE: usize = 1 << 20;

/// How many names of a directory are looked at to find a near one.
pub(super) const MAX_NAMES: usize = 10_000;

/// The files of one task.
#[derive(Clone, Debug)]
pub struct TaskDir {
    alloc_dir: PathBuf,
    task: String,
}

/// Why a file cannot be used: what may follow its path in a sentence, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// What is wrong with the file.
    pub why: String,
    /// What to do; `None` where the reason says it.
    pub help: Option<String>,
}

impl Unreadable {
    fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), help: None }
    }

    /// Of a file that was not read when all of its tree's were.
    pub(super) fn unread() -> Self {
        Self::new("is no jobspec of the tree")
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.help {
            Some(help) => write!(f, "{} ({help})", self.why),
            None => f.write_str(&self.why),
        }
    }
}

impl TaskDir {
    /// The files of `task` in the allocation whose directory is `alloc_dir`. Nothing is opened yet.
    pub fn new(alloc_dir: impl Into<PathBuf>, task: impl Into<String>) -> Self {
        Self { alloc_dir: alloc_dir.into(), task: task.into() }
    }

    /// The text of the file that the author calls `path`: see [`TaskPath`]. Blocks, for the time that a local file of
    /// at most 1 MiB takes.
    ///
    /// # Errors
    ///
    /// When there is no such file, or it is none that can be trusted, or no text.
    pub fn read(&self, path: &str) -> Result<String, Unreadable> {
        let TaskPath { is_shared, names } = TaskPath::new(path).map_err(Unreadable::new)?;
        let Some((name, directories)) = names.split_last() else {
            return Err(Unreadable::new("names no file"));
        };
        let mut at = beneath::root(&self.alloc_dir).map_err(|errno| unexpected(errno, &self.alloc_dir))?;
        let root = if is_shared { "alloc" } else { self.task.as_str() };
        for (n, name) in [root].iter().chain(directories).enumerate() {
            at = beneath::directory(&at, *name).map_err(|errno| {
                let before = directories.get(..n.saturating_sub(1)).unwrap_or_default();
                missing(errno, &at, is_shared, before, name)
            })?;
        }
        match beneath::file(&at, *name, OFlag::O_RDONLY, Mode::empty()) {
            Ok(file) => text(file),
            Err(Unfit::Errno(errno)) => Err(missing(errno, &at, is_shared, directories, name)),
            Err(Unfit::NotRegular) => Err(Unreadable::new("is no regular file")),
            Err(Unfit::SecondName) => {
                Err(Unreadable::new("has a second name (a hard link), so it may be another's file"))
            }
        }
    }
}

/// The text of an open file.
pub(super) fn text(file: File) -> Result<String, Unreadable> {
    let mut bytes = Vec::new();
    file.take(MAX_SIZE as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Unreadable::new(format!("cannot be read: {error}")))?;
    if bytes.len() > MAX_SIZE {
        return Err(Unreadable::new("is larger than 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Unreadable::new(format!("is no text: byte {at} is not UTF-8"))
    })
}

/// Why `name` in the directory `at` could not be opened.
fn missing(errno: Errno, at: &OwnedFd, is_shared: bool, before: &[&str], name: &str) -> Unreadable {
    match errno {
        Errno::ENOENT => {
            let near = names(at);
            let near = nearest(name, near.iter().map(String::as_str));
            let help = match near {
                Some(near) => {
                    let root = if is_shared { "/alloc/" } else { "" };
                    let path = [before, &[near]].concat().join("/");
                    format!("did you mean \"{root}{path}\"?")
                }
                None => "a template or artifact block brings it there".to_owned(),
            };
            Unreadable { why: format!("is not there: nothing is called {name:?}"), help: Some(help) }
        }
        Errno::ELOOP => Unreadable::new(format!("is not read: {name:?} is a link")),
        Errno::ENOTDIR => Unreadable::new(format!("is not read: {name:?} is no directory, or a link to one")),
        errno => unexpected(errno, Path::new(name)),
    }
}

fn unexpected(errno: Errno, path: &Path) -> Unreadable {
    Unreadable::new(format!("cannot be opened: {}: {}", path.display(), std::io::Error::from(errno)))
}

/// The names in a directory, as far as they are text; none if it cannot be listed.
fn names(at: &OwnedFd) -> Vec<String> {
    let again = openat(at, ".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty());
    let Ok(mut dir) = again.and_then(Dir::from_fd) else { return Vec::new() };
    let entries = dir.iter().take(MAX_NAMES).flatten();
    let names = entries.filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned));
    names.filter(|name| !matches!(name.as_str(), "." | "..")).collect()
}
