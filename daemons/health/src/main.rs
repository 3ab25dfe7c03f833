//! `leafbox-health`: the health daemon, run by systemd beside nats-server.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result, bail};
use clap::Parser;
use health::{Applied, Config};
use runtime::{
    ConnectOptions, Credentials, Disk, LocalTls, LogFormat, address, confine,
    confine::{Capability, Reach},
    connect, exit, http, logging, notify, shutdown,
};
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
    confine::drop_privileges(&Capability::to_listen(settings.node.health.listen.address()));
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
    tracing::info!("listening on {}", listener.local_addr()?);
    let serve = health::run(config, listener, nats, shutdown.clone());
    Ok(notify::around(move || pulse.is_fresh(limit), &shutdown, serve).await?)
}

/// Where nats-server listens.
#[derive(Debug)]
struct Bound {
    client: SocketAddr,
    monitoring: SocketAddr,
}

impl Bound {
    fn of(settings: &Settings) -> Result<Self> {
        let nats = &settings.node.nats;
        let declared = nats.client.address().zip(nats.monitoring.address());
        let (client, monitoring) =
            declared.context("`nats.client` and `nats.monitoring` must not be \"off\" for this daemon")?;
        let bound = |declared, listener| address::bound(declared, &settings.data_dir(), listener);
        Ok(Self { client: bound(client, "client")?, monitoring: bound(monitoring, "monitoring")? })
    }
}
