//! The agent that answers, and the token that asks it.

use serde::Deserialize;

/// The token that asks, as `/v1/acl/token/self` tells it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct AclToken {
    #[serde(rename = "AccessorID")]
    pub(in crate::nomad) accessor_id: String,
    #[serde(default, rename = "Type")]
    pub(in crate::nomad) kind: String,
}

/// What an agent tells of itself.
#[derive(Debug, Deserialize)]
pub(in crate::nomad) struct Agent {
    pub(in crate::nomad) config: AgentConfig,
}

/// What an agent was configured with, and what it is.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct AgentConfig {
    pub(in crate::nomad) version: AgentVersion,
}

/// An agent's version.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct AgentVersion {
    pub(in crate::nomad) version: String,
}
