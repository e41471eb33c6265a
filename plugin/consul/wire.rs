//! Consul's JSON, as far as it is read.

use serde::Deserialize;

use crate::cluster::{Instance, Unwell};

/// The only status that is good.
const PASSING: &str = "passing";
/// How much of a check's output is kept, in characters.
const MAX_OUTPUT: usize = 200;

/// A member of `/v1/health/service/:name`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Entry {
    node: Node,
    service: Service,
    checks: Vec<Check>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    #[serde(default)]
    address: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Service {
    #[serde(rename = "ID")]
    id: String,
    #[serde(default)]
    address: String,
    #[serde(default)]
    port: u16,
    #[serde(default)]
    tags: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Check {
    name: String,
    status: String,
    #[serde(default)]
    output: String,
}

/// A member of `/v1/kv/:key`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Pair {
    /// In base 64; `null` where it is empty.
    pub(super) value: Option<String>,
}

impl From<Entry> for Instance {
    fn from(entry: Entry) -> Self {
        let Entry { node, service, checks } = entry;
        let host = if service.address.is_empty() { node.address } else { service.address };
        // Those of the node count as well: that it is alive is one of them.
        let bad = checks.iter().find(|check| check.status != PASSING).map(|check| {
            let output: String =
                check.output.lines().next().unwrap_or_default().chars().take(MAX_OUTPUT).collect();
            let output = if output.is_empty() { output } else { format!(": {output}") };
            format!("check {:?} is {}{output}", check.name, check.status)
        });
        Self {
            id: service.id,
            address: format!("{host}:{}", service.port),
            tags: service.tags.unwrap_or_default(),
            health: bad.map_or(Ok(()), |why| Err(Unwell::Failing(why))),
        }
    }
}
