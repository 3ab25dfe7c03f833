//! What the JetStream of one node must hold, from the fleet and the node alone.
//!
//! Pure: no server is asked. The order within an account is the order of creation.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};
use settings::{
    Account, Fleet, Name, Node, NodeRole, SYSTEM_ACCOUNT,
    store::{Discard, KeyValue, ObjectBucket, Stream},
    travel as topology,
};
use sha2::{Digest, Sha256};

use crate::{
    diff,
    travel::{self, Layout},
    wire::{self, Config},
};

/// Metadata: the fleet that owns the stream or consumer.
pub const OWNER: &str = "leafbox.owner";
/// Metadata: `stream`, `kv` or `object`.
pub const STORE: &str = "leafbox.store";
/// Metadata: a digest of what was last applied, by which a changed declaration is told from a
/// change made by hand.
pub const APPLIED: &str = "leafbox.applied";

/// What a store is to the one who declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// A stream.
    Stream,
    /// A key-value bucket, the stream `KV_<name>`.
    Kv,
    /// An object bucket, the stream `OBJ_<name>`.
    Object,
}

impl StoreKind {
    /// The word for it in metadata, tables and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Kv => "kv",
            Self::Object => "object",
        }
    }

    /// The name of the stream that holds such a store.
    pub fn stream_name(self, name: &str) -> String {
        match self {
            Self::Stream => name.to_owned(),
            Self::Kv => format!("KV_{name}"),
            Self::Object => format!("OBJ_{name}"),
        }
    }
}

/// The stores of one account on this node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DesiredAccount {
    /// The account.
    pub name: Name,
    /// Its stores in the order of creation: mirrors and gathering streams last.
    pub stores: Vec<DesiredStore>,
}

/// One store: a stream and its consumers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DesiredStore {
    /// What it is.
    pub kind: StoreKind,
    /// Its declared name.
    pub name: String,
    /// The name of its stream.
    pub stream: String,
    /// The stream's configuration in the JSON of the API.
    pub config: Config,
    /// Its consumers' configurations by name.
    pub consumers: BTreeMap<String, Config>,
    /// Why it cannot be built as declared, and what to declare instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The stores that this node must hold, for each account that has JetStream.
pub fn desired(fleet: &Fleet, node: &Node) -> Vec<DesiredAccount> {
    let accounts = fleet
        .all_accounts()
        .into_iter()
        .filter(|(name, account)| name.as_str() != SYSTEM_ACCOUNT && account.jetstream.enabled);
    accounts.map(|(name, account)| DesiredAccount { stores: stores(fleet, node, &account), name }).collect()
}

fn stores(fleet: &Fleet, node: &Node, account: &Account) -> Vec<DesiredStore> {
    let site = travel::Site { fleet, node, domain: topology::domain(node) };
    let streams = account.streams.iter().filter_map(|(name, stream)| {
        let layout = travel::stream_layout(&site, name, stream)?;
        Some(build(&site, account, StoreKind::Stream, name, layout))
    });
    let kv = account.kv.iter().filter_map(|(name, kv)| {
        let layout = travel::bucket_layout(&site, &kv_bucket(name, kv))?;
        Some(build(&site, account, StoreKind::Kv, name, layout))
    });
    let objects = account.objects.iter().filter_map(|(name, bucket)| {
        let layout = travel::bucket_layout(&site, &object_bucket(name, bucket))?;
        Some(build(&site, account, StoreKind::Object, name, layout))
    });
    let mut stores: Vec<DesiredStore> = streams.chain(kv).chain(objects).collect();
    stores.sort_by_key(|store| copies_others(&store.config));
    stores
}

/// Whether it is a mirror, or gathers from others.
pub(crate) fn copies_others(config: &Config) -> bool {
    !diff::is_absent(config.get("mirror")) || !diff::is_absent(config.get("sources"))
}

/// A bucket as clients make it: the stream that a key-value client expects to find.
fn kv_bucket(name: &Name, declared: &KeyValue) -> travel::Bucket {
    travel::Bucket {
        stream: StoreKind::Kv.stream_name(name),
        spaces: topology::kv_spaces(name).to_vec(),
        travel: declared.travel,
        on: declared.on,
        marker_ttl: declared.limit_marker_ttl,
        is_kv: true,
        base: Stream {
            description: declared.description.clone(),
            discard: Discard::New,
            max_messages_per_subject: Some(declared.history.unwrap_or(1).into()),
            max_bytes: declared.max_bytes,
            max_age: declared.max_age,
            max_message_size: declared.max_value_size,
            replicas: declared.replicas,
            storage: declared.storage,
            compression: declared.compression,
            placement: declared.placement.clone(),
            republish: declared.republish.clone(),
            allow_rollup: true,
            deny_delete: true,
            allow_message_ttl: declared.limit_marker_ttl.is_some(),
            metadata: declared.metadata.clone(),
            ..Stream::default()
        },
    }
}

/// A bucket as clients make it: the stream that an object store client expects to find.
fn object_bucket(name: &Name, declared: &ObjectBucket) -> travel::Bucket {
    travel::Bucket {
        stream: StoreKind::Object.stream_name(name),
        spaces: topology::object_spaces(name).to_vec(),
        travel: declared.travel,
        on: declared.on,
        marker_ttl: None,
        is_kv: false,
        base: Stream {
            description: declared.description.clone(),
            discard: Discard::New,
            max_bytes: declared.max_bytes,
            max_age: declared.max_age,
            replicas: declared.replicas,
            storage: declared.storage,
            compression: declared.compression,
            placement: declared.placement.clone(),
            allow_rollup: true,
            metadata: declared.metadata.clone(),
            ..Stream::default()
        },
    }
}

fn build(
    site: &travel::Site,
    account: &Account,
    kind: StoreKind,
    name: &Name,
    layout: Layout,
) -> DesiredStore {
    let stream = kind.stream_name(name);
    let replicas = site.fleet.replicas(layout.stream.replicas, site.node);
    let extra =
        wire::Extra { replicas, mirror: layout.mirror, marker_ttl: layout.marker_ttl, feeds: layout.feeds };
    let owner = &site.fleet.name;
    let mut config = wire::stream(&stream, &layout.stream, &extra);
    mark(&mut config, owner, kind, &layout.stream.metadata);
    let ack_pending = account.jetstream.max_ack_pending;
    let declared = layout.stream.consumers.iter().map(|(name, consumer)| {
        let config = wire::consumer(name, consumer, replicas, ack_pending);
        (name.to_string(), config, consumer.metadata.clone())
    });
    let emptied = layout.emptied_by.into_iter().map(|by| {
        let config = wire::travel_consumer(&by.consumer, &by.deliver_subject, ack_pending);
        (by.consumer, config, BTreeMap::new())
    });
    let consumers = declared.chain(emptied).map(|(name, mut config, metadata)| {
        mark(&mut config, owner, kind, &metadata);
        (name, config)
    });
    let consumers = consumers.collect();
    DesiredStore { kind, name: name.to_string(), stream, config, consumers, problem: layout.problem }
}

/// Adds the metadata by which leafbox knows its own.
fn mark(config: &mut Config, owner: &Name, kind: StoreKind, declared: &BTreeMap<String, String>) {
    let mut metadata: Map<String, Value> =
        declared.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    metadata.insert(OWNER.into(), json!(owner));
    metadata.insert(STORE.into(), json!(kind.word()));
    config.insert("metadata".into(), metadata.clone().into());
    let applied = digest(config);
    metadata.insert(APPLIED.into(), json!(applied));
    config.insert("metadata".into(), metadata.into());
}

/// A short digest of a configuration, equal for configurations that compare as equal.
fn digest(config: &Config) -> String {
    let canonical = diff::canonical_fields(config);
    let digest = Sha256::digest(Value::from(canonical).to_string());
    digest[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a reader of the plan should know before anything is compared.
pub fn notes(fleet: &Fleet, node: &Node) -> Vec<String> {
    let travels = fleet.all_accounts().values().any(|account| {
        account.streams.values().any(|stream| stream.travel.is_some())
            || account.kv.values().any(|kv| kv.travel.is_some())
            || account.objects.values().any(|bucket| bucket.travel.is_some())
    });
    let unlisted = node.role == NodeRole::Leaf && !fleet.nodes.leaves.contains(&node.name);
    if travels && unlisted && !fleet.nodes.hub.is_empty() {
        let name = &node.name;
        return vec![format!(
            "the hub takes no travelling store from `{name}`: add \"{name}\" to `nodes.leaves` in fleet.toml and apply on the hub"
        )];
    }
    Vec::new()
}

#[cfg(test)]
mod tests;
