//! How a daemon begins and ends where it is a process of its own, as systemd runs it: arguments,
//! logging, settings, listener, confinement, signals, exit code.
//!
//! The order is the point: what is looked at and opened comes before the process is confined, and
//! the process is confined before it has a second thread, which the limits would not hold for.
//! `leafbox run` starts the same daemons in one process, and does these things itself, once.

mod server;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};
use clap::{CommandFactory, FromArgMatches, Parser};
use runtime::{
    Credentials, Disk, LogFormat,
    confine::{self, Capability, Reach},
    exit, http, logging, shutdown,
};
use settings::{ByteSize, Listen, Node, Settings, Sources};
use tokio::{net::TcpListener, runtime::Builder};
use tokio_util::sync::CancellationToken;

pub use server::{Server, bound};

/// What each daemon's program takes; its name and what it is for are the daemon's.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The file that describes this machine.
    #[arg(short, long, default_value = "node.toml", env = "LEAFBOX_CONFIG")]
    config: PathBuf,
}

/// A daemon as a program.
#[derive(Clone, Copy, Debug)]
pub struct Daemon {
    /// The program's name.
    pub name: &'static str,
    /// What it is for, in a sentence, for `--help`.
    pub about: &'static str,
    /// The key of node.toml that says where it listens.
    pub key: &'static str,
    /// The value of that key.
    pub listen: fn(&Node) -> Listen,
    /// What its work is spread over.
    pub threads: Threads,
}

/// What a daemon's work is spread over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// One thread, for a daemon with little to do.
    One,
    /// A thread for each core.
    EachCore,
}

impl Daemon {
    /// Runs the daemon from its arguments to its exit code.
    ///
    /// `prepare` looks at all that is not reached later, and says what is beside the credentials;
    /// `serve` answers on the listener until the token is cancelled.
    pub fn run<P>(
        self,
        prepare: impl FnOnce(&Settings, &Credentials) -> Result<(P, Reach)>,
        serve: impl AsyncFnOnce(P, TcpListener, CancellationToken) -> Result<()>,
    ) -> ExitCode {
        let matches = Arguments::command().name(self.name).about(self.about).get_matches();
        let Arguments { config } = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        if let Err(error) = logging::init(LogFormat::Auto) {
            return complain(&error.into(), exit::BAD_CONFIG);
        }
        let disk_size = |path: &std::path::Path| Disk::of(path).ok().map(|disk| ByteSize(disk.total));
        let settings = match settings::load(&Sources::of_process(config, disk_size)) {
            Ok(loaded) => loaded.settings,
            Err(problems) => return complain(&problems.into(), exit::BAD_CONFIG),
        };
        match self.start(&settings, prepare, serve) {
            Ok(()) => ExitCode::from(exit::SUCCESS),
            Err(error) => complain(&error, exit::FAILURE),
        }
    }

    fn start<P>(
        self,
        settings: &Settings,
        prepare: impl FnOnce(&Settings, &Credentials) -> Result<(P, Reach)>,
        serve: impl AsyncFnOnce(P, TcpListener, CancellationToken) -> Result<()>,
    ) -> Result<()> {
        let listen = (self.listen)(&settings.node).address();
        confine::drop_privileges(&Capability::to_listen(listen));
        let Some(listen) = listen else {
            bail!("`{}` is \"off\": give it an address, or do not start this daemon", self.key);
        };
        let credentials = Credentials::locate(&settings.data_dir());
        let (prepared, reach) = prepare(settings, &credentials)?;
        let listener = bind(listen, self.key)?;
        reach.read(credentials.directory()).confine();
        let mut runtime = match self.threads {
            Threads::One => Builder::new_current_thread(),
            Threads::EachCore => Builder::new_multi_thread(),
        };
        let runtime = runtime.enable_all().build().context("the async runtime could not be started")?;
        runtime.block_on(async {
            let shutdown = shutdown::token().context("signals cannot be received")?;
            let listener = TcpListener::from_std(listener)?;
            tracing::info!("listening on {}", listener.local_addr()?);
            serve(prepared, listener, shutdown).await
        })
    }
}

fn complain(error: &anyhow::Error, code: u8) -> ExitCode {
    tracing::error!("{error:#}");
    ExitCode::from(code)
}

/// Listens, with a runtime of its own that is gone when the process is confined.
fn bind(listen: SocketAddr, key: &str) -> Result<std::net::TcpListener> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let listener = runtime.block_on(http::bind(listen, key))?;
    Ok(listener.into_std()?)
}
