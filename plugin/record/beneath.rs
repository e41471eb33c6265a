//! The directory of a task's journal: `<alloc_dir>/<task>/dtree`.
//!
//! A task's directory is mounted into no other task. But a task without isolation sees all of its client, so every
//! directory on the way and the file itself are opened following no link, the directory must be ours alone, and only a
//! regular file that has no second name is used. Whoever takes the directory away takes the run's memory, and not more:
//! what it did is found in the cluster.
//!
//! Nomad's own `private` directory beside it is of no use: where the agent is root it is a tmpfs of 1 MiB (1.11.3),
//! too small for a large tree and gone with the machine.

use std::{
    fs::File,
    io,
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, open, openat, renameat},
    sys::stat::{Mode, SFlag, fstat, mkdirat},
    unistd::{UnlinkatFlags, fsync, geteuid, unlinkat},
};

/// The directory in the task's own.
const DIRECTORY: &str = "dtree";

/// What opening one of the directories asks for.
const AS_DIRECTORY: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// What opening a file to write asks for: not to wait for whoever holds the other end of a FIFO, either.
const AS_FILE: OFlag = OFlag::O_RDWR
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_NONBLOCK)
    .union(OFlag::O_NOCTTY)
    .union(OFlag::O_CLOEXEC);

/// The open directory.
#[derive(Debug)]
pub(super) struct Directory {
    fd: OwnedFd,
}

impl Directory {
    /// That of `task` in the allocation whose directory is `alloc_dir`; made if it is not there.
    ///
    /// # Errors
    ///
    /// When one of the directories before it is not there, or anything on the way is a link.
    pub(super) fn open(alloc_dir: &Path, task: &str) -> io::Result<Self> {
        let mut at = open(alloc_dir, AS_DIRECTORY.difference(OFlag::O_NOFOLLOW), Mode::empty())
            .map_err(|errno| because(errno, &alloc_dir.display().to_string()))?;
        at = openat(&at, task, AS_DIRECTORY, Mode::empty()).map_err(|errno| because(errno, task))?;
        match mkdirat(&at, DIRECTORY, Mode::S_IRWXU) {
            Ok(()) => fsync(&at).map_err(|errno| because(errno, DIRECTORY))?,
            Err(Errno::EEXIST) => {}
            Err(errno) => return Err(because(errno, DIRECTORY)),
        }
        let fd =
            openat(&at, DIRECTORY, AS_DIRECTORY, Mode::empty()).map_err(|errno| because(errno, DIRECTORY))?;
        let stat = fstat(&fd)?;
        let is_open = Mode::from_bits_truncate(stat.st_mode).intersects(Mode::S_IRWXG | Mode::S_IRWXO);
        if stat.st_uid != geteuid().as_raw() || is_open {
            let why = format!("{DIRECTORY} is not ours alone");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        Ok(Self { fd })
    }

    /// Opens the file `name`; `None` if there is none.
    ///
    /// # Errors
    ///
    /// When what has this name is not a regular file without any other name.
    pub(super) fn file(&self, name: &str) -> io::Result<Option<File>> {
        let fd = match openat(&self.fd, name, AS_FILE, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::ENOENT) => return Ok(None),
            Err(errno) => return Err(because(errno, name)),
        };
        let stat = fstat(&fd)?;
        let refused = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name} {why}")));
        if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
            return refused("is not a regular file");
        }
        if stat.st_nlink != 1 {
            return refused("has a second name");
        }
        Ok(Some(fd.into()))
    }

    /// Makes the file `name`, in the place of what may be left there of another attempt.
    pub(super) fn make(&self, name: &str) -> io::Result<File> {
        self.remove(name)?;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let fd = openat(&self.fd, name, AS_FILE | OFlag::O_CREAT | OFlag::O_EXCL, mode)
            .map_err(|errno| because(errno, name))?;
        Ok(fd.into())
    }

    /// Removes the name `name`, if it is there.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(because(errno, name)),
        }
    }

    /// Gives the file `from` the name `to`, in the place of what has it.
    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        renameat(self.fd.as_fd(), from, self.fd.as_fd(), to).map_err(|errno| because(errno, to))
    }

    /// Has the names in it on the disk.
    pub(super) fn flush(&self) -> io::Result<()> {
        Ok(fsync(&self.fd)?)
    }
}

/// The reason, with the name it is about.
fn because(errno: Errno, name: &str) -> io::Error {
    let error = io::Error::from(errno);
    io::Error::new(error.kind(), format!("{name}: {error}"))
}
