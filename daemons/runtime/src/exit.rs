//! Exit codes of every leafbox program.

/// It did what it was asked for.
pub const SUCCESS: u8 = 0;
/// It failed for a reason that may pass: systemd restarts it.
pub const FAILURE: u8 = 1;
/// The configuration is wrong: starting again would not help, so the units have
/// `RestartPreventExitStatus=2`.
pub const BAD_CONFIG: u8 = 2;
/// [`BAD_CONFIG`] where nats-server takes the place of the process: Go itself ends with 2 after a
/// panic, which a restart is for. `EX_CONFIG` of sysexits(3), so that unit has
/// `RestartPreventExitStatus=78`.
pub const BAD_CONFIG_OF_NATS: u8 = 78;
/// It was told twice to stop.
pub const INTERRUPTED: u8 = 130;
