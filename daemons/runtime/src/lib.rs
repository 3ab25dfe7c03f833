//! What every leafbox daemon shares.

pub mod holder;
pub mod monitoring;

pub use holder::{Holder, PortTaken};
pub use monitoring::{Monitoring, MonitoringError};
