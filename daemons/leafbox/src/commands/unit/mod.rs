//! `leafbox unit`: what the systemd units run. Each is a process of its own, told to systemd and
//! logged to journald.

mod apply;
mod nats;
mod nats_pulse;
mod nats_reload;
mod signer;
mod uplink;

use anyhow::Result;
use runtime::{LogFormat, exit};
use tokio::runtime::Runtime;
use tracing::error;

use crate::{
    cli::{Global, Unit},
    problems,
};

/// Carries out one of the units and gives its exit code; what went wrong is in the log.
pub(crate) fn run(global: &Global, unit: &Unit) -> Result<u8> {
    runtime::logging::init(LogFormat::Auto)?;
    let ran = match unit {
        Unit::Nats => nats::run(global).map(|never| match never {}),
        Unit::NatsPulse(arguments) => nats_pulse::run(arguments),
        Unit::NatsReload => nats_reload::run(global),
        Unit::Apply => apply::run(global),
        Unit::Signer => signer::run(global),
        Unit::Uplink => uplink::run(global),
    };
    match ran {
        Ok(()) => Ok(exit::SUCCESS),
        Err(error) => {
            error!("{}", crate::explain(&error));
            Ok(match (unit, problems::exit_code(&error)) {
                (Unit::Nats, exit::BAD_CONFIG) => exit::BAD_CONFIG_OF_NATS,
                (_, code) => code,
            })
        }
    }
}

/// One thread is enough for each of them.
fn one_thread() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
