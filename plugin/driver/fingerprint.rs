//! What the driver tells about itself: who it is, what it can do, how it fares.
//!
//! # Invariants
//!
//! * An attribute changes together with the health. Nomad does not look at placements again that failed while a driver
//!   was unhealthy, unless an attribute of the node changes.
//! * Health is only about the plugin's own configuration. That Nomad's API fails is no reason: tasks wait.

use std::collections::BTreeMap;

use super::{
    VERSION,
    pb::{
        base::{PluginInfoResponse, PluginType},
        drivers::{
            DriverCapabilities, FingerprintResponse, driver_capabilities::FsIsolation,
            driver_capabilities::MountConfigs, fingerprint_response::HealthState,
            network_isolation_spec::NetworkIsolationMode,
        },
        structs::{Attribute, attribute::Value},
    },
};

/// The version of Nomad's plugin interface; the only one there is.
const API_VERSION: &str = "v0.1.0";

/// How the driver fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// Tasks can be placed.
    Healthy,
    /// They cannot, and why.
    Unhealthy(String),
}

impl Health {
    /// The word in the node's attributes.
    fn word(&self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy(_) => "unhealthy",
        }
    }

    /// As Nomad wants to hear it.
    pub(super) fn fingerprint(&self) -> FingerprintResponse {
        let text = |text: &str| Value::StringVal(text.to_owned());
        let attributes = [
            ("driver.dtree", Value::BoolVal(true)),
            ("driver.dtree.version", text(VERSION)),
            ("driver.dtree.state", text(self.word())),
        ];
        let (health, health_description) = match self {
            Self::Healthy => (HealthState::Healthy, "Healthy".to_owned()),
            Self::Unhealthy(why) => (HealthState::Unhealthy, why.clone()),
        };
        FingerprintResponse {
            attributes: attributes
                .into_iter()
                .map(|(name, value)| (name.to_owned(), Attribute { value: Some(value), unit: String::new() }))
                .collect::<BTreeMap<_, _>>(),
            health: health.into(),
            health_description,
            err: String::new(),
        }
    }
}

/// Who the plugin is.
pub(super) fn info() -> PluginInfoResponse {
    PluginInfoResponse {
        r#type: PluginType::Driver.into(),
        plugin_api_versions: vec![API_VERSION.to_owned()],
        plugin_version: VERSION.to_owned(),
        name: "dtree".to_owned(),
    }
}

/// What the driver can do.
pub(super) fn capabilities() -> DriverCapabilities {
    use NetworkIsolationMode::{Group, Host, None, Task};
    DriverCapabilities {
        send_signals: true,
        exec: true,
        // With NONE, Nomad would hand the agent's own environment to every task, and ask for one more ACL capability
        // at `alloc exec`.
        fs_isolation: FsIsolation::Image.into(),
        // Those left out would keep a gate out of groups with such a network.
        network_isolation_modes: [Host, Group, Task, None].map(i32::from).to_vec(),
        must_create_network: false,
        mount_configs: MountConfigs::NoMounts.into(),
        // A collector is a process of some 70 MB for each task; `log_file` does it instead.
        disable_log_collection: true,
        dynamic_workload_users: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_changes_together_with_the_health() {
        let good = Health::Healthy.fingerprint();
        let bad = Health::Unhealthy("nomad.address is wrong".to_owned()).fingerprint();
        assert_ne!(good.attributes["driver.dtree.state"], bad.attributes["driver.dtree.state"]);
        assert_eq!((good.health(), bad.health()), (HealthState::Healthy, HealthState::Unhealthy));
        assert_eq!(bad.health_description, "nomad.address is wrong");
        assert_eq!(bad.attributes["driver.dtree"].value, Some(Value::BoolVal(true)));
        assert_eq!(bad.attributes["driver.dtree.version"].value, Some(Value::StringVal(VERSION.to_owned())));
    }

    #[test]
    fn the_version_is_one_that_nomad_can_read() {
        let numbers: Vec<_> = VERSION.split('.').map(str::parse::<u32>).collect();
        assert!(numbers.len() == 3 && numbers.iter().all(Result::is_ok), "{VERSION}");
    }
}
