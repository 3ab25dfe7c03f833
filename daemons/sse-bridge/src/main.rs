//! `leafbox-sse-bridge`: the web console and Server-Sent Events, run by systemd beside nats-server.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use runtime::{Credentials, confine::Reach, notify};
use settings::Settings;
use sse_bridge::{Config, ConnectPlan, SERVICE};
use startup::{Daemon, Server, Threads};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long the daemon may take to get round to what is due.
const STUCK: Duration = Duration::from_secs(30);

const DAEMON: Daemon = Daemon {
    name: SERVICE,
    about: "Shows this node in a browser, and sends what happens on it as Server-Sent Events",
    key: "console.listen",
    listen: |node| node.console.listen,
    threads: Threads::EachCore,
};

fn main() -> ExitCode {
    DAEMON.run(prepare, serve)
}

fn prepare(settings: &Settings, credentials: &Credentials) -> Result<((Config, ConnectPlan), Reach)> {
    let server = Server::of(settings, credentials)?.from_loopback();
    let config = Config::new(settings, credentials.clone());
    let reach = server.within(Reach::nothing());
    let reach = sse_bridge::tls(&config)?.iter().fold(reach, |reach, tls| tls.within(reach));
    let name = format!("{SERVICE} {}", settings.node.name);
    let plan = ConnectPlan::of(&config, |creds| server.connection(name.clone(), creds))?;
    Ok(((config, plan), reach))
}

async fn serve(
    (config, plan): (Config, ConnectPlan),
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<()> {
    let connections = plan.open().await?;
    let pulse = config.pulse.clone();
    let serve = sse_bridge::run(config, listener, connections, shutdown.clone());
    Ok(notify::around(move || pulse.is_fresh(STUCK), &shutdown, serve).await?)
}
