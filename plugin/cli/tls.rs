//! Whom the command line trusts and what it shows, by the options and variables of Nomad's and Consul's own commands.

use super::Failure;
use crate::http::{Tls, Trust};

/// What the options say about TLS with Nomad.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct NomadTls {
    /// A file with the certificates of authorities that Nomad's may be from
    #[arg(
        long,
        env = "NOMAD_CACERT",
        hide_env_values = true,
        value_name = "FILE",
        help_heading = "Nomad",
        default_value = "",
        hide_default_value = true
    )]
    ca_cert: String,
    /// A directory of such files
    #[arg(
        long,
        env = "NOMAD_CAPATH",
        hide_env_values = true,
        value_name = "DIR",
        help_heading = "Nomad",
        default_value = "",
        hide_default_value = true
    )]
    ca_path: String,
    /// The certificate to show to Nomad
    #[arg(
        long,
        env = "NOMAD_CLIENT_CERT",
        hide_env_values = true,
        value_name = "FILE",
        help_heading = "Nomad",
        default_value = "",
        hide_default_value = true
    )]
    client_cert: String,
    /// Its key
    #[arg(
        long,
        env = "NOMAD_CLIENT_KEY",
        hide_env_values = true,
        value_name = "FILE",
        help_heading = "Nomad",
        default_value = "",
        hide_default_value = true
    )]
    client_key: String,
    /// The name that Nomad's certificate has
    #[arg(
        long,
        env = "NOMAD_TLS_SERVER_NAME",
        hide_env_values = true,
        value_name = "NAME",
        help_heading = "Nomad",
        default_value = "",
        hide_default_value = true
    )]
    tls_server_name: String,
    /// Take any certificate of Nomad's: `true`
    #[arg(long, env = "NOMAD_SKIP_VERIFY", hide_env_values = true, value_name = "BOOL", help_heading = "Nomad", default_value = "", hide_default_value = true, num_args = 0..=1, default_missing_value = "true")]
    tls_skip_verify: String,
}

impl NomadTls {
    /// Whom to trust and what to show.
    ///
    /// # Errors
    ///
    /// When the options do not fit together.
    pub(super) fn trust(&self) -> Result<Trust, Failure> {
        let value = |name: &str| match name {
            "NOMAD_CACERT" => Some(self.ca_cert.clone()),
            "NOMAD_CAPATH" => Some(self.ca_path.clone()),
            "NOMAD_CLIENT_CERT" => Some(self.client_cert.clone()),
            "NOMAD_CLIENT_KEY" => Some(self.client_key.clone()),
            "NOMAD_TLS_SERVER_NAME" => Some(self.tls_server_name.clone()),
            "NOMAD_SKIP_VERIFY" => Some(self.tls_skip_verify.clone()),
            _ => None,
        };
        Trust::from_nomads_variables(value).map_err(|why| Failure::cannot(format!("dtree: {why}\n")))
    }
}

/// How what is asked for conditions over https proves who it is: by the system's authorities.
pub(super) fn with_system() -> Tls {
    Tls::default()
}
