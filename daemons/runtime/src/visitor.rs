//! Where a request comes from: whom failures are counted for, and whether it is a program of this
//! machine that asks for itself.

use std::net::{IpAddr, SocketAddr};

use axum::http::{
    HeaderMap,
    header::{FORWARDED, HOST, ORIGIN, VIA},
    uri::Authority,
};

/// Who connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// The address, IPv4 where an IPv6 socket shows one (`::ffff:127.0.0.1`).
    pub address: IpAddr,
    /// It is a program of this machine that asks for itself.
    pub is_local: bool,
    /// Whom a reverse proxy on this machine connects for, as it says. No right follows from it: any
    /// program here may say it.
    pub forwarded: Option<IpAddr>,
}

impl Visitor {
    /// Reads who connected from `socket` with these headers.
    ///
    /// A reverse proxy on this machine connects from loopback as well, for anybody: it shows by the
    /// headers that proxies add, or by a `Host` that is not this machine's. That one tells a browser
    /// whose page has a name that was made to point here (DNS rebinding) too, and `Origin` another
    /// page that sends requests here.
    pub fn of(headers: &HeaderMap, socket: SocketAddr) -> Self {
        let address = socket.ip().to_canonical();
        let for_others = |name: &str| {
            name == FORWARDED.as_str()
                || name == VIA.as_str()
                || name == ORIGIN.as_str()
                || name == "x-real-ip"
                || name.starts_with("x-forwarded-")
        };
        let is_local = address.is_loopback()
            && !headers.keys().any(|name| for_others(name.as_str()))
            && headers.get_all(HOST).iter().all(|host| host.to_str().is_ok_and(names_this_machine));
        let forwarded = if address.is_loopback() { forwarded_for(headers) } else { None };
        Self { address, is_local, forwarded }
    }

    /// What failures are counted by: a host has a whole /64 of IPv6 to choose addresses from.
    pub fn network(&self) -> IpAddr {
        network_of(self.address)
    }

    /// The same of whom a reverse proxy connects for.
    pub fn forwarded_network(&self) -> Option<IpAddr> {
        self.forwarded.map(network_of)
    }
}

fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
    }
}

/// The last address of `X-Forwarded-For`: the proxy adds it, what is before it the client may have
/// written.
fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    let last = last.rsplit(',').next()?.trim();
    let address = last.parse().or_else(|_| last.parse().map(|socket: SocketAddr| socket.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

fn names_this_machine(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    let is_loopback = address.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
    let name = name.to_ascii_lowercase();
    is_loopback || name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn is_local(socket: &str, headers: &[(&str, &str)]) -> bool {
        let headers = headers.iter().map(|(name, value)| {
            let name: HeaderName = name.parse().unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        });
        Visitor::of(&headers.collect(), socket.parse().unwrap()).is_local
    }

    #[test]
    fn loopback_is_local_by_every_spelling() {
        for socket in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(is_local(socket, &[]), "{socket}");
        }
        for host in ["127.0.0.1:5000", "localhost", "LocalHost:5000", "[::1]:5000", "leafbox.localhost:5000"]
        {
            assert!(is_local("127.0.0.1:1", &[("host", host)]), "{host}");
        }
    }

    #[test]
    fn another_machine_is_not() {
        for socket in ["192.0.2.1:1", "[2001:db8::1]:1", "[::ffff:192.0.2.1]:1", "0.0.0.0:1"] {
            assert!(!is_local(socket, &[("host", "127.0.0.1:5000")]), "{socket}");
        }
    }

    #[test]
    fn a_reverse_proxy_or_a_page_in_a_browser_is_not() {
        for header in [
            ("forwarded", "for=192.0.2.1"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-real-ip", "192.0.2.1"),
            ("via", "1.1 proxy"),
            ("origin", "https://example.org"),
            ("host", "registry.example.org"),
            ("host", "127.0.0.1.example.org"),
            ("host", "user@localhost.example.org"),
            ("host", ""),
            ("host", "notlocalhost"),
        ] {
            assert!(!is_local("127.0.0.1:1", &[header]), "{header:?}");
        }
    }

    #[test]
    fn a_proxy_on_this_machine_says_whom_it_connects_for_and_another_machine_does_not() {
        let forwarded = |socket: &str, value: &'static str| {
            let headers = HeaderMap::from_iter([(
                HeaderName::from_static("x-forwarded-for"),
                HeaderValue::from_static(value),
            )]);
            Visitor::of(&headers, socket.parse().unwrap()).forwarded.map(|address| address.to_string())
        };
        for (value, client) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("127.0.0.1, 192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.1:4000", Some("192.0.2.1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("192.0.2.1, unknown", None),
            ("", None),
        ] {
            assert_eq!(forwarded("127.0.0.1:1", value).as_deref(), client, "{value}");
            assert_eq!(forwarded("192.0.2.9:1", value), None, "{value}");
        }
    }

    #[test]
    fn neighbours_in_one_64_are_counted_together() {
        let network = |socket: &str| Visitor::of(&HeaderMap::new(), socket.parse().unwrap()).network();
        assert_eq!(network("[2001:db8::1]:1"), network("[2001:db8::ffff:2]:9"));
        assert_ne!(network("[2001:db8::1]:1"), network("[2001:db8:0:1::1]:1"));
        assert_ne!(network("192.0.2.1:1"), network("192.0.2.2:1"));
        assert_eq!(network("[::ffff:192.0.2.1]:1"), network("192.0.2.1:1"));
    }
}
