//! Opens files in an allocation's log directory, which every task of the allocation can write to.
//!
//! Only the allocation's directory itself is trusted. From there each name is opened relative to the directory before
//! it, so that no exchange on the way is followed, and what was opened is looked at before it is used:
//!
//! | planted | what happens |
//! |---|---|
//! | a link in place of `alloc`, `logs` or the file | `O_NOFOLLOW`: not opened |
//! | a FIFO | `O_NONBLOCK`: not opened, or seen not to be a regular file |
//! | a second name of another file | seen by the number of its names |
//! | a directory, a socket | not opened |

use std::{fs::File, io, path::Path};

use nix::{
    dir::Dir,
    fcntl::{OFlag, open, openat},
    sys::stat::{Mode, SFlag, fstat},
    unistd::{UnlinkatFlags, unlinkat},
};

/// How many names of the directory are looked at. A sibling can make many more; an allocation has some dozens.
const MAX_NAMES: usize = 10_000;

/// The mode Nomad's own log files have.
const MODE: Mode = Mode::from_bits_truncate(0o644);

/// An allocation's log directory.
#[derive(Debug)]
pub(super) struct LogDir {
    dir: Dir,
}

impl LogDir {
    /// That of the allocation whose directory is `alloc_dir`.
    pub(super) fn open(alloc_dir: &Path) -> io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut dir = open(alloc_dir, flags, Mode::empty()).map_err(|errno| because(errno, alloc_dir))?;
        for name in ["alloc", "logs"] {
            dir = openat(&dir, name, flags | OFlag::O_NOFOLLOW, Mode::empty())
                .map_err(|errno| because(errno, Path::new(name)))?;
        }
        Ok(Self { dir: Dir::from_fd(dir)? })
    }

    /// The names in it, at most [`MAX_NAMES`].
    pub(super) fn names(&self) -> io::Result<Vec<Vec<u8>>> {
        // A second open of the same directory, because reading moves the position of the first.
        let again =
            openat(&self.dir, ".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
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
        let flags = OFlag::O_WRONLY
            | OFlag::O_APPEND
            | OFlag::O_CREAT
            | OFlag::O_NOFOLLOW
            | OFlag::O_NONBLOCK
            | OFlag::O_NOCTTY
            | OFlag::O_CLOEXEC;
        let file = openat(&self.dir, name, flags, MODE).map_err(|errno| because(errno, Path::new(name)))?;
        let stat = fstat(&file)?;
        let refused = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name} {why}")));
        if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
            return refused("is not a regular file");
        }
        if stat.st_nlink != 1 {
            return refused("has a second name");
        }
        Ok(file.into())
    }

    /// Removes the name `name`, whatever it stands for, unless that is a directory.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.dir, name, UnlinkatFlags::NoRemoveDir)?)
    }
}

/// The reason, with the name it is about.
fn because(errno: nix::Error, path: &Path) -> io::Error {
    let error = io::Error::from(errno);
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
