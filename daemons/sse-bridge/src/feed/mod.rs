//! NATS subjects as Server-Sent Events: `GET /sse`.
//!
//! ```text
//!  nats-server ──one subscription or consumer──► Feed ──shared text──► Cursor ─┐
//!                                                 ├───────────────────► Cursor ─┤► body of an answer
//!               ◄──a consumer for what is older────────────── Replay ──► Cursor ─┘
//! ```
//!
//! Invariants:
//! 1. **One feed for each distinct subject or stream**, however many watch (`hub`). It begins with its
//!    first client and ends some seconds after its last.
//! 2. **A log client is the sequence that it wants next**, and what it is sent is the first message at or
//!    after it, out of the ring while that reaches back so far and out of a replay otherwise. So there is
//!    no gap and nothing twice where one follows the other, whatever was killed in between (`cursor`).
//! 3. **What is lost is told.** Sequences that have expired, a stream that was made anew, a replay that
//!    would be too large, a lost connection on core subjects: each is an event `gap`, and the `id` goes on.
//! 4. **A state client is the version that it was sent last**; what changed since is all it is sent.
//! 5. **Nothing is queued for a client.** What it does not take stays in the feed, bounded and shared;
//!    a log client that falls out of it is disconnected and resumes.
//! 6. **Only what the table allows** (`policy`), asked when a stream of events begins; it ends when its
//!    session does.
//! 7. **A message is written once in each format** (`encode`), however many are sent it.
//!
//! Absent on purpose: publishing, and WebSockets. Core subjects have no `id`: nothing keeps them.

mod client;
mod compress;
mod config;
mod cursor;
mod encode;
mod failure;

mod frame;
mod hub;
mod jetstream;
mod latest;
mod limits;
mod message;
mod metrics;
mod origin;
mod out;
mod own;
mod policy;
mod position;
mod pump;
mod query;
mod replay;
mod ring;
mod route;
mod shared;
mod subject;

pub use config::FeedConfig;
pub use encode::{Encode, End, EndReason, Gap, Notice, RawJson, Reason, Removed, Snapshot};
pub use failure::Failure;
pub use frame::Frame;
pub use hub::{Accounts, Feeds};
pub use message::{Message, Stored};
pub use policy::{LEAFBOX, Policy, Refused, Rule, SYS};
pub use position::{BadPosition, Incarnation, LastEventId, Position};
pub use query::{Asked, BadQuery, Kind, MOST_STREAMS, MOST_SUBJECTS, Since};
pub use route::router;
pub use subject::{BadSubject, Pattern};
