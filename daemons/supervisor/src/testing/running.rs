//! A daemon's own program while it runs: what it says, to its log and to systemd, and how it ends.

use std::{fs, net::SocketAddr, path::PathBuf, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    net::UnixDatagram,
    process::Child,
    time::{Instant, sleep, timeout},
};

use super::PATIENCE;

/// How often a log is read again until it has what is waited for.
const POLL: Duration = Duration::from_millis(20);

/// A program that [`Unit::start`](super::Unit::start) has started; killed when it is dropped.
#[derive(Debug)]
pub struct Running {
    pub(super) child: Child,
    pub(super) log: PathBuf,
}

impl Running {
    /// Its process.
    ///
    /// # Panics
    /// When it has ended.
    pub fn pid(&self) -> Pid {
        let pid = self.child.id().expect("the program runs");
        Pid::from_raw(i32::try_from(pid).expect("a pid"))
    }

    /// What it has said so far to its standard error.
    ///
    /// # Panics
    /// When that cannot be read.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("a log")
    }

    /// Where it listens, as soon as its log says so.
    ///
    /// # Panics
    /// When it does not within 60 s, with the log.
    pub async fn listening(&self) -> SocketAddr {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = self.log();
            let said = log.lines().find_map(|line| line.split_once("listening on "));
            if let Some(address) = said.and_then(|(_, address)| address.trim().parse().ok()) {
                return address;
            }
            assert!(Instant::now() < deadline, "it does not listen: {log}");
            sleep(POLL).await;
        }
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it has ended.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("the program takes signals");
    }

    /// Waits until it has ended, and gives its exit code, none where a signal ended it, and its log.
    ///
    /// # Panics
    /// When it does not end within 60 s, with the log.
    pub async fn ended(mut self) -> (Option<i32>, String) {
        match timeout(PATIENCE, self.child.wait()).await {
            Ok(status) => (status.expect("a status").code(), self.log()),
            Err(_) => panic!("it does not end: {}", self.log()),
        }
    }
}

/// The socket on which a program tells systemd how it is.
#[derive(Debug)]
pub struct Notifications(pub(super) UnixDatagram);

impl Notifications {
    /// The next message.
    ///
    /// # Panics
    /// When none comes within 60 s.
    pub async fn next(&self) -> String {
        let mut buffer = [0; 256];
        let received = timeout(PATIENCE, self.0.recv(&mut buffer)).await;
        let length = received.expect("the program tells systemd nothing").expect("a datagram");
        String::from_utf8_lossy(&buffer[..length]).trim().to_owned()
    }

    /// Waits for a message that begins so.
    ///
    /// # Panics
    /// When nothing is told for 60 s.
    pub async fn hear(&self, wanted: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.next().await.starts_with(wanted) {
            assert!(Instant::now() < deadline, "it never says {wanted}");
        }
    }
}
