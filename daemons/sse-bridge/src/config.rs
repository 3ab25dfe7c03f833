//! What the daemon needs to know of its node.

use runtime::{Credentials, Pulse};
use settings::{Fleet, Node, Settings};

/// What the daemon needs to know of its node.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node.
    pub node: Node,
    /// What is declared everywhere.
    pub fleet: Fleet,
    /// Where credentials and certificates are.
    pub credentials: Credentials,
    /// Whether who comes to the console from this machine is logged in without a passkey.
    pub development: bool,
    /// Tells systemd's watchdog that the daemon lives.
    pub pulse: Pulse,
}

impl Config {
    /// The configuration of the console of a node.
    pub fn new(settings: &Settings, credentials: Credentials) -> Self {
        Self {
            node: settings.node.clone(),
            fleet: settings.fleet.clone(),
            credentials,
            development: false,
            pulse: Pulse::new(),
        }
    }

    /// The accounts that fleet.toml declares: the console looks into each with a connection of its own.
    pub fn declared_accounts(&self) -> impl Iterator<Item = &str> {
        self.fleet.accounts.keys().map(|name| name.as_str())
    }

    /// The same for `leafbox dev`.
    pub fn in_development(self) -> Self {
        Self { development: true, ..self }
    }
}
