//! What the daemon needs to know of its node.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use runtime::Pulse;
use settings::{ByteSize, Name, NodeRole, Settings};

/// What the daemon needs to know of its node.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node's name.
    pub node: Name,
    /// What it is in the fleet.
    pub role: NodeRole,
    /// Where it is.
    pub region: Option<Name>,
    /// How often it sends a heartbeat.
    pub heartbeat: Duration,
    /// Bytes of the disk that stay free.
    pub reserve: ByteSize,
    /// The folder that holds all state.
    pub data: PathBuf,
    /// Where nats-server's monitoring answers.
    pub monitoring: SocketAddr,
    /// Tells systemd's watchdog that the daemon lives.
    pub pulse: Pulse,
}

impl Config {
    /// The configuration of a node whose nats-server answers monitoring at `monitoring`.
    pub fn new(settings: &Settings, monitoring: SocketAddr) -> Self {
        Self {
            node: settings.node.name.clone(),
            role: settings.node.role,
            region: settings.node.region.clone(),
            heartbeat: settings.node.health.heartbeat.0,
            reserve: settings.node.jetstream.reserve,
            data: settings.data_dir(),
            monitoring,
            pulse: Pulse::new(),
        }
    }
}
