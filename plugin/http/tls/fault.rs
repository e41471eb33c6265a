//! What TLS does not let pass, said so that the reader can act on it.

use std::{error::Error, io};

use rustls::{AlertDescription, CertificateError};

use super::{Names, Trust};

/// Why there is no TLS with a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct TlsFault {
    what: String,
    hint: String,
}

/// The error of a certain kind somewhere in `error`.
pub(super) fn within<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref() {
            return Some(error);
        }
        // An error of the system does not count what it holds as its source.
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match held {
            Some(held) => Some(held),
            None => error.source(),
        };
    }
    None
}

impl TlsFault {
    pub(super) fn new(what: String, hint: String) -> Self {
        Self { what, hint }
    }

    /// What the user can do.
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// What is wrong and what can be done, in one line.
    pub fn told(&self) -> String {
        if self.hint.is_empty() { self.what.clone() } else { format!("{}; {}", self.what, self.hint) }
    }

    /// The connection broke without a word of TLS.
    pub(super) fn broken(host: &str, error: &io::Error) -> Self {
        Self::new(
            format!("{host} ended the connection during the TLS handshake: {error}"),
            "check that it speaks TLS there; if not, write `http://`".to_owned(),
        )
    }

    /// Our own certificate and key cannot be used.
    pub(super) fn own(error: &rustls::Error, trust: &Trust) -> Self {
        let path = |path: &Option<std::path::PathBuf>| {
            path.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
        };
        let (cert, key) = (path(&trust.cert_file), path(&trust.key_file));
        let Names { cert_file, key_file, .. } = trust.names;
        match error {
            rustls::Error::InconsistentKeys(_) => Self::new(
                format!(
                    "the key in `{key}` ({key_file}) is not that of the certificate in `{cert}` ({cert_file})"
                ),
                "name the two that were made together; the certificate comes first in its file".to_owned(),
            ),
            other => Self::new(
                format!(
                    "the certificate in `{cert}` ({cert_file}) and the key in `{key}` ({key_file}) cannot be used: {other}"
                ),
                format!("correct {cert_file} and {key_file}"),
            ),
        }
    }

    /// What the handshake, or the server afterwards, does not let pass.
    pub(super) fn of(error: &rustls::Error, trust: &Trust, host: &str) -> Self {
        let Names { ca_file, cert_file, key_file, server_name, .. } = trust.names;
        let has_own = trust.cert_file.is_some();
        match error {
            rustls::Error::InvalidCertificate(error) => Self::certificate(error, trust, host),
            rustls::Error::AlertReceived(
                AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::HandshakeFailure
                | AlertDescription::NoCertificate,
            ) if !has_own => Self::new(
                format!("{host} wants to see a certificate of ours, and none is configured"),
                format!("name one that it knows by {cert_file}, and its key by {key_file}"),
            ),
            rustls::Error::AlertReceived(
                alert @ (AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::UnknownCA
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::AccessDenied
                | AlertDescription::DecryptError),
            ) => Self::new(
                format!(
                    "{host} does not take our certificate ({}): {alert:?}",
                    trust
                        .cert_file
                        .as_ref()
                        .map_or_else(|| cert_file.to_owned(), |path| path.display().to_string())
                ),
                format!(
                    "check that it has not expired, and that an authority that {host} knows has issued it"
                ),
            ),
            rustls::Error::AlertReceived(AlertDescription::UnrecognisedName) => Self::new(
                format!("{host} does not know the name that it was asked by"),
                format!("name another by {server_name}"),
            ),
            rustls::Error::AlertReceived(alert) => Self::new(
                format!("{host} ended the TLS handshake: {alert:?}"),
                format!("its log says why; {ca_file}, {cert_file} and {key_file} say who is who"),
            ),
            rustls::Error::InvalidMessage(_) => Self::new(
                format!("{host} does not speak TLS there"),
                "write `http://` in the address, or name the port that speaks TLS".to_owned(),
            ),
            other => Self::new(format!("TLS with {host} did not come about: {other}"), String::new()),
        }
    }

    fn certificate(error: &CertificateError, trust: &Trust, host: &str) -> Self {
        let Names { ca_file, server_name, .. } = trust.names;
        let authorities = match (&trust.ca_file, &trust.ca_path) {
            (Some(path), _) | (None, Some(path)) => format!("`{}` ({ca_file})", path.display()),
            (None, None) => "the system's certificates".to_owned(),
        };
        match error {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::new(
                format!("the certificate of {host} was issued by an authority that is not in {authorities}"),
                format!("name the file with that authority's certificate by {ca_file}"),
            ),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::new(
                format!("the certificate of {host} has expired"),
                "renew it there, or correct the clock of this machine".to_owned(),
            ),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::new(
                format!("the certificate of {host} is not valid yet"),
                "correct the clock of this machine, or of the one that issued it".to_owned(),
            ),
            CertificateError::NotValidForNameContext { expected, presented } => Self::new(
                format!(
                    "the certificate of {host} is not for `{}`, but for {}",
                    expected.to_str(),
                    presented.iter().map(|name| bare(name)).collect::<Vec<_>>().join(", ")
                ),
                format!("write one of these into the address, or name it by {server_name}"),
            ),
            CertificateError::NotValidForName => Self::new(
                format!("the certificate of {host} is for another name"),
                format!("write its name into the address, or name it by {server_name}"),
            ),
            other => Self::new(
                format!("the certificate of {host} does not prove who it is: {other}"),
                format!("correct it there; {ca_file} names the authorities that count"),
            ),
        }
    }
}

/// A name in a certificate without the kind of name that it is: `DnsName("…")`.
fn bare(name: &str) -> String {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    format!("`{}`", inner.trim_matches('"'))
}
