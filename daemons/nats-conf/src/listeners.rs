//! What a node listens on: clients, monitoring, websocket, MQTT, and the TLS of each.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use settings::node::{Tls, TlsVersion};

use crate::{Input, text::Block};

const ANY_LOCAL_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

pub(crate) fn clients(root: &mut Block, input: &Input<'_>) {
    let nats = &input.node.nats;
    root.blank();
    // Without `listen` nats-server takes port 4222 of every address. Settings refuses "off", and a
    // node that was never checked still opens nothing to others.
    root.address("listen", nats.client.address().unwrap_or(ANY_LOCAL_PORT));
    if let Some(advertise) = &nats.client_advertise {
        root.text("client_advertise", advertise);
    }
    tls(root, input, nats.tls.client.as_ref());
    if let Some(address) = nats.monitoring.address() {
        root.address("http", address);
    }
    root.number("max_connections", nats.max_connections.into());
    root.number("max_payload", nats.max_payload.bytes());
    // A half-open link goes unnoticed for `ping_interval` times `ping_max` and a bit.
    root.text("ping_interval", &nats.ping_interval.to_string());
    root.number("ping_max", nats.ping_max.into());
    root.text("write_deadline", &nats.write_deadline.to_string());
}

pub(crate) fn websocket(root: &mut Block, input: &Input<'_>) {
    let nats = &input.node.nats;
    let Some(address) = nats.websocket.address() else { return };
    root.blank();
    root.block("websocket", |websocket| {
        websocket.address("listen", address);
        websocket.word("compression", "true");
        if !nats.websocket_origins.is_empty() {
            websocket.list("allowed_origins", &nats.websocket_origins);
        }
        match &nats.tls.websocket {
            Some(files) => tls(websocket, input, Some(files)),
            None => websocket.word("no_tls", "true"),
        }
    });
}

pub(crate) fn mqtt(root: &mut Block, input: &Input<'_>) {
    let nats = &input.node.nats;
    let Some(address) = nats.mqtt.address() else { return };
    root.blank();
    root.block("mqtt", |mqtt| {
        mqtt.address("listen", address);
        tls(mqtt, input, nats.tls.mqtt.as_ref());
    });
}

pub(crate) fn tls(block: &mut Block, input: &Input<'_>, files: Option<&Tls>) {
    let Some(files) = files else { return };
    block.block("tls", |tls| {
        tls.path("cert_file", &resolve(input, &files.cert));
        tls.path("key_file", &resolve(input, &files.key));
        if let Some(ca) = &files.ca {
            tls.path("ca_file", &resolve(input, ca));
        }
        if files.verify {
            tls.word("verify", "true");
        }
        min_version(tls, files.min_version);
    });
}

pub(crate) fn min_version(tls: &mut Block, version: TlsVersion) {
    let version = match version {
        TlsVersion::V1_2 => "1.2",
        TlsVersion::V1_3 => "1.3",
    };
    tls.text("min_version", version);
}

/// A path as node.toml means it: absolute, or a file in the credentials directory.
pub(crate) fn resolve(input: &Input<'_>, path: &Path) -> PathBuf {
    input.credentials.join(path)
}
