//! Opens files in directories that tasks can write to: nothing planted there redirects or blocks whoever reads or writes.
//!
//! Only the first directory is trusted. From there each name is opened relative to the directory before it, so that no
//! exchange on the way is followed, and what was opened is looked at before it is used:
//!
//! | planted | what happens |
//! |---|---|
//! | a link in place of a directory or of the file | `O_NOFOLLOW`: not opened |
//! | a FIFO or a device | `O_NONBLOCK`: opening does not wait; seen not to be a regular file |
//! | a second name of another file | seen by the number of its names |
//! | a directory, a socket | not opened, or seen not to be a regular file |

use std::{fs::File, io, os::fd::OwnedFd, path::Path};

use nix::{
    NixPath,
    errno::Errno,
    fcntl::{OFlag, open, openat},
    sys::stat::{Mode, SFlag, fstat},
};

/// What opening a directory asks for.
const AS_DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

/// What opening a file asks for, besides what it is opened for.
const AS_FILE: OFlag =
    OFlag::O_NOFOLLOW.union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY).union(OFlag::O_CLOEXEC);

/// Why a file cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The system's reason.
    #[error("{}", io::Error::from(*.0))]
    Errno(Errno),
    /// It is a FIFO, a device, a directory or the like.
    #[error("is not a regular file")]
    NotRegular,
    /// It may be another's file.
    #[error("has a second name")]
    SecondName,
}

impl From<Errno> for Unfit {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl Unfit {
    /// The same about the file `name`.
    pub fn of(self, name: &str) -> io::Error {
        match self {
            Self::Errno(errno) => because(errno, name),
            Self::NotRegular | Self::SecondName => {
                io::Error::new(io::ErrorKind::InvalidInput, format!("{name} {self}"))
            }
        }
    }
}

/// The reason, with the name it is about.
pub fn because(errno: Errno, name: &str) -> io::Error {
    let error = io::Error::from(errno);
    io::Error::new(error.kind(), format!("{name}: {error}"))
}

/// The directory at `path`, which is trusted.
pub fn root(path: &Path) -> Result<OwnedFd, Errno> {
    open(path, AS_DIRECTORY, Mode::empty())
}

/// The directory `name` in `at`.
pub fn directory(at: &OwnedFd, name: &(impl NixPath + ?Sized)) -> Result<OwnedFd, Errno> {
    openat(at, name, AS_DIRECTORY | OFlag::O_NOFOLLOW, Mode::empty())
}

/// The file `name` in `at`, opened `to` read or write or append; a file that is made gets `mode`.
pub fn file(at: &OwnedFd, name: &(impl NixPath + ?Sized), to: OFlag, mode: Mode) -> Result<File, Unfit> {
    let file = openat(at, name, to | AS_FILE, mode)?;
    let stat = fstat(&file)?;
    if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
        return Err(Unfit::NotRegular);
    }
    if stat.st_nlink == 1 { Ok(file.into()) } else { Err(Unfit::SecondName) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_a_regular_file_with_one_name_behind_no_link_is_opened() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "secret").unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("good"), "good").unwrap();
        std::fs::hard_link(outside.path().join("secret"), dir.path().join("second")).unwrap();
        symlink(outside.path().join("secret"), dir.path().join("link")).unwrap();
        symlink(outside.path(), dir.path().join("elsewhere")).unwrap();
        std::fs::create_dir(dir.path().join("inner")).unwrap();
        nix::unistd::mkfifo(&dir.path().join("fifo"), Mode::S_IRWXU).unwrap();

        let at = root(dir.path()).unwrap();
        let opened = |name: &str| file(&at, name, OFlag::O_RDONLY, Mode::empty()).map(drop);
        assert_eq!(opened("good"), Ok(()));
        assert_eq!(opened("second"), Err(Unfit::SecondName));
        assert_eq!(opened("link"), Err(Unfit::Errno(Errno::ELOOP)));
        assert_eq!(opened("fifo"), Err(Unfit::NotRegular));
        assert_eq!(opened("inner"), Err(Unfit::NotRegular));
        assert_eq!(opened("absent"), Err(Unfit::Errno(Errno::ENOENT)));
        assert!(directory(&at, "inner").is_ok());
        assert!(directory(&at, "elsewhere").is_err());
        assert_eq!(Unfit::SecondName.of("x").to_string(), "x has a second name");
    }
}
