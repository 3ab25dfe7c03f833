//! Mirrors and sources: streams that take from other streams.

use super::{Findings, Tenant, transforms};
use crate::{
    names::Name,
    path::KeyPath,
    store::{Retention, Source, Stream},
    suggest::meant_or_list,
};

pub(super) fn check(
    tenant: &Tenant<'_>,
    name: &Name,
    stream: &Stream,
    path: &KeyPath,
    findings: &mut Findings,
) {
    if let Some(mirror) = &stream.mirror {
        mirror_alone(stream, path, findings);
        origin(tenant, name, mirror, &path.key("mirror"), findings);
    }
    for (index, source) in stream.sources.iter().enumerate() {
        let path = path.key("sources").index(index);
        origin(tenant, name, source, &path, findings);
        let same = |earlier: &Source| {
            earlier.stream == source.stream
                && earlier.domain == source.domain
                && earlier.filter == source.filter
                && earlier.transforms == source.transforms
        };
        if stream.sources[..index].iter().any(same) {
            findings.error(path, format!("`{}` is a source twice", source.stream), "remove one");
        }
    }
    if goes_round(tenant, name, stream) {
        findings.error(
            path.clone(),
            "this stream takes, by way of others, from itself",
            "remove one mirror or source of the circle",
        );
    }
}

fn mirror_alone(stream: &Stream, path: &KeyPath, findings: &mut Findings) {
    let beside = [
        ("subjects", !stream.subjects.is_empty(), "a mirror captures nothing itself"),
        ("sources", !stream.sources.is_empty(), "a mirror has one origin"),
        ("duplicate_window", stream.duplicate_window.is_some(), "its origin has removed duplicates already"),
    ];
    for (key, is_set, why) in beside {
        if is_set {
            findings.error(
                path.key(key),
                format!("`{key}` cannot stand beside `mirror`: {why}"),
                format!("remove `{key}`, or gather with `sources` instead of `mirror`"),
            );
        }
    }
}

fn origin(tenant: &Tenant<'_>, name: &Name, source: &Source, path: &KeyPath, findings: &mut Findings) {
    if source.filter.is_some() && !source.transforms.is_empty() {
        findings.error(
            path.key("filter"),
            "`filter` cannot stand beside `transforms`, whose `source` filters",
            "remove `filter`",
        );
    }
    if source.start_sequence.is_some() && source.start_time.is_some() {
        findings.error(
            path.key("start_time"),
            "it starts at a sequence or at a time, not both",
            "remove one of the two",
        );
    }
    if let Some(time) = &source.start_time {
        rfc3339(time, &path.key("start_time"), findings);
    }
    for (index, transform) in source.transforms.iter().enumerate() {
        let path = path.key("transforms").index(index);
        transforms::one(transform, &path, findings);
        if source.transforms[..index].iter().any(|earlier| earlier.source.overlaps(&transform.source)) {
            findings.error(
                path.key("source"),
                format!("`{}` overlaps the source of another transform", transform.source),
                "make the sources of the transforms distinct",
            );
        }
    }
    if source.domain.is_some() {
        return;
    }
    if source.stream == *name {
        findings.error(
            path.key("stream"),
            "a stream cannot take from itself",
            "name another stream, or say in which `domain` the other one is",
        );
    } else if !exists(tenant, &source.stream) {
        let streams: Vec<&str> = tenant.account.streams.keys().map(|name| name.as_str()).collect();
        findings.error(
            path.key("stream"),
            format!("this account declares no stream `{}`", source.stream),
            meant_or_list(
                &source.stream,
                &streams,
                "declare it, or add `domain = \"…\"` when it is on another node; the streams are",
            ),
        );
    }
}

/// Whether a name is that of a stream, or of the stream that holds a bucket.
fn exists(tenant: &Tenant<'_>, name: &Name) -> bool {
    let account = tenant.account;
    account.streams.contains_key(name)
        || name.strip_prefix("KV_").is_some_and(|bucket| account.kv.contains_key(bucket))
        || name.strip_prefix("OBJ_").is_some_and(|bucket| account.objects.contains_key(bucket))
}

/// Whether the streams that this one takes from lead back to it; through a source with a filter
/// they need not, and nats-server decides.
fn goes_round(tenant: &Tenant<'_>, start: &Name, stream: &Stream) -> bool {
    let mut to_visit: Vec<&Name> = near(stream).filter(|name| *name != start).collect();
    let mut visited: Vec<&Name> = Vec::new();
    while let Some(name) = to_visit.pop() {
        if name == start {
            return true;
        }
        if visited.contains(&name) {
            continue;
        }
        visited.push(name);
        to_visit.extend(tenant.account.streams.get(name).into_iter().flat_map(near));
    }
    false
}

fn near(stream: &Stream) -> impl Iterator<Item = &Name> {
    stream
        .mirror
        .iter()
        .chain(&stream.sources)
        .filter(|source| source.domain.is_none() && source.filter.is_none() && source.transforms.is_empty())
        .map(|source| &source.stream)
}

/// Whether other streams may read all of this one.
pub(super) fn keeps_everything(retention: Retention) -> bool {
    retention == Retention::Limits
}

pub(super) fn rfc3339(text: &str, path: &KeyPath, findings: &mut Findings) {
    let parsed = text.parse::<toml::value::Datetime>();
    if !parsed.is_ok_and(|time| time.date.is_some() && time.time.is_some() && time.offset.is_some()) {
        findings.error(
            path.clone(),
            "this is not a time with date and zone",
            "write it as RFC 3339 has it, such as \"2026-01-31T08:00:00Z\"",
        );
    }
}
