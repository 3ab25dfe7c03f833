//! A real nats-server for the tests of every crate, and the files of a daemon beside it.

mod running;
mod unit;

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    binary::{ENVIRONMENT_VARIABLE, Locate, default_cache, find_or_get},
    log::LogSink,
    process::{Launch, NatsServer},
};
pub use running::{Notifications, Running};
pub use unit::Unit;

/// How long a server may take until it is ready: a machine that builds as well is slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// The nats-server to test with: the one that `LEAFBOX_NATS_SERVER` names, one on `PATH`, the
/// cached one, or the pinned one fetched into the cache once.
///
/// # Panics
/// When there is none, with all that was tried.
pub async fn nats_server_binary() -> PathBuf {
    tokio::task::spawn_blocking(nats_server_binary_blocking).await.expect("looking for nats-server panicked")
}

/// [`nats_server_binary`] for tests without a runtime.
///
/// # Panics
/// When there is none, with all that was tried.
pub fn nats_server_binary_blocking() -> PathBuf {
    let mut locate = Locate::new(default_cache(&env::temp_dir()));
    locate.explicit = env::var_os(ENVIRONMENT_VARIABLE).map(PathBuf::from);
    match find_or_get(&locate) {
        Ok(binary) => binary.path,
        Err(error) => panic!("{error}"),
    }
}

/// Starts a nats-server with this configuration, with all that is its own in `folder`, which is made if
/// missing: started there again, it goes on with what is on its disk. JetStream, if it has one, is to
/// be in [`store_in`] it.
///
/// # Panics
/// When it does not get ready within 60 s, with what it said.
pub async fn start_in(folder: &Path, configuration: &str) -> NatsServer {
    let config = folder.join("nats-server.conf");
    fs::create_dir_all(folder).and_then(|()| fs::write(&config, configuration)).expect("a folder to write");
    let launch = Launch {
        binary: nats_server_binary().await,
        config,
        store: Some(store_in(folder)),
        environment: Vec::new(),
        run_dir: folder.join("run"),
        log: LogSink::Tracing { server: folder.display().to_string() },
        ready_timeout: PATIENCE,
        routes: false,
        keys: Vec::new(),
    };
    match NatsServer::start(&launch).await {
        Ok(server) => server,
        Err(error) => panic!("{error}"),
    }
}

/// The JetStream folder of a server that [`start_in`] starts in `folder`: its `store_dir`.
pub fn store_in(folder: &Path) -> PathBuf {
    folder.join("jetstream")
}

/// What a configuration says for a listener of loopback: the address that it had before, or a port that
/// the system chooses.
pub fn listen_at(before: Option<SocketAddr>) -> String {
    before.map_or_else(|| "127.0.0.1:-1".to_owned(), |address| address.to_string())
}
