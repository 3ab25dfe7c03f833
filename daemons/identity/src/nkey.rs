//! NATS keys: a pair that can sign, and public keys that are checked before they are believed.
//!
//! The `nkeys` crate keeps a copy of the seed that it does not wipe, so secret keys are coded here
//! and signed with `ed25519-dalek`, whose key wipes itself; verification is left to `nkeys`.
//! Nothing in this module prints, logs or compares a seed.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use zeroize::{Zeroize, Zeroizing};

/// Length of an encoded seed, in characters.
pub const SEED_LENGTH: usize = 58;

const SEED_PREFIX: u8 = 18 << 3;

/// Whom a key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// The operator or one of its signing keys; public keys start with `O`.
    Operator,
    /// An account or one of its signing keys; public keys start with `A`.
    Account,
    /// A user; public keys start with `U`.
    User,
}

impl KeyKind {
    const ALL: [Self; 3] = [Self::Operator, Self::Account, Self::User];

    fn prefix(self) -> u8 {
        match self {
            Self::Operator => 14 << 3,
            Self::Account => 0,
            Self::User => 20 << 3,
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Operator => "operator",
            Self::Account => "account",
            Self::User => "user",
        })
    }
}

/// Why a key cannot be used. It never holds any of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text ends early or goes on too long.
    #[error("it has {found} characters and a key has {expected}")]
    Length {
        /// Characters found.
        found: usize,
        /// Characters that a key of this sort has.
        expected: usize,
    },
    /// A character is wrong, or some are swapped.
    #[error("its checksum does not match: a character of it was changed")]
    Checksum,
    /// It is a key, but of another sort.
    #[error("it is not the key of an {expected}")]
    Kind {
        /// The sort of key that was wanted.
        expected: KeyKind,
    },
    /// The system has no randomness to give.
    #[error("the system gives no random numbers")]
    Random,
}

/// A key pair. Its memory is wiped when it is dropped, and it is never printed.
pub struct SecretKey {
    kind: KeyKind,
    signing: SigningKey,
}

impl SecretKey {
    /// A new key from the system's randomness.
    pub fn generate(kind: KeyKind) -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0; 32]);
        random(&mut *bytes)?;
        Ok(Self { kind, signing: SigningKey::from_bytes(&bytes) })
    }

    /// Reads an encoded seed, such as `SU…` for a user.
    pub fn from_seed(seed: &str, expected: KeyKind) -> Result<Self, KeyError> {
        if seed.len() != SEED_LENGTH {
            return Err(KeyError::Length { found: seed.len(), expected: SEED_LENGTH });
        }
        let raw = BASE32_NOPAD.decode(seed.as_bytes()).map(Zeroizing::new).map_err(|_| KeyError::Checksum)?;
        let (body, checksum) = raw.split_at(raw.len() - 2);
        if crc16(body).to_le_bytes() != checksum {
            return Err(KeyError::Checksum);
        }
        let prefix = (body[0] & 7) << 5 | body[1] >> 3;
        if body[0] & 0xf8 != SEED_PREFIX || prefix != expected.prefix() {
            return Err(KeyError::Kind { expected });
        }
        let mut bytes = Zeroizing::new([0; 32]);
        bytes.copy_from_slice(&body[2..]);
        Ok(Self { kind: expected, signing: SigningKey::from_bytes(&bytes) })
    }

    /// The public half, which may be shown.
    pub fn public_key(&self) -> String {
        public_text(self.kind, self.signing.verifying_key().as_bytes())
    }

    /// The encoded seed, for a file with mode 0600 and nothing else.
    pub fn seed(&self) -> Zeroizing<String> {
        let prefix = self.kind.prefix();
        let mut raw = Zeroizing::new(Vec::with_capacity(36));
        raw.extend_from_slice(&[SEED_PREFIX | prefix >> 5, (prefix & 31) << 3]);
        let mut bytes = self.signing.to_bytes();
        raw.extend_from_slice(&bytes);
        bytes.zeroize();
        let checksum = crc16(&raw);
        raw.extend_from_slice(&checksum.to_le_bytes());
        Zeroizing::new(BASE32_NOPAD.encode(&raw))
    }

    /// The 64 bytes of an Ed25519 signature.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(message).to_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SecretKey({} {})", self.kind, self.public_key())
    }
}

/// Fills `bytes` from the system's randomness.
pub(crate) fn random(bytes: &mut [u8]) -> Result<(), KeyError> {
    use rand::TryRng;
    rand::rngs::SysRng.try_fill_bytes(bytes).map_err(|_| KeyError::Random)
}

/// Whether `text` is the public key of an operator, account or user, and of which.
pub fn public_key_kind(text: &str) -> Option<KeyKind> {
    let (prefix, _) = nkeys::from_public_key(text).ok()?;
    KeyKind::ALL.into_iter().find(|kind| kind.prefix() == prefix)
}

/// The 32 bytes of an account's public key.
pub fn account_key_bytes(text: &str) -> Option<[u8; 32]> {
    let (prefix, bytes) = nkeys::from_public_key(text).ok()?;
    (prefix == KeyKind::Account.prefix()).then_some(bytes)
}

/// The public key of an account from its 32 bytes; nothing where they are no key, or one that
/// anybody could sign for.
pub fn account_key_text(bytes: &[u8; 32]) -> Option<String> {
    let key = VerifyingKey::from_bytes(bytes).ok().filter(|key| !key.is_weak())?;
    Some(public_text(KeyKind::Account, key.as_bytes()))
}

fn public_text(kind: KeyKind, bytes: &[u8; 32]) -> String {
    let mut raw = Vec::with_capacity(35);
    raw.push(kind.prefix());
    raw.extend_from_slice(bytes);
    raw.extend_from_slice(&crc16(&raw).to_le_bytes());
    BASE32_NOPAD.encode(&raw)
}

/// Whether `signature` is of `message` by the holder of `public_key`.
pub fn verify(public_key: &str, message: &[u8], signature: &[u8]) -> bool {
    nkeys::KeyPair::from_public_key(public_key).is_ok_and(|key| key.verify(message, signature).is_ok())
}

/// CRC-16/XMODEM, as nkeys append it.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |mut crc: u16, byte| {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
        }
        crc
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keys_are_coded_as_nkeys_codes_them() {
        for kind in KeyKind::ALL {
            let key = SecretKey::generate(kind).unwrap();
            let theirs = nkeys::KeyPair::from_seed(&key.seed()).unwrap();
            assert_eq!(theirs.public_key(), key.public_key());
            assert_eq!(theirs.seed().unwrap(), *key.seed());
            assert_eq!(theirs.sign(b"text").unwrap(), key.sign(b"text"));
            assert_eq!(public_key_kind(&key.public_key()), Some(kind));
            let again = SecretKey::from_seed(&key.seed(), kind).unwrap();
            assert_eq!(again.public_key(), key.public_key());
        }
    }

    #[test]
    fn a_key_made_by_the_go_library_is_read() {
        let seed = "SAAPN4W3EG6KCJGUQTKTJ5GSB5NHK5CHAJL4DBGFUM3HHROI4XUEP4OBK4";
        let key = SecretKey::from_seed(seed, KeyKind::Account).unwrap();
        assert_eq!(key.public_key(), "ACODERUVFFAWZQDSS6SBIACUA5O6SXF7HJ3YTYXBALHZP3P7R4BUO4J2");
    }

    #[test]
    fn damaged_and_misplaced_seeds_are_refused() {
        let seed = SecretKey::generate(KeyKind::User).unwrap().seed();
        let wrong = |text: &str, kind| SecretKey::from_seed(text, kind).map(drop).unwrap_err();
        assert_eq!(wrong(&seed[..57], KeyKind::User), KeyError::Length { found: 57, expected: 58 });
        let flipped =
            format!("{}{}{}", &seed[..20], if &seed[20..21] == "A" { "B" } else { "A" }, &seed[21..]);
        assert_eq!(wrong(&flipped, KeyKind::User), KeyError::Checksum);
        assert_eq!(wrong(&seed, KeyKind::Account), KeyError::Kind { expected: KeyKind::Account });
        assert_eq!(wrong(&"é".repeat(29), KeyKind::User), KeyError::Checksum);
    }

    #[test]
    fn the_seed_is_not_in_the_debug_text() {
        let key = SecretKey::generate(KeyKind::Operator).unwrap();
        let text = format!("{key:?}");
        assert!(text.contains(&key.public_key()) && !text.contains(&key.seed()[4..20]));
    }

    #[test]
    fn signatures_are_verified() {
        let key = SecretKey::generate(KeyKind::Account).unwrap();
        let signature = key.sign(b"text");
        assert!(verify(&key.public_key(), b"text", &signature));
        assert!(!verify(&key.public_key(), b"other", &signature));
        assert!(!verify("A", b"text", &signature));
    }
}
