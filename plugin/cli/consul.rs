//! A user's own way to Consul: what the options and Consul's environment variables say.

use std::path::PathBuf;

use super::{Failure, tls::Files};
use crate::{
    consul::{self, Bearer, Consul, Token, Trust},
    http::{Names, go_bool},
    manifest::{Manifest, Provider, Stored, Subject},
};

/// Where Consul listens when nobody says.
const USUAL: &str = "127.0.0.1:8500";

/// What the options say about Consul.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Consul")]
pub(super) struct ConsulOptions {
    /// Where Consul listens, for conditions that ask it
    #[arg(long, env = "CONSUL_HTTP_ADDR", value_name = "URL", default_value = USUAL)]
    consul_addr: String,
    #[command(flatten)]
    proof: Proof,
}

/// How Consul proves who it is, and how the user does.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Consul")]
#[expect(clippy::struct_field_names, reason = "clap knows arguments by these names, Nomad's among them")]
pub(super) struct Proof {
    /// The ACL token
    #[arg(long, env = "CONSUL_HTTP_TOKEN", value_name = "SECRET")]
    consul_token: Option<String>,
    /// The file with the token
    #[arg(long, env = "CONSUL_HTTP_TOKEN_FILE", value_name = "FILE")]
    consul_token_file: Option<PathBuf>,
    /// Whether an address without a scheme is one of https: `true`
    #[arg(long, env = "CONSUL_HTTP_SSL", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    consul_ssl: Option<String>,
    /// A file with the certificates of authorities that Consul's may be from
    #[arg(long, env = "CONSUL_CACERT", value_name = "FILE")]
    consul_ca_cert: Option<String>,
    /// A directory of such files
    #[arg(long, env = "CONSUL_CAPATH", value_name = "DIR")]
    consul_ca_path: Option<String>,
    /// The certificate to show to Consul
    #[arg(long, env = "CONSUL_CLIENT_CERT", value_name = "FILE")]
    consul_client_cert: Option<String>,
    /// Its key
    #[arg(long, env = "CONSUL_CLIENT_KEY", value_name = "FILE")]
    consul_client_key: Option<String>,
    /// The name that Consul's certificate has
    #[arg(long, env = "CONSUL_TLS_SERVER_NAME", value_name = "NAME")]
    consul_tls_server_name: Option<String>,
    /// `false`: take any certificate of Consul's
    #[arg(long, env = "CONSUL_HTTP_SSL_VERIFY", value_name = "BOOL")]
    consul_ssl_verify: Option<String>,
}

/// Whether Consul is asked for it.
pub(super) fn is_of_consul(subject: &Subject) -> bool {
    match subject {
        Subject::Service(service) => service.provider == Provider::Consul,
        Subject::Stored(stored) => matches!(stored.as_ref(), Stored::ConsulKey { .. }),
        _ => false,
    }
}

impl ConsulOptions {
    /// The way to Consul, for a manifest that asks it anything.
    ///
    /// # Errors
    ///
    /// When the address is none, or what is said of TLS does not fit together.
    pub(super) fn way_for(&self, manifest: &Manifest) -> Result<Option<Consul>, Failure> {
        let is_asked = manifest.waits.values().any(|wait| is_of_consul(&wait.subject));
        is_asked.then(|| self.proof.way(&self.consul_addr, None)).transpose()
    }
}

impl Proof {
    /// The way to Consul at an address, which may have no scheme, as Consul's own tools take it. What is not said about
    /// certificates in Consul's own options is taken from these `files`.
    ///
    /// # Errors
    ///
    /// As with [`ConsulOptions::way_for`].
    pub(super) fn way(&self, address: &str, files: Option<&Files>) -> Result<Consul, Failure> {
        let wrong = |why: String| Failure::cannot(format!("dtree: {why}\n"));
        let address = match address {
            "" => USUAL,
            address => address,
        };
        let ssl = self.consul_ssl.as_deref().unwrap_or_default();
        let is_ssl = go_bool(ssl).ok_or_else(|| {
            wrong(format!("CONSUL_HTTP_SSL is {ssl:?}, which is neither `true` nor `false`"))
        })?;
        let address = if address.contains("://") {
            address.to_owned()
        } else {
            format!("{}://{address}", if is_ssl { "https" } else { "http" })
        };
        let endpoint = consul::endpoint_with(&address, &self.trust(files).map_err(wrong)?).map_err(wrong)?;
        let token = match self.consul_token.as_deref().unwrap_or_default().trim() {
            "" => None,
            text => Some(Token::new(text).ok_or_else(|| {
                wrong("the token has letters that no token has: check CONSUL_HTTP_TOKEN".to_owned())
            })?),
        };
        let file = self.consul_token_file.clone().filter(|path| path.as_os_str() != "");
        Ok(Consul { endpoint, bearer: Bearer::User { token, file } })
    }

    fn trust(&self, files: Option<&Files>) -> Result<Trust, String> {
        let value = |name: &str| match name {
            "CONSUL_CACERT" => self.consul_ca_cert.clone(),
            "CONSUL_CAPATH" => self.consul_ca_path.clone(),
            "CONSUL_CLIENT_CERT" => self.consul_client_cert.clone(),
            "CONSUL_CLIENT_KEY" => self.consul_client_key.clone(),
            "CONSUL_TLS_SERVER_NAME" => self.consul_tls_server_name.clone(),
            "CONSUL_HTTP_SSL_VERIFY" => self.consul_ssl_verify.clone().filter(|text| !text.is_empty()),
            _ => None,
        };
        let mut trust = Trust::from_consuls_variables(value)?;
        let Some(files) = files else { return Ok(trust) };
        let has_authority = trust.ca_file.is_some() || trust.ca_path.is_some();
        if !has_authority && files.ca.is_some() {
            trust.ca_file.clone_from(&files.ca);
            trust.names = Names::FLAGS;
        }
        if trust.cert_file.is_none() && (files.cert.is_some() || files.key.is_some()) {
            trust.cert_file.clone_from(&files.cert);
            trust.key_file.clone_from(&files.key);
            trust.names = Names::FLAGS;
        }
        trust.checked()
    }
}
