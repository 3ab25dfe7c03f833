//! Keeps one nats-server running, on the same ports, until it is told to stop.
//!
//! A server that ends is started again after a wait that grows from 100 ms to 10 s. The caller
//! renders the configuration anew before each start, and is given the addresses of the run before:
//! with those in place of port 0, clients find the server where it was.

use std::time::Duration;

use runtime::Backoff;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    process::{Addresses, Launch, NatsServer, ReloadError, StartError, Stopped},
    rundir::RunDir,
};

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A server that is not healthy after this is worth a word in the log.
const SLOW: Duration = Duration::from_secs(15);
/// A server that was ready for this long ends for a new reason: the waits start over.
const STABLE: Duration = Duration::from_secs(30);

/// What went wrong while the configuration was rendered.
pub type ConfigureError = Box<dyn std::error::Error + Send + Sync>;

/// How the server leaves when it is told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// In lame duck mode: its clients are told first, to go to another server of the cluster.
    LameDuck,
    /// At once, in order.
    AtOnce,
}

/// How to stop.
#[derive(Clone, Copy, Debug)]
pub struct Stop {
    /// How it leaves.
    pub leave: Leave,
    /// How long it may take before it is killed.
    pub deadline: Duration,
}

/// What the server is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It listens, but was not healthy yet: recovering its stores, or a hub node that waits for
    /// the others.
    Starting {
        /// What it listens on.
        addresses: Addresses,
        /// What it lacks, once it was asked.
        lacks: Option<String>,
    },
    /// It was healthy since it started.
    Ready(Ready),
    /// It ended, and is started again after a wait.
    Backoff {
        /// When it is started again.
        until: std::time::Instant,
        /// Why it ended or did not start.
        why: String,
    },
    /// It was told to stop, and did.
    Stopped {
        /// How.
        how: Option<Stopped>,
    },
}

/// A server that runs and was healthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// What it listens on.
    pub addresses: Addresses,
    /// Its process id.
    pub pid: u32,
    /// How often it was started again.
    pub restarts: u32,
}

/// The server was not ready within the time given.
#[derive(Debug, thiserror::Error)]
#[error("nats-server was not ready within {within:?}: {lacks}")]
pub struct NotReady {
    within: Duration,
    lacks: String,
}

/// A server that is kept running. Dropping this does not stop it: cancel the token that it was
/// given, then [`join`](Self::join).
#[derive(Debug)]
pub struct Supervised {
    state: watch::Receiver<State>,
    reloads: mpsc::Sender<oneshot::Sender<Result<(), ReloadError>>>,
    keeper: JoinHandle<()>,
}

impl Supervised {
    /// What the server is doing, and each change of it.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Waits until the server is healthy.
    pub async fn ready(&self, within: Duration) -> Result<Ready, NotReady> {
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| matches!(state, State::Ready(_) | State::Stopped { .. }));
        if let Ok(Ok(settled)) = tokio::time::timeout(within, settled).await
            && let State::Ready(ready) = &*settled
        {
            return Ok(ready.clone());
        }
        let lacks = match &*self.state.borrow() {
            State::Starting { lacks, .. } => lacks.clone().unwrap_or_else(|| "it is starting".to_owned()),
            State::Backoff { why, .. } => why.clone(),
            State::Stopped { .. } => "it was stopped".to_owned(),
            State::Ready(_) => "it became so just now".to_owned(),
        };
        Err(NotReady { within, lacks })
    }

    /// Has the running server read its configuration again.
    pub async fn reload(&self) -> Result<(), ReloadError> {
        let (reply, answered) = oneshot::channel();
        self.reloads.send(reply).await.map_err(|_| ReloadError::NotRunning)?;
        answered.await.unwrap_or(Err(ReloadError::NotRunning))
    }

    /// Waits until the server has stopped, after the token was cancelled.
    pub async fn join(self) -> Option<Stopped> {
        if let Err(error) = self.keeper.await {
            tracing::error!("the supervisor of nats-server failed: {error}");
        }
        match &*self.state.borrow() {
            State::Stopped { how } => *how,
            _ => None,
        }
    }
}

/// Starts a nats-server and keeps it running until `shutdown` is cancelled.
///
/// `configure` renders the configuration before each start and says what to start; it is given the
/// addresses of the run before. The first start must get as far as listening, or its error is
/// returned; any later failure is tried again.
pub async fn supervise<C>(
    mut configure: C,
    stop: Stop,
    shutdown: CancellationToken,
) -> Result<Supervised, StartError>
where
    C: FnMut(Option<&Addresses>) -> Result<Launch, ConfigureError> + Send + 'static,
{
    let launch = configure(None).map_err(StartError::Configure)?;
    let run_dir = RunDir::take(&launch.run_dir).await?;
    let deadline = Instant::now() + launch.ready_timeout;
    let server = NatsServer::spawn(&launch, run_dir.clone(), deadline).await?;
    let starting = State::Starting { addresses: server.addresses().clone(), lacks: None };
    let (state, watched) = watch::channel(starting);
    let (reloads, asked) = mpsc::channel(1);
    let keeper = Keeper { configure, run_dir, stop, shutdown, state, asked, restarts: 0 };
    Ok(Supervised { state: watched, reloads, keeper: tokio::spawn(keeper.keep(server)) })
}

struct Keeper<C> {
    configure: C,
    run_dir: RunDir,
    stop: Stop,
    shutdown: CancellationToken,
    state: watch::Sender<State>,
    asked: mpsc::Receiver<oneshot::Sender<Result<(), ReloadError>>>,
    restarts: u32,
}

impl<C> Keeper<C>
where
    C: FnMut(Option<&Addresses>) -> Result<Launch, ConfigureError> + Send + 'static,
{
    async fn keep(mut self, first: NatsServer) {
        let shutdown = self.shutdown.clone();
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        let mut server = first;
        loop {
            let started = Instant::now();
            let ended = shutdown.run_until_cancelled(self.watch(&mut server)).await;
            let Some(why) = ended else {
                let stopped = match self.stop.leave {
                    Leave::LameDuck => server.stop(self.stop.deadline).await,
                    Leave::AtOnce => server.stop_now(self.stop.deadline).await,
                };
                return self.tell(State::Stopped { how: Some(stopped) });
            };
            if started.elapsed() >= STABLE {
                backoff.reset();
            }
            tracing::error!("{why}: starting it again");
            let addresses = server.addresses().clone();
            drop(server);
            let restarted = self.restart(&addresses, &mut backoff, why);
            match shutdown.run_until_cancelled(restarted).await {
                Some(restarted) => server = restarted,
                None => return self.tell(State::Stopped { how: None }),
            }
        }
    }

    /// Watches a server until it ends, and says why it did.
    async fn watch(&mut self, server: &mut NatsServer) -> String {
        let mut poll = Poll::new();
        let monitoring = server.monitoring();
        loop {
            tokio::select! {
                status = server.exited() => {
                    let status = status.map_or_else(|| "of unknown status".to_owned(), |it| it.to_string());
                    let last = server.last_lines().pop().unwrap_or_default();
                    return format!("nats-server ended ({status}; its last line: {last})");
                }
                Some(reply) = self.asked.recv() => {
                    // Whoever asked may have gone.
                    let _ = reply.send(server.reload().await);
                }
                lacks = poll.healthy(monitoring), if !poll.done => {
                    let addresses = server.addresses().clone();
                    match lacks {
                        None => {
                            poll.done = true;
                            let (pid, restarts) = (server.pid(), self.restarts);
                            tracing::info!(pid, restarts, "nats-server is ready (process {pid})");
                            self.tell(State::Ready(Ready { addresses, pid, restarts }));
                        }
                        Some(lacks) => {
                            if poll.is_slow() {
                                tracing::warn!("nats-server listens, but is not healthy yet: {lacks}");
                            }
                            self.tell(State::Starting { addresses, lacks: Some(lacks) });
                        }
                    }
                }
            }
        }
    }

    async fn restart(&mut self, addresses: &Addresses, backoff: &mut Backoff, why: String) -> NatsServer {
        let mut why = why;
        loop {
            let wait = backoff.wait();
            self.tell(State::Backoff { until: (Instant::now() + wait).into_std(), why });
            tokio::time::sleep(wait).await;
            self.restarts += 1;
            let started = match (self.configure)(Some(addresses)).map_err(StartError::Configure) {
                Ok(launch) => {
                    let deadline = Instant::now() + launch.ready_timeout;
                    NatsServer::spawn(&launch, self.run_dir.clone(), deadline).await
                }
                Err(error) => Err(error),
            };
            match started {
                Ok(server) => {
                    let addresses = server.addresses().clone();
                    self.tell(State::Starting { addresses, lacks: None });
                    return server;
                }
                Err(error) => {
                    tracing::error!("nats-server could not be started again: {error}");
                    why = error.to_string();
                }
            }
        }
    }

    fn tell(&self, state: State) {
        self.state.send_replace(state);
    }
}

/// Asks for health more and more slowly.
struct Poll {
    pauses: Backoff,
    next: Instant,
    slow_at: Instant,
    done: bool,
}

impl Poll {
    fn new() -> Self {
        let pauses = Backoff::new(Duration::from_millis(2), Duration::from_millis(250));
        Self { pauses, next: Instant::now(), slow_at: Instant::now() + SLOW, done: false }
    }

    /// Whether it has taken long, once each time that it took so much longer.
    fn is_slow(&mut self) -> bool {
        let slow = Instant::now() >= self.slow_at;
        if slow {
            self.slow_at += 4 * SLOW;
        }
        slow
    }

    /// What the server lacks. Safe to cancel: it then asks again.
    async fn healthy(&mut self, monitoring: Option<runtime::Monitoring>) -> Option<String> {
        tokio::time::sleep_until(self.next).await;
        let lacks = match monitoring {
            Some(monitoring) => monitoring.healthz().await.err().map(|error| error.to_string()),
            None => Some("its configuration has no monitoring listener".to_owned()),
        };
        self.next = Instant::now() + self.pauses.wait();
        lacks
    }
}
