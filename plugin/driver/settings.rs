//! What the operator wrote into `plugin "dtree" { config { … } }`.
//!
//! # Invariants
//!
//! * A wrong value is said, all of them at once, and never an error: Nomad answers an error by not starting the agent.
//! * Reading it touches neither network nor files.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::nomad::Endpoint;

/// The operator's choices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    /// How the plugin itself reaches Nomad, so that tasks may share one view; `None`: each task goes its own way.
    pub(super) nomad: Option<Nomad>,
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
    nomad: Option<RawNomad>,
    webhook_hosts: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNomad {
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
        let Raw { nomad, webhook_hosts } = raw.unwrap_or_default();
        let webhook_hosts = webhook_hosts.unwrap_or_default();
        let Some(nomad) = nomad else { return Ok(Self { nomad: None, webhook_hosts }) };
        let mut problems = Vec::new();
        let endpoint = nomad.address.and_then(|address| {
            let endpoint = address.parse::<Endpoint>();
            endpoint.map_err(|error| problems.push(format!("nomad.address: {error}"))).ok()
        });
        let token_file = nomad.token_file;
        if let Some(path) = token_file.as_ref().filter(|path| !Path::new(path).is_absolute()) {
            problems.push(format!("nomad.token_file = {path:?} is not an absolute path"));
        }
        if endpoint.is_none() && token_file.is_some() && problems.is_empty() {
            problems.push("nomad.token_file is of no use without nomad.address".to_owned());
        }
        if !problems.is_empty() {
            return Err(problems.join("; "));
        }
        let token_file = token_file.map(PathBuf::from);
        Ok(Self { nomad: endpoint.map(|endpoint| Nomad { endpoint, token_file }), webhook_hosts })
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
        let endpoint = address.parse().unwrap();
        let nomad = Some(Nomad { endpoint, token_file: token_file.map(PathBuf::from) });
        Settings { nomad, webhook_hosts: Vec::new() }
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
    fn everything_wrong_is_told_at_once() {
        let wrong = [
            json!({"nomad": {"address": "127.0.0.1:4646", "token_file": "token"}}),
            json!({"nomad": {"address": "https://nomad:4646"}}),
            json!({"nomad": {"token_file": "/etc/token"}}),
            json!({"nomad": {"adress": "http://nomad:4646"}}),
            json!([1, 2]),
        ];
        let told: Vec<_> = wrong.iter().map(|config| read(config).unwrap_err()).collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        nomad.address: `127.0.0.1:4646` is no address of Nomad's API: an address begins with `http://` or `unix://`; nomad.token_file = "token" is not an absolute path
        nomad.address: `https://nomad:4646` is no address of Nomad's API: dtree does not speak TLS yet; use the socket of the Task API or `http://`
        nomad.token_file is of no use without nomad.address
        the plugin's configuration cannot be read: unknown field `adress`, expected `address` or `token_file`
        the plugin's configuration cannot be read: invalid type: integer `1`, expected struct RawNomad
        "#);
        Settings::from_msgpack(&[0xc1, 0xff]).unwrap_err();
    }
}
