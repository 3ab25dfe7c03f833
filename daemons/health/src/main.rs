//! `leafbox-health`: the health daemon, run by systemd beside nats-server.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result, bail};
use clap::Parser;
use health::{Applied, Config};
use runtime::{
    ConnectOptions, Credentials, Disk, LocalTls, LogFormat, confine,
    confine::{Capability, Reach},
    connect, exit, http, logging, notify, reachable, shutdown,
};
use serde::Deserialize;
use settings::{ByteSize, Settings, Sources};

/// Tells whether this node is well: GET /healthz, GET /readyz, and a heartbeat to the fleet.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The file that describes this machine.
    #[arg(short, long, default_value = "node.toml", env = "LEAFBOX_CONFIG")]
    config: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(error) = logging::init(LogFormat::Auto) {
        return complain(&error.into(), exit::BAD_CONFIG);
    }
    let disk_size = |path: &std::path::Path| Disk::of(path).ok().map(|disk| ByteSize(disk.total));
    let settings = match settings::load(&Sources::of_process(arguments.config, disk_size)) {
        Ok(loaded) => loaded.settings,
        Err(problems) => return complain(&problems.into(), exit::BAD_CONFIG),
    };
    confine::drop_privileges(low_port(&settings));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.context("the async runtime could not be started").and_then(|it| it.block_on(run(&settings)))
    {
        Ok(()) => ExitCode::from(exit::SUCCESS),
        Err(error) => complain(&error, exit::FAILURE),
    }
}

fn complain(error: &anyhow::Error, code: u8) -> ExitCode {
    tracing::error!("{error:#}");
    ExitCode::from(code)
}

async fn run(settings: &Settings) -> Result<()> {
    let node = &settings.node;
    let shutdown = shutdown::token().context("signals cannot be received")?;
    let Some(listen) = node.health.listen.address() else {
        bail!("`health.listen` is \"off\": give it an address, or do not start this daemon");
    };
    let bound = Bound::of(settings)?;
    let credentials = Credentials::locate(&settings.data_dir());
    let tls = node.nats.tls.client.as_ref();
    let tls = tls.map(|tls| LocalTls::new(credentials.directory(), &tls.cert, tls.own()));
    let run = Applied::path(&settings.data_dir());
    let run = run.parent().filter(|folder| folder.is_dir()).map(ToOwned::to_owned);
    let reach = Reach::nothing()
        .read(credentials.directory())
        .read(run.unwrap_or_else(|| settings.data_dir()))
        .connect(bound.client.port())
        .connect(bound.monitoring.port());
    let reach = tls.iter().fold(reach, |reach, tls| tls.within(reach));
    let credentials = credentials.path("health.creds")?;
    let listener = http::bind(listen, "health.listen").await?;
    // This is the only thread until now, and all that is left to open is named above.
    reach.confine();
    let scheme = if node.nats.tls.client.is_some() { "tls" } else { "nats" };
    let nats = connect(&ConnectOptions {
        urls: vec![format!("{scheme}://{}", bound.client)],
        credentials: Some(credentials),
        tls,
        name: format!("{} {}", health::SERVICE, node.name),
        from: None,
        inbox: None,
    })
    .await?;
    let config = Config::new(settings, bound.monitoring);
    let (pulse, limit) = (config.pulse.clone(), config.heartbeat + Duration::from_secs(30));
    let watchdog = notify::watchdog(move || pulse.is_fresh(limit), shutdown.clone());
    tracing::info!("listening on {}", listener.local_addr()?);
    notify::ready();
    let stopping = shutdown.clone();
    let telling = tokio::spawn(async move {
        stopping.cancelled().await;
        notify::stopping();
    });
    health::run(config, listener, nats, shutdown.clone()).await?;
    shutdown.cancel();
    telling.await?;
    if let Some(watchdog) = watchdog {
        watchdog.await?;
    }
    Ok(())
}

/// What it takes to listen where node.toml says.
fn low_port(settings: &Settings) -> &'static [Capability] {
    match settings.node.health.listen.address() {
        Some(address) if (1..1024).contains(&address.port()) => &[Capability::BindLowPorts],
        _ => &[],
    }
}

/// Where nats-server listens.
#[derive(Debug, Deserialize)]
struct Bound {
    client: SocketAddr,
    monitoring: SocketAddr,
}

impl Bound {
    /// As declared, or as written to `run/addresses.json` where the system chose a port.
    fn of(settings: &Settings) -> Result<Self> {
        let nats = &settings.node.nats;
        let declared = nats.client.address().zip(nats.monitoring.address());
        let (client, monitoring) =
            declared.context("`nats.client` and `nats.monitoring` must not be \"off\" for this daemon")?;
        if client.port() != 0 && monitoring.port() != 0 {
            return Ok(Self { client: reachable(client), monitoring: reachable(monitoring) });
        }
        let path = settings.data_dir().join("run/addresses.json");
        let text = std::fs::read(&path)
            .with_context(|| format!("{} cannot be read: is the node running?", path.display()))?;
        let bound: Self = serde_json::from_slice(&text)
            .with_context(|| format!("{} is not understood: restart the node", path.display()))?;
        Ok(Self { client: reachable(bound.client), monitoring: reachable(bound.monitoring) })
    }
}
