//! Key-value and object buckets, each by itself.

use super::{Findings, Tenant, streams, transforms, travel};
use crate::{path::KeyPath, units::Span};

/// Values that a key-value bucket can keep of one key.
const MOST_HISTORY: u8 = 64;

pub(super) fn check(tenant: &Tenant<'_>, findings: &mut Findings) {
    for (name, bucket) in &tenant.account.kv {
        let path = tenant.path.key("kv").key(name);
        if bucket.history.is_some_and(|history| !(1..=MOST_HISTORY).contains(&history)) {
            findings.error(
                path.key("history"),
                "a bucket keeps from 1 to 64 values of a key",
                "write a number from 1 to 64, or use a stream for more",
            );
        }
        streams::at_least(bucket.limit_marker_ttl, Span::seconds(1), &path.key("limit_marker_ttl"), findings);
        if bucket.max_value_size.is_some_and(|size| size.0 == 0) {
            zero(&path.key("max_value_size"), findings);
        }
        if bucket.max_bytes.is_some_and(|size| size.0 == 0) {
            zero(&path.key("max_bytes"), findings);
        }
        shortest_age(bucket.max_age, &path, findings);
        if let Some(republish) = &bucket.republish {
            transforms::of_republish(republish, &path.key("republish"), findings);
        }
        streams::metadata(bucket.metadata.keys(), &path, findings);
        streams::replicas(tenant.fleet, bucket.replicas, bucket.on, &path, findings);
        streams::compression(bucket.storage, bucket.compression, &path, findings);
        travel::kv(bucket, &path, findings);
    }
    for (name, bucket) in &tenant.account.objects {
        let path = tenant.path.key("objects").key(name);
        if bucket.max_bytes.is_some_and(|size| size.0 == 0) {
            zero(&path.key("max_bytes"), findings);
        }
        shortest_age(bucket.max_age, &path, findings);
        streams::metadata(bucket.metadata.keys(), &path, findings);
        streams::replicas(tenant.fleet, bucket.replicas, bucket.on, &path, findings);
        streams::compression(bucket.storage, bucket.compression, &path, findings);
        travel::object(bucket, &path, findings);
    }
}

fn zero(path: &KeyPath, findings: &mut Findings) {
    findings.error(
        path.clone(),
        "NATS takes 0 for unlimited",
        "leave the key out for no limit, or write the limit",
    );
}

fn shortest_age(age: Option<Span>, path: &KeyPath, findings: &mut Findings) {
    let least = Span(std::time::Duration::from_millis(100));
    streams::at_least(age, least, &path.key("max_age"), findings);
}
