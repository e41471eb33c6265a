//! Where Nomad listens, and the secret that is shown there.

use std::{fmt, path::PathBuf, str::FromStr};

use super::Error;

/// Where Nomad's HTTP API is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    /// Plain HTTP over TCP.
    Tcp {
        /// A name or an address; an IPv6 address without its brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket, such as the Task API's.
    Unix(PathBuf),
}

/// Nomad's port where an address names none.
const DEFAULT_PORT: u16 = 4646;

impl FromStr for Endpoint {
    type Err = Error;

    /// Reads `http://host:port` or `unix:///path`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |why: &str| Error::BadAddress { address: text.to_owned(), why: why.to_owned() };
        let (scheme, rest) =
            text.split_once("://").ok_or_else(|| bad("an address begins with `http://` or `unix://`"))?;
        match scheme {
            "http" => {
                let rest = rest.strip_suffix('/').unwrap_or(rest);
                if rest.contains(['/', '?', '#', '@']) {
                    return Err(bad("an address is a host and a port, nothing else"));
                }
                let (host, port) =
                    split_port(rest).ok_or_else(|| bad("the port is not a number from 1 to 65535"))?;
                let is_host = !host.is_empty() && host.chars().all(|c| c.is_ascii_graphic());
                if !is_host {
                    return Err(bad("the host is missing or has characters that no host has"));
                }
                Ok(Self::Tcp { host: host.to_owned(), port })
            }
            "unix" if rest.starts_with('/') => Ok(Self::Unix(PathBuf::from(rest))),
            "unix" => Err(bad("the path of a socket begins with `/`: `unix:///run/nomad.sock`")),
            "https" => Err(bad("dtree does not speak TLS yet; use the socket of the Task API or `http://`")),
            _ => Err(bad("an address begins with `http://` or `unix://`")),
        }
    }
}

/// The host and the port of `text`; a missing port is Nomad's own. `None` when the port is no port.
fn split_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => match text.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => return None,
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        None => DEFAULT_PORT,
        Some(port) => port.parse().ok().filter(|port| *port != 0)?,
    };
    Some((host, port))
}

impl Endpoint {
    /// What HTTP's `Host` header says.
    pub(super) fn authority(&self) -> String {
        match self {
            Self::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port } => format!("{host}:{port}"),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { .. } => write!(f, "http://{}", self.authority()),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// A secret that Nomad knows its bearer by: an ACL token or a workload identity.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token in `text`, without the white space around it. `None` when nothing is left, or when it could not be
    /// sent in an HTTP header.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let can_be_sent = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        can_be_sent.then(|| Self(text.to_owned()))
    }

    /// The secret itself, to be sent and never to be shown.
    pub(super) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match text.parse::<Endpoint>() {
            Ok(endpoint) => endpoint.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn an_endpoint_is_read_and_written() {
        assert_eq!(read("http://127.0.0.1:4647"), "http://127.0.0.1:4647");
        assert_eq!(read("http://nomad.example/"), "http://nomad.example:4646");
        assert_eq!(read("http://[::1]:80"), "http://[::1]:80");
        assert_eq!(read("unix:///run/nomad.sock"), "unix:///run/nomad.sock");
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_the_reason() {
        for text in [
            "",
            "127.0.0.1:4646",
            "http://",
            "http://a:0",
            "http://a:b",
            "http://::1",
            "http://a/v1",
            "unix://x",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
        insta::assert_snapshot!(read("https://nomad:4646"), @"`https://nomad:4646` is no address of Nomad's API: dtree does not speak TLS yet; use the socket of the Task API or `http://`");
    }

    #[test]
    fn a_token_is_never_shown() {
        let token = Token::new(" s3cret\n").unwrap();
        assert_eq!(format!("{token:?}"), "Token(…)");
        assert_eq!(token.secret(), "s3cret");
        assert_eq!(Token::new(" \n"), None);
        assert_eq!(Token::new("a\r\nX-Evil: 1"), None);
    }
}
