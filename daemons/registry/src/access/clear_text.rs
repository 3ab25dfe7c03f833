//! Tokens never travel in the clear beyond this machine.

use std::net::SocketAddr;

/// Refuses to listen beyond loopback without TLS: whoever is on the way would read the tokens.
pub fn clear_text_guard(listen: SocketAddr, tls: bool) -> Result<(), ClearText> {
    if tls || listen.ip().to_canonical().is_loopback() { Ok(()) } else { Err(ClearText { listen }) }
}

/// The registry would listen beyond this machine without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the registry does not listen on {listen} without TLS, as tokens would travel in the clear: set `registry.tls`, or listen on 127.0.0.1 with a reverse proxy that has TLS in front"
)]
pub struct ClearText {
    listen: SocketAddr,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn beyond_loopback_only_with_tls() {
        for loopback in ["127.0.0.1:5000", "[::1]:0", "[::ffff:127.0.0.1]:5000"] {
            assert_eq!(clear_text_guard(loopback.parse().unwrap(), false), Ok(()));
        }
        for beyond in ["0.0.0.0:5000", "[::]:5000", "192.0.2.1:5000", "[2001:db8::1]:5000"] {
            let beyond = beyond.parse().unwrap();
            assert_eq!(clear_text_guard(beyond, true), Ok(()));
            let text = clear_text_guard(beyond, false).unwrap_err().to_string();
            assert!(text.contains("set `registry.tls`"), "{text}");
        }
    }
}
