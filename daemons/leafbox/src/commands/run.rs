//! `leafbox run`: the node that node.toml describes, until it is told to stop.

use std::time::Duration;

use anyhow::{Context, Result};
use settings::NodeRole;
use supervisor::Leave;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{
    cli::{self, Global},
    drift,
    instance::Instance,
    session::{self, Session},
    setup::{Keys, Setup},
};

/// How often it is said again that nats-server is not ready.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs until SIGTERM or SIGINT.
pub(crate) async fn run(global: &Global, arguments: &cli::Run) -> Result<()> {
    let shutdown = runtime::shutdown::token().context("cannot listen for signals")?;
    let launching = launch(global, Duration::from_secs(arguments.stop_timeout));
    let Some(instance) = shutdown.run_until_cancelled(launching).await else { return Ok(()) };
    let mut instance = instance?;
    let watchdog = runtime::notify::watchdog(instance.pulse(), shutdown.clone());
    // Health answers and apply waits from now on: a hub node is healthy only when its cluster has a
    // leader, and whoever probes it meanwhile must not take it for dead.
    instance.start_daemons()?;
    runtime::notify::ready();
    serve(&instance, &shutdown).await;
    instance.stop().await;
    if let Some(watchdog) = watchdog {
        watchdog.await?;
    }
    info!("stopped");
    Ok(())
}

async fn launch(global: &Global, stop_deadline: Duration) -> Result<Instance> {
    let settings = session::load(global)?;
    let data = session::data_dir_of(&settings)?;
    session::log_to(&data)?;
    let keys = session::keys_dir(&data);
    let binary = session::nats_server(global, &settings, &data).await?;
    let setup = Setup::new(settings.clone(), &keys, Keys::Given)?;
    // In lame duck mode clients go to another server, and a leaf has none.
    let leave = match settings.node.role {
        NodeRole::Hub => Leave::LameDuck,
        NodeRole::Leaf => Leave::AtOnce,
    };
    let instance = Instance::launch(setup, binary, leave, stop_deadline).await?;
    // Only now is this the one leafbox on the folder.
    drift::record(settings, &data, &keys)?;
    Ok(instance)
}

async fn serve(instance: &Instance, shutdown: &CancellationToken) {
    let Session { settings, addresses, .. } = instance.session();
    for [name, url, _] in addresses.rows(&settings.node) {
        info!("{name} on {url}");
    }
    let telling = shutdown.run_until_cancelled(async {
        while let Err(error) = instance.ready(PATIENCE).await {
            runtime::notify::status(&error.to_string());
            tracing::warn!("{error}");
        }
    });
    if telling.await.is_some() {
        runtime::notify::status("ready");
        info!("{} is ready", settings.node.name);
        shutdown.cancelled().await;
    }
}
