//! Secrets of this crate: the text that somebody holds, and the hash that is stored.

use std::fmt;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// Random bytes as base64url. Nobody finds one by trying, so that a fast hash of it is safe to store.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// 256 bits, for a cookie.
    pub(crate) fn of_session() -> Self {
        Self(Zeroizing::new(BASE64URL_NOPAD.encode(&*Zeroizing::new(rand::random::<[u8; 32]>()))))
    }

    /// 128 bits, for a token that is typed or sent once.
    pub(crate) fn of_enrolment() -> Self {
        Self(Zeroizing::new(BASE64URL_NOPAD.encode(&*Zeroizing::new(rand::random::<[u8; 16]>()))))
    }

    /// The text, to be given to its holder.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored.
    pub(crate) fn hash(&self) -> SecretHash {
        SecretHash::of(&self.0)
    }
}

/// Never the text: it would end in a log.
impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// A text that came from outside and may be a secret.
#[derive(Clone, serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Token(String);

impl Token {
    /// The text, to be compared.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

/// SHA-256 of a [`Secret`] as hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretHash(String);

impl SecretHash {
    fn of(text: &str) -> Self {
        Self(HEXLOWER.encode(&Sha256::digest(text.as_bytes())))
    }

    /// Whether `text` is the secret. Takes as long for any text of a length.
    pub(crate) fn is_of(&self, text: &str) -> bool {
        self.0.as_bytes().ct_eq(Self::of(text).0.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_knows_its_secret_and_no_other_and_neither_shows_it() {
        for secret in [Secret::of_session(), Secret::of_enrolment()] {
            let hash = secret.hash();
            assert!(hash.is_of(secret.reveal()));
            assert!(!hash.is_of(Secret::of_session().reveal()) && !hash.is_of(""));
            assert!(!format!("{secret:?} {hash:?}").contains(secret.reveal()));
        }
        assert_eq!(Secret::of_session().reveal().len(), 43);
        assert_eq!(Secret::of_enrolment().reveal().len(), 22);
    }
}
