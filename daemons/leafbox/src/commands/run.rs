//! `leafbox run`: the node that node.toml describes, until it is told to stop.

use std::time::Duration;

use anyhow::{Context, Result};
use supervisor::Leave;
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
    let settings = session::load(global)?;
    let data = session::data_dir_of(&settings)?;
    session::log_to(&data)?;
    let keys = session::keys_dir(&data);
    let binary = session::nats_server(global, &settings, &data).await?;
    let setup = Setup::new(settings.clone(), &keys, Keys::Given)?;
    let deadline = Duration::from_secs(arguments.stop_timeout);
    let mut instance = Instance::launch(setup, binary, Leave::LameDuck, deadline).await?;
    // Only now is this the one leafbox on the folder.
    drift::record(settings, &data, &keys)?;
    // A hub node is not ready before its cluster has a leader, however long that takes.
    let started = shutdown.run_until_cancelled(async {
        while let Err(error) = instance.ready(PATIENCE).await {
            tracing::warn!("{error}");
        }
    });
    if started.await.is_some() {
        instance.start_daemons()?;
        let Session { settings, addresses, .. } = instance.session();
        for [name, url, _] in addresses.rows(&settings.node) {
            info!("{name} on {url}");
        }
        runtime::notify::ready();
        info!("{} is ready", settings.node.name);
        shutdown.cancelled().await;
    }
    instance.stop().await;
    info!("stopped");
    Ok(())
}
