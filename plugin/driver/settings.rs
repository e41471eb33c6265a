//! What the operator wrote into `plugin "dtree" { config { … } }`.
//!
//! # Invariants
//!
//! * A wrong value is said, all of them at once, and never an error: Nomad answers an error by not starting the agent.
//! * Reading it touches neither network nor files.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{
    consul::{self, Bearer, Consul},
    http::Trust,
    nomad::{self, Endpoint},
};

/// The operator's choices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// How the plugin itself reaches Nomad, so that tasks may share one view; `None`: each task goes its own way.
    pub(super) nomad: Option<Nomad>,
    /// How questions to Consul are asked, for all tasks; `None`: they are answered with what to write for it.
    pub(super) consul: Option<Consul>,
    /// The hosts that `webhook` blocks may name.
    pub(super) webhook_hosts: Vec<String>,
    /// How what `http` waits and webhooks name proves who it is.
    pub(super) trust: Trust,
}

/// A way to Nomad's API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Nomad {
    /// Where it listens.
    pub(super) endpoint: Endpoint,
    /// The file with the token; `None` where there are no ACLs.
    pub(super) token_file: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    nomad: Option<RawApi>,
    consul: Option<RawApi>,
    webhook_hosts: Option<Vec<String>>,
    ca_file: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawApi {
    address: Option<String>,
    token_file: Option<String>,
    ca_file: Option<String>,
    cert_file: Option<String>,
    key_file: Option<String>,
    tls_server_name: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        let trust = Trust { with_system: true, ..Trust::default() };
        Self { nomad: None, consul: None, webhook_hosts: Vec::new(), trust }
    }
}

impl Settings {
    /// Reads the block as Nomad hands it over; nothing at all is an empty block.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, in one sentence.
    pub(super) fn from_msgpack(config: &[u8]) -> Result<Self, String> {
        if config.is_empty() {
            return Ok(Self::default());
        }
        let raw: Option<Raw> = rmp_serde::from_slice(config)
            .map_err(|error| format!("the plugin's configuration cannot be read: {error}"))?;
        let Raw { nomad, consul, webhook_hosts, ca_file } = raw.unwrap_or_default();
        let mut problems = Vec::new();
        let nomad = nomad.and_then(|raw| {
            let endpoint = |address: &str, trust: &Trust| {
                nomad::endpoint_with(address, trust).map_err(|e| e.to_string())
            };
            raw.read("nomad", endpoint, &mut problems)
        });
        let consul = consul.and_then(|raw| raw.read("consul", consul::endpoint_with, &mut problems));
        if let Some(path) = ca_file.as_ref().filter(|path| !Path::new(path).is_absolute()) {
            problems.push(format!("ca_file = {path:?} is not an absolute path"));
        }
        if !problems.is_empty() {
            return Err(problems.join("; "));
        }
        Ok(Self {
            nomad: nomad.map(|(endpoint, token_file)| Nomad { endpoint, token_file }),
            consul: consul.map(|(endpoint, file)| Consul { endpoint, bearer: Bearer::Plugin(file) }),
            webhook_hosts: webhook_hosts.unwrap_or_default(),
            trust: Trust { ca_file: ca_file.map(PathBuf::from), with_system: true, ..Trust::default() },
        })
    }
}

impl RawApi {
    /// The way to an API, if the block names one.
    fn read(
        self,
        block: &str,
        endpoint: impl Fn(&str, &Trust) -> Result<Endpoint, String>,
        problems: &mut Vec<String>,
    ) -> Option<(Endpoint, Option<PathBuf>)> {
        let Self { address, token_file, ca_file, cert_file, key_file, tls_server_name } = self;
        for (name, file) in [
            ("token_file", &token_file),
            ("ca_file", &ca_file),
            ("cert_file", &cert_file),
            ("key_file", &key_file),
        ] {
            if let Some(path) = file.as_ref().filter(|path| !Path::new(path).is_absolute()) {
                problems.push(format!("{block}.{name} = {path:?} is not an absolute path"));
            }
            if file.is_some() && address.is_none() {
                problems.push(format!("{block}.{name} is of no use without {block}.address"));
            }
        }
        let address = address?;
        let trust = Trust {
            ca_file: ca_file.map(PathBuf::from),
            cert_file: cert_file.map(PathBuf::from),
            key_file: key_file.map(PathBuf::from),
            server_name: tls_server_name,
            ..Trust::default()
        };
        problems.extend(trust.problems().into_iter().map(|problem| format!("{block}.{problem}")));
        match endpoint(&address, &trust) {
            Ok(Endpoint::Tcp { .. } | Endpoint::Unix(_)) if !trust.is_empty() => {
                problems.push(format!(
                    "{block}.ca_file, cert_file, key_file and tls_server_name are of no use with {address:?}: \
                     write `https://` or leave them out"
                ));
                None
            }
            Ok(endpoint) => Some((endpoint, token_file.map(PathBuf::from))),
            Err(why) => {
                problems.push(format!("{block}.address: {why}"));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(config: &Value) -> Result<Settings, String> {
        Settings::from_msgpack(&rmp_serde::to_vec_named(config).unwrap())
    }

    fn nomad(address: &str, token_file: Option<&str>) -> Settings {
        let endpoint = nomad::endpoint(address).unwrap();
        let nomad = Some(Nomad { endpoint, token_file: token_file.map(PathBuf::from) });
        Settings { nomad, ..Settings::default() }
    }

    #[test]
    fn an_empty_block_leaves_each_task_its_own_way() {
        assert_eq!(Settings::from_msgpack(&[]), Ok(Settings::default()));
        for config in [json!(null), json!({}), json!({"nomad": null}), json!({"nomad": {"address": null}})] {
            assert_eq!(read(&config), Ok(Settings::default()), "{config}");
        }
    }

    #[test]
    fn a_way_to_nomad_is_an_address_and_perhaps_a_token_file() {
        let file = "/etc/nomad.d/dtree.token";
        assert_eq!(
            read(&json!({"nomad": {"address": "http://127.0.0.1:4646", "token_file": file}})),
            Ok(nomad("http://127.0.0.1:4646", Some(file)))
        );
        assert_eq!(
            read(&json!({"nomad": {"address": "unix:///run/nomad.sock", "token_file": null}})),
            Ok(nomad("unix:///run/nomad.sock", None))
        );
    }

    #[test]
    fn a_way_to_consul_is_the_same() {
        let consul = json!({"address": "http://127.0.0.1", "token_file": "/etc/dtree/consul.token"});
        let settings = read(&json!({ "consul": consul })).unwrap();
        let consul = settings.consul.unwrap();
        assert_eq!(consul.endpoint.to_string(), "http://127.0.0.1:8500", "Consul's own port");
        assert_eq!(consul.bearer, Bearer::Plugin(Some("/etc/dtree/consul.token".into())));
        assert_eq!(settings.nomad, None);
    }

    #[test]
    fn https_takes_whom_to_trust_and_what_to_show() {
        let tls = json!({
            "address": "https://nomad.example", "ca_file": "/etc/ca.pem", "cert_file": "/etc/c.pem",
            "key_file": "/etc/k.pem", "tls_server_name": "server.global.nomad",
        });
        let settings = read(&json!({ "nomad": tls, "ca_file": "/etc/more.pem" })).unwrap();
        let Endpoint::Tls { host, port, tls } = settings.nomad.unwrap().endpoint else { panic!("no TLS") };
        assert_eq!((host.as_str(), port), ("nomad.example", 4646));
        let Trust { ca_file, cert_file, key_file, server_name, with_system, skip_verify, .. } = tls.trust();
        let files = [ca_file, cert_file, key_file].map(|file| file.as_ref().unwrap().to_str().unwrap());
        assert_eq!(files, ["/etc/ca.pem", "/etc/c.pem", "/etc/k.pem"]);
        assert_eq!(server_name.as_deref(), Some("server.global.nomad"));
        assert!(!with_system && !skip_verify);
        assert!(settings.trust.with_system && settings.trust.ca_file == Some("/etc/more.pem".into()));
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let wrong = [
            json!({"nomad": {"address": "127.0.0.1:4646", "token_file": "token"}}),
            json!({"nomad": {"address": "http://nomad:4646", "ca_file": "/etc/ca.pem"}}),
            json!({"nomad": {"address": "https://nomad:4646", "cert_file": "/etc/c.pem", "tls_server_name": "a b"}}),
            json!({"consul": {"key_file": "/etc/k.pem"}, "ca_file": "ca.pem"}),
            json!({"nomad": {"token_file": "/etc/token"}}),
            json!({"nomad": {"adress": "http://nomad:4646"}}),
            json!({"nomad": {"address": "nomad"}, "consul": {"address": "ftp://consul:8501", "token_file": "x"}}),
            json!({"consul": {"token_file": "/etc/token"}}),
            json!([1, 2]),
        ];
        let told: Vec<_> = wrong.iter().map(|config| read(config).unwrap_err()).collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        nomad.token_file = "token" is not an absolute path; nomad.address: `127.0.0.1:4646` is no address of Nomad's API: an address begins with `http://`, `https://` or `unix://`
        nomad.ca_file, cert_file, key_file and tls_server_name are of no use with "http://nomad:4646": write `https://` or leave them out
        nomad.cert_file is of no use without its key: name it by key_file; nomad.tls_server_name = "a b" is no name that a certificate could have
        consul.key_file is of no use without consul.address; ca_file = "ca.pem" is not an absolute path
        nomad.token_file is of no use without nomad.address
        the plugin's configuration cannot be read: unknown field `adress`, expected one of `address`, `token_file`, `ca_file`, `cert_file`, `key_file`, `tls_server_name`
        nomad.address: `nomad` is no address of Nomad's API: an address begins with `http://`, `https://` or `unix://`; consul.token_file = "x" is not an absolute path; consul.address: `ftp://consul:8501` is no address of Consul's API: an address begins with `http://`, `https://` or `unix://`
        consul.token_file is of no use without consul.address
        the plugin's configuration cannot be read: invalid type: integer `1`, expected struct RawApi
        "#);
        Settings::from_msgpack(&[0xc1, 0xff]).unwrap_err();
    }
}
