//! What a running node listens on, as it stands in `run/addresses.json`.

use std::{fs, net::SocketAddr};

use anyhow::{Context, Result};
use runtime::reachable;
use serde::{Deserialize, Serialize};
use settings::{Node, NodeRole, Settings};
use sse_bridge::login::Origin;

use crate::data::{DataDir, write_whole};

/// Every listener of a node; `None` is off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// NATS clients.
    pub client: Option<SocketAddr>,
    /// nats-server's HTTP monitoring.
    pub monitoring: Option<SocketAddr>,
    /// NATS clients over websocket.
    pub websocket: Option<SocketAddr>,
    /// MQTT clients.
    pub mqtt: Option<SocketAddr>,
    /// Leaf nodes, on a hub node.
    pub leaf: Option<SocketAddr>,
    /// Routes, on a hub node.
    pub route: Option<SocketAddr>,
    /// The health daemon.
    pub health: Option<SocketAddr>,
    /// The container registry.
    #[serde(default)]
    pub registry: Option<SocketAddr>,
    /// The web console.
    #[serde(default)]
    pub console: Option<SocketAddr>,
}

impl Addresses {
    /// What nats-server bound, beside `own`, the daemons' listeners.
    pub fn bound(nats: &supervisor::process::Addresses, own: Self) -> Self {
        Self {
            client: nats.client,
            monitoring: nats.monitoring,
            websocket: nats.websocket,
            mqtt: nats.mqtt,
            leaf: nats.leaf,
            route: nats.route,
            ..own
        }
    }

    /// What node.toml says, for a node that is not running.
    pub fn declared(node: &Node) -> Self {
        let hub = node.role == NodeRole::Hub;
        Self {
            client: node.nats.client.address(),
            monitoring: node.nats.monitoring.address(),
            websocket: node.nats.websocket.address(),
            mqtt: node.nats.mqtt.address(),
            leaf: node.nats.leaf.address().filter(|_| hub),
            route: node.nats.route.address().filter(|_| hub),
            health: node.health.listen.address(),
            registry: node.registry.listen.address(),
            console: node.console.listen.address(),
        }
    }

    /// Those of nats-server alone.
    pub fn of_nats(&self) -> Self {
        Self { health: None, registry: None, console: None, ..self.clone() }
    }

    /// What a start would listen on: a hub that stands alone has no routes.
    pub fn used(settings: &Settings) -> Self {
        let declared = Self::declared(&settings.node);
        Self { route: declared.route.filter(|_| settings.is_clustered()), ..declared }
    }

    /// What the node that runs on `data` bound, or what node.toml says if none does.
    pub fn current(data: &DataDir, node: &Node) -> Result<Self> {
        if !data.is_running() {
            return Ok(Self::declared(node));
        }
        let file = data.addresses_file();
        match fs::read(&file) {
            Ok(text) => {
                serde_json::from_slice(&text).with_context(|| format!("{} is damaged", file.display()))
            }
            // Running, and not that far yet.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::declared(node)),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
        }
    }

    /// Writes `run/addresses.json`.
    pub fn write(&self, data: &DataDir) -> Result<()> {
        write_whole(&data.addresses_file(), &serde_json::to_vec_pretty(self)?, 0o644)
    }

    /// Name, what for, and URL of each listener that is on.
    pub fn rows(&self, node: &Node) -> Vec<[String; 3]> {
        let tls = &node.nats.tls;
        let scheme =
            |secure: bool, with: &str, without: &str| (if secure { with } else { without }).to_owned();
        let listeners = [
            (
                "clients",
                self.client,
                scheme(tls.client.is_some(), "tls", "nats"),
                "NATS clients, `nats` command",
            ),
            (
                "websocket",
                self.websocket,
                scheme(tls.websocket.is_some(), "wss", "ws"),
                "NATS clients in browsers",
            ),
            ("mqtt", self.mqtt, scheme(tls.mqtt.is_some(), "mqtts", "mqtt"), "MQTT 3.1.1 clients"),
            (
                "leaf nodes",
                self.leaf,
                scheme(tls.leaf.is_some(), "tls", "nats-leaf"),
                "leaves that join this hub",
            ),
            ("routes", self.route, scheme(tls.route.is_some(), "tls", "nats-route"), "other hub nodes"),
            ("monitoring", self.monitoring, "http".to_owned(), "nats-server's own: /varz /jsz /leafz"),
            ("health", self.health, "http".to_owned(), "/healthz /readyz"),
            (
                "registry",
                self.registry,
                scheme(node.registry.tls.is_some(), "https", "http"),
                "docker, podman, skopeo",
            ),
            ("console", self.console, scheme(node.console.tls.is_some(), "https", "http"), "browsers"),
        ];
        listeners
            .into_iter()
            .filter_map(|(name, address, scheme, what)| {
                let address = address?;
                let url = match name {
                    // Passkeys are bound to a name.
                    "console" => Origin::of(&node.console, address.port()).ok()?.as_str().to_owned(),
                    _ => format!("{scheme}://{}", reachable(address)),
                };
                Some([name.to_owned(), url, what.to_owned()])
            })
            .collect()
    }
}
