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
    fcntl::{OFlag, renameat},
    sys::stat::{Mode, fstat, mkdirat},
    unistd::{UnlinkatFlags, fsync, geteuid, unlinkat},
};

use crate::beneath::{self, Unfit, because};

/// The directory in the task's own.
const DIRECTORY: &str = "dtree";

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
        let at =
            beneath::root(alloc_dir).map_err(|errno| because(errno, &alloc_dir.display().to_string()))?;
        let at = beneath::directory(&at, task).map_err(|errno| because(errno, task))?;
        match mkdirat(&at, DIRECTORY, Mode::S_IRWXU) {
            Ok(()) => fsync(&at).map_err(|errno| because(errno, DIRECTORY))?,
            Err(Errno::EEXIST) => {}
            Err(errno) => return Err(because(errno, DIRECTORY)),
        }
        let fd = beneath::directory(&at, DIRECTORY).map_err(|errno| because(errno, DIRECTORY))?;
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
        match beneath::file(&self.fd, name, OFlag::O_RDWR, Mode::empty()) {
            Ok(file) => Ok(Some(file)),
            Err(Unfit::Errno(Errno::ENOENT)) => Ok(None),
            Err(unfit) => Err(unfit.of(name)),
        }
    }

    /// Makes the file `name`, in the place of what may be left there of another attempt.
    pub(super) fn make(&self, name: &str) -> io::Result<File> {
        self.remove(name)?;
        let new = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL;
        beneath::file(&self.fd, name, new, Mode::S_IRUSR | Mode::S_IWUSR).map_err(|unfit| unfit.of(name))
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
