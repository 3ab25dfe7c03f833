//! What a daemon's own program is started with by its systemd unit.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{net::UnixDatagram, process::Command};

use super::{Notifications, Running};

/// The files of a daemon, as its unit has them. Its `node.toml` is to say `data = "data"`.
#[derive(Debug)]
pub struct Unit {
    /// `node.toml`; `fleet.toml` is beside it.
    pub node: PathBuf,
    /// The data directory.
    pub data: PathBuf,
    /// The creds that the daemon connects with: a server without accounts takes them.
    pub creds: PathBuf,
    notify: PathBuf,
}

impl Unit {
    /// Writes them for the daemon of a service, with creds of a user's seed.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn new(folder: &Path, service: &str, node: &str, seed: &str) -> Self {
        let data = folder.join("data");
        let unit = Self {
            node: folder.join("node.toml"),
            creds: data.join(format!("keys/{service}.creds")),
            data,
            notify: folder.join("notify"),
        };
        write(&unit.node, node);
        write(&folder.join("fleet.toml"), "name = \"fleet\"\n");
        fs::create_dir_all(unit.data.join("keys")).expect("a folder for creds");
        let creds = format!(
            "-----BEGIN NATS USER JWT-----\nheader.claims.signature\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        unit.write_creds(&creds, 0o600);
        unit
    }

    /// Replaces the creds.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn write_creds(&self, text: &str, mode: u32) {
        write(&self.creds, text);
        fs::set_permissions(&self.creds, fs::Permissions::from_mode(mode)).expect("a file of one's own");
    }

    /// The program with the unit's environment and none of the test's, killed when it is dropped.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .arg("--config")
            .arg(&self.node)
            .env("NOTIFY_SOCKET", &self.notify)
            .env("WATCHDOG_USEC", "200000")
            .env_remove("WATCHDOG_PID")
            .env_remove("CREDENTIALS_DIRECTORY")
            .env_remove("JOURNAL_STREAM")
            .env_remove("LEAFBOX_LOG")
            .stdout(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Starts the program with a log that tells all.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(&self, program: &str) -> Running {
        self.run(&mut self.command(program))
    }

    /// Starts what [`Self::command`] gave and the test has changed.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn run(&self, command: &mut Command) -> Running {
        let log = self.data.with_file_name("log");
        let stderr = fs::File::create(&log).expect("a log");
        let child = command.env("LEAFBOX_LOG", "debug,async_nats=off").stderr(stderr).spawn();
        Running { child: child.expect("the program starts"), log }
    }

    /// Listens where the program tells systemd how it is.
    ///
    /// # Panics
    /// Outside a Tokio runtime, or when somebody listens there already.
    pub fn notifications(&self) -> Notifications {
        Notifications(UnixDatagram::bind(&self.notify).expect("a socket"))
    }
}

fn write(path: &Path, text: &str) {
    if let Err(error) = fs::write(path, text) {
        panic!("{} cannot be written: {error}", path.display());
    }
}
