//! What nats-server says of itself in its log.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::Addresses;

/// What was said so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Announced {
    pub(super) addresses: Addresses,
    pub(super) ready: bool,
    /// How many reloads were answered.
    pub(super) reloads: u64,
    /// Why the last reload was refused.
    pub(super) refused: Option<String>,
}

impl Announced {
    /// Takes a line in; whether it said anything.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let addresses = &mut self.addresses;
        let listeners = [
            ("Listening for client connections on ", &mut addresses.client),
            ("Starting http monitor on ", &mut addresses.monitoring),
            ("Listening for websocket clients on ", &mut addresses.websocket),
            ("Listening for leafnode connections on ", &mut addresses.leaf),
            ("Listening for route connections on ", &mut addresses.route),
            ("Listening for MQTT clients on ", &mut addresses.mqtt),
        ];
        // TLS or not, the monitoring listener is the same one.
        let text = &text.replacen("Starting https monitor", "Starting http monitor", 1);
        for (prefix, listener) in listeners {
            if let Some(address) = text.strip_prefix(prefix).and_then(parse_address) {
                *listener = Some(address);
                return true;
            }
        }
        if text == "Server is ready" {
            self.ready = true;
        } else if text.starts_with("Reloaded server configuration") {
            self.reloads += 1;
            self.refused = None;
        } else if let Some(reason) = text.strip_prefix("Failed to reload server configuration: ") {
            self.reloads += 1;
            self.refused = Some(reason.to_owned());
        } else {
            return false;
        }
        true
    }
}

/// `127.0.0.1:4222`, `[::1]:4222`, `ws://127.0.0.1:9222` or, as websocket and MQTT print IPv6,
/// `ws://::1:9222`.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let text = text.trim().rsplit("://").next()?;
    let (host, port) = text.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let ip = if host == "localhost" { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { host.parse().ok()? };
    Some(SocketAddr::new(ip, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_every_form() {
        let forms = [
            ("127.0.0.1:4222", "127.0.0.1:4222"),
            ("[::1]:4222", "[::1]:4222"),
            ("ws://0.0.0.0:9222", "0.0.0.0:9222"),
            ("wss://:::9222", "[::]:9222"),
            ("localhost:8222", "127.0.0.1:8222"),
        ];
        for (text, address) in forms {
            assert_eq!(parse_address(text).map(|found| found.to_string()).as_deref(), Some(address));
        }
        assert_eq!(parse_address("somewhere"), None);
    }

    #[test]
    fn a_refused_reload_is_told_from_one_that_worked() {
        let mut announced = Announced::default();
        assert!(announced.take("Failed to reload server configuration: no"));
        assert_eq!((announced.reloads, announced.refused.as_deref()), (1, Some("no")));
        assert!(announced.take("Reloaded server configuration (sha256:ab)"));
        assert_eq!((announced.reloads, announced.refused.as_deref()), (2, None));
        assert!(!announced.take("Trapped \"hangup\" signal"));
    }
}
