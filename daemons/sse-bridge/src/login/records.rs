//! What stands in the bucket `leafbox_users`, and under which keys.
//!
//! | key | record |
//! |---|---|
//! | `user.<name>` | [`UserRecord`]: who there is, and which passkeys are theirs |
//! | `passkey.<credential id, base64url>` | [`PasskeyRecord`] |
//! | `session.<public id>` | [`SessionRecord`] |
//! | `enroll` | [`EnrolmentRecord`] of the first admin, or of a recovery |
//! | `enroll.<name>` | [`EnrolmentRecord`] of an invitation |
//!
//! A passkey counts only when the record of its user lists it: adding and removing one is a single
//! compare-and-set of that record, so that two removals at once cannot leave a user without any. A
//! session and a passkey name the user's id beside the name: they are not those of a later user of
//! the same name.

pub use runtime::clock::{Seconds, now};
use serde::{Deserialize, Serialize};
use settings::builtin::CONSOLE_USERS;
use webauthn_rs::prelude::{Passkey, Uuid};

use super::{name::UserName, secret::SecretHash};
use crate::{Role, SessionId};

/// The bucket, in the account `LEAFBOX`.
pub const BUCKET: &str = CONSOLE_USERS;

/// A user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UserRecord {
    /// What authenticators know the user by. It says nothing about the person.
    pub id: Uuid,
    /// What the user may do.
    pub role: Role,
    /// When the user enrolled.
    pub created: Seconds,
    /// Credential ids of the passkeys, base64url.
    pub passkeys: Vec<String>,
}

/// A passkey: its public key, and what the user calls it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PasskeyRecord {
    /// Whose it is.
    pub user: UserName,
    /// The user's id.
    pub user_id: Uuid,
    /// What the user calls it.
    pub label: String,
    /// When it was added.
    pub created: Seconds,
    /// When it was last used.
    pub used: Option<Seconds>,
    /// The public key and the counter.
    pub passkey: Passkey,
}

/// A session. The secret is in the browser's cookie and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Whose it is.
    pub user: UserName,
    /// The user's id.
    pub user_id: Uuid,
    /// The role that the secret was given with; another role of the user makes it rotate.
    pub role: Role,
    /// Of the secret that counts.
    pub secret: SecretHash,
    /// A secret that was sent to the browser and takes the place of the other when it comes back: an
    /// answer that was lost on the way must not end the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered: Option<Passing>,
    /// The secret before, for requests that were under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Passing>,
    /// When the user logged in.
    pub created: Seconds,
    /// When the secret was last replaced.
    pub rotated: Seconds,
    /// When it was last used, give or take ten minutes.
    pub seen: Seconds,
    /// When the user last showed a passkey.
    pub proven: Seconds,
    /// When it ends however much it is used.
    pub ends: Seconds,
    /// What the browser calls itself.
    pub browser: String,
}

/// A secret that counts until a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passing {
    /// Of the secret.
    pub secret: SecretHash,
    /// Until when.
    pub until: Seconds,
}

/// A token with which somebody enrols, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentRecord {
    /// Of the token.
    pub token: SecretHash,
    /// What the user is called, or will be.
    pub user: UserName,
    /// What the user will be allowed.
    pub role: Role,
    /// Why it was made.
    pub purpose: Purpose,
    /// When it ends.
    pub until: Seconds,
}

/// Why a token was made, which says when it is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// For the first admin: void once there is one.
    FirstAdmin,
    /// For one more user: void once there is a user of the name.
    Invitation,
    /// For a passkey of a user who lost theirs, or an admin where none can log in.
    Recovery,
}

/// Any record, told apart by its key.
#[derive(Clone, Debug)]
pub(crate) enum Record {
    User(UserRecord),
    Passkey(Box<PasskeyRecord>),
    Session(SessionRecord),
    Enrolment(EnrolmentRecord),
}

pub(crate) const USER: &str = "user.";
pub(crate) const PASSKEY: &str = "passkey.";
pub(crate) const SESSION: &str = "session.";
pub(crate) const ENROLMENT: &str = "enroll";

pub(crate) fn user_key(name: &UserName) -> String {
    format!("{USER}{name}")
}

pub(crate) fn passkey_key(id: &str) -> String {
    format!("{PASSKEY}{id}")
}

pub(crate) fn session_key(id: &SessionId) -> String {
    format!("{SESSION}{}", id.0)
}

impl EnrolmentRecord {
    /// Where it stands: the first admin's and a recovery's in one place, so that a new one ends the
    /// one before.
    pub(crate) fn key(&self) -> String {
        match self.purpose {
            Purpose::FirstAdmin | Purpose::Recovery => ENROLMENT.to_owned(),
            Purpose::Invitation => format!("{ENROLMENT}.{}", self.user),
        }
    }
}

impl Record {
    /// Reads the record of a key. What cannot be read counts as absent: it is of a newer leafbox, or
    /// damaged.
    pub(crate) fn parse(key: &str, value: &[u8]) -> Option<Self> {
        let record = if key.starts_with(USER) {
            serde_json::from_slice(value).map(Self::User)
        } else if key.starts_with(PASSKEY) {
            serde_json::from_slice(value).map(Self::Passkey)
        } else if key.starts_with(SESSION) {
            serde_json::from_slice(value).map(Self::Session)
        } else if key == ENROLMENT || key.starts_with("enroll.") {
            serde_json::from_slice(value).map(Self::Enrolment)
        } else {
            return None;
        };
        record
            .inspect_err(|_| {
                tracing::warn!(key, "the record {key} of {BUCKET} cannot be read and is passed over")
            })
            .ok()
    }
}
