//! Who is who in a fleet: the operator, accounts, roles and users, as NATS keys and JWTs.
//!
//! [`ensure_fleet_keys`] makes the keys that are missing, [`sign`](sign::sign) turns a declared
//! fleet into a [`JwtSet`], [`Ledger`] keeps it, and [`push`] brings it to running servers. Only
//! [`push`] sees the network.
//!
//! Invariants: a key or file that exists is never replaced by a made one; a revocation is never
//! dropped; a JWT that would say the same is not signed again; a newly signed one is always newer
//! than the one before; no seed is printed, logged or left in freed memory.

mod activation;
pub mod changes;
pub mod claims;
pub mod creds;
mod declared;
pub mod enrolled;
pub mod enrolment;
pub mod ensure;
#[cfg(test)]
mod fixture;
pub mod jetstream_key;
pub mod jwt_set;
pub mod keystore;
pub mod layout;
pub mod ledger;
pub mod mint;
pub mod nkey;
pub mod push;
pub mod removal;
pub mod secret_file;
pub mod sign;

pub use activation::ActivationError;
pub use changes::{AccountChange, changes, changes_in_force, needs_operator, undeclared};
pub use creds::{Creds, CredsError, CredsFault};
pub use enrolled::{EnrolError, EnrolledNode, add_enrolled, enrolled, remove_enrolled};
pub use ensure::{Created, EnsureError, account_keys, ensure_fleet_keys};
pub use jetstream_key::{ensure_jetstream_key, fingerprint, read_jetstream_key};
pub use jwt_set::{AccountJwt, JwtSet, JwtSetError};
pub use keystore::{KeyStore, KeyStoreError};
pub use ledger::{Ledger, LedgerError, Signed};
pub use mint::{MintError, UserRequest, mint, mint_for, mint_for_with, mint_with};
pub use removal::{Removal, prepare_removal};
pub use sign::{SignError, revoke, sign};
