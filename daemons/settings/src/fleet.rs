//! `fleet.toml`: the accounts, services, exports, imports and stores that exist everywhere.
//!
//! The same file is read on every node and holds no secret.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    names::{Name, Subject},
    store::{KeyValue, ObjectBucket, Stream},
    units::{ByteSize, Span},
};

mod registry;

pub use registry::{Registry, RegistryTravel, Retain, Upstream};

/// The appliance's own account.
pub const LEAFBOX_ACCOUNT: &str = "LEAFBOX";
/// The system account.
pub const SYSTEM_ACCOUNT: &str = "SYS";
/// The JetStream domain of the hub cluster; a leaf's domain is its node name.
pub const HUB_DOMAIN: &str = "hub";

/// Everything under one NATS operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fleet {
    /// The fleet's name; it becomes the name of the NATS operator.
    pub name: Name,
    /// Which nodes there are, by name.
    #[serde(default)]
    pub nodes: Nodes,
    /// Accounts by name: the borders between tenants.
    #[serde(default)]
    pub accounts: BTreeMap<Name, Account>,
    /// The container registries.
    #[serde(default)]
    pub registry: Registry,
}

/// The nodes that a travelling store runs between.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Nodes {
    /// The nodes of the hub cluster: none, one, or an odd number of three or more.
    pub hub: Vec<Name>,
    /// The leaves that the hub takes travelling stores from.
    pub leaves: Vec<Name>,
}

/// A NATS account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Account {
    /// What it is for, in a sentence.
    pub description: Option<String>,
    /// Limits on connections and traffic; what is left out is unlimited.
    pub limits: AccountLimits,
    /// Limits on JetStream; what is left out is unlimited within the node's own limits.
    pub jetstream: JetStreamLimits,
    /// Named sets of permissions, each a scoped signing key.
    pub roles: BTreeMap<Name, Role>,
    /// The declared NATS users.
    pub services: BTreeMap<Name, Service>,
    /// Subjects that other accounts may import.
    pub exports: Vec<Export>,
    /// Subjects taken from other accounts.
    pub imports: Vec<Import>,
    /// Streams by name.
    pub streams: BTreeMap<Name, Stream>,
    /// Key-value buckets by name.
    pub kv: BTreeMap<Name, KeyValue>,
    /// Object buckets by name.
    pub objects: BTreeMap<Name, ObjectBucket>,
}

/// Limits of an account; `None` is unlimited.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AccountLimits {
    /// Client connections at once.
    pub connections: Option<u32>,
    /// Leaf node connections at once.
    pub leaf_connections: Option<u32>,
    /// Subscriptions at once.
    pub subscriptions: Option<u32>,
    /// Size of one message.
    pub payload: Option<ByteSize>,
    /// Bytes in flight of the whole account.
    pub data: Option<ByteSize>,
    /// Imports.
    pub imports: Option<u32>,
    /// Exports.
    pub exports: Option<u32>,
}

/// JetStream limits of an account; `None` is unlimited.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JetStreamLimits {
    /// Whether the account may use JetStream at all.
    pub enabled: bool,
    /// Bytes of memory streams.
    pub memory: Option<ByteSize>,
    /// Bytes of file streams.
    pub storage: Option<ByteSize>,
    /// Streams.
    pub streams: Option<u32>,
    /// Consumers.
    pub consumers: Option<u32>,
    /// Unacknowledged messages of one consumer.
    pub max_ack_pending: Option<u32>,
    /// Bytes of one memory stream.
    pub max_memory_stream: Option<ByteSize>,
    /// Bytes of one file stream.
    pub max_storage_stream: Option<ByteSize>,
    /// Whether each stream must declare `max_bytes`.
    pub max_bytes_required: bool,
}

impl Default for JetStreamLimits {
    fn default() -> Self {
        Self {
            enabled: true,
            memory: None,
            storage: None,
            streams: None,
            consumers: None,
            max_ack_pending: None,
            max_memory_stream: None,
            max_storage_stream: None,
            max_bytes_required: false,
        }
    }
}

/// A named set of permissions. An empty `publish` or `subscribe` allows nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Role {
    /// What it is for, in a sentence.
    pub description: Option<String>,
    /// Subjects that may be published.
    pub publish: Vec<Subject>,
    /// Subjects taken out of `publish`.
    pub publish_deny: Vec<Subject>,
    /// Subjects that may be subscribed.
    pub subscribe: Vec<Subject>,
    /// Subjects taken out of `subscribe`.
    pub subscribe_deny: Vec<Subject>,
    /// Lets a responder answer on the reply subject of a request that it received.
    pub responses: Option<Responses>,
}

/// Permission to answer requests on their reply subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Responses {
    /// Replies to one request.
    pub max: u32,
    /// How long after the request.
    pub expires: Span,
}

impl Default for Responses {
    fn default() -> Self {
        Self { max: 1, expires: Span::seconds(60) }
    }
}

/// A declared NATS user: it has a role of the account, or permissions of its own, not both.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Service {
    /// What it is for, in a sentence.
    pub description: Option<String>,
    /// The role that it has; without one, the permissions below are a role of the same name.
    pub role: Option<Name>,
    /// Subjects that may be published.
    pub publish: Vec<Subject>,
    /// Subjects taken out of `publish`.
    pub publish_deny: Vec<Subject>,
    /// Subjects that may be subscribed.
    pub subscribe: Vec<Subject>,
    /// Subjects taken out of `subscribe`.
    pub subscribe_deny: Vec<Subject>,
    /// Lets a responder answer on the reply subject of a request that it received.
    pub responses: Option<Responses>,
}

impl Service {
    /// Whether it declares permissions of its own.
    pub fn has_own_permissions(&self) -> bool {
        !(self.publish.is_empty()
            && self.publish_deny.is_empty()
            && self.subscribe.is_empty()
            && self.subscribe_deny.is_empty()
            && self.responses.is_none())
    }
}

impl Account {
    /// Every role of the account: the declared ones, and one for each service that has
    /// permissions of its own, named like the service.
    pub fn all_roles(&self) -> BTreeMap<Name, Role> {
        let own =
            self.services.iter().filter(|(_, service)| service.role.is_none()).map(|(name, service)| {
                let role = Role {
                    description: service.description.clone(),
                    publish: service.publish.clone(),
                    publish_deny: service.publish_deny.clone(),
                    subscribe: service.subscribe.clone(),
                    subscribe_deny: service.subscribe_deny.clone(),
                    responses: service.responses.clone(),
                };
                (name.clone(), role)
            });
        self.roles.iter().map(|(name, role)| (name.clone(), role.clone())).chain(own).collect()
    }

    /// The name of the role that a service has.
    pub fn role_of<'a>(&'a self, service: &'a Name) -> Option<&'a Name> {
        self.services.get(service).map(|declared| declared.role.as_ref().unwrap_or(service))
    }
}

/// How an export or import carries messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExportKind {
    /// One way, from the exporting account to the importing ones.
    Stream,
    /// Request and reply: importers ask, the exporting account answers.
    Service,
}

/// How many replies a service export gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResponseKind {
    /// One reply to a request.
    #[default]
    Singleton,
    /// Any number of replies.
    Stream,
    /// One reply in several messages.
    Chunked,
}

/// A subject that other accounts may import.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// What is exported.
    pub subject: Subject,
    /// `stream` or `service`.
    pub kind: ExportKind,
    /// What it is for, in a sentence.
    #[serde(default)]
    pub description: Option<String>,
    /// The accounts that may import it; empty is every account of the fleet.
    #[serde(default)]
    pub to: Vec<Name>,
    /// How many replies a service gives.
    #[serde(default)]
    pub response: ResponseKind,
}

/// A subject taken from another account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// The account that exports it.
    pub from: Name,
    /// The subject as the exporting account names it.
    pub subject: Subject,
    /// `stream` or `service`.
    pub kind: ExportKind,
    /// The subject as this account names it; the same when left out.
    #[serde(default)]
    pub local: Option<Subject>,
    /// For a service: whether the exporting account sees who asks.
    #[serde(default)]
    pub share: bool,
}
