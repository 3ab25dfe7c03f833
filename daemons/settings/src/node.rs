//! `node.toml`: this machine, its addresses, limits and daemons.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    names::Name,
    units::{ByteSize, Listen, Span, string_value},
};

mod certificate;
mod console;
mod registry;

pub use certificate::Certificate;
pub use console::Console;
pub use registry::{Anonymous, Registry};

/// What a node is in the fleet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeRole {
    /// At the edge, with a JetStream domain of its own.
    #[default]
    Leaf,
    /// A member of the hub cluster.
    Hub,
}

/// One machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its name: the server name, and for a leaf the JetStream domain. Never change it.
    pub name: Name,
    /// `leaf` or `hub`.
    #[serde(default)]
    pub role: NodeRole,
    /// Where it is, as a free word; it becomes the server tag `region:<region>`.
    #[serde(default)]
    pub region: Option<Name>,
    /// Server tags, for the placement of stores.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The fleet file, relative to this one.
    #[serde(default = "default_fleet")]
    pub fleet: PathBuf,
    /// The folder that holds all state, relative to this file.
    #[serde(default = "default_data")]
    pub data: PathBuf,
    /// The folder of signed account JWTs written by `leafbox apply --export`, relative to this
    /// file; `<data>/jwts` when left out.
    #[serde(default)]
    pub jwts: Option<PathBuf>,
    /// The nats-server program, relative to this file, or to the working directory when the
    /// environment sets it; looked for on PATH, else fetched, when left out.
    #[serde(default)]
    pub nats_server: Option<PathBuf>,
    /// What nats-server listens on, and its limits.
    #[serde(default)]
    pub nats: Nats,
    /// JetStream: limits, durability, encryption.
    #[serde(default)]
    pub jetstream: JetStream,
    /// A leaf's way to the hub.
    #[serde(default)]
    pub uplink: Uplink,
    /// A hub node's way to the other hub nodes.
    #[serde(default)]
    pub cluster: Cluster,
    /// The health daemon.
    #[serde(default)]
    pub health: Health,
    /// The container registry.
    #[serde(default)]
    pub registry: Registry,
    /// The web console.
    #[serde(default)]
    pub console: Console,
}

fn default_fleet() -> PathBuf {
    "fleet.toml".into()
}

fn default_data() -> PathBuf {
    ".data".into()
}

/// What nats-server listens on, and its limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Nats {
    /// Clients; leafbox itself needs it, so it cannot be off.
    pub client: Listen,
    /// HTTP monitoring, on loopback only: it has no login and no TLS. leafbox itself needs it, so it
    /// cannot be off.
    pub monitoring: Listen,
    /// Clients over websocket.
    pub websocket: Listen,
    /// MQTT clients.
    pub mqtt: Listen,
    /// The origins whose web pages browsers may connect from, such as
    /// `"https://app.example.net"`; every page's when empty. Only browsers tell an origin: the
    /// login is the creds, and this is a second fence. There is no key for "the same origin":
    /// nats-server serves no pages, so that no page has its origin.
    pub websocket_origins: Vec<String>,
    /// Leaf nodes that join this hub node.
    pub leaf: Listen,
    /// Routes from the other hub nodes.
    pub route: Listen,
    /// The `host:port` that clients are told to use, when it differs from `client`.
    pub client_advertise: Option<String>,
    /// The `host:port` that leaf nodes are told to use, when it differs from `leaf`, as behind
    /// Fly's proxy. leafbox's own leaves keep to their `uplink.urls`.
    pub leaf_advertise: Option<String>,
    /// Client connections at once.
    pub max_connections: u32,
    /// Largest message.
    pub max_payload: ByteSize,
    /// How often an idle connection is pinged.
    pub ping_interval: Span,
    /// Unanswered pings before a connection is closed.
    pub ping_max: u32,
    /// How long one write to a client may take.
    pub write_deadline: Span,
    /// TLS, for each listener of its own.
    pub tls: ListenerTls,
}

impl Default for Nats {
    fn default() -> Self {
        Self {
            client: Listen::loopback(4222),
            monitoring: Listen::loopback(8222),
            websocket: Listen::loopback(9222),
            mqtt: Listen::Off,
            websocket_origins: Vec::new(),
            leaf: Listen::loopback(7422),
            route: Listen::loopback(6222),
            client_advertise: None,
            leaf_advertise: None,
            max_connections: 10_000,
            max_payload: ByteSize::mib(1),
            ping_interval: Span::seconds(10),
            ping_max: 2,
            write_deadline: Span::seconds(10),
            tls: ListenerTls::default(),
        }
    }
}

/// TLS of each listener; a listener left out speaks plainly.
///
/// Monitoring has none: nats-server would serve it with the clients' certificate and without any
/// login, so it stays on loopback, and `health.listen` is what the outside may ask.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListenerTls {
    /// Clients.
    pub client: Option<Tls>,
    /// Websocket.
    pub websocket: Option<Tls>,
    /// MQTT.
    pub mqtt: Option<Tls>,
    /// Leaf nodes.
    pub leaf: Option<Tls>,
    /// Routes.
    pub route: Option<Tls>,
}

/// TLS of one listener. Paths are absolute, or names of files in the credentials directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain, PEM.
    pub cert: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// The authorities that the other side's certificate is checked against, PEM.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Whether the other side must show a certificate that `ca` signed.
    #[serde(default)]
    pub verify: bool,
    /// With `verify` under `[nats.tls.client]` only: the certificate chain, PEM, that leafbox's own
    /// daemons and commands show. `ca` must have signed it, for client authentication.
    #[serde(default)]
    pub own_cert: Option<PathBuf>,
    /// The private key of `own_cert`, PEM.
    #[serde(default)]
    pub own_key: Option<PathBuf>,
    /// The oldest TLS version that is spoken.
    #[serde(default)]
    pub min_version: TlsVersion,
}

impl Tls {
    /// The certificate that leafbox itself shows at this listener, and its key.
    pub fn own(&self) -> Option<(&Path, &Path)> {
        self.own_cert.as_deref().zip(self.own_key.as_deref())
    }
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[serde(rename = "1.2")]
    V1_2,
    /// TLS 1.3.
    #[default]
    #[serde(rename = "1.3")]
    V1_3,
}

/// How JetStream files are encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// AES-GCM.
    #[default]
    Aes,
    /// ChaCha20-Poly1305, for processors without AES instructions.
    Chacha,
    /// Not at all.
    Off,
}

/// When JetStream writes are flushed to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncInterval {
    /// Before each acknowledgement.
    #[default]
    Always,
    /// Every so often; understood so that it can be refused with the reason.
    Every(Span),
}

impl fmt::Display for SyncInterval {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => formatter.write_str("always"),
            Self::Every(span) => span.fmt(formatter),
        }
    }
}

impl FromStr for SyncInterval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "always" { Ok(Self::Always) } else { text.parse().map(Self::Every) }
    }
}

string_value!(SyncInterval, "SyncInterval", "^always$", "\"always\": before each acknowledgement");

/// JetStream of this node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JetStream {
    /// Bytes of memory streams.
    pub max_memory: ByteSize,
    /// Bytes of file streams; what the disk has free, less `reserve`, when left out.
    pub max_storage: Option<ByteSize>,
    /// Bytes of the disk that stay free: below it the node is not ready.
    pub reserve: ByteSize,
    /// When writes are flushed.
    pub sync_interval: SyncInterval,
    /// How the files are encrypted, with the key in the credential `jetstream.key`.
    pub encryption: Encryption,
}

impl Default for JetStream {
    fn default() -> Self {
        Self {
            max_memory: ByteSize::mib(64),
            max_storage: None,
            reserve: ByteSize::mib(512),
            sync_interval: SyncInterval::Always,
            encryption: Encryption::Aes,
        }
    }
}

/// A leaf's way to the hub. With no URL the leaf stands alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Uplink {
    /// The hub's leaf listeners, such as `"tls://hub.example.net:7422"`.
    pub urls: Vec<String>,
    /// The authorities that the hub's certificate is checked against, PEM; the system's when left
    /// out.
    pub ca: Option<PathBuf>,
    /// This leaf's certificate, PEM, where the hub asks for one.
    pub cert: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// The oldest TLS version that is spoken with the hub, where the link is encrypted.
    pub min_version: TlsVersion,
}

impl Uplink {
    /// Whether the link speaks TLS or nothing: one URL or certificate file that says so is enough
    /// for all URLs, which nats-server treats alike.
    pub fn is_tls(&self) -> bool {
        let says_so = |url: &String| url.starts_with("tls://") || url.starts_with("wss://");
        self.ca.is_some() || self.cert.is_some() || self.urls.iter().any(says_so)
    }
}

/// A hub node's way to the other hub nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// The name of the cluster.
    pub name: Name,
    /// The other hub nodes, such as `"nats-route://hub-2.example.net:6222"`.
    pub routes: Vec<String>,
    /// The `host:port` that other nodes are told to use, when it differs from `nats.route`.
    pub advertise: Option<String>,
    /// Says that the network between hub nodes is private and authenticated (WireGuard, Fly's
    /// 6PN), so that routes without mutual TLS are accepted beyond loopback.
    pub trusted_network: bool,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            name: crate::fleet::HUB_DOMAIN.parse().expect("a valid name"),
            routes: Vec::new(),
            advertise: None,
            trusted_network: false,
        }
    }
}

/// The health daemon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Health {
    /// Where it answers `/healthz` and `/readyz`.
    pub listen: Listen,
    /// How often it sends a heartbeat.
    pub heartbeat: Span,
}

impl Default for Health {
    fn default() -> Self {
        Self { listen: Listen::loopback(7777), heartbeat: Span::seconds(10) }
    }
}
