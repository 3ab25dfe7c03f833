//! Stores that travel between leaf and hub.

use super::{Findings, Tenant, origins};
use crate::{
    fleet::Fleet,
    path::KeyPath,
    store::{KeyValue, ObjectBucket, On, Outbox, Storage, Stream, Travel},
    travel::WRITER_TOKEN,
};

/// A store travels between the hub and the leaves that the fleet lists; without them it stays.
pub(super) fn hub_and_leaves(fleet: &Fleet, findings: &mut Findings) {
    let missing = match (fleet.nodes.hub.is_empty(), fleet.nodes.leaves.is_empty()) {
        (false, false) => return,
        (true, true) => "`nodes.hub` and `nodes.leaves` are empty",
        (true, false) => "`nodes.hub` is empty",
        (false, true) => "`nodes.leaves` is empty",
    };
    for (account_name, account) in &fleet.accounts {
        let account_path = KeyPath::of(["accounts", account_name.as_str()]);
        let streams = account.streams.iter().map(|(name, stream)| ("streams", name, stream.travel));
        let kv = account.kv.iter().map(|(name, bucket)| ("kv", name, bucket.travel));
        let objects = account.objects.iter().map(|(name, bucket)| ("objects", name, bucket.travel));
        for (table, name, travel) in streams.chain(kv).chain(objects) {
            if travel.is_some() {
                findings.warn(
                    account_path.key(table).key(name).key("travel"),
                    format!("{missing}, so this store stays where it is written"),
                    "list the nodes: [nodes] with hub = [\"hub-1\"] and leaves = [\"edge-1\"]",
                );
            }
        }
    }
}

pub(super) fn stream(stream: &Stream, path: &KeyPath, findings: &mut Findings) {
    writer_tokens(stream, path, findings);
    let Some(travel) = stream.travel else {
        if stream.outbox != Outbox::default() {
            findings.error(
                path.key("outbox"),
                "only a stream that travels up has an outbox",
                "add travel = \"up\", or remove `outbox`",
            );
        }
        return;
    };
    place(stream.on, path, findings);
    if stream.outbox != Outbox::default() && travel != Travel::Up {
        findings.error(
            path.key("outbox"),
            "only a stream that travels up has an outbox",
            "remove `outbox`, or write travel = \"up\"",
        );
    }
    for (key, is_set) in [("mirror", stream.mirror.is_some()), ("sources", !stream.sources.is_empty())] {
        if is_set {
            findings.error(
                path.key(key),
                format!("`{key}` cannot stand beside `travel`, which makes the mirrors and sources itself"),
                format!("remove `{key}` or `travel`"),
            );
        }
    }
    if travel != Travel::Up && !origins::keeps_everything(stream.retention) {
        findings.error(
            path.key("retention"),
            "copies on other nodes need every message, and this retention removes what one consumer has read",
            "write retention = \"limits\", or travel = \"up\"",
        );
    }
    memory(stream.storage, path, findings);
}

/// With `travel = "both"` every subject holds the writer's token, once; without it none does.
fn writer_tokens(stream: &Stream, path: &KeyPath, findings: &mut Findings) {
    let path = path.key("subjects");
    let both = stream.travel == Some(Travel::Both);
    for (index, subject) in stream.subjects.iter().enumerate() {
        let count = subject.split('.').filter(|token| *token == WRITER_TOKEN).count();
        if both && count != 1 {
            findings.error(
                path.index(index),
                format!("with travel = \"both\" every subject holds the token `{WRITER_TOKEN}` once, so that each node writes its own"),
                format!("write for instance \"{}.{WRITER_TOKEN}.>\"", subject.split('.').next().unwrap_or("records")),
            );
        }
        if !both && count > 0 {
            findings.error(
                path.index(index),
                format!("`{WRITER_TOKEN}` only stands in a stream with travel = \"both\""),
                format!("add travel = \"both\", or write `*` in place of `{WRITER_TOKEN}`"),
            );
        }
    }
    if both && stream.subjects.is_empty() {
        findings.error(
            path,
            "with travel = \"both\" a stream names its subjects",
            format!("add subjects = [\"records.{WRITER_TOKEN}.>\"]"),
        );
    }
}

pub(super) fn kv(bucket: &KeyValue, path: &KeyPath, findings: &mut Findings) {
    if bucket.travel.is_some() {
        place(bucket.on, path, findings);
        memory(bucket.storage, path, findings);
    }
}

pub(super) fn object(bucket: &ObjectBucket, path: &KeyPath, findings: &mut Findings) {
    if bucket.travel.is_some() {
        place(bucket.on, path, findings);
        memory(bucket.storage, path, findings);
    }
    if bucket.travel == Some(Travel::Both) {
        findings.error(
            path.key("travel"),
            "objects cannot travel both ways: their subjects have no place for the writer's name",
            "use two buckets, one with travel = \"up\" and one with travel = \"down\"",
        );
    }
}

fn place(on: On, path: &KeyPath, findings: &mut Findings) {
    if on != On::default() {
        findings.error(
            path.key("on"),
            "a store that travels is on the hub and on every leaf",
            "remove `on` or `travel`",
        );
    }
}

fn memory(storage: Storage, path: &KeyPath, findings: &mut Findings) {
    if storage == Storage::Memory {
        findings.warn(
            path.key("storage"),
            "what waits in memory for the link is lost when the node restarts",
            "write storage = \"file\"",
        );
    }
}

/// Whether some store of the account comes from its leaves.
pub(super) fn any_up(tenants: &Fleet) -> bool {
    let up = |travel: Option<Travel>| matches!(travel, Some(Travel::Up | Travel::Both));
    tenants.accounts.values().any(|account| {
        account.streams.values().any(|stream| up(stream.travel))
            || account.kv.values().any(|bucket| up(bucket.travel))
            || account.objects.values().any(|bucket| up(bucket.travel))
    })
}

/// Whether an account has any store at all.
pub(super) fn has_stores(tenant: &Tenant<'_>) -> bool {
    let account = tenant.account;
    !(account.streams.is_empty() && account.kv.is_empty() && account.objects.is_empty())
}
