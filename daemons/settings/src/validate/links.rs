//! The ways to other nodes: a leaf's uplink, a hub node's routes.

use std::net::IpAddr;

use super::{
    Findings,
    listeners::{credential, is_host, secret_in_store},
    machine::in_nix_store,
};
use crate::{
    node::{Cluster, Node, NodeRole, TlsVersion, Uplink},
    path::KeyPath,
};

/// Schemes of an uplink; those that encrypt for certain first.
const UPLINK_SCHEMES: [&str; 5] = ["tls", "wss", "nats-leaf", "nats", "ws"];
const ROUTE_SCHEMES: [&str; 3] = ["nats-route", "nats", "tls"];

pub(super) fn check(node: &Node, findings: &mut Findings) {
    match node.role {
        NodeRole::Leaf => {
            uplink(&node.uplink, findings);
            if node.cluster != Cluster::default() {
                findings.error(
                    KeyPath::of(["cluster"]),
                    "only a hub node is in a cluster, and this is a leaf",
                    "remove [cluster], or write role = \"hub\"",
                );
            }
        }
        NodeRole::Hub => {
            if node.uplink != Uplink::default() {
                findings.error(
                    KeyPath::of(["uplink"]),
                    "only a leaf has an uplink, and this is a hub node",
                    "remove [uplink], or write role = \"leaf\"",
                );
            }
            routes(&node.cluster, findings);
        }
    }
}

fn uplink(uplink: &Uplink, findings: &mut Findings) {
    let path = KeyPath::of(["uplink"]);
    for (index, text) in uplink.urls.iter().enumerate() {
        let path = path.key("urls").index(index);
        if uplink.urls[..index].contains(text) {
            findings.error(path, "this URL stands here twice", "remove one");
            continue;
        }
        let example = "tls://hub.example.net:7422";
        let Some(url) = url(text, &UPLINK_SCHEMES, example, &path, findings) else { continue };
        let clear = matches!(url.scheme, "nats" | "ws") || (url.scheme == "nats-leaf" && uplink.ca.is_none());
        if clear && !url.is_local() {
            findings.warn(
                path,
                "this link goes in clear unless the hub itself insists on TLS",
                format!("write \"{example}\" or \"wss://…\", unless the network itself encrypts (WireGuard, Fly's 6PN)"),
            );
        }
    }
    for (key, is_set, other, other_is_set) in [
        ("cert", uplink.cert.is_some(), "key", uplink.key.is_some()),
        ("key", uplink.key.is_some(), "cert", uplink.cert.is_some()),
    ] {
        if is_set && !other_is_set {
            findings.error(
                path.key(key),
                format!("`{key}` needs `{other}`"),
                format!("add `{other} = \"…\"`, or remove `{key}`"),
            );
        }
    }
    if uplink.urls.is_empty() && *uplink != Uplink::default() {
        findings.warn(
            path.clone(),
            "there is no URL, so this leaf stands alone",
            "add urls = [\"tls://hub.example.net:7422\"], or remove [uplink]",
        );
    }
    for (key, file) in [("ca", &uplink.ca), ("cert", &uplink.cert), ("key", &uplink.key)] {
        if let Some(file) = file {
            credential(file, &path.key(key), findings);
        }
    }
    if uplink.min_version != TlsVersion::default() && !uplink.is_tls() && !uplink.urls.is_empty() {
        findings.warn(
            path.key("min_version"),
            "no URL asks for TLS, so that this does nothing",
            "write the URLs with tls:// or wss://, or remove it",
        );
    }
    if uplink.key.as_deref().is_some_and(in_nix_store) {
        secret_in_store(&path.key("key"), findings);
    }
}

fn routes(cluster: &Cluster, findings: &mut Findings) {
    for (index, text) in cluster.routes.iter().enumerate() {
        let path = KeyPath::of(["cluster", "routes"]).index(index);
        if cluster.routes[..index].contains(text) {
            findings.error(path, "this URL stands here twice", "remove one");
        } else {
            url(text, &ROUTE_SCHEMES, "nats-route://hub-2.example.net:6222", &path, findings);
        }
    }
}

struct Url<'a> {
    scheme: &'a str,
    host: &'a str,
}

impl Url<'_> {
    fn is_local(&self) -> bool {
        let host = self.host.trim_matches(['[', ']']);
        host == "localhost"
            || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
    }
}

/// `scheme://host[:port]`, and nothing more; the text is not repeated, as it may hold a password.
fn url<'a>(
    text: &'a str,
    schemes: &[&str],
    example: &str,
    path: &KeyPath,
    findings: &mut Findings,
) -> Option<Url<'a>> {
    let schemes_list = schemes.iter().map(|scheme| format!("{scheme}://")).collect::<Vec<_>>().join(", ");
    let Some((scheme, rest)) = text.split_once("://") else {
        findings.error(
            path.clone(),
            "this URL has no scheme",
            format!("start it with one of {schemes_list}, such as \"{example}\""),
        );
        return None;
    };
    if !schemes.contains(&scheme) {
        findings.error(
            path.clone(),
            "nats-server cannot join with this scheme",
            format!("start it with one of {schemes_list}, such as \"{example}\""),
        );
        return None;
    }
    if rest.contains('@') {
        findings.error(
            path.clone(),
            "a URL is no place for a password: it would be in git and in logs",
            "remove what is before the `@`; nodes log in with creds files from the credentials directory",
        );
        return None;
    }
    let authority =
        if matches!(scheme, "ws" | "wss") { rest.split('/').next().unwrap_or(rest) } else { rest };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if !is_host(host) || port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
        findings.error(
            path.clone(),
            "this URL has no valid host and port",
            format!("write it as \"{example}\""),
        );
        return None;
    }
    Some(Url { scheme, host })
}
