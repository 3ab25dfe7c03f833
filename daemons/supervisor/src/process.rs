//! One running nats-server.
//!
//! Its addresses come from its log, because its ports file knows neither leaf node nor MQTT ports
//! and is written some time after the server is ready. It runs in a process group of its own, so
//! that Ctrl-C reaches only leafbox, which then stops it in order.

mod announced;
mod error;
mod replace;

use std::{fmt, net::SocketAddr, path::PathBuf, process::Stdio, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use runtime::{Monitoring, reachable};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout, timeout_at},
};
use zeroize::Zeroizing;

use crate::{
    log::{Journal, LogSink},
    mend::mend,
    rundir::RunDir,
};
use announced::Announced;
pub use error::{ReloadError, StartError};
pub use replace::Replacement;

/// What to start.
#[derive(Clone)]
pub struct Launch {
    /// The nats-server program.
    pub binary: PathBuf,
    /// Its configuration file. Ports may be -1, and `pid_file` is overridden. It must not name a log
    /// file: the log is how the server tells what it listens on.
    pub config: PathBuf,
    /// The JetStream folder that it names, if it has one: mended before the start.
    pub store: Option<PathBuf>,
    /// Variables that the configuration refers to, with values that must not be seen.
    pub environment: Vec<(String, Zeroizing<String>)>,
    /// The folder of lock and pid file, one a server; made if missing.
    pub run_dir: PathBuf,
    /// Where its log lines go.
    pub log: LogSink,
    /// How long it may take until it is ready.
    pub ready_timeout: Duration,
    /// Whether the configuration has a cluster: its listener is then waited for too, since
    /// nats-server tells of it only after it called itself ready.
    pub routes: bool,
    /// The setting that moves each listener, such as `nats.client`, for the error about a taken
    /// port.
    pub keys: Vec<(SocketAddr, String)>,
}

impl fmt::Debug for Launch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.environment.iter().map(|(name, _)| name).collect();
        formatter
            .debug_struct("Launch")
            .field("binary", &self.binary)
            .field("config", &self.config)
            .field("store", &self.store)
            .field("environment", &names)
            .field("run_dir", &self.run_dir)
            .field("log", &self.log)
            .field("ready_timeout", &self.ready_timeout)
            .field("routes", &self.routes)
            .field("keys", &self.keys)
            .finish()
    }
}

/// What a nats-server listens on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// Clients.
    pub client: Option<SocketAddr>,
    /// HTTP monitoring.
    pub monitoring: Option<SocketAddr>,
    /// Clients over websocket.
    pub websocket: Option<SocketAddr>,
    /// Leaf nodes.
    pub leaf: Option<SocketAddr>,
    /// Routes.
    pub route: Option<SocketAddr>,
    /// MQTT clients.
    pub mqtt: Option<SocketAddr>,
}

/// How a nats-server was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It ended by itself within the deadline.
    InOrder,
    /// It had to be killed.
    Killed,
}

/// A running nats-server, killed when this is dropped.
#[derive(Debug)]
pub struct NatsServer {
    child: Child,
    pid: u32,
    addresses: Addresses,
    announced: watch::Receiver<Announced>,
    readers: Vec<JoinHandle<()>>,
    journal: Journal,
    _run_dir: RunDir,
}

impl NatsServer {
    /// Starts nats-server and waits until it is ready. Ends first what a dead supervisor of the
    /// same run directory left running.
    pub async fn start(launch: &Launch) -> Result<Self, StartError> {
        let deadline = Instant::now() + launch.ready_timeout;
        let run_dir = RunDir::take(&launch.run_dir).await?;
        let mut server = Self::spawn(launch, run_dir, deadline).await?;
        server.ready(deadline).await?;
        Ok(server)
    }

    /// Starts nats-server and waits until it listens.
    pub(crate) async fn spawn(
        launch: &Launch,
        run_dir: RunDir,
        deadline: Instant,
    ) -> Result<Self, StartError> {
        let mut child = spawn_program(launch, &run_dir).await?;
        let pid = child.id().expect("a process that was not waited for has an id");
        let secrets = launch.environment.iter().map(|(_, value)| value.clone()).collect();
        let journal = Journal::new(launch.log.clone(), secrets);
        let (sender, announced) = watch::channel(Announced::default());
        let stdout = child.stdout.take().map(|pipe| read(pipe, journal.clone(), sender.clone()));
        let stderr = child.stderr.take().map(|pipe| read(pipe, journal.clone(), sender));
        let readers = stdout.into_iter().chain(stderr).collect();
        let addresses = Addresses::default();
        let mut server = Self { child, pid, addresses, announced, readers, journal, _run_dir: run_dir };

        let mut announced = server.announced.clone();
        let is_listening = |announced: &Announced| {
            announced.ready && (announced.addresses.route.is_some() || !launch.routes)
        };
        let listening = async { announced.wait_for(is_listening).await.is_ok() };
        let listening = tokio::select! {
            listening = timeout_at(deadline, listening) => listening,
            _ = server.child.wait() => Ok(false),
        };
        match listening {
            Ok(true) => {}
            Ok(false) => return Err(server.exit_error(launch).await),
            Err(_) => return Err(server.not_ready("it does not listen yet".to_owned())),
        }
        server.addresses = server.announced.borrow().addresses.clone();
        Ok(server)
    }

    /// Waits until `/healthz` says ok.
    async fn ready(&mut self, deadline: Instant) -> Result<(), StartError> {
        let Some(monitoring) = self.monitoring() else {
            return Err(self.not_ready("its configuration has no monitoring listener".to_owned()));
        };
        let mut pause = Duration::from_millis(2);
        loop {
            let error = match monitoring.healthz().await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if Instant::now() + pause > deadline {
                return Err(self.not_ready(error.to_string()));
            }
            tokio::select! {
                () = sleep(pause) => {}
                status = self.exited() => {
                    return Err(StartError::Exited { status, lines: self.last_lines() });
                }
            }
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }

    /// What it listens on.
    pub const fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Its process id.
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Its monitoring listener; `None` if its configuration has none.
    pub fn monitoring(&self) -> Option<Monitoring> {
        self.addresses.monitoring.map(|address| Monitoring::new(reachable(address)))
    }

    /// The end of its log, without secrets.
    pub fn last_lines(&self) -> Vec<String> {
        self.journal.last_lines()
    }

    /// Waits until it ends by itself or by another's signal.
    pub async fn exited(&mut self) -> Option<std::process::ExitStatus> {
        let status = self.child.wait().await.ok();
        self.drain().await;
        status
    }

    /// Kills it with no chance to clean up.
    pub async fn kill(&mut self) {
        // Fails only for a process that is gone already.
        let _ = self.child.kill().await;
    }

    /// Has it read its configuration again. What it refused is in the error; then nothing changed.
    pub async fn reload(&mut self) -> Result<(), ReloadError> {
        let before = self.announced.borrow().reloads;
        self.signal(Signal::SIGHUP).map_err(ReloadError::Signal)?;
        let answered = self.announced.wait_for(|announced| announced.reloads > before);
        let answered = timeout(Duration::from_secs(10), answered).await;
        match answered {
            Ok(Ok(announced)) => match &announced.refused {
                None => Ok(()),
                Some(reason) => Err(ReloadError::Refused { reason: reason.clone() }),
            },
            Ok(Err(_)) | Err(_) => Err(ReloadError::NoAnswer),
        }
    }

    /// Stops it in lame duck mode, in which clients are told to go elsewhere; kills it after the
    /// deadline.
    pub async fn stop(self, deadline: Duration) -> Stopped {
        self.stop_with(Signal::SIGUSR2, deadline).await
    }

    /// Stops it in order but at once; kills it after the deadline.
    pub async fn stop_now(self, deadline: Duration) -> Stopped {
        self.stop_with(Signal::SIGTERM, deadline).await
    }

    async fn stop_with(mut self, signal: Signal, deadline: Duration) -> Stopped {
        let signalled = self.signal(signal);
        let ended = match signalled {
            Ok(()) => timeout(deadline, self.child.wait()).await.is_ok(),
            Err(_) => self.child.try_wait().is_ok_and(|status| status.is_some()),
        };
        if !ended {
            tracing::warn!(pid = self.pid, "nats-server did not stop within {deadline:?}: killing it");
            self.kill().await;
        }
        self.drain().await;
        if ended { Stopped::InOrder } else { Stopped::Killed }
    }

    fn signal(&self, signal: Signal) -> nix::Result<()> {
        // The id is taken from the child, which forgets it once the process was waited for and its
        // id may be another's.
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).ok_or(nix::Error::ESRCH)?;
        kill(Pid::from_raw(pid), signal)
    }

    /// Reads the log to its end, once the process is gone.
    async fn drain(&mut self) {
        for reader in self.readers.drain(..) {
            let _ = timeout(Duration::from_secs(1), reader).await;
        }
    }

    async fn exit_error(&mut self, launch: &Launch) -> StartError {
        let status = self.exited().await;
        StartError::from_last_lines(status, self.last_lines(), &launch.keys)
    }

    fn not_ready(&self, reason: String) -> StartError {
        StartError::NotReady { reason, lines: self.last_lines() }
    }
}

/// nats-server with its arguments and environment, its store mended. The run directory is held, so that
/// no other runs on that store. The pid file among the arguments is how one that
/// was left behind is known.
fn program(launch: &Launch, run_dir: &RunDir) -> Result<std::process::Command, StartError> {
    let failed = |source| StartError::Spawn { binary: launch.binary.clone(), source };
    let config = std::path::absolute(&launch.config).map_err(failed)?;
    if let Some(store) = &launch.store {
        let mended = mend(store).map_err(|source| StartError::Store { path: store.clone(), source })?;
        for block in mended {
            let block = block.display();
            tracing::warn!(%block, "nats-server ended while it made {block}, which is empty: removed");
        }
    }
    let mut command = std::process::Command::new(&launch.binary);
    command.arg("-c").arg(config).arg("-P").arg(run_dir.pid_file());
    command.envs(launch.environment.iter().map(|(name, value)| (name, value.as_str())));
    command.stdin(Stdio::null());
    Ok(command)
}

async fn spawn_program(launch: &Launch, run_dir: &RunDir) -> Result<Child, StartError> {
    let failed = |source| StartError::Spawn { binary: launch.binary.clone(), source };
    let mut command = Command::from(program(launch, run_dir)?);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    let mut attempts = 0;
    loop {
        match command.spawn() {
            // A program that was written just now is busy while another thread forks with the
            // file still open.
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy && attempts < 50 => {
                attempts += 1;
                sleep(Duration::from_millis(10)).await;
            }
            spawned => return spawned.map_err(failed),
        }
    }
}

fn read(
    pipe: impl AsyncRead + Unpin + Send + 'static,
    journal: Journal,
    sender: watch::Sender<Announced>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut reader = BufReader::new(pipe);
        let mut raw = Vec::new();
        while reader.read_until(b'\n', &mut raw).await.is_ok_and(|read| read > 0) {
            let line = journal.take(String::from_utf8_lossy(&raw).trim_end());
            sender.send_if_modified(|announced| announced.take(&line.text));
            raw.clear();
        }
    })
}
