//! What the console tells of in the audit stream, at `leafbox.audit.<node>.console.<what>`.

pub use runtime::audit::channel;

use runtime::audit;
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
    /// An object was stored in a bucket.
    ObjectStored,
    /// An object of a bucket was deleted.
    ObjectDeleted,
    /// A client's connection was ended.
    ConnectionKicked,
    /// A user was minted, and its creds were given out.
    UserMinted,
    /// A user may not connect any more.
    UserRevoked,
    /// A box was let in.
    BoxLetIn,
    /// The keys of a box were taken back.
    BoxTakenBack,
}

/// What an event of the console is about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The user that it was done to, where that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The role given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The public name of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
}

impl audit::What for What {
    const DAEMON: &'static str = "console";
    type About = About;
}

/// An event of the console. Who did it is a user, `command`, or what failed to become a user.
pub type Event = audit::Event<What>;

/// Takes events of the console.
pub type Audit = audit::Audit<What>;

/// Publishes what an [`Audit`] takes.
pub type Publisher = audit::Publisher<What>;
