//! `leafbox-registry`: the container registry, run by systemd beside nats-server.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use axum::http::Uri;
use clap::Parser;
use registry::{Config, RegistryConnections, SERVICE};
use runtime::{
    ConnectOptions, Credentials, Disk, LocalTls, LogFormat, address, confine,
    confine::{Capability, Reach},
    exit, from_loopback, http, logging, notify, shutdown,
};
use settings::{ByteSize, Settings, Sources};

/// How long the daemon may take to get round to what is due.
const STUCK: Duration = Duration::from_secs(30);

/// Keeps container images of this node and of its fleet.
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
    confine::drop_privileges(&Capability::to_listen(settings.node.registry.listen.address()));
    // Before there is a second thread: the limits hold for those that come after.
    let prepared = match Prepared::of(&settings) {
        Ok(prepared) => prepared,
        Err(error) => return complain(&error, exit::FAILURE),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("the async runtime could not be started");
    match runtime.and_then(|runtime| runtime.block_on(run(prepared))) {
        Ok(()) => ExitCode::from(exit::SUCCESS),
        Err(error) => complain(&error, exit::FAILURE),
    }
}

fn complain(error: &anyhow::Error, code: u8) -> ExitCode {
    tracing::error!("{error:#}");
    ExitCode::from(code)
}

/// What is looked at, opened and made before the process is confined.
struct Prepared {
    config: Config,
    listener: TcpListener,
    nats: ConnectOptions,
}

impl Prepared {
    fn of(settings: &Settings) -> Result<Self> {
        let node = &settings.node;
        let Some(listen) = node.registry.listen.address() else {
            bail!("`registry.listen` is \"off\": give it an address, or do not start this daemon");
        };
        let client = client_address(settings)?;
        let credentials = Credentials::locate(&settings.data_dir());
        let tls = node.nats.tls.client.as_ref();
        let tls = tls.map(|tls| LocalTls::new(credentials.directory(), &tls.cert, tls.own()));
        let config = Config::new(settings, credentials);
        if config.of_node().cache.0 > 0 {
            let folder = config.cache();
            fs::create_dir_all(&folder)
                .with_context(|| format!("the folder {} of the cache cannot be made", folder.display()))?;
        }
        let reach = Reach::nothing()
            .read(config.credentials.directory())
            .write(config.cache())
            .connect(client.port());
        let reach = tls.iter().fold(reach, |reach, tls| tls.within(reach));
        let reach = registry::tls(&config)?.iter().fold(reach, |reach, tls| tls.within(reach));
        let reach = with_upstreams(&config, reach);
        let from = from_loopback(client);
        let reach = if from.is_some() { reach.connect_from() } else { reach };
        let creds = config.credentials.path("registry.creds")?;
        let listener = bind(listen)?;
        reach.confine();
        let scheme = if tls.is_some() { "tls" } else { "nats" };
        let nats = ConnectOptions {
            urls: vec![format!("{scheme}://{client}")],
            credentials: Some(creds),
            tls,
            from,
            name: format!("{SERVICE} {}", node.name),
            inbox: None,
        };
        Ok(Self { config, listener, nats })
    }
}

async fn run(prepared: Prepared) -> Result<()> {
    let Prepared { config, listener, nats } = prepared;
    let shutdown = shutdown::token().context("signals cannot be received")?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let connections = RegistryConnections::open(&nats).await?;
    let pulse = config.pulse.clone();
    tracing::info!("listening on {}", listener.local_addr()?);
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

/// Listens, with a runtime of its own that is gone when the process is confined.
fn bind(listen: SocketAddr) -> Result<TcpListener> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = runtime.block_on(http::bind(listen, "registry.listen"))?;
    Ok(listener.into_std()?)
}

/// Where nats-server takes clients.
fn client_address(settings: &Settings) -> Result<SocketAddr> {
    let declared = settings.node.nats.client.address();
    let declared = declared.context("`nats.client` must not be \"off\" for this daemon")?;
    Ok(address::bound(declared, &settings.data_dir(), "client")?)
}
