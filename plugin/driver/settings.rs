//! What the operator wrote into `plugin "dtree" { config { … } }`.
//!
//! # Invariants
//!
//! * A wrong value is said, all of them at once, and never an error: Nomad answers an error by not starting the agent.
//! * Reading it touches neither network nor files.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{
    consul::{self, Consul},
    nomad::{self, Endpoint},
};

/// The operator's choices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    /// How the plugin itself reaches Nomad, so that tasks may share one view; `None`: each task goes its own way.
    pub(super) nomad: Option<Nomad>,
    /// How questions to Consul are asked, for all tasks; `None`: they are answered with what to write for it.
    pub(super) consul: Option<Consul>,
    /// The hosts that `webhook` blocks may name.
    pub(super) webhook_hosts: Vec<String>,
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
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawApi {
    address: Option<String>,
    token_file: Option<String>,
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
        let Raw { nomad, consul, webhook_hosts } = raw.unwrap_or_default();
        let mut problems = Vec::new();
        let nomad = nomad.and_then(|raw| {
            raw.read("nomad", |address| nomad::endpoint(address).map_err(|e| e.to_string()), &mut problems)
        });
        let consul = consul.and_then(|raw| raw.read("consul", consul::endpoint, &mut problems));
        if !problems.is_empty() {
            return Err(problems.join("; "));
        }
        Ok(Self {
            nomad: nomad.map(|(endpoint, token_file)| Nomad { endpoint, token_file }),
            consul: consul.map(|(endpoint, token_file)| Consul { endpoint, token_file }),
            webhook_hosts: webhook_hosts.unwrap_or_default(),
        })
    }
}

impl RawApi {
    /// The way to an API, if the block names one.
    fn read(
        self,
        block: &str,
        endpoint: impl Fn(&str) -> Result<Endpoint, String>,
        problems: &mut Vec<String>,
    ) -> Option<(Endpoint, Option<PathBuf>)> {
        let Self { address, token_file } = self;
        if let Some(path) = token_file.as_ref().filter(|path| !Path::new(path).is_absolute()) {
            problems.push(format!("{block}.token_file = {path:?} is not an absolute path"));
        }
        let Some(address) = address else {
            if token_file.is_some() {
                problems.push(format!("{block}.token_file is of no use without {block}.address"));
            }
            return None;
        };
        match endpoint(&address) {
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
        assert_eq!(consul.token_file, Some("/etc/dtree/consul.token".into()));
        assert_eq!(settings.nomad, None);
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let wrong = [
            json!({"nomad": {"address": "127.0.0.1:4646", "token_file": "token"}}),
            json!({"nomad": {"address": "https://nomad:4646"}}),
            json!({"nomad": {"token_file": "/etc/token"}}),
            json!({"nomad": {"adress": "http://nomad:4646"}}),
            json!({"nomad": {"address": "nomad"}, "consul": {"address": "https://consul:8501", "token_file": "x"}}),
            json!({"consul": {"token_file": "/etc/token"}}),
            json!([1, 2]),
        ];
        let told: Vec<_> = wrong.iter().map(|config| read(config).unwrap_err()).collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        nomad.token_file = "token" is not an absolute path; nomad.address: `127.0.0.1:4646` is no address of Nomad's API: an address begins with `http://` or `unix://`
        nomad.address: `https://nomad:4646` is no address of Nomad's API: dtree does not speak TLS yet; use `http://` or a socket, `unix:///PATH`
        nomad.token_file is of no use without nomad.address
        the plugin's configuration cannot be read: unknown field `adress`, expected `address` or `token_file`
        nomad.address: `nomad` is no address of Nomad's API: an address begins with `http://` or `unix://`; consul.token_file = "x" is not an absolute path; consul.address: `https://consul:8501` is no address of Consul's API: dtree does not speak TLS yet; use `http://` or a socket, `unix:///PATH`
        consul.token_file is of no use without consul.address
        the plugin's configuration cannot be read: invalid type: integer `1`, expected struct RawApi
        "#);
        Settings::from_msgpack(&[0xc1, 0xff]).unwrap_err();
    }
}
