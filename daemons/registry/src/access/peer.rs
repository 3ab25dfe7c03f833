//! Where a request comes from, and whether it may go without a token.

use std::net::{IpAddr, SocketAddr};

use axum::http::{
    HeaderMap,
    header::{FORWARDED, HOST, ORIGIN, VIA},
    uri::Authority,
};

/// Who connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The address, IPv4 where an IPv6 socket shows one (`::ffff:127.0.0.1`).
    pub address: IpAddr,
    /// It is a program of this machine that asks for itself.
    pub is_local: bool,
}

impl Peer {
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
        Self { address, is_local }
    }

    /// What failures are counted by: a host has a whole /64 of IPv6 to choose addresses from.
    pub fn network(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(_) => self.address,
            IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
        }
    }
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
        Peer::of(&headers.collect(), socket.parse().unwrap()).is_local
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
    fn neighbours_in_one_64_are_counted_together() {
        let network = |socket: &str| Peer::of(&HeaderMap::new(), socket.parse().unwrap()).network();
        assert_eq!(network("[2001:db8::1]:1"), network("[2001:db8::ffff:2]:9"));
        assert_ne!(network("[2001:db8::1]:1"), network("[2001:db8:0:1::1]:1"));
        assert_ne!(network("192.0.2.1:1"), network("192.0.2.2:1"));
        assert_eq!(network("[::ffff:192.0.2.1]:1"), network("192.0.2.1:1"));
    }
}
