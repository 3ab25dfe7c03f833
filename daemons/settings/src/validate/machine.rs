//! The machine itself: its name, limits, durability, disk.

use std::path::Path;

use super::{Facts, Findings};
use crate::{
    fleet::HUB_DOMAIN,
    node::{Node, SyncInterval},
    path::KeyPath,
    units::{ByteSize, Span},
};

/// The largest `max_payload` that nats-server takes.
const LARGEST_PAYLOAD: ByteSize = ByteSize::mib(64);
/// Above this nats-server advises against it.
const LARGE_PAYLOAD: ByteSize = ByteSize::mib(8);

pub(super) fn check(node: &Node, facts: Facts, findings: &mut Findings) {
    if node.name.eq_ignore_ascii_case(HUB_DOMAIN) {
        findings.error(
            KeyPath::of(["name"]),
            format!("`{HUB_DOMAIN}` is the JetStream domain of the whole hub"),
            "name the node after the machine, such as `hub-1` or `shop-1`",
        );
    }
    tags(node, findings);
    paths(node, findings);
    traffic(node, findings);
    jetstream(node, facts, findings);
    if node.health.heartbeat < Span::seconds(1) {
        findings.error(
            KeyPath::of(["health", "heartbeat"]),
            "a heartbeat is at least a second apart",
            "write \"10s\"",
        );
    }
}

fn tags(node: &Node, findings: &mut Findings) {
    for (index, tag) in node.tags.iter().enumerate() {
        let path = KeyPath::of(["tags"]).index(index);
        if tag.is_empty() || tag.contains(|character: char| character.is_whitespace() || character == ',') {
            findings.error(path, "a tag is one word", "write it without spaces and commas, such as \"ssd\"");
        } else if node.region.is_some() && tag.starts_with("region:") {
            findings.error(path, "`region` already makes this tag", "remove one of the two");
        }
    }
}

fn paths(node: &Node, findings: &mut Findings) {
    let folders = [("data", Some(&node.data)), ("fleet", Some(&node.fleet)), ("jwts", node.jwts.as_ref())];
    for (key, path) in folders {
        if path.is_some_and(|path| path.as_os_str().is_empty()) {
            findings.error(KeyPath::of([key]), "this path is empty", "write one, or leave the key out");
        }
    }
    if in_nix_store(&node.data) {
        findings.error(
            KeyPath::of(["data"]),
            "the Nix store is read-only and world-readable",
            "write a folder that leafbox may write, such as \"/var/lib/leafbox\"",
        );
    }
}

pub(super) fn in_nix_store(path: &Path) -> bool {
    path.starts_with("/nix/store")
}

fn traffic(node: &Node, findings: &mut Findings) {
    let nats = KeyPath::of(["nats"]);
    let payload = node.nats.max_payload;
    if payload > LARGEST_PAYLOAD {
        findings.error(
            nats.key("max_payload"),
            format!("nats-server takes no more than {LARGEST_PAYLOAD}"),
            "write less, and put larger things in an object bucket",
        );
    } else if payload > LARGE_PAYLOAD {
        findings.warn(
            nats.key("max_payload"),
            format!("messages above {LARGE_PAYLOAD} hold up all others on a connection"),
            "put large things in an object bucket, which cuts them up",
        );
    } else if payload.bytes() == 0 {
        findings.error(nats.key("max_payload"), "no message could have content", "write \"1MiB\"");
    }
    if node.nats.max_connections == 0 {
        findings.error(nats.key("max_connections"), "nobody could connect", "write 10000");
    }
    if node.nats.ping_max == 0 {
        findings.error(nats.key("ping_max"), "every connection would be closed at its first ping", "write 2");
    }
    if node.nats.ping_interval < Span::seconds(1) {
        findings.error(nats.key("ping_interval"), "pings are at least a second apart", "write \"10s\"");
    } else if node.nats.ping_interval > Span::seconds(120) {
        findings.warn(
            nats.key("ping_interval"),
            "a dead link will go unnoticed for minutes",
            "write \"10s\"",
        );
    }
    if node.nats.write_deadline.0.is_zero() {
        findings.error(nats.key("write_deadline"), "no write could succeed in time", "write \"10s\"");
    }
}

fn jetstream(node: &Node, facts: Facts, findings: &mut Findings) {
    let path = KeyPath::of(["jetstream"]);
    if let SyncInterval::Every(span) = node.jetstream.sync_interval {
        findings.error(
            path.key("sync_interval"),
            format!(
                "a power cut within {span} of a write loses acknowledged messages, and was seen to lose whole streams, replicated ones too"
            ),
            "write \"always\" or leave it out; for speed, publish in batches or larger messages",
        );
    }
    let (reserve, most) = (node.jetstream.reserve, node.jetstream.max_storage);
    if most.is_some_and(|most| most.bytes() == 0) {
        findings.error(
            path.key("max_storage"),
            "there would be no room for any file store",
            "leave it out for what the disk has free, or write a size",
        );
    }
    let Some(disk) = facts.disk else { return };
    if reserve >= disk {
        findings.error(
            path.key("reserve"),
            format!("the whole disk has {disk}"),
            "write less than the disk has, such as \"512MiB\"",
        );
    } else if most.is_some_and(|most| most > disk) {
        findings.error(
            path.key("max_storage"),
            format!("this is more than the whole disk has, {disk}"),
            "write less, or leave it out for what the disk has free",
        );
    } else if most.is_some_and(|most| most.bytes().saturating_add(reserve.bytes()) > disk.bytes()) {
        findings.error(
            path.key("max_storage"),
            format!("with the reserve of {reserve} this is more than the whole disk has, {disk}"),
            "write less, or leave it out for what the disk has free",
        );
    } else if let Some(most) = most {
        let cache = node.registry.cache_on(disk);
        if [reserve, cache].iter().fold(most.bytes(), |sum, size| sum.saturating_add(size.bytes()))
            > disk.bytes()
        {
            findings.warn(
                path.key("max_storage"),
                format!(
                    "with the reserve of {reserve} and the registry's cache of {cache} this is more than the whole \
                     disk has, {disk}"
                ),
                "write less, leave it out for what the disk has free, or write less under `registry.cache`",
            );
        }
    }
}
