//! What the container registries hold, keep and exchange.

use std::{collections::BTreeMap, path::Path};

use super::{
    Findings,
    listeners::{credential, is_host, is_host_and_port, secret_in_store},
    machine::in_nix_store,
};
use crate::{
    fleet::{Registry, Upstream},
    path::KeyPath,
    repositories::{Pattern, Prefix},
    units::Span,
};

/// A push of a large image over a slow link takes this long between its first blob and its manifest.
const SHORTEST_GRACE: Span = Span::seconds(600);
/// Clients wait about this long before they try a piece of an upload again.
const SHORTEST_EXPIRY: Span = Span::seconds(60);

pub(super) fn check(registry: &Registry, findings: &mut Findings) {
    let path = KeyPath::of(["registry"]);
    sizes(registry, &path, findings);
    if registry.grace < SHORTEST_GRACE {
        findings.error(
            path.key("grace"),
            "the blobs of an image that is being pushed could be gone before its manifest names them",
            format!("write \"1d\", or {SHORTEST_GRACE} at least"),
        );
    }
    if registry.upload_expiry < SHORTEST_EXPIRY {
        findings.error(
            path.key("upload_expiry"),
            "an upload could be gone while its client only waits to go on",
            format!("write \"1d\", or {SHORTEST_EXPIRY} at least"),
        );
    }
    for (key, patterns) in [("down", &registry.travel.down), ("up", &registry.travel.up)] {
        for (index, pattern) in patterns.iter().enumerate() {
            of_repositories(pattern, path.key("travel").key(key).index(index), findings);
        }
    }
    retain(registry, &path.key("retain"), findings);
    upstreams(registry, &path.key("upstreams"), findings);
}

fn sizes(registry: &Registry, path: &KeyPath, findings: &mut Findings) {
    if registry.max_bytes.is_some_and(|most| most.bytes() == 0) {
        findings.error(
            path.key("max_bytes"),
            "no blob could be stored",
            "leave it out, or write a size; `registry.listen = \"off\"` in node.toml turns a registry off",
        );
        return;
    }
    for (prefix, quota) in &registry.quotas {
        if let Some(most) = registry.max_bytes.filter(|most| quota > most) {
            findings.error(
                path.key("quotas").key(prefix.as_str()),
                format!("the whole registry may hold {most}"),
                "lower it, or raise `registry.max_bytes`",
            );
        }
    }
}

/// No repository has an upper-case letter, so that a pattern with one would never match.
fn of_repositories(pattern: &Pattern, path: KeyPath, findings: &mut Findings) {
    if pattern.as_str().contains(|character: char| character.is_ascii_uppercase()) {
        findings.error(
            path,
            "repositories are in lower case, so that no repository is meant",
            format!("write \"{}\"", pattern.as_str().to_ascii_lowercase()),
        );
    }
}

fn retain(registry: &Registry, path: &KeyPath, findings: &mut Findings) {
    for (index, rule) in registry.retain.iter().enumerate() {
        let path = path.index(index);
        of_repositories(&rule.repositories, path.key("repositories"), findings);
        if rule.tags.as_str().contains('/') {
            findings.error(
                path.key("tags"),
                "no tag has a slash, so that no tag is meant",
                "write one such as \"v*\"; the repositories are under `repositories`",
            );
        }
        if rule.newest == 0 {
            findings.error(
                path.key("newest"),
                "a rule says how many tags it keeps, one at least",
                "add newest = 10; `leafbox registry rm` deletes all of them",
            );
        }
    }
}

fn upstreams(registry: &Registry, path: &KeyPath, findings: &mut Findings) {
    let mut seen: BTreeMap<&Prefix, usize> = BTreeMap::new();
    for (index, upstream) in registry.upstreams.iter().enumerate() {
        let path = path.index(index);
        if let Some(earlier) = seen.insert(&upstream.prefix, index) {
            findings.error(
                path.key("prefix"),
                format!("`registry.upstreams[{earlier}]` has this prefix already"),
                "keep one of the two",
            );
        }
        url(upstream, &path, findings);
        if let Some(file) = &upstream.credentials {
            let path = path.key("credentials");
            credential(file, &path, findings);
            if in_nix_store(Path::new(file)) {
                secret_in_store(&path, findings);
            }
        }
    }
}

fn url(upstream: &Upstream, path: &KeyPath, findings: &mut Findings) {
    let (path, url) = (path.key("url"), &upstream.url);
    let (scheme, authority) = url.split_once("://").unwrap_or(("", url));
    if authority.contains('@') {
        findings.error(
            path,
            "this file is no place for a login",
            "write user:password into a file, and its name under `credentials`",
        );
    } else if !matches!(scheme, "http" | "https") || !(is_host(authority) || is_host_and_port(authority)) {
        findings.error(
            path,
            "this is not https://, a host and perhaps a port, and nothing more",
            "write one such as \"https://registry-1.docker.io\"; `/v2/` is added to it",
        );
    } else if scheme == "http" && !is_this_machine(authority) {
        if upstream.credentials.is_some() {
            findings.error(path, "the login would go in clear", "write https://, or remove `credentials`");
        } else {
            findings.warn(
                path,
                "what a tag stands for is asked in clear, and who is on the way can change it",
                "write https://, unless the network itself encrypts (WireGuard, Fly's 6PN)",
            );
        }
    }
}

fn is_this_machine(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => authority.split(':').next(),
    };
    host.is_some_and(|host| {
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}
