//! What the daemon needs to know of its node and its fleet.

use std::path::PathBuf;

use runtime::{Credentials, Pulse};
use settings::{Fleet, Name, Node, Settings, fleet, node};

/// What the daemon needs to know of its node and its fleet.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node.
    pub node: Node,
    /// The fleet.
    pub fleet: Fleet,
    /// The folder that holds all state.
    pub data: PathBuf,
    /// Where credentials and certificates are.
    pub credentials: Credentials,
    /// Tells systemd's watchdog that the daemon lives.
    pub pulse: Pulse,
}

impl Config {
    /// The configuration of the registry of a node.
    pub fn new(settings: &Settings, credentials: Credentials) -> Self {
        Self {
            node: settings.node.clone(),
            fleet: settings.fleet.clone(),
            data: settings.data_dir(),
            credentials,
            pulse: Pulse::new(),
        }
    }

    /// The node's name.
    pub fn name(&self) -> &Name {
        &self.node.name
    }

    /// What node.toml says of the registry.
    pub fn of_node(&self) -> &node::Registry {
        &self.node.registry
    }

    /// What fleet.toml says of the registries.
    pub fn of_fleet(&self) -> &fleet::Registry {
        &self.fleet.registry
    }

    /// The folder of the copies of hot blobs.
    pub fn cache(&self) -> PathBuf {
        self.data.join("registry")
    }
}
