//! `leafbox unit nats`: every check that a start needs, then nats-server in place of this process.
//!
//! nats-server is then the unit's main process: systemd sees how it ends, limits its memory and
//! sends it signals, and no supervisor stands between. What nats-server cannot tell systemd,
//! `leafbox unit nats-pulse` does.

use std::{convert::Infallible, process::Command};

use anyhow::{Context, Result};
use runtime::{notify, reachable};
use settings::Settings;
use supervisor::Replacement;
use tracing::info;

use crate::{
    addresses::Addresses,
    cli::Global,
    confinement, contradiction,
    data::RunLock,
    drift, instance, ports,
    session::{self, Session},
    setup::{Keys, Setup},
};

/// Ends only with an error: when all is well, nats-server goes on in this process.
pub(super) fn run(global: &Global) -> Result<Infallible> {
    let settings = session::load(global)?;
    refuse_chosen_ports(&settings)?;
    let threads = super::one_thread()?;
    let prepared = threads.block_on(prepare(global, settings))?;
    // The child is to die with this very thread, and no other child may be started once the locks
    // are let through.
    drop(threads);
    confinement::of_nats(&prepared.session.settings);
    if notify::is_listening() {
        start_pulse(&prepared.session)?;
    }
    Err(prepared.server.exec(prepared.lock.file()).into())
}

struct Prepared {
    server: Replacement,
    lock: RunLock,
    session: Session,
}

async fn prepare(global: &Global, settings: Settings) -> Result<Prepared> {
    let data = session::data_dir_of(&settings)?;
    let keys = session::keys_dir(&data);
    if global.nats_server.is_none() && settings.nats_server().is_none() {
        contradiction!(
            "no nats-server is named: set LEAFBOX_NATS_SERVER or --nats-server in the unit, which fetches none itself"
        );
    }
    let binary = session::nats_server(global, &settings, &data).await?;
    let setup = Setup::new(settings.clone(), &keys, Keys::Given)?;
    let lock = data.lock()?;
    setup.write_configuration()?;
    let server = Replacement::prepare(&instance::launch(&setup, &binary)).await?;
    let addresses = Addresses::used(&settings);
    let of_nats = addresses.of_nats();
    ports::refuse_taken(&data, &Setup::keys_of(&of_nats))?;
    addresses.write(&data)?;
    drift::record(settings.clone(), &data, &keys)?;
    for [name, url, _] in addresses.rows(&settings.node) {
        info!("{name} on {url}");
    }
    Ok(Prepared { server, lock, session: Session { settings, data, keys, addresses } })
}

/// Nobody could tell the other units which port the system chose.
fn refuse_chosen_ports(settings: &Settings) -> Result<()> {
    let listeners = Setup::keys_of(&Addresses::used(settings));
    let chosen: Vec<&str> =
        listeners.iter().filter(|(address, _)| address.port() == 0).map(|(_, key)| key.as_str()).collect();
    if !chosen.is_empty() {
        contradiction!(
            "port 0 in {}: systemd's units need ports that stay; give each listener a port of its own in node.toml, or \"off\"",
            chosen.join(", ")
        );
    }
    Ok(())
}

fn start_pulse(session: &Session) -> Result<()> {
    let monitoring = session.addresses.monitoring.context("node.toml turns the monitoring listener off")?;
    let program = std::env::current_exe().context("the program of leafbox is not found")?;
    let mut command = Command::new(program);
    command.args(["unit", "nats-pulse", "--server"]).arg(std::process::id().to_string());
    command.arg("--monitoring").arg(reachable(monitoring).to_string());
    command.arg("--stores").arg(session.data.root());
    if session.settings.is_clustered() {
        command.arg("--clustered");
    }
    // systemd means the unit's main process by it, and is told by this child instead.
    command.env_remove("WATCHDOG_PID");
    command.stdin(std::process::Stdio::null());
    command.spawn().context("`leafbox unit nats-pulse` could not be started")?;
    Ok(())
}
