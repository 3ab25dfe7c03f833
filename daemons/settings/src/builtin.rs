//! What leafbox adds to the accounts that a fleet declares: its own account, the system account,
//! and in every account the roles by which a node applies stores and joins the hub.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    fleet::{Account, Fleet, JetStreamLimits, LEAFBOX_ACCOUNT, Responses, Role, SYSTEM_ACCOUNT, Service},
    names::{Name, Subject},
    node::NodeRole,
    store::{KeyValue, On, Retention, Stream, Travel},
    units::{ByteSize, Span},
};

mod console;
mod registry;

pub use console::{CONSOLE_ROLE, CONSOLE_SERVERS, CONSOLE_USERS, SIGNING};
pub use registry::{REGISTRY_BLOBS, REGISTRY_INBOX, REGISTRY_RECORDS, REGISTRY_SERVICE, REGISTRY_TAGS};

/// Roles that leafbox adds start with this; a fleet file may not use it.
pub const RESERVED_PREFIX: &str = "leafbox-";
/// The role, in every account, by which a leaf node joins the hub.
pub const LEAF_ROLE: &str = "leafbox-leaf";
/// The role, in every account but SYS, by which `apply` manages stores.
pub const APPLY_ROLE: &str = "leafbox-apply";
/// The role in SYS that pushes account claims and reads them back.
pub const PUSH_ROLE: &str = "leafbox-push";
/// The role and service of the health daemon in LEAFBOX.
pub const HEALTH_SERVICE: &str = "health";
/// The KV bucket of the last heartbeat of every node, keyed by node name.
pub const NODES_BUCKET: &str = "leafbox_nodes";
/// The stream of audit records.
pub const AUDIT_STREAM: &str = "LEAFBOX_AUDIT";

impl Fleet {
    /// Every account that exists on the servers, with the roles, services and stores that leafbox
    /// adds: the declared ones, `LEAFBOX` and `SYS`.
    pub fn all_accounts(&self) -> BTreeMap<Name, Account> {
        let mut accounts = self.accounts.clone();
        accounts.insert(name(LEAFBOX_ACCOUNT), leafbox_account(self));
        for account in accounts.values_mut() {
            account.roles.insert(name(LEAF_ROLE), leaf_role());
            account.roles.insert(name(APPLY_ROLE), apply_role());
        }
        if let Some(link) = accounts.get_mut(LEAFBOX_ACCOUNT).and_then(|own| own.roles.get_mut(LEAF_ROLE)) {
            // One without a key of its own may say all else there.
            link.publish_deny.extend(console::signing_denied_to_links());
        }
        accounts.insert(name(SYSTEM_ACCOUNT), system_account());
        for (name, account) in &mut accounts {
            account.roles.insert(self::name(CONSOLE_ROLE), console::role(name));
        }
        accounts
    }

    /// The roles of each account that a node signs users for with keys of its own: what it runs
    /// with itself, and all declared ones, so that it mints users while nobody can be reached.
    ///
    /// Only a leaf joins the hub, and only a hub node pushes account claims.
    pub fn roles_of_node(&self, kind: NodeRole) -> BTreeMap<Name, BTreeSet<Name>> {
        let others = match kind {
            NodeRole::Leaf => PUSH_ROLE,
            NodeRole::Hub => LEAF_ROLE,
        };
        let roles = |account: Account| account.all_roles().into_keys().filter(|role| role.as_str() != others);
        self.all_accounts().into_iter().map(|(name, account)| (name, roles(account).collect())).collect()
    }

    /// A role as a key has it that only `node` holds: a box that was stolen must not speak for the
    /// others.
    ///
    /// The health daemon writes about its own node, and the registry asks and answers as it. The link
    /// writes no node's key on the hub: what a leaf has stored, the hub reads from it.
    pub fn role_at_node(&self, account: &Name, role_name: &Name, role: &Role, node: &Name) -> Role {
        let kind = if self.nodes.hub.contains(node) { NodeRole::Hub } else { NodeRole::Leaf };
        match (account.as_str(), role_name.as_str()) {
            (LEAFBOX_ACCOUNT, HEALTH_SERVICE) => {
                Role { publish: health_publishes(node, node), ..role.clone() }
            }
            (LEAFBOX_ACCOUNT, REGISTRY_SERVICE) => registry::role_at(role, node, kind),
            (LEAFBOX_ACCOUNT, LEAF_ROLE) => leafbox_link_at_node(role, node),
            _ => role.clone(),
        }
    }
}

/// The link of `leaf` in LEAFBOX, where all that a leaf has to hear and to say is known.
fn leafbox_link_at_node(role: &Role, leaf: &str) -> Role {
    let mut role = role.clone();
    role.publish = subjects(&SAID_ON_LINKS);
    role.publish.push(subject(&format!("leafbox.node.{leaf}.>")));
    role.publish.extend(registry::said_on_link(leaf));
    role.publish.extend(console::said_on_link(leaf));
    role.publish_deny.extend(subjects(&[
        format!("$JS.API.$KV.{NODES_BUCKET}.>"),
        format!("$JS.*.API.$KV.{NODES_BUCKET}.>"),
    ]));
    role.publish_deny.extend(registry::denied_to_links());
    role.publish_deny.extend(console::denied_to_links());
    role.subscribe = subjects(&HEARD_ON_LINKS);
    role.subscribe.extend(registry::heard_on_link(leaf));
    role.subscribe.extend(console::heard_on_link(leaf));
    role
}

/// Whether a node uses a role towards its own nats-server alone, so that a key that only it holds is
/// good for nothing elsewhere: `$JS.API` is the hub's where somebody connects to the hub, and a box
/// that was stolen must not delete streams there.
///
/// The registry of a node writes and purges its own records and chunks; the hub's are streams of the
/// same names.
pub fn is_used_at_node_only(account: &Name, role: &Name) -> bool {
    [APPLY_ROLE, CONSOLE_ROLE].contains(&role.as_str())
        || (account.as_str(), role.as_str()) == (LEAFBOX_ACCOUNT, REGISTRY_SERVICE)
}

fn leafbox_account(fleet: &Fleet) -> Account {
    let mut account = Account {
        description: Some("the appliance's own".into()),
        services: BTreeMap::from([(name(HEALTH_SERVICE), health_service())]),
        streams: BTreeMap::from([(name(AUDIT_STREAM), audit_stream())]),
        kv: BTreeMap::from([(
            name(NODES_BUCKET),
            KeyValue {
                description: Some("the last heartbeat of every node".into()),
                travel: Some(Travel::Up),
                max_bytes: Some(ByteSize::mib(16)),
                ..KeyValue::default()
            },
        )]),
        ..Account::default()
    };
    registry::add_to(&mut account, &fleet.registry);
    console::add_to(&mut account);
    account
}

fn audit_stream() -> Stream {
    Stream {
        description: Some("who changed what: the newest records".into()),
        subjects: vec!["leafbox.audit.>".into()],
        on: On::Everywhere,
        retention: Retention::Limits,
        max_bytes: Some(ByteSize::mib(64)),
        deny_delete: true,
        deny_purge: true,
        ..Stream::default()
    }
}

/// What the health daemon publishes about the nodes and keys given, which may be wildcards.
fn health_publishes(node: &str, key: &str) -> Vec<Subject> {
    subjects(&[
        format!("leafbox.node.{node}.heartbeat"),
        format!("$KV.{NODES_BUCKET}.{key}"),
        "$JS.API.INFO".into(),
        format!("$JS.API.STREAM.INFO.KV_{NODES_BUCKET}"),
    ])
}

fn health_service() -> Service {
    Service {
        description: Some("heartbeat of the node".into()),
        publish: health_publishes("*", ">"),
        subscribe: subjects(&["_INBOX.>", "$SRV.>"]),
        responses: Some(Responses { max: 1, expires: Span::seconds(10) }),
        ..Service::default()
    }
}

/// What each leaf hears in LEAFBOX: answers, JetStream's own, which services there are, and releases.
const HEARD_ON_LINKS: [&str; 7] =
    ["_INBOX.>", "_R_.>", "$JS.>", "$JSC.>", "$SRV.>", "leafbox.node.>", "leafbox.release.>"];

/// What each leaf says there: the same, but of its own node alone, and it releases nothing.
const SAID_ON_LINKS: [&str; 5] = ["_INBOX.>", "_R_.>", "$JS.>", "$JSC.>", "$SRV.>"];

/// What a leaf may ask no other JetStream: a box that was stolen must not take the hub's stores, or
/// those of other leaves, along. Copies need none of it. When a copy is taken away, its consumer at
/// the origin then goes by itself after 10 s without a reader, instead of at once.
const DESTRUCTIVE: [&str; 9] = [
    "STREAM.CREATE.>",
    "STREAM.UPDATE.>",
    "STREAM.DELETE.>",
    "STREAM.PURGE.>",
    "STREAM.RESTORE.>",
    "STREAM.MSG.DELETE.>",
    "STREAM.LEADER.STEPDOWN.>",
    "STREAM.PEER.REMOVE.>",
    "CONSUMER.DELETE.>",
];

/// By its link a leaf reaches `$JS.<domain>.API`, and nats-server checks that form. With the same
/// creds a plain client of the hub reaches `$JS.API` too.
fn leaf_role() -> Role {
    let denied = ["$JS.API", "$JS.*.API"]
        .iter()
        .flat_map(|prefix| DESTRUCTIVE.iter().map(move |subject| format!("{prefix}.{subject}")));
    Role {
        description: Some("a leaf node joining the hub".into()),
        publish: subjects(&[">"]),
        publish_deny: denied.map(|text| subject(&text)).collect(),
        subscribe: subjects(&[">"]),
        ..Role::default()
    }
}

/// Everything about the stores of this node; of other domains, whether they are there, and where
/// their outboxes deliver to the hub, for which a leaf answers.
fn apply_role() -> Role {
    Role {
        description: Some("leafbox applying stores".into()),
        publish: subjects(&[
            "$JS.API.>",
            "$JS.*.API.INFO",
            "$JS.*.API.CONSUMER.INFO.*.leafbox-hub",
            // Where a source of the hub waits for the answer to a reset of its outbox.
            "$JSC.R.>",
        ]),
        subscribe: subjects(&["_INBOX.>", "$JS.leafbox.*.CONSUMER.RESET.*.leafbox-hub"]),
        ..Role::default()
    }
}

/// SYS has no JetStream and no declared stores. Its leaf role lets a leaf receive account claims
/// from the hub and fetch those it missed, and lets it push nothing.
fn system_account() -> Account {
    let leaf = Role {
        description: Some("a leaf node receiving account claims".into()),
        publish: subjects(&["$SYS.REQ.CLAIMS.PACK", "_INBOX.>"]),
        subscribe: subjects(&["$SYS.REQ.CLAIMS.UPDATE", "$SYS._INBOX.>"]),
        ..Role::default()
    };
    let push = Role {
        description: Some("leafbox pushing account claims".into()),
        publish: subjects(&[
            "$SYS.REQ.CLAIMS.UPDATE",
            "$SYS.REQ.CLAIMS.DELETE",
            "$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP",
            "$SYS.REQ.ACCOUNT.*.INFO",
            "$SYS.REQ.SERVER.PING",
            "$SYS.REQ.SERVER.PING.VARZ",
        ]),
        subscribe: subjects(&["_INBOX.>"]),
        ..Role::default()
    };
    Account {
        description: Some("the system account".into()),
        jetstream: JetStreamLimits { enabled: false, ..JetStreamLimits::default() },
        roles: BTreeMap::from([(name(LEAF_ROLE), leaf), (name(PUSH_ROLE), push)]),
        ..Account::default()
    }
}

/// Every way to read a stream through the API, here and in other domains.
fn reads(stream: &str) -> Vec<String> {
    let one = ["STREAM.MSG.GET", "STREAM.SNAPSHOT", "DIRECT.GET", "CONSUMER.CREATE"];
    let more = ["DIRECT.GET", "CONSUMER.CREATE", "CONSUMER.DURABLE.CREATE", "CONSUMER.MSG.NEXT"];
    let of = |prefix: &str| {
        let one = one.iter().map(|request| format!("{prefix}.{request}.{stream}"));
        one.chain(more.iter().map(|request| format!("{prefix}.{request}.{stream}.>"))).collect::<Vec<_>>()
    };
    ["$JS.API", "$JS.*.API"].into_iter().flat_map(of).collect()
}

/// How a subject is written to in other domains.
fn written_through_api(subject: &str) -> Vec<String> {
    ["$JS.API", "$JS.*.API"].map(|prefix| format!("{prefix}.{subject}")).into()
}

fn name(text: &str) -> Name {
    text.parse().expect("a built-in name is valid")
}

fn subjects<T: AsRef<str>>(texts: &[T]) -> Vec<Subject> {
    texts.iter().map(|text| subject(text.as_ref())).collect()
}

fn subject(text: &str) -> Subject {
    text.parse().expect("a built-in subject is valid")
}
