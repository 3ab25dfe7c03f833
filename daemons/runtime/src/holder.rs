//! Which process holds a TCP port, so that "address already in use" can name it.
//!
//! Linux tells it in `/proc`, macOS through `lsof`. Another user's processes cannot be looked at:
//! then the user id, or nothing, is what is known.

use std::{fmt, net::SocketAddr};

/// Who listens on a port, as far as this user may know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub pid: Option<u32>,
    /// The name of its program; never its arguments, which may hold secrets.
    pub command: Option<String>,
    /// The user that it runs as.
    pub user: Option<u32>,
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.command, self.pid, self.user) {
            (Some(command), Some(pid), _) => write!(formatter, "`{command}` (process {pid})"),
            (None, Some(pid), _) => write!(formatter, "process {pid}"),
            (_, None, Some(user)) => write!(formatter, "a process of user id {user}"),
            (_, None, None) => formatter.write_str("another process"),
        }
    }
}

/// A port could not be listened on because another process does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct PortTaken {
    /// The address.
    pub address: SocketAddr,
    /// Who listens there.
    pub holder: Holder,
    /// The setting that moves the listener, such as `nats.client`.
    pub key: Option<String>,
}

impl PortTaken {
    /// Looks up who listens on `address`; `key` is the setting that moves the listener.
    pub fn look_up(address: SocketAddr, key: Option<String>) -> Self {
        Self { address, holder: holder_of(address).unwrap_or_default(), key }
    }
}

impl fmt::Display for PortTaken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} is taken by {}: stop it", self.address, self.holder)?;
        match &self.key {
            Some(key) => write!(formatter, ", or set `{key}` to another address"),
            None => formatter.write_str(", or listen on another address"),
        }
    }
}

/// Who listens on `address`, or on its port on all addresses.
pub fn holder_of(address: SocketAddr) -> Option<Holder> {
    platform::holder_of(address)
}

/// The command line of a running process, argument by argument; `None` if there is no such process
/// or it may not be looked at.
pub fn command_line(pid: u32) -> Option<Vec<String>> {
    platform::command_line(pid)
}

#[cfg(target_os = "linux")]
mod platform {
    use std::{
        fs,
        net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
        path::Path,
    };

    use super::Holder;

    /// The state of a listening socket in `/proc/net/tcp`.
    const LISTEN: &str = "0A";

    pub(super) fn holder_of(address: SocketAddr) -> Option<Holder> {
        let (user, inode) = ["/proc/net/tcp", "/proc/net/tcp6"]
            .iter()
            .filter_map(|table| fs::read_to_string(table).ok())
            .find_map(|table| table.lines().skip(1).find_map(|line| listener(line, address)))?;
        let pid = process_with(&format!("socket:[{inode}]"));
        let command = pid.and_then(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).ok());
        Some(Holder { pid, command: command.map(|name| name.trim().to_owned()), user })
    }

    /// The user id and inode in a line of the table, if it is a listener that stands in the way.
    fn listener(line: &str, wanted: SocketAddr) -> Option<(Option<u32>, u64)> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, state, user, inode) = (fields.get(1)?, fields.get(3)?, fields.get(7)?, fields.get(9)?);
        let (ip, port) = local.split_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let ip = parse_ip(ip)?;
        let overlaps = ip == wanted.ip() || ip.is_unspecified() || wanted.ip().is_unspecified();
        (*state == LISTEN && port == wanted.port() && overlaps)
            .then(|| inode.parse().ok().map(|inode| (user.parse().ok(), inode)))
            .flatten()
    }

    /// The kernel prints an address as 32-bit words in the machine's byte order.
    fn parse_ip(text: &str) -> Option<IpAddr> {
        let words = text.as_bytes().chunks(8).map(|word| {
            let word = std::str::from_utf8(word).ok()?;
            u32::from_str_radix(word, 16).ok().map(u32::to_ne_bytes)
        });
        let bytes: Vec<u8> = words.collect::<Option<Vec<_>>>()?.concat();
        match bytes.len() {
            4 => <[u8; 4]>::try_from(bytes).ok().map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes))),
            16 => <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).to_canonical()),
            _ => None,
        }
    }

    fn process_with(socket: &str) -> Option<u32> {
        fs::read_dir("/proc").ok()?.filter_map(Result::ok).find_map(|process| {
            let pid: u32 = process.file_name().to_str()?.parse().ok()?;
            let mut files = fs::read_dir(process.path().join("fd")).ok()?.filter_map(Result::ok);
            let holds = files.any(|file| fs::read_link(file.path()).is_ok_and(|to| to == Path::new(socket)));
            holds.then_some(pid)
        })
    }

    pub(super) fn command_line(pid: u32) -> Option<Vec<String>> {
        let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok().filter(|bytes| !bytes.is_empty())?;
        let text = String::from_utf8_lossy(&bytes);
        Some(text.trim_end_matches('\0').split('\0').map(str::to_owned).collect())
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use std::{net::SocketAddr, process::Command};

    use super::Holder;

    pub(super) fn holder_of(address: SocketAddr) -> Option<Holder> {
        let port = format!("-iTCP:{}", address.port());
        let output = Command::new("lsof").args(["-nP", &port, "-sTCP:LISTEN", "-Fpc"]).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let field = |tag| text.lines().find_map(|line| line.strip_prefix(tag));
        let pid = field('p')?.parse().ok();
        Some(Holder { pid, command: field('c').map(str::to_owned), user: None })
    }

    pub(super) fn command_line(pid: u32) -> Option<Vec<String>> {
        let pid = pid.to_string();
        let output = Command::new("ps").args(["-ww", "-o", "command=", "-p", &pid]).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
        (!words.is_empty()).then_some(words)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_holder_of_a_port_is_named_with_the_key_that_moves_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let taken = PortTaken::look_up(address, Some("health.listen".to_owned()));
        assert_eq!(taken.holder.pid, Some(std::process::id()));
        let text = taken.to_string();
        assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
        assert!(text.contains("set `health.listen`"), "{text}");

        let everywhere = SocketAddr::new([0, 0, 0, 0].into(), address.port());
        assert_eq!(holder_of(everywhere).and_then(|holder| holder.pid), Some(std::process::id()));
    }

    #[test]
    fn a_command_line_is_that_of_the_process() {
        let own = command_line(std::process::id()).unwrap();
        assert_eq!(own.first(), std::env::args().next().as_ref());
        assert_eq!(command_line(u32::MAX), None);
    }
}
