//! What may befall the cluster of a story.

use serde_json::json;

use super::{SOON, Story};
use crate::harness::Agent;

impl Story {
    /// The agent of a cluster that has one only, or the server's.
    pub(crate) fn agent<T>(&self, act: impl FnOnce(&mut Agent) -> T) -> T {
        act(&mut self.cluster().agents()[0])
    }

    /// The agent of the second client.
    pub(crate) fn second_agent<T>(&self, act: impl FnOnce(&mut Agent) -> T) -> T {
        act(&mut self.cluster().agents()[1])
    }

    /// Kills the plugin, and waits until Nomad has started another.
    pub(crate) fn kill_plugin(&self) {
        let before = self.agent(|agent| agent.plugin_pids());
        self.agent(|agent| agent.kill_plugin());
        self.within(SOON, "another plugin process", || {
            let now = self.agent(|agent| agent.plugin_pids());
            if now.iter().any(|pid| !before.contains(pid)) { Ok(()) } else { Err(format!("{now:?}")) }
        });
    }

    /// Kills the agent, and starts it again.
    pub(crate) fn kill_agent(&self) {
        self.agent(Agent::kill);
        self.start_again();
    }

    /// Kills the agent and the plugin, and starts the agent again.
    pub(crate) fn kill_agent_and_plugin(&self) {
        self.agent(Agent::kill);
        self.agent(|agent| agent.kill_plugin());
        self.start_again();
    }

    /// Stops the agent as an init system does, and starts it again.
    pub(crate) fn restart_agent(&self) {
        self.agent(Agent::stop);
        self.start_again();
    }

    /// Starts an agent that is down.
    pub(crate) fn start_again(&self) {
        self.cluster().start_again().unwrap_or_else(|why| panic!("the agent does not come back: {why}"));
    }

    /// Whether jobs may be placed on the client of this name from now on.
    pub(crate) fn makes_eligible(&self, client: &str, is_eligible: bool) {
        let nodes = self.get("/v1/nodes");
        let node = nodes.as_array().into_iter().flatten().find(|node| node["Name"] == client);
        let node = node.and_then(|node| node["ID"].as_str()).expect("there is such a client");
        let eligibility = if is_eligible { "eligible" } else { "ineligible" };
        self.post(&format!("/v1/node/{node}/eligibility"), &json!({ "Eligibility": eligibility }));
    }

    /// The client that a job is on is to be empty within so many seconds.
    pub(crate) fn drain_client_of(&self, job: &str, seconds: u64) {
        let placed = self.allocations(job).expect("it is there");
        let node = placed[0]["NodeID"].as_str().expect("it is on a client");
        let drain = json!({ "DrainSpec": { "Deadline": seconds * 1_000_000_000, "IgnoreSystemJobs": true } });
        self.post(&format!("/v1/node/{node}/drain"), &drain);
    }
}
