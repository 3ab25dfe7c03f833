//! What the JWT of a user says.

use serde::{Deserialize, Serialize};

use super::{Body, Other, VERSION};
use crate::nkey::KeyKind;

/// A user of an account. It carries no permissions and no limits: its role's signing key has them,
/// and nats-server refuses a user of such a key that brings its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserBody {
    /// The account's public key.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub issuer_account: String,
    /// Free words, lower case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(rename = "type")]
    kind: String,
    version: u64,
    /// What leafbox does not use.
    #[serde(flatten)]
    pub other: Other,
}

impl UserBody {
    /// A user of `account`, its public key.
    pub fn new(account: &str, tags: Vec<String>) -> Self {
        let (kind, version) = (Self::KIND.into(), VERSION);
        Self { issuer_account: account.into(), tags, kind, version, other: Other::new() }
    }
}

impl Body for UserBody {
    const KIND: &'static str = "user";
    const ISSUERS: &'static [KeyKind] = &[KeyKind::Account];
    const SUBJECT: KeyKind = KeyKind::User;
}
