//! Addresses to connect to, from addresses that are listened on.

use std::{
    collections::BTreeMap,
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

/// Why an address that the system chose is not known.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// The file with the addresses is not there, or not for this user.
    #[error("{} cannot be read: is the node running?", path.display())]
    Unread {
        /// `run/addresses.json` of the data directory.
        path: PathBuf,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
    /// The file is not one that a node wrote.
    #[error("{} is not understood: restart the node", path.display())]
    Damaged {
        /// `run/addresses.json` of the data directory.
        path: PathBuf,
        /// Where it is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// The node does not listen there.
    #[error("{} has no `{listener}`: restart the node", path.display())]
    Absent {
        /// `run/addresses.json` of the data directory.
        path: PathBuf,
        /// Its name in that file.
        listener: &'static str,
    },
}

/// How this machine reaches the listener that `run/addresses.json` in `data` calls `listener`: where it
/// is declared, or where it was bound when the system chose the port.
///
/// # Errors
/// The system chose the port, and the node has not told which.
pub fn bound(declared: SocketAddr, data: &Path, listener: &'static str) -> Result<SocketAddr, AddressError> {
    if declared.port() != 0 {
        return Ok(reachable(declared));
    }
    let path = data.join("run/addresses.json");
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(source) => return Err(AddressError::Unread { path, source }),
    };
    let bound: BTreeMap<String, Option<SocketAddr>> = match serde_json::from_slice(&text) {
        Ok(bound) => bound,
        Err(source) => return Err(AddressError::Damaged { path, source }),
    };
    let address = bound.get(listener).copied().flatten();
    address.map(reachable).ok_or(AddressError::Absent { path, listener })
}

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

    #[test]
    fn a_port_that_the_system_chose_is_read_and_a_declared_one_needs_no_file() {
        let data = tempfile::tempdir().unwrap();
        let known = |declared: &str| bound(declared.parse().unwrap(), data.path(), "client");
        assert_eq!(known("0.0.0.0:4222").unwrap(), "127.0.0.1:4222".parse().unwrap());
        let why = |declared| known(declared).unwrap_err().to_string();
        assert!(why("127.0.0.1:0").ends_with("is the node running?"));
        fs::create_dir(data.path().join("run")).unwrap();
        let write = |text| fs::write(data.path().join("run/addresses.json"), text).unwrap();
        write(r#"{"client": "0.0.0.0:1234", "route": null}"#);
        assert_eq!(known("0.0.0.0:0").unwrap(), "127.0.0.1:1234".parse().unwrap());
        write(r#"{"client": null}"#);
        assert!(why("127.0.0.1:0").contains("has no `client`"));
        write("{");
        assert!(why("127.0.0.1:0").contains("is not understood"));
    }
}
