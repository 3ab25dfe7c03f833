//! What the JWT of an account says, and the JWTs that stand inside it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use settings::fleet::ExportKind;

use super::{Body, Other, VERSION, is_false, is_zero};
use crate::nkey::KeyKind;

/// A limit that does not limit.
pub const UNLIMITED: i64 = -1;

/// When users of a public key, or of all (`*`), stopped being valid: those whose JWT was signed at
/// this second, counted from 1970, or before.
pub type RevocationList = BTreeMap<String, i64>;

/// What an account may do, and who may speak for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountBody {
    /// Subjects taken from other accounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<ImportClaim>,
    /// Subjects that other accounts may import.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exports: Vec<ExportClaim>,
    /// Limits; a field that is left out is 0 and allows nothing.
    #[serde(default)]
    pub limits: Limits,
    /// The keys that may sign users.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signing_keys: Vec<SigningKeyClaim>,
    /// Users that may not connect any more.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub revocations: RevocationList,
    /// What the account is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Free words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) version: u64,
    /// What leafbox does not use.
    #[serde(flatten)]
    pub other: Other,
}

impl Default for AccountBody {
    fn default() -> Self {
        Self {
            imports: Vec::new(),
            exports: Vec::new(),
            limits: Limits::default(),
            signing_keys: Vec::new(),
            revocations: RevocationList::new(),
            description: String::new(),
            tags: Vec::new(),
            kind: Self::KIND.into(),
            version: VERSION,
            other: Other::new(),
        }
    }
}

impl Body for AccountBody {
    const KIND: &'static str = "account";
    const ISSUERS: &'static [KeyKind] = &[KeyKind::Operator];
    const SUBJECT: KeyKind = KeyKind::Account;
}

/// Limits of an account; 0 allows nothing, [`UNLIMITED`] everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Subscriptions at once.
    #[serde(skip_serializing_if = "is_zero")]
    pub subs: i64,
    /// Bytes in flight.
    #[serde(skip_serializing_if = "is_zero")]
    pub data: i64,
    /// Bytes of one message.
    #[serde(skip_serializing_if = "is_zero")]
    pub payload: i64,
    /// Imports.
    #[serde(skip_serializing_if = "is_zero")]
    pub imports: i64,
    /// Exports.
    #[serde(skip_serializing_if = "is_zero")]
    pub exports: i64,
    /// Whether exports may hold wildcards.
    #[serde(skip_serializing_if = "is_false")]
    pub wildcards: bool,
    /// Whether users must prove that they hold their key.
    #[serde(skip_serializing_if = "is_false")]
    pub disallow_bearer: bool,
    /// Client connections at once.
    #[serde(skip_serializing_if = "is_zero")]
    pub conn: i64,
    /// Leaf node connections at once.
    #[serde(skip_serializing_if = "is_zero")]
    pub leaf: i64,
    /// Bytes of memory streams.
    #[serde(skip_serializing_if = "is_zero")]
    pub mem_storage: i64,
    /// Bytes of file streams.
    #[serde(skip_serializing_if = "is_zero")]
    pub disk_storage: i64,
    /// Streams.
    #[serde(skip_serializing_if = "is_zero")]
    pub streams: i64,
    /// Consumers.
    #[serde(skip_serializing_if = "is_zero")]
    pub consumer: i64,
    /// Unacknowledged messages of one consumer; here 0 is unlimited.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_ack_pending: i64,
    /// Bytes of one memory stream; here 0 is unlimited.
    #[serde(skip_serializing_if = "is_zero")]
    pub mem_max_stream_bytes: i64,
    /// Bytes of one file stream; here 0 is unlimited.
    #[serde(skip_serializing_if = "is_zero")]
    pub disk_max_stream_bytes: i64,
    /// Whether each stream must declare its bytes.
    #[serde(skip_serializing_if = "is_false")]
    pub max_bytes_required: bool,
    /// What leafbox does not use.
    #[serde(flatten)]
    pub other: Other,
}

/// A key that may sign users: without a scope it may give them any permission.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SigningKeyClaim {
    /// Without a scope.
    Plain(String),
    /// With one role's permissions.
    Scoped(Box<UserScope>),
}

impl SigningKeyClaim {
    /// The public key.
    pub fn key(&self) -> &str {
        match self {
            Self::Plain(key) => key,
            Self::Scoped(scope) => &scope.key,
        }
    }

    /// The role that it is scoped to, `role@node` for a node's own; empty without a scope.
    pub fn role(&self) -> &str {
        match self {
            Self::Plain(_) => "",
            Self::Scoped(scope) => &scope.role,
        }
    }
}

/// A signing key whose users have the permissions of one role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserScope {
    /// Always `user_scope`.
    pub kind: String,
    /// The public key.
    pub key: String,
    /// The role's name; `role@node` for a key that an enrolled node holds.
    #[serde(default)]
    pub role: String,
    /// The permissions of its users.
    pub template: Permissions,
    /// What the role is for.
    #[serde(default)]
    pub description: String,
    /// What leafbox does not use.
    #[serde(flatten)]
    pub other: Other,
}

/// Permissions of a user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Permissions {
    /// What may be published. No `allow` at all is everything.
    #[serde(rename = "pub")]
    pub publish: Permission,
    /// What may be subscribed. No `allow` at all is everything.
    #[serde(rename = "sub")]
    pub subscribe: Permission,
    /// Whether replies to received requests may be published besides.
    #[serde(rename = "resp", skip_serializing_if = "Option::is_none")]
    pub response: Option<Response>,
    /// Subscriptions at once.
    #[serde(skip_serializing_if = "is_zero")]
    pub subs: i64,
    /// Bytes in flight.
    #[serde(skip_serializing_if = "is_zero")]
    pub data: i64,
    /// Bytes of one message.
    #[serde(skip_serializing_if = "is_zero")]
    pub payload: i64,
    /// What leafbox does not use.
    #[serde(flatten)]
    pub other: Other,
}

/// Subjects allowed and denied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Permission {
    /// Subjects allowed; all when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Subjects denied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

/// Permission to reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// Replies to one request.
    pub max: i64,
    /// Nanoseconds after the request.
    pub ttl: i64,
}

/// A subject that other accounts may import.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExportClaim {
    /// A name for it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What is exported.
    pub subject: String,
    /// How messages go.
    #[serde(rename = "type")]
    pub kind: ExportKind,
    /// Whether an importer needs an activation.
    #[serde(default, skip_serializing_if = "is_false")]
    pub token_req: bool,
    /// Accounts whose activation is not valid any more.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub revocations: RevocationList,
    /// `Stream` or `Chunked`; one reply when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub response_type: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What leafbox does not use.
    #[serde(flatten)]
    pub other: Other,
}

/// A subject taken from another account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImportClaim {
    /// A name for it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The subject as the exporter names it.
    pub subject: String,
    /// The exporting account's public key.
    pub account: String,
    /// The activation that the exporter signed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub token: String,
    /// The subject as this account names it; the same when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub local_subject: String,
    /// How messages go.
    #[serde(rename = "type")]
    pub kind: ExportKind,
    /// Whether the exporter sees who asks.
    #[serde(default, skip_serializing_if = "is_false")]
    pub share: bool,
    /// What leafbox does not use.
    #[serde(flatten)]
    pub other: Other,
}

/// The leave that an exporter gives one account to import one subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivationBody {
    /// What may be imported.
    pub subject: String,
    /// How messages go.
    #[serde(rename = "kind")]
    pub export: ExportKind,
    #[serde(rename = "type")]
    kind: String,
    version: u64,
    /// What leafbox does not use.
    #[serde(flatten)]
    pub other: Other,
}

impl ActivationBody {
    /// Leave to import `subject`.
    pub fn new(subject: &str, export: ExportKind) -> Self {
        let (kind, version) = (Self::KIND.into(), VERSION);
        Self { subject: subject.into(), export, kind, version, other: Other::new() }
    }
}

impl Body for ActivationBody {
    const KIND: &'static str = "activation";
    const ISSUERS: &'static [KeyKind] = &[KeyKind::Account];
    const SUBJECT: KeyKind = KeyKind::Account;
}

/// The order to forget accounts, signed by an operator's signing key about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeletionBody {
    /// Public keys of the accounts.
    pub accounts: Vec<String>,
    version: u64,
}

impl DeletionBody {
    /// The order to forget `accounts`.
    pub fn new(accounts: Vec<String>) -> Self {
        Self { accounts, version: VERSION }
    }
}

impl Body for DeletionBody {
    const KIND: &'static str = "";
    const ISSUERS: &'static [KeyKind] = &[KeyKind::Operator];
    const SUBJECT: KeyKind = KeyKind::Operator;
}
