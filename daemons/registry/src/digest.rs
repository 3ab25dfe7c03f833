//! Content digests, as the OCI image specification writes them.

use std::{fmt, str::FromStr};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A digest algorithm that the registry computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// The name in front of the colon.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Bytes of a digest.
    pub fn length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl FromStr for Algorithm {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, BadDigest> {
        match text {
            "sha256" => Ok(Self::Sha256),
            "sha512" => Ok(Self::Sha512),
            _ => Err(BadDigest),
        }
    }
}

/// The text is no digest, or of an algorithm that the registry does not compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a digest is `sha256:` with 64 or `sha512:` with 128 lower-case hexadecimal digits")]
pub struct BadDigest;

/// The digest of some content: `sha256:…` or `sha512:…`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    bytes: Box<[u8]>,
}

impl Digest {
    /// A digest from its bytes; `None` when there are too few or too many of them.
    pub fn new(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        (bytes.len() == algorithm.length()).then(|| Self { algorithm, bytes: bytes.into() })
    }

    /// Which algorithm made it.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The hexadecimal digits alone.
    pub fn hex(&self) -> String {
        HEXLOWER.encode(&self.bytes)
    }

    /// As two tokens of a NATS subject, and two of a file's path: `sha256.0123…`.
    pub fn token(&self) -> String {
        format!("{}.{}", self.algorithm.name(), self.hex())
    }

    /// Reads what [`Digest::token`] wrote.
    pub fn from_token(text: &str) -> Option<Self> {
        text.replacen('.', ":", 1).parse().ok()
    }
}

impl FromStr for Digest {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, BadDigest> {
        let (algorithm, hex) = text.split_once(':').ok_or(BadDigest)?;
        let algorithm: Algorithm = algorithm.parse()?;
        let bytes = HEXLOWER.decode(hex.as_bytes()).map_err(|_| BadDigest)?;
        Self::new(algorithm, &bytes).ok_or(BadDigest)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.algorithm.name(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_digest_is_read_and_written_alike_and_nothing_else_is_one() {
        for (algorithm, digits) in [("sha256", 64), ("sha512", 128)] {
            let text = format!("{algorithm}:{}", "0f".repeat(digits / 2));
            let digest: Digest = text.parse().unwrap();
            assert_eq!(digest.to_string(), text);
            assert_eq!(Digest::from_token(&digest.token()), Some(digest));
        }
        for bad in ["", "sha256", "sha256:", "sha256:0f", "md5:0f", &format!("sha256:{}", "0F".repeat(32))] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
        assert!(format!("sha512:{}", "0f".repeat(32)).parse::<Digest>().is_err());
    }
}
