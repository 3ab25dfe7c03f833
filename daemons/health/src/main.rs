//! `leafbox-health`: the health daemon, run by systemd beside nats-server.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use health::{Applied, Config, SERVICE};
use runtime::{ConnectOptions, Credentials, confine::Reach, connect, notify};
use settings::Settings;
use startup::{Daemon, Server, Threads, bound};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const DAEMON: Daemon = Daemon {
    name: SERVICE,
    about: "Tells whether this node is well: GET /healthz, GET /readyz, and a heartbeat to the fleet",
    key: "health.listen",
    listen: |node| node.health.listen,
    threads: Threads::One,
};

fn main() -> ExitCode {
    DAEMON.run(prepare, serve)
}

fn prepare(settings: &Settings, credentials: &Credentials) -> Result<((Config, ConnectOptions), Reach)> {
    let server = Server::of(settings, credentials)?;
    let monitoring = bound(settings, settings.node.nats.monitoring, "monitoring")?;
    let run = Applied::path(&settings.data_dir());
    let run = run.parent().filter(|folder| folder.is_dir()).map(ToOwned::to_owned);
    let reach = Reach::nothing().read(run.unwrap_or_else(|| settings.data_dir())).connect(monitoring.port());
    let nats =
        server.connection(format!("{SERVICE} {}", settings.node.name), credentials.path("health.creds")?);
    Ok(((Config::new(settings, monitoring), nats), server.within(reach)))
}

async fn serve(
    (config, nats): (Config, ConnectOptions),
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<()> {
    let nats = connect(&nats).await?;
    let (pulse, limit) = (config.pulse.clone(), config.heartbeat + Duration::from_secs(30));
    let serve = health::run(config, listener, nats, shutdown.clone());
    Ok(notify::around(move || pulse.is_fresh(limit), &shutdown, serve).await?)
}
