//! Limits that cannot hold: of accounts, of the stores in them, of the disk.

use super::{Facts, Finding, Findings, Tenant, travel::has_stores};
use crate::{
    fleet::{Account, Fleet},
    names::Name,
    node::{Node, NodeRole},
    path::KeyPath,
    schema::File,
    store::{On, Storage, Travel},
    travel::exists_on,
    units::ByteSize,
};

/// What capacity is about, of any store.
struct Store<'a> {
    table: &'static str,
    name: &'a Name,
    storage: Storage,
    max_bytes: Option<ByteSize>,
    /// The limit of its outbox on a leaf.
    on_leaf: Option<ByteSize>,
    replicas: Option<u8>,
    travel: Option<Travel>,
    on: On,
}

impl Store<'_> {
    /// The bytes it may take on all nodes of a role together, or on the one leaf.
    fn bytes(&self, fleet: &Fleet, role: NodeRole) -> u64 {
        if self.travel.is_none() && !exists_on(self.on, role) {
            return 0;
        }
        match role {
            NodeRole::Leaf => self.on_leaf.map_or(0, ByteSize::bytes),
            NodeRole::Hub => self
                .max_bytes
                .map_or(0, ByteSize::bytes)
                .saturating_mul(fleet.hub_replicas(self.replicas).into()),
        }
    }
}

fn stores(account: &Account) -> impl Iterator<Item = Store<'_>> {
    let streams = account.streams.iter().map(|(name, stream)| Store {
        table: "streams",
        name,
        storage: stream.storage,
        max_bytes: stream.max_bytes,
        on_leaf: match stream.travel {
            Some(Travel::Up) => stream.outbox.max_bytes.or(stream.max_bytes),
            _ => stream.max_bytes,
        },
        replicas: stream.replicas,
        travel: stream.travel,
        on: stream.on,
    });
    let kv = account.kv.iter().map(|(name, bucket)| Store {
        table: "kv",
        name,
        storage: bucket.storage,
        max_bytes: bucket.max_bytes,
        on_leaf: bucket.max_bytes,
        replicas: bucket.replicas,
        travel: bucket.travel,
        on: bucket.on,
    });
    let objects = account.objects.iter().map(|(name, bucket)| Store {
        table: "objects",
        name,
        storage: bucket.storage,
        max_bytes: bucket.max_bytes,
        on_leaf: bucket.max_bytes,
        replicas: bucket.replicas,
        travel: bucket.travel,
        on: bucket.on,
    });
    streams.chain(kv).chain(objects)
}

/// The limits of an account against what it declares.
pub(super) fn account(tenant: &Tenant<'_>, findings: &mut Findings) {
    let account = tenant.account;
    let limits = tenant.path.key("limits");
    for (key, most, count) in [
        ("imports", account.limits.imports, account.imports.len()),
        ("exports", account.limits.exports, account.exports.len()),
    ] {
        too_many(&limits.key(key), key, most, count, findings);
    }
    if account.limits.connections == Some(0) && !account.services.is_empty() {
        findings.error(
            limits.key("connections"),
            "nobody could connect to this account",
            "leave it out for no limit, or write one",
        );
    }
    let jetstream = tenant.path.key("jetstream");
    if !account.jetstream.enabled && has_stores(tenant) {
        findings.error(
            jetstream.key("enabled"),
            "this account declares stores, which need JetStream",
            "remove `enabled = false`, or the stores",
        );
        return;
    }
    let streams = stores(account).count();
    too_many(&jetstream.key("streams"), "streams and buckets", account.jetstream.streams, streams, findings);
    let consumers = account.streams.values().map(|stream| stream.consumers.len()).sum();
    too_many(&jetstream.key("consumers"), "consumers", account.jetstream.consumers, consumers, findings);
    each_store(tenant, findings);
    for (storage, key, most) in [
        (Storage::File, "storage", account.jetstream.storage),
        (Storage::Memory, "memory", account.jetstream.memory),
    ] {
        let Some(most) = most else { continue };
        let total = |role| -> u64 {
            stores(account)
                .filter(|store| store.storage == storage)
                .map(|store| store.bytes(tenant.fleet, role))
                .fold(0, u64::saturating_add)
        };
        let needed = total(NodeRole::Leaf).max(total(NodeRole::Hub));
        if needed > most.bytes() {
            findings.error(
                jetstream.key(key),
                format!("the stores of this account may take {}, all copies counted", about(needed)),
                format!("raise it to \"{}\", or lower the `max_bytes` of stores", enough(needed)),
            );
        }
    }
}

fn too_many(path: &KeyPath, what: &str, most: Option<u32>, count: usize, findings: &mut Findings) {
    if most.is_some_and(|most| count > most as usize) {
        findings.error(
            path.clone(),
            format!("{count} {what} are declared, more than this limit"),
            format!("raise it to {count}, or leave it out for no limit"),
        );
    }
}

fn each_store(tenant: &Tenant<'_>, findings: &mut Findings) {
    let limits = &tenant.account.jetstream;
    for store in stores(tenant.account) {
        let path = tenant.path.key(store.table).key(store.name);
        let largest = match store.storage {
            Storage::File => limits.max_storage_stream,
            Storage::Memory => limits.max_memory_stream,
        };
        match (store.max_bytes, largest) {
            (Some(size), Some(largest)) if size > largest => findings.error(
                path.key("max_bytes"),
                format!("the account allows {largest} for one store"),
                "lower it, or raise the account's limit for one stream under `jetstream`",
            ),
            (None, _) if limits.max_bytes_required => findings.error(
                path,
                "the account has `max_bytes_required`, and this store has no `max_bytes`",
                "add max_bytes = \"…\"",
            ),
            _ => {}
        }
    }
}

/// The limits of the fleet against what this node has.
pub(super) fn node(fleet: &Fleet, node: &Node, facts: Facts) -> Vec<Finding> {
    let mut in_fleet = Findings::new(File::Fleet);
    let mut in_node = Findings::new(File::Node);
    // A reserve that takes the whole disk is told by itself.
    let free = facts.disk.map(|disk| disk.bytes().saturating_sub(node.jetstream.reserve.bytes()));
    let from_disk = || free.filter(|free| *free > 0).map(ByteSize);
    if let Some(capacity) = node.jetstream.max_storage.or_else(from_disk) {
        storage(fleet, node, capacity, &mut in_fleet, &mut in_node);
    }
    let memory = total(fleet, node, Storage::Memory);
    if memory > node.jetstream.max_memory.bytes() && node.role == NodeRole::Leaf {
        in_node.error(
            KeyPath::of(["jetstream", "max_memory"]),
            format!("the memory stores of the fleet may take {} on this node", about(memory)),
            format!("raise it to \"{}\", or lower the `max_bytes` of stores", enough(memory)),
        );
    }
    in_fleet.list.into_iter().chain(in_node.list).collect()
}

/// A size to write, with room for so many bytes.
fn enough(bytes: u64) -> ByteSize {
    ByteSize::mib(bytes.div_ceil(1 << 20))
}

/// A size to read: exact where that is short, else to a tenth of its unit.
fn about(bytes: u64) -> String {
    let exact = ByteSize(bytes).to_string();
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.into_iter().find(|(_, shift)| bytes >> shift > 0) {
        Some((unit, shift)) if exact.len() > 8 => {
            let tenths = (u128::from(bytes) * 10) >> shift;
            format!("{}.{}{unit}", tenths / 10, tenths % 10)
        }
        _ => exact,
    }
}

/// The bytes that all stores of the fleet may take on this node: on a leaf each store's, on the
/// hub the share of one node when copies are spread evenly.
fn total(fleet: &Fleet, node: &Node, storage: Storage) -> u64 {
    let accounts = fleet.all_accounts();
    let sum = accounts
        .values()
        .flat_map(stores)
        .filter(|store| store.storage == storage)
        .map(|store| store.bytes(fleet, node.role))
        .fold(0, u64::saturating_add);
    match node.role {
        NodeRole::Leaf => sum,
        NodeRole::Hub => sum / fleet.nodes.hub.len().max(1) as u64,
    }
}

fn storage(fleet: &Fleet, node: &Node, capacity: ByteSize, in_fleet: &mut Findings, in_node: &mut Findings) {
    let nodes = match node.role {
        NodeRole::Leaf => 1,
        NodeRole::Hub => fleet.nodes.hub.len().max(1) as u64,
    };
    let mut single = false;
    for (name, account) in &fleet.accounts {
        let path = KeyPath::of(["accounts", name.as_str()]);
        let most = capacity.bytes().saturating_mul(nodes);
        if account.jetstream.storage.is_some_and(|storage| storage.bytes() > most) {
            single = true;
            in_fleet.error(
                path.key("jetstream").key("storage"),
                format!("this is more than `{}` has for JetStream, {}", node.name, about(most)),
                "lower it, or raise `jetstream.max_storage` in node.toml on a larger disk",
            );
        }
        for store in stores(account).filter(|store| store.storage == Storage::File) {
            let copies = match node.role {
                NodeRole::Leaf => 1,
                NodeRole::Hub => fleet.hub_replicas(store.replicas).into(),
            };
            if store.bytes(fleet, node.role) / copies > capacity.bytes() {
                single = true;
                in_fleet.error(
                    path.key(store.table).key(store.name).key("max_bytes"),
                    format!(
                        "this is more than `{}` has for JetStream, {}",
                        node.name,
                        about(capacity.bytes())
                    ),
                    "lower it, or raise `jetstream.max_storage` in node.toml on a larger disk",
                );
            }
        }
    }
    // The stores of LEAFBOX are not declared, but for the size of this one.
    if fleet.registry.max_bytes.is_some_and(|most| most > capacity) {
        single = true;
        in_fleet.error(
            KeyPath::of(["registry", "max_bytes"]),
            format!("this is more than `{}` has for JetStream, {}", node.name, about(capacity.bytes())),
            "lower it, or raise `jetstream.max_storage` in node.toml on a larger disk",
        );
    }
    let needed = total(fleet, node, Storage::File);
    if !single && needed > capacity.bytes() {
        in_node.error(
            KeyPath::of(["jetstream", "max_storage"]),
            format!(
                "the stores of the fleet may take {} on this node, which has {} for JetStream",
                about(needed),
                about(capacity.bytes())
            ),
            "lower the `max_bytes` of stores, or raise this on a larger disk",
        );
    }
}
