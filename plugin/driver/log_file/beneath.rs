//! Opens files in an allocation's log directory, which every task of the allocation can write to: see
//! [`crate::beneath`].

use std::{fs::File, io, os::fd::OwnedFd, path::Path};

use nix::{
    dir::Dir,
    fcntl::{OFlag, openat},
    sys::stat::Mode,
    unistd::{UnlinkatFlags, unlinkat},
};

use crate::beneath::{self, because};

/// How many names of the directory are looked at. A sibling can make many more; an allocation has some dozens.
const MAX_NAMES: usize = 10_000;

/// The mode Nomad's own log files have.
const MODE: Mode = Mode::from_bits_truncate(0o644);

/// An allocation's log directory.
#[derive(Debug)]
pub(super) struct LogDir {
    fd: OwnedFd,
}

impl LogDir {
    /// That of the allocation whose directory is `alloc_dir`.
    pub(super) fn open(alloc_dir: &Path) -> io::Result<Self> {
        let trusted = |errno| because(errno, &alloc_dir.display().to_string());
        let mut dir = beneath::root(alloc_dir).map_err(trusted)?;
        for name in ["alloc", "logs"] {
            dir = beneath::directory(&dir, name).map_err(|errno| because(errno, name))?;
        }
        Ok(Self { fd: dir })
    }

    /// The names in it, at most [`MAX_NAMES`].
    pub(super) fn names(&self) -> io::Result<Vec<Vec<u8>>> {
        // A second open of the same directory, because reading moves the position of the first.
        let again =
            openat(&self.fd, ".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        let mut dir = Dir::from_fd(again)?;
        let entries = dir.iter().take(MAX_NAMES);
        entries.map(|entry| Ok(entry?.file_name().to_bytes().to_vec())).collect()
    }

    /// Opens the file `name` to append to it, and makes it if there is none.
    ///
    /// # Errors
    ///
    /// When what has this name is not a regular file without any other name.
    pub(super) fn open_file(&self, name: &str) -> io::Result<File> {
        let to = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT;
        beneath::file(&self.fd, name, to, MODE).map_err(|unfit| unfit.of(name))
    }

    /// Removes the name `name`, whatever it stands for, unless that is a directory.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir)?)
    }
}
