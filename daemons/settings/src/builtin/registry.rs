//! The stores of the container registry, and what its daemon may do.
//!
//! What the registry of a node has stored is its own: the hub's tells of it only when it is asked,
//! and answers what fleet.toml allows. So nobody else reads these streams, or what is written to them,
//! over a link: the key that signs its Bearer tokens is among the records.

use super::{name, reads, subjects, written_through_api};
use crate::{
    fleet::{Account, Registry, Responses, Role, Service},
    names::{Name, Subject},
    node::NodeRole,
    store::{Discard, KeyValue, On, Stream},
    units::{ByteSize, Span},
};

/// The role and service of the container registry in LEAFBOX.
pub const REGISTRY_SERVICE: &str = "registry";
/// The streams of the registry's chunks, and the subject of an upload's chunks in each, to be followed by
/// the upload's id. nats-server flushes each message alone, but those of two streams together.
pub const REGISTRY_BLOBS: [(&str, &str); 2] =
    [("LEAFBOX_BLOBS", "leafbox.registry.chunk"), ("LEAFBOX_BLOBS_2", "leafbox.registry.chunk2")];
/// The KV bucket of the registry's records.
pub const REGISTRY_RECORDS: &str = "leafbox_registry";
/// The KV bucket of the registry's tags and their changes.
pub const REGISTRY_TAGS: &str = "leafbox_tags";
/// Where the registry's own reads of its streams are answered, the prefix of its inboxes: unlike
/// `_INBOX`, it does not cross a link, on which a stolen box could listen.
pub const REGISTRY_INBOX: &str = "_REGISTRY";

/// The streams of its buckets, the secret one first.
const BUCKETS: [&str; 2] = ["KV_leafbox_registry", "KV_leafbox_tags"];
/// What those capture.
const KEYS: [&str; 2] = ["$KV.leafbox_registry.>", "$KV.leafbox_tags.>"];

/// Adds the streams of the registry and its service to LEAFBOX.
pub(super) fn add_to(account: &mut Account, registry: &Registry) {
    account.services.insert(name(REGISTRY_SERVICE), service());
    for (stream, subject) in REGISTRY_BLOBS {
        account.streams.insert(name(stream), blobs(registry, subject));
    }
    account.kv.insert(
        name(REGISTRY_RECORDS),
        KeyValue {
            description: Some("blobs, manifests, uploads and tokens of the container registry".into()),
            on: On::Everywhere,
            history: Some(1),
            // The marker of a deleted key may have an age limit, else each upload would leave one.
            limit_marker_ttl: Some(Span::seconds(3600)),
            ..KeyValue::default()
        },
    );
    account.kv.insert(
        name(REGISTRY_TAGS),
        KeyValue {
            description: Some("tags of the container registry, and their last changes".into()),
            on: On::Everywhere,
            history: Some(64),
            ..KeyValue::default()
        },
    );
}

/// The streams of the registry.
fn streams() -> impl Iterator<Item = &'static str> {
    REGISTRY_BLOBS.map(|(stream, _)| stream).into_iter().chain(BUCKETS)
}

/// What its streams of chunks capture.
fn chunks() -> [String; REGISTRY_BLOBS.len()] {
    REGISTRY_BLOBS.map(|(_, subject)| format!("{subject}.*"))
}

/// What all its streams capture.
fn captured() -> Vec<String> {
    chunks().into_iter().chain(KEYS.map(String::from)).collect()
}

fn blobs(registry: &Registry, subject: &str) -> Stream {
    Stream {
        description: Some("chunks of the container registry's blobs".into()),
        subjects: vec![format!("{subject}.*")],
        on: On::Everywhere,
        // The oldest chunk may be of the blob that is needed most: what does not fit is refused.
        discard: Discard::New,
        // An upload takes turns, so that both are filled alike.
        max_bytes: registry.max_bytes.map(|all| ByteSize(all.bytes() / REGISTRY_BLOBS.len() as u64)),
        allow_direct: Some(true),
        ..Stream::default()
    }
}

fn service() -> Service {
    let role = role("*", "*", None);
    Service {
        description: Some("the container registry".into()),
        publish: role.publish,
        subscribe: role.subscribe,
        responses: role.responses,
        ..Service::default()
    }
}

/// The role as `node` has it: for its own subjects, and those that its place in the fleet needs.
pub(super) fn role_at(role: &Role, node: &Name, kind: NodeRole) -> Role {
    let narrowed = self::role(node, node, Some(kind));
    Role { publish: narrowed.publish, subscribe: narrowed.subscribe, ..role.clone() }
}

/// What the registry of `node` may do. The hub's asks `leaf`s and answers all of them; a leaf's asks
/// the hub, and answers it. `None` is either.
fn role(node: &str, leaf: &str, kind: Option<NodeRole>) -> Role {
    let api = |request: &str, stream: &str| format!("$JS.API.{request}.{stream}");
    let mut publish = captured();
    publish.push("$JS.API.INFO".into());
    for (stream, _) in REGISTRY_BLOBS {
        publish.push(api("STREAM.PURGE", stream));
        // Long reads of chunks.
        for request in ["CREATE", "MSG.NEXT", "DELETE"] {
            publish.push(api(&format!("CONSUMER.{request}"), stream) + ".*");
        }
    }
    for stream in streams() {
        publish.push(api("STREAM.INFO", stream));
        publish.push(api("DIRECT.GET", stream));
        publish.push(api("DIRECT.GET", stream) + ".>");
    }
    for bucket in BUCKETS {
        // The consumer of an index has no name.
        publish.push(api("CONSUMER.CREATE", bucket));
        for request in ["CREATE", "INFO", "DELETE"] {
            publish.push(api(&format!("CONSUMER.{request}"), bucket) + ".>");
        }
    }
    publish.push("$JS.FC.>".into());
    publish.push(format!("leafbox.audit.{node}.registry.>"));
    publish.push(format!("leafbox.registry.status.{node}"));
    let mut subscribe: Vec<String> = vec!["_INBOX.>".into(), format!("{REGISTRY_INBOX}.>"), "$SRV.>".into()];
    subscribe.push(format!("leafbox.registry.status.{node}"));
    if kind != Some(NodeRole::Hub) {
        publish.push(format!("leafbox.registry.hub.{leaf}.>"));
        subscribe.push(format!("leafbox.registry.leaf.{leaf}.>"));
    }
    if kind != Some(NodeRole::Leaf) {
        publish.push("leafbox.registry.leaf.*.>".into());
        subscribe.push("leafbox.registry.hub.>".into());
    }
    Role {
        description: None,
        publish: subjects(&publish),
        subscribe: subjects(&subscribe),
        // A request for a blob is answered by a window of chunks.
        responses: Some(Responses { max: 1024, expires: Span::seconds(120) }),
        ..Role::default()
    }
}

/// What the link of `leaf` may say to the hub's registry, in place of all: what its own registry asks
/// and announces. A stolen box must not announce tags in another's name, which the hub would then
/// fetch, and never ask other leaves.
pub(super) fn said_on_link(leaf: &str) -> Vec<Subject> {
    subjects(&[format!("leafbox.registry.hub.{leaf}.>")])
}

/// What of JetStream's API a leaf's link must not carry to the stores of the hub's registry.
pub(super) fn denied_to_links() -> Vec<Subject> {
    let mut denied: Vec<String> = KEYS.iter().flat_map(|subject| written_through_api(subject)).collect();
    denied.extend(streams().flat_map(reads));
    subjects(&denied)
}

/// What nobody but the registry publishes: writes of its records and chunks, and reads of its secrets.
pub(super) fn secrets() -> Vec<Subject> {
    let mut denied = captured();
    denied.extend(reads(BUCKETS[0]));
    subjects(&denied)
}

/// What nobody but the registry hears: its secrets as they are written, and as they are read.
pub(super) fn unheard() -> Vec<Subject> {
    let mut unheard: Vec<String> = chunks().into();
    unheard.extend([KEYS[0].to_owned(), format!("{REGISTRY_INBOX}.>")]);
    subjects(&unheard)
}

/// What the link of `leaf` hears of the registries, in place of all: a stolen box must not listen to
/// what others ask the hub, whom it could answer, or answer for other leaves.
///
/// No list of denials would do. What the hub listens to by a wildcard, a leaf that may not hear all of
/// it does not send there either (`loadMsgDenyFilterIfNeeded` in nats-server's client.go).
pub(super) fn heard_on_link(leaf: &str) -> Vec<Subject> {
    subjects(&[format!("leafbox.registry.leaf.{leaf}.>"), format!("leafbox.registry.status.{leaf}")])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A regression test: the subject of the status of a node named `leaf`, `chunk` or `hub` was also
    /// one of the others.
    #[test]
    fn no_name_of_a_node_makes_two_subjects_one() {
        for node in ["leaf", "chunk", "hub", "status"] {
            for kind in [NodeRole::Leaf, NodeRole::Hub] {
                let heard = role(node, node, Some(kind)).subscribe;
                let captured = captured();
                let captured = captured.iter().map(String::as_str);
                let mut all: Vec<&str> = heard.iter().map(Subject::as_str).chain(captured).collect();
                while let Some(one) = all.pop() {
                    let one = subjects(&[one]).remove(0);
                    assert!(all.iter().all(|other| !one.overlaps(other)), "{} of {node}", one.as_str());
                }
            }
        }
    }
}
