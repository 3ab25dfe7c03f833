//! Who may do what.
//!
//! A client logs in with a token of leafbox: the token's name as the user name, its secret as the
//! password, by Basic on each request or once at `/token` for a Bearer token. A program of this machine
//! that asks for itself may do without, as far as node.toml's `registry.anonymous` says.
//!
//! Invariants: a right is looked up at each request, so that a revoked token ends at once; secrets are
//! stored as hashes only, compared in constant time, and stay out of logs and events; what a client
//! may not see is refused before it is looked up, so that nobody learns whether it exists.
//!
//! Absent on purpose: users, groups and passwords that people choose.

mod bearer;
mod caller;
mod challenge;
mod clear_text;
mod credentials;
mod guard;
mod login;
mod refused;
mod rights;
mod route;
mod scope;
mod secret;
mod tokens;

pub use bearer::{BadBearer, LIFETIME};
pub use caller::{ANONYMOUS, Caller};
pub use clear_text::{ClearText, clear_text_guard};
pub use credentials::{BadAuthorization, Credentials};
pub use guard::{Access, AccessConfig};
pub use refused::Refused;
pub use rights::{Action, Actions, Rights};
pub use route::{TokenAnswer, TokenRequest, UnknownGrant};
pub use scope::Scopes;
pub use secret::{BadSecret, Secret};
pub use tokens::{Minted, NewToken, TokenError, list, mint, revoke};
