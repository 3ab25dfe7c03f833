//! The header `WWW-Authenticate`, by which a client learns where to get a Bearer token.
//!
//! There is one challenge, `Bearer`, although Basic is accepted on every request. docker applies its
//! handlers of all schemes that were offered, one after the other: with Basic offered as well, a pull
//! without a login ends with "no basic auth credentials", and a login's Bearer token is overwritten.
//! oras and the conformance suite read only the first challenge, skopeo, podman and crane take the
//! first that they know, and containerd prefers Bearer: all of them work with Bearer alone.

use std::net::SocketAddr;

use axum::http::{HeaderMap, HeaderValue, header::HOST};

use super::Refused;

/// The header of an answer that refuses; `None` where logging in would not help. The realm is at the
/// host that the client named, or at `listen`: it goes back to who sent it, and to nobody else.
pub(super) fn challenge(
    refused: &Refused,
    headers: &HeaderMap,
    tls: bool,
    listen: SocketAddr,
) -> Option<HeaderValue> {
    let (scopes, error) = refused.challenge()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    let named = headers.get(HOST).and_then(|host| host.to_str().ok());
    let named = named.filter(|host| !host.is_empty() && host.bytes().all(is_plain));
    let host = named.map_or_else(|| listen.to_string(), str::to_owned);
    let scheme = if tls || is_proxied_with_tls(headers) { "https" } else { "http" };
    let mut text = format!("Bearer realm=\"{scheme}://{host}/token\",service=\"{host}\"");
    let scopes = scopes.map(ToString::to_string).unwrap_or_default();
    if !scopes.is_empty() {
        text.push_str(&format!(",scope=\"{scopes}\""));
    }
    if let Some(error) = error {
        text.push_str(&format!(",error=\"{error}\""));
    }
    Some(HeaderValue::from_str(&text).expect("hosts and scopes are visible ASCII without quotes"))
}

/// A reverse proxy that speaks TLS with clients says so, as the realm must not lead them off it.
fn is_proxied_with_tls(headers: &HeaderMap) -> bool {
    let says = |name: &str, is_tls: fn(&str) -> bool| {
        headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(is_tls)
    };
    says("x-forwarded-proto", |value| value.trim().eq_ignore_ascii_case("https"))
        || says("forwarded", |value| {
            let first = value.split(',').next().unwrap_or_default();
            first.split(';').any(|pair| pair.trim().eq_ignore_ascii_case("proto=https"))
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use axum::http::{HeaderName, HeaderValue};

    use super::*;
    use crate::access::{Action, scope::Scopes};

    fn told(refused: &Refused, tls: bool, headers: &[(&str, &str)]) -> Option<String> {
        let headers = headers.iter().map(|(name, value)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        });
        let value = challenge(refused, &headers.collect(), tls, "127.0.0.1:5000".parse().unwrap())?;
        Some(value.to_str().unwrap().to_owned())
    }

    fn push() -> Scopes {
        Scopes::needed(&"team/app".parse().unwrap(), Action::Push)
    }

    #[test]
    fn a_client_is_sent_to_the_token_route_of_the_host_that_it_named() {
        assert_eq!(
            told(&Refused::LoginNeeded { scopes: push() }, false, &[("host", "leaf.example:5000")]).unwrap(),
            "Bearer realm=\"http://leaf.example:5000/token\",service=\"leaf.example:5000\",\
             scope=\"repository:team/app:pull,push\"",
        );
        assert_eq!(
            told(&Refused::ScopeTooSmall { scopes: push() }, true, &[("host", "[::1]:5000")]).unwrap(),
            "Bearer realm=\"https://[::1]:5000/token\",service=\"[::1]:5000\",\
             scope=\"repository:team/app:pull,push\",error=\"insufficient_scope\"",
        );
        assert_eq!(
            told(&Refused::Unknown, false, &[]).unwrap(),
            "Bearer realm=\"http://127.0.0.1:5000/token\",service=\"127.0.0.1:5000\"",
        );
    }

    #[test]
    fn behind_a_proxy_with_tls_the_realm_has_tls() {
        for header in [("x-forwarded-proto", "https"), ("forwarded", "for=192.0.2.1; proto=https, for=b")] {
            let text = told(&Refused::Unknown, false, &[("host", "leaf.example"), header]).unwrap();
            assert!(text.starts_with("Bearer realm=\"https://leaf.example/token\""), "{text}");
        }
        for header in [("x-forwarded-proto", "http"), ("forwarded", "for=a, proto=https")] {
            let text = told(&Refused::Unknown, false, &[header]).unwrap();
            assert!(text.starts_with("Bearer realm=\"http://"), "{text}");
        }
    }

    #[test]
    fn a_host_that_would_end_the_quotes_is_not_repeated() {
        for host in ["a\"b", "", "a b", "a/b", "user@a"] {
            let text = told(&Refused::Unknown, false, &[("host", host)]).unwrap();
            assert!(text.contains("service=\"127.0.0.1:5000\""), "{text}");
        }
    }

    #[test]
    fn who_is_known_and_denied_is_not_asked_to_log_in_again() {
        let denied = Refused::Denied {
            name: "ci".into(),
            action: Action::Push,
            repository: "team/app".parse().unwrap(),
        };
        assert_eq!(told(&denied, false, &[]), None);
    }
}
