//! The container registry of this node.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Certificate;
use crate::units::{ByteSize, Listen};

/// The container registry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Registry {
    /// Where it answers clients such as docker and podman.
    pub listen: Listen,
    /// What a client on this machine may do without a token; from elsewhere it may do nothing.
    pub anonymous: Anonymous,
    /// Bytes of the disk for copies of often pulled blobs, in `<data>/registry`, beside those of
    /// JetStream, and an eighth of the disk at most; `"0B"` for none. They may be removed at any time,
    /// and are not encrypted.
    pub cache: ByteSize,
    /// TLS of `listen`; it speaks plainly when left out.
    pub tls: Option<Certificate>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            listen: Listen::loopback(5000),
            anonymous: Anonymous::default(),
            cache: ByteSize::gib(2),
            tls: None,
        }
    }
}

impl Registry {
    /// Bytes that its cache may take on a disk of this size.
    pub fn cache_on(&self, disk: ByteSize) -> ByteSize {
        match self.listen {
            Listen::Off => ByteSize(0),
            Listen::On(_) => self.cache.min(ByteSize(disk.bytes() / 8)),
        }
    }
}

/// What a client on this machine may do without a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Anonymous {
    /// Nothing.
    None,
    /// Pull.
    #[default]
    Pull,
    /// Pull and push.
    Push,
}
