//! The socket the host connects to: in a directory of its own that only this user can enter.

use std::{
    fs::Permissions,
    io,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::handshake;

/// A listening socket. Dropping it removes its file and directory.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    place: Place,
}

/// A socket's file in its own directory.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    _dir: TempDir,
}

impl Socket {
    /// Listens in the first directory that allows it: the one the host asks for, the one for temporary files, `/tmp`.
    ///
    /// # Errors
    ///
    /// When none of them does; why the first one does not.
    pub fn bind() -> io::Result<Self> {
        Self::bind_in(handshake::socket_dirs())
    }

    fn bind_in(dirs: Vec<PathBuf>) -> io::Result<Self> {
        let mut first_error = None;
        for dir in dirs {
            match Self::bind_beneath(&dir) {
                Ok(socket) => return Ok(socket),
                Err(error) => {
                    let error =
                        io::Error::new(error.kind(), format!("no socket in {}: {error}", dir.display()));
                    first_error.get_or_insert(error);
                }
            }
        }
        Err(first_error.unwrap_or_else(|| io::Error::other("there is no directory for a socket")))
    }

    fn bind_beneath(dir: &Path) -> io::Result<Self> {
        // Absolute, because the host has a working directory of its own; plain text, because the line to the host is
        // split at `|` and newlines.
        let dir = std::path::absolute(dir)?;
        if dir.to_str().is_none_or(|dir| dir.contains(['|', '\n', '\r'])) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "its name cannot be told to the host"));
        }
        let dir = tempfile::Builder::new()
            .prefix("dtree-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(dir)?;
        let path = dir.path().join("plugin.sock");
        let listener = UnixListener::bind(&path)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, place: Place { path, _dir: dir } })
    }

    /// Where the host connects to.
    pub fn path(&self) -> &Path {
        &self.place.path
    }

    /// The listener for the runtime, and what keeps its file there.
    pub(super) fn into_parts(self) -> (UnixListener, Place) {
        (self.listener, self.place)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::net::UnixStream};

    use super::*;

    #[test]
    fn only_this_user_can_enter_and_nothing_stays_behind() {
        let home = tempfile::tempdir().unwrap();
        let socket = Socket::bind_in(vec![home.path().to_owned()]).unwrap();

        let dir = socket.path().parent().unwrap();
        assert_eq!(dir.parent().unwrap(), home.path());
        assert_eq!(fs::metadata(dir).unwrap().permissions().mode() & 0o777, 0o700);
        UnixStream::connect(socket.path()).unwrap();

        drop(socket);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_place_that_does_not_work_is_not_the_end() {
        let home = tempfile::tempdir().unwrap();
        let too_long = home.path().join("d".repeat(120));
        let split_up = home.path().join("a|b");
        let absent = home.path().join("absent");
        for dir in [&too_long, &split_up] {
            fs::create_dir(dir).unwrap();
        }

        let bad = vec![too_long.clone(), split_up, absent];
        let socket = Socket::bind_in([bad.clone(), vec![home.path().to_owned()]].concat()).unwrap();
        assert_eq!(socket.path().parent().and_then(Path::parent), Some(home.path()));
        assert_eq!(fs::read_dir(&too_long).unwrap().count(), 0, "an attempt leaves nothing behind");

        let error = Socket::bind_in(bad).unwrap_err().to_string();
        assert!(error.contains(too_long.to_str().unwrap()), "{error}");
    }
}
