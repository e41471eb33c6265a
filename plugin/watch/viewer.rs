//! Someone who looks: a task, with its own socket and its own token; or a user, with whatever address and token they give.

use std::{
    io,
    path::{Path, PathBuf},
};

use nix::{fcntl::OFlag, sys::stat::Mode};

use crate::{
    beneath::{self, Unfit},
    cluster::JobKey,
    nomad::{Asker, Client, Endpoint, Error, Token},
};

/// Somebody with a way to Nomad.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// How Nomad is reached.
    pub way: Way,
    /// The task's job; of a user, the job that a task of the same tree would be of.
    pub job: JobKey,
    /// The task's name.
    pub task: String,
}

/// A way to Nomad.
#[derive(Clone, Debug)]
pub enum Way {
    /// A task's own.
    Task {
        /// The path on the client of the task's `secrets/api.sock`.
        socket: PathBuf,
        /// The path on the client of the task's `secrets/nomad_token`. Read again at each connection, because Nomad
        /// renews it.
        token_file: PathBuf,
        /// `NOMAD_TOKEN` of the task's environment. Used where there is no file.
        env_token: Option<Token>,
    },
    /// That of a user at the command line.
    User {
        /// Where Nomad listens.
        endpoint: Endpoint,
        /// Their token, if they have one.
        token: Option<Token>,
        /// The region whose servers are asked; `None`: that of the agent.
        region: Option<String>,
    },
}

impl Way {
    /// A client with the token of whoever goes this way, asking in the name of `asker`.
    ///
    /// # Errors
    ///
    /// When there is a token file, but it cannot be read or is not what Nomad put there.
    pub fn client(&self, asker: Asker) -> Result<Client, Error> {
        Ok(match self {
            Self::Task { token_file, env_token, .. } => {
                let token = match read_token(token_file) {
                    Ok(token) => Some(token),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => env_token.clone(),
                    Err(source) => return Err(Error::TokenFile { path: token_file.clone(), source }),
                };
                self.client_with(token, asker)
            }
            Self::User { token, .. } => self.client_with(token.clone(), asker),
        })
    }

    fn client_with(&self, token: Option<Token>, asker: Asker) -> Client {
        let client = match self {
            Self::Task { socket, .. } => Client::new(Endpoint::Unix(socket.clone()), token),
            Self::User { endpoint, region, .. } => {
                Client::new(endpoint.clone(), token).in_region(region.clone())
            }
        };
        client.in_the_name_of(asker)
    }
}

impl Viewer {
    /// What the task of a user is called, who has none.
    pub const USERS_TASK: &str = "dtree";

    /// A client with its own token on its own way.
    ///
    /// A task without a token gets a client without one: where Nomad has no ACLs that is enough.
    ///
    /// # Errors
    ///
    /// When there is a token file, but it cannot be read or is not what Nomad put there.
    pub fn client(&self) -> Result<Client, Error> {
        self.way.client(self.asker())
    }

    /// A client on the same way that shows no token of anyone.
    pub fn anonymous_client(&self) -> Client {
        self.way.client_with(None, self.asker())
    }

    /// In whose name it asks.
    pub fn asker(&self) -> Asker {
        match self.way {
            Way::Task { .. } => Asker::Task { job: self.job.clone(), task: self.task.clone() },
            Way::User { .. } => Asker::User,
        }
    }
}

/// The token in `path`.
///
/// The task may write where the file is, so neither the file nor its directory may be a link, which could lead to
/// another task's token, nor may the file be something that blocks.
fn read_token(path: &Path) -> io::Result<Token> {
    let names = || {
        let secrets = path.parent()?;
        Some((secrets.parent()?, secrets.file_name()?, path.file_name()?))
    };
    let (task, secrets, name) = names().ok_or(io::ErrorKind::NotFound)?;
    let secrets = beneath::directory(&beneath::root(task)?, secrets)?;
    let file = beneath::file(&secrets, name, OFlag::O_RDONLY, Mode::empty());
    let file = file.map_err(|unfit| match unfit {
        Unfit::Errno(errno) => errno.into(),
        unfit @ (Unfit::NotRegular | Unfit::SecondName) => {
            io::Error::new(io::ErrorKind::InvalidData, format!("it {unfit}"))
        }
    })?;
    Token::read(file)
}

/// The token in a file of the operator's, who may use links.
pub(super) fn read_operators_token(path: &Path) -> Result<Token, Error> {
    Token::open(path).map_err(|source| Error::TokenFile { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn task() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let secrets = directory.path().join("secrets");
        std::fs::create_dir(&secrets).unwrap();
        (directory, secrets.join("nomad_token"))
    }

    #[test]
    fn a_token_is_read_from_the_file_that_nomad_wrote() {
        let (_directory, path) = task();
        std::fs::write(&path, "abc\n").unwrap();
        assert_eq!(read_token(&path).unwrap(), Token::new("abc").unwrap());
        std::fs::write(&path, "").unwrap();
        assert!(read_token(&path).is_err());
    }

    #[test]
    fn a_link_to_anothers_token_is_not_followed() {
        let (other, others) = task();
        std::fs::write(&others, "secret").unwrap();
        let (directory, path) = task();
        symlink(&others, &path).unwrap();
        assert!(read_token(&path).is_err(), "symbolic");
        std::fs::remove_file(&path).unwrap();
        std::fs::hard_link(&others, &path).unwrap();
        assert!(read_token(&path).is_err(), "hard");
        std::fs::remove_dir_all(directory.path().join("secrets")).unwrap();
        std::fs::remove_file(&others).unwrap();
        std::fs::write(&others, "secret").unwrap();
        symlink(other.path().join("secrets"), directory.path().join("secrets")).unwrap();
        assert!(read_token(&path).is_err(), "of the directory");
    }

    #[test]
    fn a_fifo_in_place_of_the_token_does_not_block() {
        let (_directory, path) = task();
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
        assert!(read_token(&path).is_err());
    }

    #[test]
    fn the_environment_counts_only_where_there_is_no_file() {
        let (_directory, path) = task();
        let viewer = Viewer {
            way: Way::Task {
                socket: path.with_file_name("api.sock"),
                token_file: path.clone(),
                env_token: Token::new("env"),
            },
            job: JobKey::new("shop", "api"),
            task: "gate".to_owned(),
        };
        assert!(format!("{:?}", viewer.client().unwrap()).contains("token: Some(Token(…))"));
        std::fs::write(&path, "").unwrap();
        assert!(viewer.client().is_err(), "an empty file is no absent one");
    }
}
