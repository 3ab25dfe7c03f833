//! What the JWT of an operator says.

use serde::{Deserialize, Serialize};

use super::{Body, Other, VERSION, is_false};
use crate::nkey::KeyKind;

/// Whom the servers trust to sign accounts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperatorBody {
    /// Public keys that sign accounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signing_keys: Vec<String>,
    /// The public key of the system account.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub system_account: String,
    /// Whether the operator's own key and the accounts' own keys sign nothing below them.
    #[serde(default, skip_serializing_if = "is_false")]
    pub strict_signing_key_usage: bool,
    #[serde(rename = "type")]
    kind: String,
    version: u64,
    /// What leafbox does not use.
    #[serde(flatten)]
    pub other: Other,
}

impl OperatorBody {
    /// A strict operator.
    pub fn new(signing_keys: Vec<String>, system_account: String) -> Self {
        Self {
            signing_keys,
            system_account,
            strict_signing_key_usage: true,
            kind: Self::KIND.into(),
            version: VERSION,
            other: Other::new(),
        }
    }
}

impl Body for OperatorBody {
    const KIND: &'static str = "operator";
    const ISSUERS: &'static [KeyKind] = &[KeyKind::Operator];
    const SUBJECT: KeyKind = KeyKind::Operator;
}
