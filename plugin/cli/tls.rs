//! Whom the command line trusts and what it shows, by the options and variables of Nomad's and Consul's own commands.

use std::path::PathBuf;

use super::Failure;
use crate::http::{Names, Tls, Trust};

/// What the options say about TLS with Nomad.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct NomadTls {
    /// A file with the certificates of authorities that Nomad's may be from
    #[arg(long, env = "NOMAD_CACERT", value_name = "FILE")]
    ca_cert: Option<String>,
    /// A directory of such files
    #[arg(long, env = "NOMAD_CAPATH", value_name = "DIR")]
    ca_path: Option<String>,
    /// The certificate to show to Nomad
    #[arg(long, env = "NOMAD_CLIENT_CERT", value_name = "FILE")]
    client_cert: Option<String>,
    /// Its key
    #[arg(long, env = "NOMAD_CLIENT_KEY", value_name = "FILE")]
    client_key: Option<String>,
    /// The name that Nomad's certificate has
    #[arg(long, env = "NOMAD_TLS_SERVER_NAME", value_name = "NAME")]
    tls_server_name: Option<String>,
    /// Take any certificate of Nomad's: `true`
    #[arg(long, env = "NOMAD_SKIP_VERIFY", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    tls_skip_verify: Option<String>,
    #[arg(skip)]
    files: Option<Files>,
}

/// The files as the older tool's options name them. Where one is named it counts before Nomad's variables.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    /// The certificates of authorities.
    pub(super) ca: Option<PathBuf>,
    /// The certificate to show.
    pub(super) cert: Option<PathBuf>,
    /// Its key.
    pub(super) key: Option<PathBuf>,
}

impl NomadTls {
    /// Whom to trust and what to show.
    ///
    /// # Errors
    ///
    /// When the options do not fit together.
    pub(super) fn trust(&self) -> Result<Trust, Failure> {
        let value = |name: &str| match name {
            "NOMAD_CACERT" => self.ca_cert.clone(),
            "NOMAD_CAPATH" => self.ca_path.clone(),
            "NOMAD_CLIENT_CERT" => self.client_cert.clone(),
            "NOMAD_CLIENT_KEY" => self.client_key.clone(),
            "NOMAD_TLS_SERVER_NAME" => self.tls_server_name.clone(),
            "NOMAD_SKIP_VERIFY" => self.tls_skip_verify.clone(),
            _ => None,
        };
        let wrong = |why| Failure::cannot(format!("dtree: {why}\n"));
        let trust = Trust::from_nomads_variables(value).map_err(wrong)?;
        let Some(Files { ca, cert, key }) = self.files.clone() else { return Ok(trust) };
        let trust = Trust {
            ca_file: ca.or(trust.ca_file),
            cert_file: cert.or(trust.cert_file),
            key_file: key.or(trust.key_file),
            names: Names::FLAGS,
            ..trust
        };
        trust.checked().map_err(wrong)
    }

    /// The same with these files.
    pub(super) fn with(&self, files: Files) -> Self {
        Self { files: Some(files), ..self.clone() }
    }
}

/// How what is asked for conditions over https proves who it is: by the system's authorities.
pub(super) fn with_system() -> Tls {
    Tls::default()
}
