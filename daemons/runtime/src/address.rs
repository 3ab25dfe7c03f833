//! Addresses to connect to, from addresses that are listened on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How this machine reaches a listener: on loopback where it listens on every address.
pub const fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}

/// The address to connect from so that this machine's own listener sees loopback, where `listener` is
/// not there itself.
pub const fn from_loopback(listener: SocketAddr) -> Option<SocketAddr> {
    match listener.ip() {
        ip if ip.is_loopback() || ip.is_unspecified() => None,
        IpAddr::V4(_) => Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)),
        IpAddr::V6(_) => Some(SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_listener_on_every_address_is_reached_on_loopback() {
        let pairs = [
            ("0.0.0.0:4222", "127.0.0.1:4222"),
            ("[::]:4222", "[::1]:4222"),
            ("192.0.2.7:4222", "192.0.2.7:4222"),
        ];
        for (listener, address) in pairs {
            assert_eq!(reachable(listener.parse().unwrap()), address.parse().unwrap());
        }
    }
}
