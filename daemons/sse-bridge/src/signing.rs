//! What the console asks of the signer, which has the keys that the console must not have.
//!
//! JSON, at [`SIGNING`]`.<verb>` in `LEAFBOX`: a request and one reply. The signer is where the fleet's
//! keys are (`leafbox dev`, `leafbox run`, `leafbox unit signer`), and a box that was let in mints users with
//! its own; where none is, nobody answers.
//!
//! No secret is in any of it, since a link may hear replies: the seed of a user is made by who asks, and
//! what a box is answered is public.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use settings::builtin::SIGNING;

/// The name by which the signer registers as a NATS micro service, and the queue of its requests.
pub const SERVICE: &str = "leafbox-signer";
/// Bytes of a request: one to be let in has some KiB.
pub const LONGEST: usize = 256 << 10;

/// A request, which has an answer of one type.
pub trait Ask: Serialize + DeserializeOwned {
    /// The last token of its subject.
    const VERB: &'static str;
    /// What it is answered.
    type Answer: Serialize + DeserializeOwned;

    /// Where it is sent.
    fn subject() -> String {
        format!("{SIGNING}.{}", Self::VERB)
    }
}

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply<T> {
    /// It was done.
    Done(T),
    /// It was not, and why, with what to do.
    Refused(String),
}

/// Who the signer is, and whom it has let in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct About {}

/// What a signer says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signer {
    /// The node that it runs on.
    pub node: String,
    /// Whether it has the operator's keys. Without, it is a box that mints users with keys of its own,
    /// and does nothing else.
    pub is_operator: bool,
    /// The operator's name and public key.
    pub operator: [String; 2],
    /// The roles that it mints users with, by account.
    pub roles: BTreeMap<String, Vec<String>>,
    /// The boxes that it has let in.
    pub boxes: Vec<EnrolledBox>,
}

/// A box that was let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolledBox {
    /// Its node.
    pub node: String,
    /// Its keys; none when they were taken back.
    pub keys: usize,
    /// When that was, in seconds since 1970.
    pub since: Option<i64>,
    /// Of the request that was approved.
    pub fingerprint: Option<String>,
}

/// Sign a user, whose seed stays with who asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mint {
    /// Who wants it, for the audit stream.
    pub who: String,
    /// The account.
    pub account: String,
    /// The role.
    pub role: String,
    /// The user's name, for people.
    pub name: String,
    /// For how long it is good, in seconds; for ever when left out.
    pub expires_seconds: Option<u64>,
    /// The user's public key.
    pub public_key: String,
}

/// A signed user.
#[derive(Clone, Serialize, Deserialize)]
pub struct Minted {
    /// Its JWT.
    pub jwt: String,
}

/// Forbid a user, for good.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Revoke {
    /// Who wants it.
    pub who: String,
    /// The account.
    pub account: String,
    /// The user's public key.
    pub user: String,
}

/// What was signed, and who knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Whether the servers that can be reached have it.
    pub in_force: bool,
    /// The same in words, with what is left to do.
    pub words: String,
}

/// Look at a box's request. Changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Look {
    /// The text of `leafbox enroll request`, whatever stands around its block.
    pub request: String,
}

/// What a box asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The node that it wants to be.
    pub node: String,
    /// What a node of its kind is called.
    pub kind: String,
    /// The fleet.
    pub fleet: String,
    /// To be compared with what the box shows.
    pub fingerprint: String,
    /// Whether it was let in before.
    pub before: String,
    /// What it may do then, by account.
    pub may: BTreeMap<String, String>,
}

/// Let a box in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Approve {
    /// Who wants it.
    pub who: String,
    /// The text of the request.
    pub request: String,
    /// The fingerprint that was compared: it must be the request's.
    pub fingerprint: String,
}

/// A box was let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetIn {
    /// The node.
    pub node: String,
    /// The block that is carried to the box.
    pub answer: String,
    /// Who knows.
    pub told: Told,
}

/// Take the keys of a box back, for good.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TakeBack {
    /// Who wants it.
    pub who: String,
    /// The node.
    pub node: String,
}

impl Ask for About {
    const VERB: &'static str = "about";
    type Answer = Signer;
}

impl Ask for Mint {
    const VERB: &'static str = "mint";
    type Answer = Minted;
}

impl Ask for Revoke {
    const VERB: &'static str = "revoke";
    type Answer = Told;
}

impl Ask for Look {
    const VERB: &'static str = "look";
    type Answer = Offer;
}

impl Ask for Approve {
    const VERB: &'static str = "approve";
    type Answer = LetIn;
}

impl Ask for TakeBack {
    const VERB: &'static str = "take-back";
    type Answer = Told;
}
