//! What the signer tells of in the audit stream, at `leafbox.audit.<node>.signer.<what>`.

use runtime::audit;
use serde::{Deserialize, Serialize};

/// What was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum What {
    /// A user was signed.
    UserMinted,
    /// A user may not connect any more.
    UserRevoked,
    /// A box was let in.
    BoxLetIn,
    /// The keys of a box were taken back.
    BoxTakenBack,
    /// Something was asked for that is not signed.
    Refused,
}

/// What an event is about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct About {
    /// The account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) account: Option<String>,
    /// The user's or the box's name or public key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<String>,
}

impl audit::What for What {
    const DAEMON: &'static str = "signer";
    type About = About;
}

/// An event of the signer. Who asked for it is a user of the console.
pub(super) type Event = audit::Event<What>;
/// Takes events of the signer.
pub(super) type Audit = audit::Audit<What>;
