//! The connections of one registry to its nats-server.
//!
//! Chunks are written and read on connections of their own: nats-server answers a Direct Get in the
//! read loop of its connection, and 64 MiB that wait on one are taken for a slow consumer.

use async_nats::Client;
use runtime::{ConnectError, ConnectOptions};
use settings::builtin::REGISTRY_INBOX;

/// The connections that chunks are read on.
const READERS: usize = 2;

/// The connections of one registry, all of the user `registry`.
#[derive(Clone, Debug)]
pub struct RegistryConnections {
    /// Records and tags.
    pub records: Client,
    /// Chunks on their way in.
    pub write: Client,
    /// Chunks on their way out.
    pub read: Vec<Client>,
    /// The hub and the leaves, and who asks for the status. Only its answers cross a link: what the
    /// others read does not leave the node's own servers ([`REGISTRY_INBOX`]).
    pub travel: Client,
}

impl RegistryConnections {
    /// Connects in the background, for ever; `options` says where to and as whom. The user is good from
    /// loopback alone, so that `options.from` is [`runtime::from_loopback`] of the listener.
    ///
    /// # Errors
    /// When a connection cannot even be tried: a bad URL, creds or certificate.
    pub async fn open(options: &ConnectOptions) -> Result<Self, ConnectError> {
        let connect = async |what: &str, inbox| {
            let name = format!("{} {what}", options.name);
            runtime::connect(&ConnectOptions { name, inbox, ..options.clone() }).await
        };
        let mut read = Vec::with_capacity(READERS);
        for _ in 0..READERS {
            read.push(connect("read", Some(REGISTRY_INBOX)).await?);
        }
        Ok(Self {
            records: connect("records", Some(REGISTRY_INBOX)).await?,
            write: connect("write", Some(REGISTRY_INBOX)).await?,
            read,
            travel: connect("travel", None).await?,
        })
    }
}
