//! Exit codes of every leafbox program.

/// It did what it was asked for.
pub const SUCCESS: u8 = 0;
/// It failed for a reason that may pass: systemd restarts it.
pub const FAILURE: u8 = 1;
/// The configuration is wrong: starting again would not help, so the units have
/// `RestartPreventExitStatus=2`.
pub const BAD_CONFIG: u8 = 2;
/// It was told twice to stop.
pub const INTERRUPTED: u8 = 130;
