//! What every leafbox daemon shares: logging, shutdown, credentials, the connection to NATS, HTTP,
//! and what systemd is told.
//!
//! Absent on purpose: settings. A daemon reads its own and passes plain values.

pub mod address;
mod allocator;
pub mod audit;
pub mod backoff;
pub mod clock;
pub mod confine;
pub mod connect;
pub mod credentials;
pub mod disk;
pub mod exit;
pub mod follow;
pub mod holder;
pub mod http;
pub mod limit;
pub mod local_tls;
mod log_file;
pub mod logging;
pub mod micro;
pub mod monitoring;
pub mod notify;
pub mod pulse;
pub mod server_tls;
pub mod shutdown;
mod stall;
mod takeover;
pub mod testing;
pub mod visitor;
pub mod whole_file;

pub use address::{AddressError, from_loopback, reachable};
pub use allocator::keep_freed_memory;
pub use backoff::Backoff;
pub use connect::{ConnectError, ConnectOptions, connect};
pub use credentials::{CredentialError, Credentials};
pub use disk::Disk;
pub use holder::{Holder, PortTaken};
pub use local_tls::LocalTls;
pub use logging::LogFormat;
pub use monitoring::{Monitoring, MonitoringError};
pub use pulse::Pulse;
pub use server_tls::{ServerTls, ServerTlsError};
pub use whole_file::{WriteError, write_whole};
