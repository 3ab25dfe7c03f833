//! What travel is told about its node and fleet.

use std::collections::BTreeSet;

use runtime::Credentials;
use settings::{Fleet, Node, NodeRole, Pattern};

use crate::Repository;

/// What travel is told about its node and fleet.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node.
    pub node: String,
    /// Who fetches, in the records of uploads: no two that run at the same time have the same name, or
    /// each goes on with the other's uploads and both throw away what they fetched.
    pub fetcher: String,
    /// Whether it is at the edge.
    pub role: NodeRole,
    /// Whether it has a way to the hub.
    pub uplink: bool,
    /// The leaves of the fleet: nobody else is answered by the hub.
    pub leaves: BTreeSet<String>,
    /// Which repositories travel, and the upstreams.
    pub registry: settings::fleet::Registry,
    /// Where logins of upstreams are.
    pub credentials: Credentials,
}

impl Config {
    /// What the two files say, for the daemon.
    pub fn new(node: &Node, fleet: &Fleet, credentials: Credentials) -> Self {
        Self {
            node: node.name.to_string(),
            fetcher: node.name.to_string(),
            role: node.role,
            uplink: !node.uplink.urls.is_empty(),
            leaves: fleet.nodes.leaves.iter().map(ToString::to_string).collect(),
            registry: fleet.registry.clone(),
            credentials,
        }
    }

    /// Whether leaves pull a repository through from the hub.
    pub(crate) fn goes_down(&self, repository: &Repository) -> bool {
        any(&self.registry.travel.down, repository)
    }

    /// Whether what is pushed to a repository at a leaf comes to the hub.
    pub(crate) fn goes_up(&self, repository: &Repository) -> bool {
        any(&self.registry.travel.up, repository)
    }
}

fn any(patterns: &[Pattern], repository: &Repository) -> bool {
    patterns.iter().any(|pattern| pattern.matches(repository.as_str()))
}
