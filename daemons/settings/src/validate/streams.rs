//! Streams, each by itself: what `checkStreamCfg` of nats-server refuses, and a little more.

use super::{Findings, Tenant, consumers, origins, transforms, travel};
use crate::{
    fleet::Fleet,
    names::{Name, Subject},
    path::KeyPath,
    store::{Compression, Discard, On, Storage, Stream},
    travel::{WRITER_TOKEN, for_writer},
    units::Span,
};

/// What nats-server needs for itself, and the subjects below it that a stream may have after all.
const SERVER_SPACES: [(&str, Option<&str>); 4] =
    [("$JS.>", Some("$JS.EVENT.>")), ("$JSC.>", None), ("$NRG.>", None), ("$SYS.>", Some("$SYS.ACCOUNT.>"))];
/// What buckets are made of.
const BUCKET_SPACES: [&str; 2] = ["$KV.>", "$O.>"];

pub(super) fn check(tenant: &Tenant<'_>, findings: &mut Findings) {
    for (name, stream) in &tenant.account.streams {
        let path = tenant.path.key("streams").key(name);
        backing_name(name, &path, findings);
        subjects(stream, &path, findings);
        limits(stream, &path, findings);
        retention(stream, &path, findings);
        metadata(stream.metadata.keys(), &path, findings);
        replicas(tenant.fleet, stream.replicas, stream.on, &path, findings);
        compression(stream.storage, stream.compression, &path, findings);
        transforms::of_stream(stream, &path, findings);
        origins::check(tenant, name, stream, &path, findings);
        travel::stream(stream, &path, findings);
        consumers::check(tenant, stream, &path, findings);
    }
}

/// A bucket is a stream named `KV_…` or `OBJ_…`, so a stream of that name would be a bucket by
/// accident, or clash with one.
fn backing_name(name: &Name, path: &KeyPath, findings: &mut Findings) {
    for (prefix, table) in [("KV_", "kv"), ("OBJ_", "objects")] {
        if let Some(bucket) = name.strip_prefix(prefix) {
            findings.error(
                path.clone(),
                format!("streams that start with `{prefix}` hold buckets"),
                format!("declare the bucket `{bucket}` under `{table}`, or rename the stream"),
            );
        }
    }
}

fn subjects(stream: &Stream, path: &KeyPath, findings: &mut Findings) {
    let path = path.key("subjects");
    let mut earlier: Vec<Subject> = Vec::new();
    for (index, text) in stream.subjects.iter().enumerate() {
        let path = path.index(index);
        if text.contains(WRITER_TOKEN) && !text.split('.').any(|token| token == WRITER_TOKEN) {
            findings.error(
                path,
                format!("`{WRITER_TOKEN}` is a whole token of a subject"),
                format!("write it between dots, as in \"records.{WRITER_TOKEN}.>\""),
            );
            continue;
        }
        let subject: Subject = match for_writer(text, "*").parse() {
            Ok(subject) => subject,
            Err(refusal) => {
                let (message, remedy) =
                    refusal.rsplit_once(": ").unwrap_or((&refusal, "write a NATS subject"));
                findings.error(path, message, remedy);
                continue;
            }
        };
        if let Some(other) = earlier.iter().find(|other| other.overlaps(&subject)) {
            findings.error(
                path,
                format!(
                    "`{subject}` and `{other}` of the same stream overlap: messages would be stored twice"
                ),
                "keep the wider of the two, or make them distinct",
            );
        } else {
            reserved_space(&subject, path, findings);
        }
        earlier.push(subject);
    }
}

fn reserved_space(subject: &Subject, path: KeyPath, findings: &mut Findings) {
    let taken = SERVER_SPACES.iter().find(|(space, allowed)| {
        subject.overlaps(space)
            && !allowed.is_some_and(|allowed| {
                allowed.parse::<Subject>().is_ok_and(|allowed| allowed.covers(subject))
            })
    });
    if let Some((space, _)) = taken {
        findings.error(
            path,
            format!("`{subject}` would capture `{space}`, on which nats-server itself speaks"),
            "start the subject with a word of your own, such as \"events.>\"",
        );
        return;
    }
    if let Some(space) = BUCKET_SPACES.iter().find(|space| subject.overlaps(space)) {
        findings.error(
            path,
            format!("`{subject}` would capture `{space}`, of which buckets are made"),
            "declare a bucket under `kv` or `objects` instead",
        );
    }
}

fn limits(stream: &Stream, path: &KeyPath, findings: &mut Findings) {
    let zeroes = [
        ("max_messages", stream.max_messages == Some(0)),
        ("max_messages_per_subject", stream.max_messages_per_subject == Some(0)),
        ("max_bytes", stream.max_bytes.is_some_and(|size| size.0 == 0)),
        ("max_message_size", stream.max_message_size.is_some_and(|size| size.0 == 0)),
        ("max_consumers", stream.max_consumers == Some(0)),
    ];
    for (key, is_zero) in zeroes {
        if is_zero {
            findings.error(
                path.key(key),
                "NATS takes 0 for unlimited",
                "leave the key out for no limit, or write the limit",
            );
        }
    }
    if stream.max_message_size.is_some_and(|size| size.0 > i32::MAX as u64) {
        findings.error(
            path.key("max_message_size"),
            "this is more than NATS can count",
            "write less than \"2GiB\"; the node's `nats.max_payload` holds too",
        );
    }
    at_least(stream.max_age, Span(std::time::Duration::from_millis(100)), &path.key("max_age"), findings);
    let window = path.key("duplicate_window");
    at_least(stream.duplicate_window, Span(std::time::Duration::from_millis(100)), &window, findings);
    if let (Some(age), Some(remembered)) = (stream.max_age, stream.duplicate_window)
        && remembered > age
    {
        findings.error(
            window,
            format!("duplicates cannot be remembered for longer than messages are kept, {age}"),
            format!("write \"{age}\" or less, or leave it out"),
        );
    }
}

pub(super) fn at_least(value: Option<Span>, least: Span, path: &KeyPath, findings: &mut Findings) {
    if value.is_some_and(|value| value < least) {
        findings.error(
            path.clone(),
            format!("nats-server takes nothing under {least} here"),
            format!("write \"{least}\" or more, or leave the key out"),
        );
    }
}

fn retention(stream: &Stream, path: &KeyPath, findings: &mut Findings) {
    if stream.discard_new_per_subject {
        if stream.discard != Discard::New {
            findings.error(
                path.key("discard_new_per_subject"),
                "this refines `discard = \"new\"`, which is not set",
                "add discard = \"new\"",
            );
        }
        if stream.max_messages_per_subject.is_none() {
            findings.error(
                path.key("discard_new_per_subject"),
                "there is no limit per subject at which to refuse",
                "add `max_messages_per_subject = …`",
            );
        }
    }
    if stream.deny_purge && stream.allow_rollup {
        findings.error(
            path.key("allow_rollup"),
            "a roll-up purges what is before it, which `deny_purge` forbids",
            "remove one of the two",
        );
    }
}

pub(super) fn metadata<'a>(keys: impl Iterator<Item = &'a String>, path: &KeyPath, findings: &mut Findings) {
    for key in keys {
        if let Some(prefix) = ["leafbox.", "_nats."].into_iter().find(|prefix| key.starts_with(prefix)) {
            findings.error(
                path.key("metadata").key(key),
                format!("keys that start with `{prefix}` are taken"),
                "give it another name",
            );
        }
    }
}

pub(super) fn replicas(fleet: &Fleet, declared: Option<u8>, on: On, path: &KeyPath, findings: &mut Findings) {
    let Some(copies) = declared else { return };
    let path = path.key("replicas");
    let hub = fleet.nodes.hub.len();
    if !matches!(copies, 1 | 3 | 5) {
        findings.error(
            path,
            format!("{copies} copies cannot keep a majority better than one fewer"),
            "write 1, 3 or 5",
        );
    } else if copies > 1 && on == On::Leaves {
        findings.error(path, "a leaf has one copy: it is alone in its JetStream domain", "remove `replicas`");
    } else if copies > 1 && hub == 0 {
        findings.warn(
            path,
            "the fleet has no hub, and a leaf keeps one copy",
            "list the hub's nodes in `nodes.hub`, or remove `replicas`",
        );
    } else if usize::from(copies) > hub.max(1) {
        findings.error(
            path,
            format!("the hub has {hub} node{}, too few for {copies} copies", if hub == 1 { "" } else { "s" }),
            "leave `replicas` out for as many as fit, or list more nodes in `nodes.hub`",
        );
    }
}

pub(super) fn compression(
    storage: Storage,
    compression: Compression,
    path: &KeyPath,
    findings: &mut Findings,
) {
    if storage == Storage::Memory && compression != Compression::None {
        findings.error(
            path.key("compression"),
            "only files are compressed, and this store is in memory",
            "remove `compression`, or write storage = \"file\"",
        );
    }
}
