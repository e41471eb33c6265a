//! The first words between host and plugin: the host's are in the environment, the plugin's is a line on stdout.

use std::{
    env,
    ffi::OsString,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// What the host of one kind of plugin says, and how the plugin answers.
#[derive(Clone, Copy, Debug)]
pub struct Handshake {
    /// The variable that only a host sets.
    pub cookie_name: &'static str,
    /// Its value. No secret: it tells a host from a user who starts the program by hand.
    pub cookie_value: &'static str,
    /// The version of what the plugin's services mean, apart from go-plugin's own.
    pub app_protocol: u32,
}

/// The version of go-plugin's own part of the conversation.
const CORE_PROTOCOL: u32 = 1;

impl Handshake {
    /// Whether a host started this process.
    pub fn is_by_host(&self) -> bool {
        self.is_said_by(env::var_os(self.cookie_name).as_ref())
    }

    fn is_said_by(&self, cookie: Option<&OsString>) -> bool {
        cookie.is_some_and(|cookie| cookie == self.cookie_value)
    }

    /// The line that tells the host where to connect. Its last field, the server's certificate, stays empty.
    fn line(&self, socket: &Path) -> String {
        let Self { app_protocol, .. } = self;
        format!("{CORE_PROTOCOL}|{app_protocol}|unix|{}|grpc|", socket.display())
    }
}

/// Where a socket may be made, the best place first.
pub(super) fn socket_dirs() -> Vec<PathBuf> {
    let wanted = env::var_os("PLUGIN_UNIX_SOCKET_DIR").filter(|dir| !dir.is_empty());
    wanted.map(PathBuf::from).into_iter().chain([env::temp_dir(), PathBuf::from("/tmp")]).collect()
}

/// Tells the host where to connect.
///
/// # Errors
///
/// When standard output is closed: then there is no host.
pub fn announce(handshake: &Handshake, socket: &Path) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", handshake.line(socket))?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HANDSHAKE: Handshake = Handshake { cookie_name: "COOKIE", cookie_value: "crumbs", app_protocol: 2 };

    #[test]
    fn the_line_has_the_fields_the_host_splits_it_into() {
        let line = HANDSHAKE.line(Path::new("/tmp/dtree-1/plugin.sock"));
        insta::assert_snapshot!(line, @"1|2|unix|/tmp/dtree-1/plugin.sock|grpc|");
    }

    #[test]
    fn only_the_right_cookie_is_a_host() {
        let cookies =
            [None, Some(""), Some("Crumbs"), Some("crumbs ")].map(|cookie| cookie.map(OsString::from));
        for cookie in cookies {
            assert!(!HANDSHAKE.is_said_by(cookie.as_ref()), "{cookie:?}");
        }
        assert!(HANDSHAKE.is_said_by(Some(&"crumbs".into())));
    }
}
