//! Why nats-server did not start or reload.

use std::{io, net::SocketAddr, path::PathBuf, process::ExitStatus};

use runtime::PortTaken;

/// Why a nats-server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The run directory cannot be used.
    #[error("the run directory {path} cannot be used: {source}; check that this user may write there", path = path.display())]
    RunDir {
        /// The directory.
        path: PathBuf,
        /// What failed.
        #[source]
        source: io::Error,
    },
    /// Another leafbox runs this node.
    #[error("another leafbox{} runs this node already: stop it first, or use another data directory (it holds the lock in {path})", process(*pid), path = path.display())]
    AlreadyRunning {
        /// The run directory that it holds.
        path: PathBuf,
        /// Its process id.
        pid: Option<u32>,
    },
    /// What an earlier nats-server left halfway in its store cannot be cleared up.
    #[error("the JetStream folder {path} cannot be looked through: {source}; check that this user may read and write all of it", path = path.display())]
    Store {
        /// The folder.
        path: PathBuf,
        /// What failed.
        #[source]
        source: io::Error,
    },
    /// The program could not be run.
    #[error("{binary} could not be run: {source}", binary = binary.display())]
    Spawn {
        /// The program.
        binary: PathBuf,
        /// What failed.
        #[source]
        source: io::Error,
    },
    /// A listener's port is taken.
    #[error(transparent)]
    PortTaken(#[from] PortTaken),
    /// It ended instead of becoming ready.
    #[error("nats-server ended instead of becoming ready ({}); its last lines:\n{}", ending(*status), indented(lines))]
    Exited {
        /// How it ended, if that is known.
        status: Option<ExitStatus>,
        /// The end of its log.
        lines: Vec<String>,
    },
    /// It runs but does not become ready.
    #[error("nats-server did not become ready in time: {reason}; its last lines:\n{}", indented(lines))]
    NotReady {
        /// What it lacks.
        reason: String,
        /// The end of its log.
        lines: Vec<String>,
    },
    /// The caller could not say what to start.
    #[error("nats-server could not be configured: {0}")]
    Configure(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl StartError {
    /// Reads from the end of the log why nats-server ended.
    pub(super) fn from_last_lines(
        status: Option<ExitStatus>,
        lines: Vec<String>,
        keys: &[(SocketAddr, String)],
    ) -> Self {
        match lines.iter().find_map(|line| taken_address(line)) {
            Some(address) => Self::PortTaken(PortTaken::look_up(address, key_of(keys, address))),
            None => Self::Exited { status, lines },
        }
    }
}

/// The address in Go's `listen tcp 127.0.0.1:4222: bind: address already in use`.
fn taken_address(line: &str) -> Option<SocketAddr> {
    let (before, _) = line.split_once(": bind: address already in use")?;
    let (_, address) = before.rsplit_once("listen tcp")?;
    let address = address.trim_start_matches(['4', '6']).trim();
    address.parse().ok().or_else(|| format!("[::]{address}").parse().ok())
}

fn key_of(keys: &[(SocketAddr, String)], address: SocketAddr) -> Option<String> {
    let exact = keys.iter().find(|(listener, _)| *listener == address);
    let same_port = || keys.iter().find(|(listener, _)| listener.port() == address.port());
    exact.or_else(same_port).map(|(_, key)| key.clone())
}

fn process(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

fn ending(status: Option<ExitStatus>) -> String {
    status.map_or_else(|| "how is not known".to_owned(), |status| status.to_string())
}

fn indented(lines: &[String]) -> String {
    let lines: Vec<_> = lines.iter().map(|line| format!("  {line}")).collect();
    if lines.is_empty() { "  (it wrote none)".to_owned() } else { lines.join("\n") }
}

/// Why a changed configuration is not in force.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// nats-server could not be told.
    #[error("nats-server could not be told to reload: {0}")]
    Signal(#[source] nix::Error),
    /// It keeps its old configuration as a whole.
    #[error("nats-server keeps its old configuration: {reason}; restart the node to apply it")]
    Refused {
        /// What it refused, without values.
        reason: String,
    },
    /// There is none to tell.
    #[error("nats-server is not running; it reads its configuration when it starts")]
    NotRunning,
    /// It said nothing.
    #[error("nats-server did not say whether it reloaded; look at its log")]
    NoAnswer,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_taken_address_is_read_from_every_kind_of_listener() {
        let lines = [
            (
                "Error listening on port: 127.0.0.1:4222, \"listen tcp 127.0.0.1:4222: bind: address already in use\"",
                "127.0.0.1:4222",
            ),
            (
                "Can't start monitoring: can't listen to the monitor port: listen tcp 0.0.0.0:8222: bind: address already in use",
                "0.0.0.0:8222",
            ),
            (
                "Error listening on leafnode port: 7422 - listen tcp [::1]:7422: bind: address already in use",
                "[::1]:7422",
            ),
            (
                "Unable to listen for websocket connections: listen tcp :9222: bind: address already in use",
                "[::]:9222",
            ),
        ];
        for (line, address) in lines {
            assert_eq!(
                taken_address(line).map(|found| found.to_string()).as_deref(),
                Some(address),
                "{line}"
            );
        }
        assert_eq!(taken_address("Listening for client connections on 127.0.0.1:4222"), None);
    }
}
