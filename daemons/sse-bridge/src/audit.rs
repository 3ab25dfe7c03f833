//! What the console tells of in the audit stream, at `leafbox.audit.<node>.console.<what>`.

use std::net::IpAddr;

use async_nats::Client;
use runtime::audit::AuditEvent;
use serde::{Deserialize, Serialize};

use crate::Role;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A token was made with which somebody enrols.
    EnrolmentMade,
    /// Somebody enrolled with a token, and is a user now.
    Enrolled,
    /// A passkey was added with a token of `leafbox console enroll --recover`.
    Recovered,
    /// A passkey or token was not right. At most sixty a minute.
    LoginFailed,
    /// Somebody logged in.
    LoggedIn,
    /// Somebody logged out.
    LoggedOut,
    /// Somebody showed a passkey again, before something that destroys.
    Reauthenticated,
    /// A session was ended by an admin, its user or the command.
    SessionRevoked,
    /// A user got another passkey.
    PasskeyAdded,
    /// A passkey got another label.
    PasskeyRenamed,
    /// A passkey was removed.
    PasskeyRemoved,
    /// A user got another role.
    RoleChanged,
    /// A user was removed, with passkeys and sessions.
    UserRemoved,
    /// A message was published with the tester.
    MessagePublished,
    /// A key of a bucket got a value.
    KeyWritten,
    /// A key of a bucket was deleted; its history is there.
    KeyDeleted,
    /// A key of a bucket was purged, with its history.
    KeyPurged,
    /// A stream was made.
    StreamCreated,
    /// A stream was defined otherwise.
    StreamUpdated,
    /// Messages of a stream were purged.
    StreamPurged,
    /// A message of a stream was deleted.
    MessageDeleted,
    /// A stream was deleted, with its messages.
    StreamDeleted,
    /// A consumer was made.
    ConsumerCreated,
    /// A consumer was defined otherwise.
    ConsumerUpdated,
    /// A consumer was deleted, with what it had delivered.
    ConsumerDeleted,
    /// An object of a bucket was deleted.
    ObjectDeleted,
    /// A client's connection was ended.
    ConnectionKicked,
}

/// One event. Make it with [`Event::new`] and set the fields that it is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What happened.
    pub what: What,
    /// When, by this node's clock: seconds since 1970.
    pub at: u64,
    /// The user who did it, `command`, or what failed to become a user.
    pub who: String,
    /// The client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<IpAddr>,
    /// The user that it was done to, where that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The role given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The public name of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// More in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Event {
    /// An event of now.
    pub fn new(what: What, who: impl Into<String>) -> Self {
        Self {
            what,
            at: crate::login::now(),
            who: who.into(),
            peer: None,
            user: None,
            role: None,
            session: None,
            detail: None,
        }
    }
}

impl AuditEvent for Event {
    fn what(&self) -> &'static str {
        match self.what {
            What::EnrolmentMade => "enrolment-made",
            What::Enrolled => "enrolled",
            What::Recovered => "recovered",
            What::LoginFailed => "login-failed",
            What::LoggedIn => "logged-in",
            What::LoggedOut => "logged-out",
            What::Reauthenticated => "reauthenticated",
            What::SessionRevoked => "session-revoked",
            What::PasskeyAdded => "passkey-added",
            What::PasskeyRenamed => "passkey-renamed",
            What::PasskeyRemoved => "passkey-removed",
            What::RoleChanged => "role-changed",
            What::UserRemoved => "user-removed",
            What::MessagePublished => "message-published",
            What::KeyWritten => "key-written",
            What::KeyDeleted => "key-deleted",
            What::KeyPurged => "key-purged",
            What::StreamCreated => "stream-created",
            What::StreamUpdated => "stream-updated",
            What::StreamPurged => "stream-purged",
            What::MessageDeleted => "message-deleted",
            What::StreamDeleted => "stream-deleted",
            What::ConsumerCreated => "consumer-created",
            What::ConsumerUpdated => "consumer-updated",
            What::ConsumerDeleted => "consumer-deleted",
            What::ObjectDeleted => "object-deleted",
            What::ConnectionKicked => "connection-kicked",
        }
    }
}

/// Takes events of the console.
pub type Audit = runtime::audit::Audit<Event>;

/// Publishes what an [`Audit`] takes.
pub type Publisher = runtime::audit::Publisher<Event>;

/// A queue of audit events of this node, and what publishes them with a client of `LEAFBOX`.
pub fn channel(client: &Client, node: &str) -> (Audit, Publisher) {
    runtime::audit::channel(client, node, "console")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_subject_says_what_the_event_says() {
        for what in
            [What::EnrolmentMade, What::LoginFailed, What::LoggedIn, What::UserRemoved, What::KeyWritten]
        {
            let event = Event::new(what, "ada");
            assert_eq!(serde_json::to_value(&event).unwrap()["what"], event.what());
        }
    }
}
