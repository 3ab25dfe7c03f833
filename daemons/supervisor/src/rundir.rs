//! The run directory of one nats-server: who supervises it, and which process it is.
//!
//! Two servers on one store destroy it, and nats-server itself takes no lock. So a supervisor holds
//! a file lock for as long as it lives, which the kernel frees even after kill -9; whoever gets the
//! lock next ends the server that the dead one left behind.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::time::{Instant, sleep};

use crate::process::StartError;

const LOCK: &str = "supervisor.lock";
const PID: &str = "nats-server.pid";
/// How long a server left behind may take to shut down in order.
const GRACE: Duration = Duration::from_secs(10);
/// How long a lock may take to be let go of. A process that this one is just starting, for whatever else,
/// holds all that is open here until it has become its program.
const LET_GO: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(10);

/// The run directory, locked for this process.
#[derive(Clone, Debug)]
pub(crate) struct RunDir {
    path: PathBuf,
    lock: Arc<File>,
}

impl RunDir {
    /// Locks the directory, made if missing, and ends the server that a dead supervisor left.
    pub(crate) async fn take(path: &Path) -> Result<Self, StartError> {
        let failed = |source| StartError::RunDir { path: path.to_owned(), source };
        let path = std::path::absolute(path).map_err(failed)?;
        let lock = open(&path).map_err(failed)?;
        let deadline = Instant::now() + LET_GO;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(source)) => return Err(failed(source)),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(LOOK).await,
                Err(TryLockError::WouldBlock) => {
                    let pid =
                        fs::read_to_string(path.join(LOCK)).ok().and_then(|text| text.trim().parse().ok());
                    return Err(StartError::AlreadyRunning { path, pid });
                }
            }
        }
        lock.set_len(0).and_then(|()| write!(&lock, "{}", std::process::id())).map_err(failed)?;
        let run_dir = Self { path, lock: Arc::new(lock) };
        run_dir.end_left_behind().await;
        Ok(run_dir)
    }

    /// The file that nats-server writes its process id to before it touches the store.
    pub(crate) fn pid_file(&self) -> PathBuf {
        self.path.join(PID)
    }

    /// The file whose lock keeps others out.
    pub(crate) fn lock(&self) -> &File {
        &self.lock
    }

    async fn end_left_behind(&self) {
        let text = fs::read_to_string(self.pid_file()).unwrap_or_default();
        let Ok(pid) = text.trim().parse::<u32>() else { return };
        if !self.is_ours(pid) {
            return;
        }
        tracing::warn!(pid, "ending nats-server (process {pid}), which a supervisor that died left running");
        let Ok(raw) = i32::try_from(pid).map(Pid::from_raw) else { return };
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            let deadline = Instant::now() + GRACE;
            if kill(raw, signal).is_err() {
                return;
            }
            while self.is_ours(pid) && Instant::now() < deadline {
                sleep(Duration::from_millis(10)).await;
            }
            if !self.is_ours(pid) {
                return;
            }
        }
    }

    /// Whether the process was started for this very directory: process ids are used again.
    fn is_ours(&self, pid: u32) -> bool {
        let pid_file = self.pid_file();
        runtime::holder::command_line(pid)
            .is_some_and(|arguments| arguments.iter().any(|argument| Path::new(argument) == pid_file))
    }
}

fn open(path: &Path) -> io::Result<File> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    OpenOptions::new().create(true).truncate(false).write(true).open(path.join(LOCK))
}
