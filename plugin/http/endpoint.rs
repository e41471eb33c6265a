//! Where an HTTP API listens.

use std::{error::Error, fmt, io, path::PathBuf};

use tokio::net::{TcpStream, UnixStream};

use super::{Io, Tls, TlsFault, Trust};

/// Where an HTTP API is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    /// Plain HTTP over TCP.
    Tcp {
        /// A name or an address; an IPv6 address without its brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// The same over TLS.
    Tls {
        /// A name or an address; an IPv6 address without its brackets.
        host: String,
        /// The port.
        port: u16,
        /// How both sides prove who they are.
        tls: Tls,
    },
    /// A Unix socket, such as the Task API's.
    Unix(PathBuf),
}

impl Endpoint {
    /// Reads `http://host:port`, `https://host:port` or `unix:///path`; where no port is named it is `default_port`. Over
    /// TLS the server proves who it is as `trust` says.
    ///
    /// # Errors
    ///
    /// What is wrong with the address.
    pub fn read(text: &str, default_port: u16, trust: &Trust) -> Result<Self, String> {
        let bad = |why: &str| why.to_owned();
        let schemes = "an address begins with `http://`, `https://` or `unix://`";
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad(schemes))?;
        match scheme {
            "http" | "https" => {
                let rest = rest.strip_suffix('/').unwrap_or(rest);
                if rest.contains(['/', '?', '#', '@']) {
                    return Err(bad("an address is a host and a port, nothing else"));
                }
                let (host, port) = split_port(rest, default_port)
                    .ok_or_else(|| bad("the port is not a number from 1 to 65535"))?;
                let is_host = !host.is_empty() && host.chars().all(|c| c.is_ascii_graphic());
                if !is_host {
                    return Err(bad("the host is missing or has characters that no host has"));
                }
                let host = host.to_owned();
                Ok(match scheme {
                    "https" => Self::Tls { host, port, tls: Tls::new(trust.clone()) },
                    _ => Self::Tcp { host, port },
                })
            }
            "unix" if rest.starts_with('/') => Ok(Self::Unix(PathBuf::from(rest))),
            "unix" => Err(bad("the path of a socket begins with `/`: `unix:///run/api.sock`")),
            _ => Err(bad(schemes)),
        }
    }
}

/// The host and the port of `text`. `None` when the port is no port.
fn split_port(text: &str, default_port: u16) -> Option<(&str, u16)> {
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
        None => default_port,
        Some(port) => port.parse().ok().filter(|port| *port != 0)?,
    };
    Some((host, port))
}

impl Endpoint {
    /// Connects to it.
    ///
    /// # Errors
    ///
    /// A [`TlsFault`] is within.
    pub async fn connect(&self) -> io::Result<Box<dyn Io>> {
        Ok(match self {
            Self::Tcp { host, port } => Box::new(TcpStream::connect((host.as_str(), *port)).await?),
            Self::Tls { host, port, tls } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                tls.over(host, stream).await.map_err(io::Error::other)?
            }
            Self::Unix(path) => Box::new(UnixStream::connect(path).await?),
        })
    }

    /// What TLS has to do with `error`, an error of a connection to it, or of its answer.
    pub fn fault(&self, error: &(dyn Error + 'static)) -> Option<TlsFault> {
        match self {
            Self::Tls { host, tls, .. } => tls.fault(host, error),
            Self::Tcp { .. } | Self::Unix(_) => None,
        }
    }

    /// What HTTP's `Host` header says.
    pub fn authority(&self) -> String {
        match self {
            Self::Tcp { host, port } | Self::Tls { host, port, .. } if host.contains(':') => {
                format!("[{host}]:{port}")
            }
            Self::Tcp { host, port } | Self::Tls { host, port, .. } => format!("{host}:{port}"),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { .. } => write!(f, "http://{}", self.authority()),
            Self::Tls { .. } => write!(f, "https://{}", self.authority()),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        Endpoint::read(text, 4646, &Trust::default()).map_or_else(|why| why, |endpoint| endpoint.to_string())
    }

    #[test]
    fn an_endpoint_is_read_and_written() {
        assert_eq!(read("http://127.0.0.1:4647"), "http://127.0.0.1:4647");
        assert_eq!(read("http://nomad.example/"), "http://nomad.example:4646");
        assert_eq!(read("https://nomad.example"), "https://nomad.example:4646");
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
            assert!(Endpoint::read(text, 4646, &Trust::default()).is_err(), "{text}");
        }
    }
}
