//! What the registry tells of in the audit stream, at `leafbox.audit.<node>.registry.<what>`.

pub use runtime::audit::channel;

use runtime::audit;
use serde::{Deserialize, Serialize};

use crate::{Digest, Repository};

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
    /// A token was used to push or delete where it may not. At most sixty a minute.
    Refused,
    /// A manifest was pushed, by tag or by digest.
    Pushed,
    /// A manifest, a tag or a blob was deleted.
    Deleted,
    /// A blob of another repository was mounted.
    Mounted,
}

/// What an event of the registry is about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<Repository>,
    /// The tag, where one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

impl About {
    /// About a manifest or tag, by what it was called.
    pub fn named(repository: &Repository, reference: impl ToString) -> Self {
        let (repository, reference) = (Some(repository.clone()), Some(reference.to_string()));
        Self { repository, reference, digest: None }
    }
}

impl audit::What for What {
    const DAEMON: &'static str = "registry";
    type About = About;
}

/// An event of the registry. Who did it is the name of a token, `anonymous`, `command`, or `retention`; in
/// a failed login, the name that was given.
pub type Event = audit::Event<What>;

/// Takes events of the registry.
pub type Audit = audit::Audit<What>;

/// Publishes what an [`Audit`] takes.
pub type Publisher = audit::Publisher<What>;
