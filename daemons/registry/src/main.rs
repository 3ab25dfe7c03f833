//! `leafbox-registry`: the container registry, run by systemd beside nats-server.

use std::{fs, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use axum::http::Uri;
use registry::{Config, RegistryConnections, SERVICE};
use runtime::{ConnectOptions, Credentials, confine::Reach, notify};
use settings::Settings;
use startup::{Daemon, Server, Threads};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long the daemon may take to get round to what is due.
const STUCK: Duration = Duration::from_secs(30);

const DAEMON: Daemon = Daemon {
    name: SERVICE,
    about: "Keeps container images of this node and of its fleet",
    key: "registry.listen",
    listen: |node| node.registry.listen,
    threads: Threads::EachCore,
};

fn main() -> ExitCode {
    runtime::keep_freed_memory();
    DAEMON.run(prepare, serve)
}

fn prepare(settings: &Settings, credentials: &Credentials) -> Result<((Config, ConnectOptions), Reach)> {
    let server = Server::of(settings, credentials)?.from_loopback();
    let config = Config::new(settings, credentials.clone());
    if config.of_node().cache.0 > 0 {
        let folder = config.cache();
        fs::create_dir_all(&folder)
            .with_context(|| format!("the folder {} of the cache cannot be made", folder.display()))?;
    }
    let reach = server.within(Reach::nothing().write(config.cache()));
    let reach = registry::tls(&config)?.iter().fold(reach, |reach, tls| tls.within(reach));
    let reach = with_upstreams(&config, reach);
    let nats = server.connection(format!("{SERVICE} {}", config.name()), credentials.path("registry.creds")?);
    Ok(((config, nats), reach))
}

async fn serve(
    (config, nats): (Config, ConnectOptions),
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<()> {
    let connections = RegistryConnections::open(&nats).await?;
    let pulse = config.pulse.clone();
    let serve = registry::run(config, listener, connections, shutdown.clone());
    Ok(notify::around(move || pulse.is_fresh(STUCK), &shutdown, serve).await?)
}

/// What it takes to find other registries by their names, and to trust and reach them.
fn with_upstreams(config: &Config, reach: Reach) -> Reach {
    const NAMES_AND_AUTHORITIES: [&str; 7] = [
        "/etc",
        "/run/systemd/resolve",
        "/lib",
        "/usr/lib",
        "/usr/share/ca-certificates",
        "/usr/local/share/ca-certificates",
        "/nix/store",
    ];
    const DNS: u16 = 53;
    let upstreams = &config.of_fleet().upstreams;
    if upstreams.is_empty() {
        return reach;
    }
    let reach = NAMES_AND_AUTHORITIES.into_iter().fold(reach.connect(DNS), Reach::read);
    upstreams.iter().fold(reach, |reach, upstream| {
        let url = upstream.url.parse::<Uri>().ok();
        let named = url.as_ref().and_then(Uri::port_u16);
        let is_plain = url.is_some_and(|url| url.scheme_str() == Some("http"));
        reach.connect(named.unwrap_or(if is_plain { 80 } else { 443 }))
    })
}
