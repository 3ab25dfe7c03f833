//! Bearer tokens: what `GET /token` hands out for a quarter of an hour.
//!
//! A token is `<payload>.<mac>`, both base64url; the mac is HMAC-SHA256 over the payload's text by a
//! key that is made once and kept with the records, so that each daemon of a cluster reads what another
//! signed. It only says who logged in and for what: at each use the rights are looked up again, so
//! that a revoked token ends its Bearer tokens at once.

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::scope::Scopes;
use crate::records::{Seconds, TokenRecord};

/// How long one is good for: long enough for the slowest layer to begin, as it is checked then.
pub const LIFETIME: Seconds = 15 * 60;

/// What signs them.
#[derive(Clone)]
pub(super) struct SigningKey([u8; 32]);

impl SigningKey {
    /// The key in the record `bearer`; `None` when that is none.
    pub(super) fn of(record: &[u8]) -> Option<Self> {
        record.try_into().ok().map(Self)
    }

    fn mac(&self, payload: &str) -> Hmac<Sha256> {
        let mac: Hmac<Sha256> = KeyInit::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.chain_update(payload.as_bytes())
    }

    /// Signs a token.
    pub(super) fn sign(&self, claims: &Claims) -> String {
        let json = serde_json::to_vec(claims).expect("claims are plain JSON");
        let payload = BASE64URL_NOPAD.encode(&json);
        let mac = BASE64URL_NOPAD.encode(&self.mac(&payload).finalize().into_bytes());
        format!("{payload}.{mac}")
    }

    /// Reads a token that this key signed and that is good at `now`.
    pub(super) fn open(&self, token: &str, now: Seconds) -> Result<Claims, BadBearer> {
        let (payload, mac) = token.split_once('.').ok_or(BadBearer::Forged)?;
        let mac = BASE64URL_NOPAD.decode(mac.as_bytes()).map_err(|_| BadBearer::Forged)?;
        self.mac(payload).verify_slice(&mac).map_err(|_| BadBearer::Forged)?;
        // Only what we signed gets here; another version may have signed other claims.
        let json = BASE64URL_NOPAD.decode(payload.as_bytes()).map_err(|_| BadBearer::Ended)?;
        let claims: Claims = serde_json::from_slice(&json).map_err(|_| BadBearer::Ended)?;
        if claims.expires > now { Ok(claims) } else { Err(BadBearer::Ended) }
    }
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claims {
    /// Who logged in; `None` for a client of this machine without a login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) login: Option<Login>,
    /// What it is good for.
    pub(super) scopes: Scopes,
    /// When it ends.
    pub(super) expires: Seconds,
}

/// The token of leafbox that somebody logged in with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Login {
    /// Its name.
    pub(super) name: String,
    /// The beginning of its secret's hash: another token may get the name later.
    mark: String,
}

impl Login {
    /// A login with this token.
    pub(super) fn with(token: &TokenRecord) -> Self {
        Self { name: token.name.clone(), mark: mark(token).to_owned() }
    }

    /// Whether it was with this token.
    pub(super) fn was_with(&self, token: &TokenRecord) -> bool {
        self.name == token.name && self.mark == mark(token)
    }
}

/// 64 bits, which is enough to tell tokens apart and says nothing about the secret.
fn mark(token: &TokenRecord) -> &str {
    token.hash.get(..16).unwrap_or(&token.hash)
}

/// A Bearer token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBearer {
    /// It was not made by this registry.
    #[error("the Bearer token is none of this registry")]
    Forged,
    /// Its time is over.
    #[error("the Bearer token has expired")]
    Ended,
    /// The token that its client logged in with was revoked or has expired.
    #[error("the token behind the Bearer token was revoked or has expired")]
    Revoked,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn token(name: &str, hash: &str) -> TokenRecord {
        TokenRecord {
            name: name.into(),
            hash: hash.repeat(64),
            repositories: vec!["**".into()],
            pull: true,
            push: false,
            delete: false,
            created: 0,
            expires: None,
        }
    }

    fn claims() -> Claims {
        Claims {
            login: Some(Login::with(&token("ci", "a"))),
            scopes: Scopes::parse(["repository:team/app:pull,push registry:catalog:*"]),
            expires: 1000,
        }
    }

    #[test]
    fn a_token_is_good_until_it_ends() {
        let key = SigningKey([7; 32]);
        let token = key.sign(&claims());
        assert_eq!(key.open(&token, 999), Ok(claims()));
        assert_eq!(key.open(&token, 1000), Err(BadBearer::Ended));
        assert_eq!(SigningKey::of(&[7; 32]).unwrap().open(&token, 0), Ok(claims()));
        assert!(SigningKey::of(&[7; 31]).is_none());
    }

    #[test]
    fn no_changed_byte_and_no_other_key_is_accepted() {
        let key = SigningKey([7; 32]);
        let token = key.sign(&claims());
        assert_eq!(SigningKey([8; 32]).open(&token, 0), Err(BadBearer::Forged));
        for at in 0..token.len() {
            let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
            let mut changed = token.clone();
            changed.replace_range(at..=at, other);
            assert_eq!(key.open(&changed, 0), Err(BadBearer::Forged), "{at}");
            assert_eq!(key.open(&token[..at], 0), Err(BadBearer::Forged), "{at}");
        }
        assert_eq!(key.open(&format!("{token}A"), 0), Err(BadBearer::Forged));
    }

    #[test]
    fn a_login_outlives_neither_its_token_nor_the_next_one_of_the_name() {
        let login = Login::with(&token("ci", "a"));
        assert!(login.was_with(&token("ci", "a")));
        assert!(!login.was_with(&token("ci", "b")));
        assert!(!login.was_with(&token("other", "a")));
    }
}
