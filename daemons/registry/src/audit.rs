//! What the registry tells of in the audit stream, at `leafbox.audit.<node>.registry.<what>`.

use std::net::IpAddr;

use async_nats::Client;
use runtime::audit::AuditEvent;
use serde::{Deserialize, Serialize};

use crate::{
    Digest, Repository,
    records::{Seconds, now},
};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A token was made.
    TokenMinted,
    /// A token was revoked.
    TokenRevoked,
    /// Somebody gave a name or token that is not right. At most ten a minute for each peer.
    LoginFailed,
    /// A manifest was pushed, by tag or by digest.
    Pushed,
    /// A manifest, a tag or a blob was deleted.
    Deleted,
    /// A blob of another repository was mounted.
    Mounted,
}

impl What {
    fn token(self) -> &'static str {
        match self {
            Self::TokenMinted => "token-minted",
            Self::TokenRevoked => "token-revoked",
            Self::LoginFailed => "login-failed",
            Self::Pushed => "pushed",
            Self::Deleted => "deleted",
            Self::Mounted => "mounted",
        }
    }
}

/// One event. Make it with [`Event::new`] and set the fields that it is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What happened.
    pub what: What,
    /// When, by this node's clock.
    pub at: Seconds,
    /// The name of a token, `anonymous`, or `command`; of a failed login, the name that was given.
    pub who: String,
    /// The client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<IpAddr>,
    /// The repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<Repository>,
    /// The tag, where one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// More in words: the token that was minted, why a login failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Event {
    /// An event of now.
    pub fn new(what: What, who: impl Into<String>) -> Self {
        Self {
            what,
            at: now(),
            who: who.into(),
            peer: None,
            repository: None,
            reference: None,
            digest: None,
            detail: None,
        }
    }
}

impl AuditEvent for Event {
    fn what(&self) -> &'static str {
        self.what.token()
    }
}

/// Takes events of the registry.
pub type Audit = runtime::audit::Audit<Event>;

/// Publishes what an [`Audit`] takes.
pub type Publisher = runtime::audit::Publisher<Event>;

/// A queue of audit events of this node, and what publishes them with a client of `LEAFBOX`.
pub fn channel(client: &Client, node: &str) -> (Audit, Publisher) {
    runtime::audit::channel(client, node, "registry")
}
