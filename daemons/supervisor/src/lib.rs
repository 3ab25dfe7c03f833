//! Runs one nats-server, and the daemons beside it where there is no systemd.
//!
//! - [`binary`] finds a nats-server that is recent enough, or fetches the pinned one.
//! - [`process`] is one running nats-server: ready, reload, lame duck, kill; or this very process
//!   turned into one, under systemd.
//! - [`mend()`] is done to its store before each start.
//! - [`supervise()`] keeps a nats-server running on the same ports.
//! - [`daemons`] keeps the in-process daemons running, and drains them in reverse.
//!
//! Absent on purpose: what the configuration says. The caller renders it.

pub mod binary;
pub mod daemons;
pub mod log;
mod mend;
pub mod process;
mod rundir;
pub mod supervise;
pub mod testing;

pub use binary::{Binary, Locate, LocateError, Unusable, default_cache, find_or_get};
pub use daemons::Daemons;
pub use log::LogSink;
pub use mend::mend;
pub use process::{Addresses, Launch, NatsServer, Replacement, StartError};
pub use supervise::{Leave, Ready, State, Stop, Supervised, supervise};
