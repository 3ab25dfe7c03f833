//! placeholder
/// Placeholder.
pub struct Daemons;
