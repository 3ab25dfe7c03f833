//! What listens where, and with which TLS.

use std::net::{IpAddr, SocketAddr};

use super::{Findings, console, machine::in_nix_store};
use crate::{
    node::{Certificate, Node, NodeRole, Tls},
    path::KeyPath,
    units::Listen,
};

/// A listener of this node.
struct Listener<'a> {
    path: KeyPath,
    what: &'static str,
    listen: Listen,
    tls: Option<&'a Tls>,
}

pub(super) fn check(node: &Node, findings: &mut Findings) {
    let listeners = listeners(node);
    shared_addresses(&listeners, findings);
    for (key, tls) in all_tls(node) {
        let path = KeyPath::of(["nats", "tls", key]);
        check_tls(tls, &path, findings);
        own_certificate(tls, key == "client", &path, findings);
    }
    for (key, listen, why, usual) in [
        // nats-server has no way to turn it off: without an address it would listen on all of them.
        ("client", node.nats.client, "leafbox's own daemons and commands come in here", 4222),
        ("monitoring", node.nats.monitoring, "leafbox asks nats-server here whether it is well", 8222),
    ] {
        if listen == Listen::Off {
            findings.error(
                KeyPath::of(["nats", key]),
                why,
                format!("write \"127.0.0.1:{usual}\", or \"127.0.0.1:0\" for any free port"),
            );
        }
    }
    for listener in &listeners {
        exposed(node, listener, findings);
    }
    served(&node.registry.tls, node.registry.listen, "registry", findings);
    served(&node.console.tls, node.console.listen, "console", findings);
    console::check(&node.console, findings);
    roles(node, findings);
    origins(node, findings);
    for (key, address) in [
        ("nats.client_advertise", &node.nats.client_advertise),
        ("nats.leaf_advertise", &node.nats.leaf_advertise),
        ("cluster.advertise", &node.cluster.advertise),
    ] {
        if let Some(address) = address
            && !is_host_and_port(address)
        {
            let (table, key) = key.split_once('.').unwrap_or(("", key));
            findings.error(
                KeyPath::of([table, key]),
                format!("`{address}` is not a host and port"),
                "write one such as \"hub-1.example.net:4222\", with the port that is reached from outside",
            );
        }
    }
}

fn listeners(node: &Node) -> Vec<Listener<'_>> {
    let (nats, tls) = (&node.nats, &node.nats.tls);
    let nats_path = KeyPath::of(["nats"]);
    let listener = |key: &str, what, listen, tls| Listener { path: nats_path.key(key), what, listen, tls };
    let mut all = vec![
        listener("client", "clients", nats.client, tls.client.as_ref()),
        listener("monitoring", "monitoring", nats.monitoring, None),
        listener("websocket", "websocket clients", nats.websocket, tls.websocket.as_ref()),
        listener("mqtt", "MQTT clients", nats.mqtt, tls.mqtt.as_ref()),
    ];
    if node.role == NodeRole::Hub {
        all.push(listener("leaf", "leaf nodes", nats.leaf, tls.leaf.as_ref()));
        all.push(listener("route", "routes", nats.route, tls.route.as_ref()));
    }
    all.push(Listener {
        path: KeyPath::of(["health", "listen"]),
        what: "health",
        listen: node.health.listen,
        tls: None,
    });
    all.push(Listener {
        path: KeyPath::of(["registry", "listen"]),
        what: "the registry",
        listen: node.registry.listen,
        tls: None,
    });
    all.push(Listener {
        path: KeyPath::of(["console", "listen"]),
        what: "the console",
        listen: node.console.listen,
        tls: None,
    });
    all
}

fn shared_addresses(listeners: &[Listener<'_>], findings: &mut Findings) {
    for (place, listener) in listeners.iter().enumerate() {
        let Some(address) = listener.listen.address() else { continue };
        let other = listeners[..place]
            .iter()
            .find(|earlier| earlier.listen.address().is_some_and(|other| clash(address, other)));
        if let Some(other) = other {
            findings.error(
                listener.path.clone(),
                format!("`{}` listens on port {} already", other.path, address.port()),
                "give each its own port, or 0 for any free one",
            );
        }
    }
}

/// An unspecified address takes the port on every address, and `[::]` on IPv4 too.
fn clash(one: SocketAddr, two: SocketAddr) -> bool {
    one.port() != 0
        && one.port() == two.port()
        && (one.ip() == two.ip() || one.ip().is_unspecified() || two.ip().is_unspecified())
}

pub(super) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn exposed(node: &Node, listener: &Listener<'_>, findings: &mut Findings) {
    let Some(address) = listener.listen.address() else { return };
    if is_loopback(address.ip()) || listener.what == "health" {
        return;
    }
    match listener.what {
        "routes" => routes_exposed(node, listener, findings),
        "monitoring" => findings.error(
            listener.path.clone(),
            "monitoring has no login, and tells who is connected, from where, and what is stored",
            "write \"127.0.0.1:8222\"; `health.listen` is for others to ask",
        ),
        "the registry" if node.registry.tls.is_some() => {}
        // Unlike creds, whose key stays with the client, a token is sent with each request.
        "the registry" => findings.error(
            listener.path.clone(),
            "whoever is on the way would read the tokens of docker and podman",
            "add [registry.tls] with `cert` and `key`, or write \"127.0.0.1:5000\", and put a proxy with TLS before it",
        ),
        "the console" if node.console.tls.is_some() => {}
        "the console" => findings.error(
            listener.path.clone(),
            "browsers give passkeys to no page that comes in clear, and whoever is on the way would read sessions",
            "add [console.tls] with `cert` and `key` (`leafbox console ca` makes them), or write \"127.0.0.1:8080\", and \
             come to it through `ssh -L 8080:127.0.0.1:8080`",
        ),
        what if listener.tls.is_none() => {
            let table = listener.path.to_string().replace("nats.", "nats.tls.");
            findings.warn(
                listener.path.clone(),
                format!("{what} beyond this machine are spoken to in clear"),
                format!(
                    "add [{table}] with `cert` and `key`, unless the network itself encrypts (WireGuard, Fly's 6PN)"
                ),
            );
        }
        _ => {}
    }
}

/// Routes trust whoever joins with all accounts, so that a route needs more than a password.
fn routes_exposed(node: &Node, listener: &Listener<'_>, findings: &mut Findings) {
    let mutual = listener.tls.is_some_and(|tls| tls.verify && tls.ca.is_some());
    if !mutual && !node.cluster.trusted_network {
        findings.error(
            listener.path.clone(),
            "whoever reaches a route joins the hub and sees every account",
            "add [nats.tls.route] with `cert`, `key`, `ca` and verify = true, or say cluster.trusted_network = true when only hub nodes can reach it",
        );
    }
}

fn all_tls(node: &Node) -> impl Iterator<Item = (&'static str, &Tls)> {
    let tls = &node.nats.tls;
    [
        ("client", tls.client.as_ref()),
        ("websocket", tls.websocket.as_ref()),
        ("mqtt", tls.mqtt.as_ref()),
        ("leaf", tls.leaf.as_ref()),
        ("route", tls.route.as_ref()),
    ]
    .into_iter()
    .filter_map(|(key, tls)| tls.map(|tls| (key, tls)))
}

fn check_tls(tls: &Tls, path: &KeyPath, findings: &mut Findings) {
    if tls.verify && tls.ca.is_none() {
        findings.error(
            path.key("verify"),
            "there is no authority to check certificates against",
            "add `ca = \"…\"`, or remove `verify`",
        );
    }
    if tls.ca.is_some() && !tls.verify {
        findings.warn(
            path.key("ca"),
            "the other side is asked for no certificate, so that `ca` does nothing",
            "add verify = true, or remove `ca`",
        );
    }
    if tls.cert == tls.key {
        one_file(&path.key("key"), findings);
    }
    for (key, file) in [
        ("cert", Some(&tls.cert)),
        ("key", Some(&tls.key)),
        ("ca", tls.ca.as_ref()),
        ("own_cert", tls.own_cert.as_ref()),
        ("own_key", tls.own_key.as_ref()),
    ] {
        if let Some(file) = file {
            credential(file, &path.key(key), findings);
        }
    }
    for (key, file) in [("key", Some(&tls.key)), ("own_key", tls.own_key.as_ref())] {
        if file.is_some_and(|file| in_nix_store(file)) {
            secret_in_store(&path.key(key), findings);
        }
    }
}

/// The certificate of one of leafbox's own listeners.
fn served(tls: &Option<Certificate>, listen: Listen, whose: &str, findings: &mut Findings) {
    let Some(tls) = tls else { return };
    let path = KeyPath::of([whose, "tls"]);
    if listen == Listen::Off {
        findings.error(
            path,
            format!("`{whose}.listen` is off, so that nobody sees this certificate"),
            format!("remove it, or give `{whose}.listen` an address"),
        );
        return;
    }
    if tls.cert == tls.key {
        one_file(&path.key("key"), findings);
    }
    for (key, file) in [("cert", &tls.cert), ("key", &tls.key)] {
        credential(file, &path.key(key), findings);
    }
    if in_nix_store(&tls.key) {
        secret_in_store(&path.key("key"), findings);
    }
}

fn one_file(path: &KeyPath, findings: &mut Findings) {
    findings.error(
        path.clone(),
        "the certificate and its key are one file",
        "keep the private key in a file of its own, mode 0600",
    );
}

/// leafbox's daemons are clients too: a client listener that asks for certificates asks them. The
/// server's own certificate is none for a client, and often of another authority.
fn own_certificate(tls: &Tls, is_client_listener: bool, path: &KeyPath, findings: &mut Findings) {
    let keys = [("own_cert", tls.own_cert.is_some()), ("own_key", tls.own_key.is_some())];
    if !is_client_listener || !tls.verify {
        for (key, _) in keys.into_iter().filter(|(_, is_set)| *is_set) {
            let (why, remedy) = if is_client_listener {
                ("nobody is asked for a certificate here", "add verify = true and `ca`, or remove it")
            } else {
                ("leafbox's own daemons only come in through the client listener", "remove it")
            };
            findings.error(path.key(key), why, remedy);
        }
    } else if keys.iter().all(|(_, is_set)| !is_set) {
        findings.error(
            path.key("verify"),
            "leafbox's own daemons would be locked out: they have no certificate to show",
            "add `own_cert` and `own_key`, a client certificate that `ca` signed",
        );
    } else if let [(set, true), (missing, false)] | [(missing, false), (set, true)] = keys {
        findings.error(
            path.key(set),
            format!("`{set}` needs `{missing}`"),
            format!("add `{missing} = \"…\"`"),
        );
    } else if tls.own_cert == tls.own_key {
        one_file(&path.key("own_key"), findings);
    }
}

/// A file is absolute, or the name of one in the credentials directory.
pub(super) fn credential(file: &std::path::Path, path: &KeyPath, findings: &mut Findings) {
    if file.as_os_str().is_empty() || (!file.is_absolute() && file.components().count() > 1) {
        findings.error(
            path.clone(),
            "this is neither an absolute path nor the name of a credential",
            "write the whole path, or only the name of a file in the credentials directory",
        );
    }
}

pub(super) fn secret_in_store(path: &KeyPath, findings: &mut Findings) {
    findings.error(
        path.clone(),
        "everybody on the machine can read the Nix store",
        "put the key into the credentials directory (LoadCredential), and write its name",
    );
}

/// A leaf takes no leaf nodes and no routes: what is said about them would do nothing.
fn roles(node: &Node, findings: &mut Findings) {
    if node.role == NodeRole::Hub {
        return;
    }
    let (nats, default) = (&node.nats, crate::node::Nats::default());
    if nats.leaf_advertise.is_some() {
        findings.error(
            KeyPath::of(["nats", "leaf_advertise"]),
            "only a hub node takes leaf nodes, and this is a leaf",
            "remove it, or write role = \"hub\"",
        );
    }
    let hub_only = [
        ("leaf", nats.leaf, default.leaf, nats.tls.leaf.is_some()),
        ("route", nats.route, default.route, nats.tls.route.is_some()),
    ];
    for (key, listen, usual, has_tls) in hub_only {
        if listen != usual && listen != Listen::Off {
            findings.error(
                KeyPath::of(["nats", key]),
                "only a hub node listens here, and this is a leaf",
                "remove it, or write role = \"hub\"",
            );
        }
        if has_tls {
            findings.error(
                KeyPath::of(["nats", "tls", key]),
                "only a hub node listens here, and this is a leaf",
                "remove it, or write role = \"hub\"",
            );
        }
    }
}

/// A browser sends `scheme://host[:port]`, and nats-server compares just these.
fn origins(node: &Node, findings: &mut Findings) {
    let path = KeyPath::of(["nats", "websocket_origins"]);
    if node.nats.websocket == Listen::Off && !node.nats.websocket_origins.is_empty() {
        findings.error(
            path,
            "`nats.websocket` is off, so that nobody comes from anywhere",
            "remove it, or give `nats.websocket` an address",
        );
        return;
    }
    for (index, origin) in node.nats.websocket_origins.iter().enumerate() {
        let authority = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        if !authority.is_some_and(|authority| is_host(authority) || is_host_and_port(authority)) {
            findings.error(
                path.index(index),
                "an origin is a scheme, a host and perhaps a port, and nothing more",
                "write it as the browser shows it, such as \"https://app.example.net\"",
            );
        }
    }
}

pub(super) fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    is_host(host) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// A host name, an IPv4 address, or an IPv6 address in brackets.
pub(super) fn is_host(host: &str) -> bool {
    if let Some(inside) = host.strip_prefix('[') {
        return inside.strip_suffix(']').is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    }
    !host.is_empty()
        && host.chars().all(|character| character.is_ascii_alphanumeric() || "-._".contains(character))
}
