//! Consumers, after `checkConsumerCfg` of nats-server.

use super::{Findings, Tenant, origins::rfc3339, streams::at_least};
use crate::{
    names::Name,
    path::KeyPath,
    store::{Ack, Consumer, Deliver, Retention, Stream},
    travel::{WRITER_TOKEN, for_writer},
    units::Span,
};

pub(super) fn check(tenant: &Tenant<'_>, stream: &Stream, path: &KeyPath, findings: &mut Findings) {
    let path = path.key("consumers");
    for (name, consumer) in &stream.consumers {
        let path = path.key(name);
        start(consumer, &path, findings);
        if consumer.deliver_subject.is_some() {
            push(consumer, stream, &path, findings);
        } else {
            pull(consumer, &path, findings);
        }
        acknowledgement(consumer, stream, &path, findings);
        filters(consumer, stream, &path, findings);
        copies(tenant, consumer, stream, &path, findings);
    }
    if stream.max_consumers.is_some_and(|most| stream.consumers.len() > most as usize) {
        findings.error(
            path.clone(),
            format!("{} consumers are declared, more than `max_consumers`", stream.consumers.len()),
            "raise `max_consumers`, or remove consumers",
        );
    }
    if stream.retention == Retention::Workqueue {
        work_queue(stream, &path, findings);
    }
}

fn start(consumer: &Consumer, path: &KeyPath, findings: &mut Findings) {
    let keys = [
        ("start_sequence", consumer.start_sequence.is_some(), Deliver::ByStartSequence, "by_start_sequence"),
        ("start_time", consumer.start_time.is_some(), Deliver::ByStartTime, "by_start_time"),
    ];
    for (key, is_set, deliver, word) in keys {
        if is_set && consumer.deliver != deliver {
            findings.error(
                path.key(key),
                format!("`{key}` needs deliver = \"{word}\""),
                format!("write deliver = \"{word}\", or remove `{key}`"),
            );
        }
        if !is_set && consumer.deliver == deliver {
            findings.error(
                path.key("deliver"),
                format!("deliver = \"{word}\" needs `{key}`"),
                format!("add `{key} = …`"),
            );
        }
    }
    if consumer.start_sequence == Some(0) {
        findings.error(path.key("start_sequence"), "sequences start at 1", "write 1 or more");
    }
    if let Some(time) = &consumer.start_time {
        rfc3339(time, &path.key("start_time"), findings);
    }
    if consumer.deliver == Deliver::LastPerSubject && consumer.filter.is_empty() {
        findings.error(
            path.key("deliver"),
            "deliver = \"last_per_subject\" needs to know which subjects",
            "add filter = [\"…\"], such as the stream's own subjects",
        );
    }
}

/// Keys of pull consumers do nothing, or are refused, on a push consumer.
fn push(consumer: &Consumer, stream: &Stream, path: &KeyPath, findings: &mut Findings) {
    let pull_keys = [
        ("max_waiting", consumer.max_waiting.is_some()),
        ("max_batch", consumer.max_batch.is_some()),
        ("max_pull_bytes", consumer.max_pull_bytes.is_some()),
        ("max_expires", consumer.max_expires.is_some()),
    ];
    for (key, is_set) in pull_keys {
        if is_set {
            findings.error(
                path.key(key),
                format!("`{key}` is about pulling, and `deliver_subject` makes this a push consumer"),
                format!("remove `{key}` or `deliver_subject`"),
            );
        }
    }
    if consumer.flow_control && consumer.idle_heartbeat.is_none() {
        findings.error(
            path.key("flow_control"),
            "flow control needs a heartbeat",
            "add idle_heartbeat = \"5s\"",
        );
    }
    at_least(
        consumer.idle_heartbeat,
        Span(std::time::Duration::from_millis(100)),
        &path.key("idle_heartbeat"),
        findings,
    );
    let Some(deliver) = &consumer.deliver_subject else { return };
    if deliver.has_wildcard() {
        findings.error(
            path.key("deliver_subject"),
            "messages are delivered to one subject, without wildcards",
            "write a plain subject",
        );
    } else if stream.subjects.iter().any(|captured| deliver.overlaps(&for_writer(captured, "*"))) {
        findings.error(
            path.key("deliver_subject"),
            "the stream captures this subject, so it would store what it delivers for ever",
            "deliver to a subject that the stream does not capture",
        );
    }
}

fn pull(consumer: &Consumer, path: &KeyPath, findings: &mut Findings) {
    let push_keys = [
        ("deliver_group", consumer.deliver_group.is_some()),
        ("flow_control", consumer.flow_control),
        ("idle_heartbeat", consumer.idle_heartbeat.is_some()),
        ("rate_limit_bits", consumer.rate_limit_bits.is_some()),
    ];
    for (key, is_set) in push_keys {
        if is_set {
            findings.error(
                path.key(key),
                format!("`{key}` is about pushing, and this is a pull consumer"),
                format!("remove `{key}`, or add `deliver_subject = \"…\"`"),
            );
        }
    }
    at_least(
        consumer.max_expires,
        Span(std::time::Duration::from_millis(1)),
        &path.key("max_expires"),
        findings,
    );
}

fn acknowledgement(consumer: &Consumer, stream: &Stream, path: &KeyPath, findings: &mut Findings) {
    if let Some(most) = consumer.max_deliver
        && consumer.backoff.len() > most as usize
    {
        findings.error(
            path.key("backoff"),
            format!("there are {} waits for {most} deliveries", consumer.backoff.len()),
            "write at most `max_deliver` waits, or raise `max_deliver`",
        );
    }
    if consumer.max_deliver == Some(0) {
        findings.error(
            path.key("max_deliver"),
            "NATS takes 0 for unlimited",
            "leave the key out for no limit, or write the limit",
        );
    }
    if !consumer.backoff.is_empty() && consumer.ack_wait.is_some() {
        findings.error(
            path.key("ack_wait"),
            "`backoff` stands in place of `ack_wait`",
            "remove one of the two",
        );
    }
    if consumer.ack == Ack::None {
        let waits = [
            ("ack_wait", consumer.ack_wait.is_some()),
            ("max_ack_pending", consumer.max_ack_pending.is_some()),
            ("backoff", !consumer.backoff.is_empty()),
        ];
        for (key, is_set) in waits {
            if is_set {
                findings.error(
                    path.key(key),
                    "nothing is acknowledged, with ack = \"none\"",
                    format!("remove `{key}`, or write ack = \"explicit\""),
                );
            }
        }
    }
    if stream.retention == Retention::Workqueue && consumer.ack != Ack::Explicit {
        findings.error(
            path.key("ack"),
            "a work queue removes a message when it is acknowledged, each by itself",
            "write ack = \"explicit\"",
        );
    }
    if let Some(share) = &consumer.sample_frequency
        && !share.trim_end_matches('%').parse::<u8>().is_ok_and(|percent| percent <= 100)
    {
        findings.error(path.key("sample_frequency"), "this is not a share", "write one such as \"10%\"");
    }
}

fn filters(consumer: &Consumer, stream: &Stream, path: &KeyPath, findings: &mut Findings) {
    let path = path.key("filter");
    let takes_all =
        !stream.sources.is_empty() || stream.mirror.is_some() || stream.subject_transform.is_some();
    for (index, filter) in consumer.filter.iter().enumerate() {
        let path = path.index(index);
        if filter.contains(WRITER_TOKEN) {
            findings.error(
                path,
                format!("`{WRITER_TOKEN}` stands in the `subjects` of a stream only"),
                format!("write `*` in place of `{WRITER_TOKEN}`, or the name of a node"),
            );
            continue;
        }
        if consumer.filter[..index].iter().any(|earlier| earlier.overlaps(filter)) {
            findings.error(
                path,
                format!("`{filter}` overlaps another filter of this consumer"),
                "keep the wider of the two",
            );
        } else if !takes_all
            && !stream.subjects.is_empty()
            && !stream.subjects.iter().any(|captured| filter.overlaps(&for_writer(captured, "*")))
        {
            findings.warn(
                path,
                format!("the stream captures nothing that matches `{filter}`"),
                "write a subject of the stream",
            );
        }
    }
}

fn copies(
    tenant: &Tenant<'_>,
    consumer: &Consumer,
    stream: &Stream,
    path: &KeyPath,
    findings: &mut Findings,
) {
    let Some(copies) = consumer.replicas else { return };
    let of_stream = tenant.fleet.hub_replicas(stream.replicas);
    if copies > of_stream {
        findings.error(
            path.key("replicas"),
            format!("the stream has {of_stream}, and a consumer has no more than its stream"),
            "leave `replicas` out for as many as the stream has",
        );
    } else if copies != of_stream && stream.retention != Retention::Limits {
        findings.error(
            path.key("replicas"),
            format!("with this retention a consumer has as many copies as its stream, {of_stream}"),
            "leave `replicas` out",
        );
    }
}

/// Each message of a work queue goes to one consumer, so no two may want the same.
fn work_queue(stream: &Stream, path: &KeyPath, findings: &mut Findings) {
    let consumers: Vec<(&Name, &Consumer)> = stream.consumers.iter().collect();
    for (place, (name, consumer)) in consumers.iter().enumerate() {
        if consumer.deliver != Deliver::All {
            findings.error(
                path.key(name).key("deliver"),
                "a work queue is read from its first message",
                "remove `deliver`",
            );
        }
        let clash = consumers[..place].iter().find(|(_, other)| {
            consumer.filter.is_empty()
                || other.filter.is_empty()
                || consumer
                    .filter
                    .iter()
                    .any(|filter| other.filter.iter().any(|wider| wider.overlaps(filter)))
        });
        if let Some((other, _)) = clash {
            findings.error(
                path.key(name),
                format!("the consumers `{other}` and `{name}` of a work queue want the same messages"),
                "give them filters that do not overlap, or use one consumer for all workers",
            );
        }
    }
}
