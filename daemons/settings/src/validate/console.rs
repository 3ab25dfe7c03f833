//! The web console: what browsers come to, and what they bind passkeys to.

use std::net::IpAddr;

use super::{
    Findings,
    listeners::{is_host, is_loopback},
};
use crate::{node::Console, path::KeyPath};

/// Passkeys are bound to a name, never to an address, and are given to no page that comes in clear.
pub(super) fn check(console: &Console, findings: &mut Findings) {
    let path = KeyPath::of(["console", "origin"]);
    let Some(origin) = &console.origin else {
        let is_exposed = console.listen.address().is_some_and(|address| !is_loopback(address.ip()));
        if is_exposed && console.tls.is_some() {
            findings.error(
                path,
                "browsers come from elsewhere, and passkeys are bound to the name that they come to",
                "write it, such as \"https://shop-1.lan:8080\": what the certificate is for",
            );
        }
        return;
    };
    let Some((scheme, host)) = scheme_and_host(origin) else {
        findings.error(
            path,
            "an origin is a scheme, a host and perhaps a port, and nothing more",
            "write it as the browser shows it, such as \"https://shop-1.lan:8080\"",
        );
        return;
    };
    let is_localhost = host == "localhost" || host.ends_with(".localhost");
    if host.starts_with('[') || host.parse::<IpAddr>().is_ok() {
        findings.error(
            path,
            "browsers bind no passkey to an IP address",
            "write a name of this machine, such as one that ends with .lan or .local; or remove it, and come through \
             `ssh -L 8080:127.0.0.1:8080` to http://localhost:8080",
        );
    } else if scheme == "http" && console.tls.is_some() {
        findings.error(
            path,
            "with [console.tls] the console speaks https and nothing else",
            format!("write \"https{}\"", &origin[scheme.len()..]),
        );
    } else if scheme == "http" && !is_localhost {
        findings.error(
            path,
            "browsers give passkeys to no page that comes in clear",
            "write https://, and have TLS from [console.tls] or a proxy; or remove it, for http://localhost",
        );
    }
}

fn scheme_and_host(origin: &str) -> Option<(&str, &str)> {
    let (scheme, authority) =
        origin.split_once("://").filter(|(scheme, _)| ["http", "https"].contains(scheme))?;
    if is_host(authority) {
        return Some((scheme, authority));
    }
    let (host, port) = authority.rsplit_once(':')?;
    (is_host(host) && port.parse::<u16>().is_ok_and(|port| port > 0)).then_some((scheme, host))
}
