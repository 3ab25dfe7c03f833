//! What servers say of the connections between them, and of the copies that JetStream keeps.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::wire::{ConnInfo, Count, Refusal, list};

/// ROUTEZ.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::console) struct Routez {
    #[serde(deserialize_with = "list")]
    pub(in crate::console) routes: Vec<Link>,
}

/// LEAFZ.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::console) struct Leafz {
    #[serde(deserialize_with = "list")]
    pub(in crate::console) leafs: Vec<Link>,
}

/// A connection between servers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::console) struct Link {
    #[serde(alias = "remote_name")]
    pub(in crate::console) name: String,
    /// Whether this server is the one that connects.
    pub(in crate::console) is_spoke: bool,
    pub(in crate::console) account: String,
    pub(in crate::console) rtt: String,
    #[serde(alias = "pending_size")]
    pub(in crate::console) pending: Count,
    pub(in crate::console) in_msgs: Count,
    pub(in crate::console) out_msgs: Count,
}

/// GATEWAYZ.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::console) struct Gatewayz {
    pub(in crate::console) name: String,
    #[serde(deserialize_with = "map")]
    pub(in crate::console) outbound_gateways: BTreeMap<String, RemoteGateway>,
}

/// A gateway to another cluster.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::console) struct RemoteGateway {
    pub(in crate::console) connection: Option<ConnInfo>,
}

fn map<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// JSZ with its streams.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::console) struct Jsz {
    #[serde(deserialize_with = "list")]
    pub(in crate::console) account_details: Vec<JszAccount>,
}

/// An account in JSZ.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::console) struct JszAccount {
    pub(in crate::console) name: String,
    #[serde(deserialize_with = "list")]
    pub(in crate::console) stream_detail: Vec<JszStream>,
}

/// A stream in JSZ.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::console) struct JszStream {
    pub(in crate::console) name: String,
    pub(in crate::console) cluster: Option<StreamCluster>,
    pub(in crate::console) mirror: Option<StreamSource>,
    #[serde(deserialize_with = "list")]
    pub(in crate::console) sources: Vec<StreamSource>,
}

/// Where the copies of a stream are.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::console) struct StreamCluster {
    pub(in crate::console) leader: String,
    #[serde(deserialize_with = "list")]
    pub(in crate::console) replicas: Vec<Replica>,
}

/// A copy of a stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::console) struct Replica {
    pub(in crate::console) name: String,
    pub(in crate::console) current: bool,
    pub(in crate::console) offline: bool,
    /// Nanoseconds since it was heard.
    pub(in crate::console) active: i64,
    /// Operations that it is behind.
    pub(in crate::console) lag: Count,
}

/// What a stream copies from.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::console) struct StreamSource {
    pub(in crate::console) name: String,
    pub(in crate::console) external: Option<External>,
    /// Messages that it is behind.
    pub(in crate::console) lag: Count,
    /// Nanoseconds since it was heard; -1 for never.
    pub(in crate::console) active: i64,
    error: Option<Refusal>,
}

impl StreamSource {
    /// NATS's words for what is wrong.
    pub(in crate::console) fn error(&self) -> Option<&str> {
        self.error.as_ref().map(|error| error.description.as_str())
    }
}

/// The API of another domain.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::console) struct External {
    pub(in crate::console) api: String,
}
