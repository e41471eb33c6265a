//! TLS: how a server proves who it is, and how dtree does where the server wants to know.
//!
//! # Invariants
//!
//! * Whoever does not prove who it is gets nothing: no request is sent before the handshake has succeeded.
//! * Only [`Trust::skip_verify`] lets a proof be skipped, and nothing sets it but the user's own word for it.
//! * Files are read when they are needed, and again when they have changed: certificates are renewed under a running plugin.
//! * A key is never shown.
//!
//! A server that misses the client's certificate says so, with TLS 1.3, only after the request was sent: so what goes wrong
//! with an answer is looked through for it, too ([`Tls::fault`]).

mod fault;
mod files;
#[cfg(test)]
mod tests;
mod unverified;

use std::{
    cmp::Ordering,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use rustls::{
    ClientConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub use self::fault::TlsFault;
use self::{files::Stamp, unverified::Unverified};
use super::Io;

/// How servers prove who they are, and how dtree does. Files are in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trust {
    /// A file with the certificates of authorities. Where neither it nor a directory is named, the system's count.
    pub ca_file: Option<PathBuf>,
    /// A directory of such files.
    pub ca_path: Option<PathBuf>,
    /// Whether the system's authorities count beside those that are named.
    pub with_system: bool,
    /// The certificate that dtree shows, with those that lead from it to its authority.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
    /// The name that the server's certificate must have, where it is not the host's.
    pub server_name: Option<String>,
    /// Whether any certificate of the server will do.
    pub skip_verify: bool,
    /// What the user calls all of these.
    pub names: Names,
}

/// What the user calls the parts of [`Trust`], for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Names {
    /// [`Trust::ca_file`].
    pub ca_file: &'static str,
    /// [`Trust::ca_path`].
    pub ca_path: &'static str,
    /// [`Trust::cert_file`].
    pub cert_file: &'static str,
    /// [`Trust::key_file`].
    pub key_file: &'static str,
    /// [`Trust::server_name`].
    pub server_name: &'static str,
}

impl Names {
    /// In the plugin's configuration.
    pub const SETTINGS: Self = Self {
        ca_file: "ca_file",
        ca_path: "ca_path",
        cert_file: "cert_file",
        key_file: "key_file",
        server_name: "tls_server_name",
    };
    /// In the environment of Nomad's commands.
    pub const NOMAD: Self = Self {
        ca_file: "NOMAD_CACERT",
        ca_path: "NOMAD_CAPATH",
        cert_file: "NOMAD_CLIENT_CERT",
        key_file: "NOMAD_CLIENT_KEY",
        server_name: "NOMAD_TLS_SERVER_NAME",
    };
    /// In the environment of Consul's commands.
    pub const CONSUL: Self = Self {
        ca_file: "CONSUL_CACERT",
        ca_path: "CONSUL_CAPATH",
        cert_file: "CONSUL_CLIENT_CERT",
        key_file: "CONSUL_CLIENT_KEY",
        server_name: "CONSUL_TLS_SERVER_NAME",
    };
    /// On the command line.
    pub const FLAGS: Self = Self {
        ca_file: "--root-ca-file",
        ca_path: "--root-ca-file",
        cert_file: "--cert-file",
        key_file: "--key-file",
        server_name: "--tls-server-name",
    };
}

impl Default for Names {
    fn default() -> Self {
        Self::SETTINGS
    }
}

impl Trust {
    /// As Nomad's commands read it from their environment: `NOMAD_CACERT`, `NOMAD_CAPATH`, `NOMAD_CLIENT_CERT`,
    /// `NOMAD_CLIENT_KEY`, `NOMAD_TLS_SERVER_NAME`, `NOMAD_SKIP_VERIFY`. `variable` gives the value of one.
    ///
    /// # Errors
    ///
    /// What is wrong with them, without looking into the files.
    pub fn from_nomads_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let skip = match variable("NOMAD_SKIP_VERIFY") {
            None => false,
            Some(text) => go_bool(&text).ok_or_else(|| {
                format!("NOMAD_SKIP_VERIFY is {text:?}, which is neither `true` nor `false`")
            })?,
        };
        let trust = Self { skip_verify: skip, ..Self::from_variables(Names::NOMAD, variable) };
        trust.checked()
    }

    /// As Consul's commands do: `CONSUL_CACERT`, `CONSUL_CAPATH`, `CONSUL_CLIENT_CERT`, `CONSUL_CLIENT_KEY`,
    /// `CONSUL_TLS_SERVER_NAME`, `CONSUL_HTTP_SSL_VERIFY`.
    ///
    /// # Errors
    ///
    /// As with Nomad's.
    pub fn from_consuls_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let verify = match variable("CONSUL_HTTP_SSL_VERIFY") {
            None => true,
            Some(text) => go_bool(&text).ok_or_else(|| {
                format!("CONSUL_HTTP_SSL_VERIFY is {text:?}, which is neither `true` nor `false`")
            })?,
        };
        let trust = Self { skip_verify: !verify, ..Self::from_variables(Names::CONSUL, variable) };
        trust.checked()
    }

    fn from_variables(names: Names, variable: impl Fn(&str) -> Option<String>) -> Self {
        let value = |name: &str| variable(name).filter(|value| !value.is_empty());
        Self {
            ca_file: value(names.ca_file).map(PathBuf::from),
            ca_path: value(names.ca_path).map(PathBuf::from),
            with_system: false,
            cert_file: value(names.cert_file).map(PathBuf::from),
            key_file: value(names.key_file).map(PathBuf::from),
            server_name: value(names.server_name),
            skip_verify: false,
            names,
        }
    }

    /// The same, if its parts fit together.
    ///
    /// # Errors
    ///
    /// Everything that does not, in one line.
    pub fn checked(self) -> Result<Self, String> {
        let problems = self.problems();
        if problems.is_empty() { Ok(self) } else { Err(problems.join("; ")) }
    }

    /// What does not fit together, without looking into the files.
    pub fn problems(&self) -> Vec<String> {
        let Names { cert_file, key_file, server_name, .. } = self.names;
        let mut problems = Vec::new();
        match (&self.cert_file, &self.key_file) {
            (Some(_), None) => {
                problems.push(format!("{cert_file} is of no use without its key: name it by {key_file}"));
            }
            (None, Some(_)) => {
                problems
                    .push(format!("{key_file} is of no use without its certificate: name it by {cert_file}"));
            }
            _ => {}
        }
        if let Some(name) = &self.server_name
            && ServerName::try_from(name.as_str()).is_err()
        {
            problems.push(format!("{server_name} = {name:?} is no name that a certificate could have"));
        }
        problems
    }

    /// Whether anything is said at all.
    pub fn is_empty(&self) -> bool {
        *self == Self { names: self.names, ..Self::default() }
    }
}

/// As Go reads a bool, and so Nomad and Consul do; nothing is `false`.
pub fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// TLS as [`Trust`] wants it. Cloning it gives another handle to the same, which reads the files once.
#[derive(Clone)]
pub struct Tls {
    inner: Arc<Inner>,
}

struct Inner {
    trust: Trust,
    /// What was made of the files, and what they were like then.
    made: Mutex<Option<(Vec<Stamp>, Arc<ClientConfig>)>>,
}

impl Tls {
    /// TLS as `trust` wants it. Reads nothing yet.
    pub fn new(trust: Trust) -> Self {
        Self { inner: Arc::new(Inner { trust, made: Mutex::new(None) }) }
    }

    /// How it is wanted.
    pub fn trust(&self) -> &Trust {
        &self.inner.trust
    }

    /// Reads the files, and says what is wrong with them.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), TlsFault> {
        self.config().map(drop)
    }

    /// Speaks TLS over `stream` with `host`, which must prove that it is that.
    ///
    /// # Errors
    ///
    /// What is wrong with our files, with the server's proof, or with ours.
    pub async fn over(&self, host: &str, stream: TcpStream) -> Result<Box<dyn Io>, TlsFault> {
        let name = self.trust().server_name.as_deref().unwrap_or(host);
        let server = ServerName::try_from(name.to_owned()).map_err(|_| {
            TlsFault::new(format!("`{name}` is no name that a certificate could have"), String::new())
        })?;
        let config = self.config()?;
        match TlsConnector::from(config).connect(server, stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(self.fault(host, &error).unwrap_or_else(|| TlsFault::broken(host, &error))),
        }
    }

    /// What TLS has to do with `error`, an error of a connection to `host`, or of an answer from there.
    pub fn fault(&self, host: &str, error: &(dyn std::error::Error + 'static)) -> Option<TlsFault> {
        let told = || fault::within::<TlsFault>(error).cloned();
        fault::within(error).map(|error| TlsFault::of(error, self.trust(), host)).or_else(told)
    }

    fn config(&self) -> Result<Arc<ClientConfig>, TlsFault> {
        let stamps = files::stamps(self.trust());
        let mut made = self.inner.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, config)) = &*made
            && *of == stamps
        {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(make(self.trust())?);
        *made = Some((stamps, Arc::clone(&config)));
        Ok(config)
    }
}

fn make(trust: &Trust) -> Result<ClientConfig, TlsFault> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsFault::new(error.to_string(), String::new()))?;
    let builder = if trust.skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified::new(provider)))
    } else {
        builder.with_root_certificates(files::roots(trust)?)
    };
    let Some((certificates, key)) = files::own(trust)? else { return Ok(builder.with_no_client_auth()) };
    with_own(builder, trust, certificates, key)
}

fn with_own(
    builder: rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>,
    trust: &Trust,
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, TlsFault> {
    builder.with_client_auth_cert(certificates, key).map_err(|error| TlsFault::own(&error, trust))
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(self.trust()).finish()
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self::new(Trust::default())
    }
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        self.trust() == other.trust()
    }
}

impl Eq for Tls {}

impl PartialOrd for Tls {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Tls {
    fn cmp(&self, other: &Self) -> Ordering {
        self.trust().cmp(other.trust())
    }
}
