//! Registers a daemon as a NATS micro service, so that `nats micro list` finds it (ADR-32).

use std::collections::HashMap;

use async_nats::{
    Client,
    service::{Service, ServiceExt},
};

/// What a daemon says of itself on `$SRV.INFO`.
#[derive(Clone, Debug)]
pub struct Micro<'a> {
    /// Its name: letters, digits, `-` and `_`, such as `leafbox-health`.
    pub name: &'a str,
    /// Its version, a semantic version.
    pub version: &'a str,
    /// What it is, in a sentence.
    pub description: &'a str,
    /// The node that it runs on.
    pub node: &'a str,
}

/// It could not be registered.
#[derive(Debug, thiserror::Error)]
#[error("{name} could not be registered as a NATS micro service: {source}")]
pub struct MicroError {
    name: String,
    #[source]
    source: async_nats::Error,
}

/// Registers it: it answers `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS` until the returned value is
/// dropped or stopped. The user needs `subscribe` on `$SRV.>` and permission to respond.
pub async fn register(client: &Client, micro: &Micro<'_>) -> Result<Service, MicroError> {
    let metadata = HashMap::from([("node".to_owned(), micro.node.to_owned())]);
    client
        .service_builder()
        .description(micro.description)
        .metadata(metadata)
        .start(micro.name, micro.version)
        .await
        .map_err(|source| MicroError { name: micro.name.to_owned(), source })
}
