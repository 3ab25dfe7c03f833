//! The key that JetStream's files are encrypted with.
//!
//! With a wrong key nats-server starts, calls itself unhealthy, and erases a stream when one of its
//! name is created. So the key's fingerprint is kept beside the store, and compared before a start.

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{
    keystore::{KeyStore, KeyStoreError},
    layout,
    nkey::random,
    secret_file::{self, SecretFileError},
};

/// Why the JetStream key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JetStreamKeyError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// The file is not a key.
    #[error("{} is not a JetStream key: it holds {found} characters and {expected} are wanted; restore it from a backup, for without it the stores cannot be read", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Characters found.
        found: usize,
        /// Characters of a key that leafbox made.
        expected: usize,
    },
}

/// A letter before the digits: nats-server would read a value of digits alone as a number.
const PREFIX: &str = "k";
const DIGITS: usize = 64;
/// Enough for 128 bits in hexadecimal, for those who bring a key of their own.
const SHORTEST: usize = 32;

/// Makes the key if there is none; says whether it made one. A key that exists is never replaced:
/// the stores could not be read any more.
pub fn ensure_jetstream_key(keys: &KeyStore) -> Result<bool, KeyStoreError> {
    let path = layout::jetstream_key(keys.path());
    if path.exists() {
        return Ok(false);
    }
    match secret_file::create(&path, new_jetstream_key()?.as_bytes()) {
        Err(SecretFileError::Exists { .. }) => Ok(false),
        other => Ok(other.map(|()| true)?),
    }
}

/// A new key, for a caller that keeps it safe.
pub fn new_jetstream_key() -> Result<Zeroizing<String>, KeyStoreError> {
    let mut bytes = Zeroizing::new([0; 32]);
    random(&mut *bytes).map_err(KeyStoreError::Generate)?;
    let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + DIGITS));
    text.push_str(PREFIX);
    HEXLOWER.encode_append(&*bytes, &mut text);
    Ok(text)
}

/// Reads the key, for the environment of nats-server and nothing else.
pub fn read_jetstream_key(path: &Path) -> Result<Zeroizing<String>, JetStreamKeyError> {
    let text = secret_file::read(path)?;
    let key = Zeroizing::new(text.trim().to_owned());
    let digits = key.strip_prefix(PREFIX).filter(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if key.len() < SHORTEST || digits.is_some_and(|digits| digits.len() != DIGITS) {
        return Err(JetStreamKeyError::Malformed {
            path: path.into(),
            found: key.len(),
            expected: DIGITS + 1,
        });
    }
    Ok(key)
}

/// What identifies a key without telling it: the first 16 hexadecimal digits of its SHA-256.
pub fn fingerprint(key: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(key.trim().as_bytes())[..8])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_key_is_made_once_and_its_fingerprint_tells_it_from_others() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyStore::create(&folder.path().join("keys")).unwrap();
        assert!(ensure_jetstream_key(&keys).unwrap());
        assert!(!ensure_jetstream_key(&keys).unwrap());
        let key = read_jetstream_key(&layout::jetstream_key(keys.path())).unwrap();
        assert!(key.len() == 65 && key.starts_with('k'));
        assert_eq!(fingerprint(&key).len(), 16);
        assert_eq!(fingerprint(&key), fingerprint(&format!("{}\n", *key)));
        assert_ne!(fingerprint(&key), fingerprint(&key[1..]));
    }

    #[test]
    fn the_fingerprint_is_the_start_of_the_sha256() {
        assert_eq!(fingerprint("abc"), "ba7816bf8f01cfea");
    }

    #[test]
    fn a_truncated_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyStore::create(&folder.path().join("keys")).unwrap();
        let path = layout::jetstream_key(keys.path());
        ensure_jetstream_key(&keys).unwrap();
        let whole = read_jetstream_key(&path).unwrap();
        for length in [0, 5, 40, 64] {
            secret_file::replace(&path, &whole.as_bytes()[..length], 0o600).unwrap();
            let message = read_jetstream_key(&path).unwrap_err().to_string();
            assert!(
                message.contains(&format!("{length} characters")) && message.contains("backup"),
                "{message}"
            );
        }
    }
}
