//! Plain nats-servers for the tests, each in a folder of its own.

use std::{fs, path::Path, time::Duration};

use supervisor::{Launch, LogSink, testing::nats_server_binary};
use tempfile::TempDir;
use tokio::time::Instant;

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A folder with the configuration of a server that listens on free ports of loopback.
pub(crate) struct Node {
    pub(crate) folder: TempDir,
}

impl Node {
    pub(crate) fn new() -> Self {
        let node = Self { folder: tempfile::tempdir().unwrap() };
        node.configure("127.0.0.1:-1", "");
        node
    }

    pub(crate) fn configure(&self, client: &str, more: &str) {
        let store = self.folder.path().join("jetstream");
        let text = format!(
            "listen: \"{client}\"\nhttp: \"127.0.0.1:-1\"\njetstream {{ store_dir: \"{}\" }}\n\
             lame_duck_duration: \"30s\"\nlame_duck_grace_period: \"1s\"\n{more}\n",
            store.display()
        );
        fs::write(self.config(), text).unwrap();
    }

    pub(crate) fn config(&self) -> std::path::PathBuf {
        self.folder.path().join("nats-server.conf")
    }

    pub(crate) fn run_dir(&self) -> std::path::PathBuf {
        self.folder.path().join("run")
    }

    pub(crate) async fn launch(&self) -> Launch {
        Launch {
            binary: nats_server_binary().await,
            config: self.config(),
            store: None,
            environment: Vec::new(),
            run_dir: self.run_dir(),
            log: LogSink::Tracing { server: "test".to_owned() },
            ready_timeout: DEADLINE,
            routes: false,
            keys: Vec::new(),
        }
    }
}

/// Polls until the condition holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether a process runs that was started with this file among its arguments.
pub(crate) fn runs(pid: u32, argument: &Path) -> bool {
    runtime::holder::command_line(pid)
        .is_some_and(|arguments| arguments.iter().any(|found| Path::new(found) == argument))
}
