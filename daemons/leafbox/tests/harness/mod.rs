//! Runs the real `leafbox` binary, as a user would, in a folder of its own on ports that the
//! system chose.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part of it")]

pub(crate) mod client;
pub(crate) mod proxy;
pub(crate) mod unit;
pub(crate) mod untouched;

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

/// How long anything may take before a test gives up on it: long, since machines are slow at times.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Any port for every listener of a leaf, at the end of a node.toml, for `leafbox run`, which has no
/// `--any-port`. It ends in `[nats]`.
pub(crate) const PORTS: &str = r#"
[health]
listen = "127.0.0.1:0"
[registry]
listen = "127.0.0.1:0"
[console]
listen = "127.0.0.1:0"
[nats]
client = "127.0.0.1:0"
monitoring = "127.0.0.1:0"
websocket = "off"
"#;

/// A folder with the two files in it, and the commands run there.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// A folder with these two files.
    pub(crate) fn new(node: &str, fleet: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("node.toml"), node).unwrap();
        fs::write(folder.path().join("fleet.toml"), fleet).unwrap();
        Self { folder }
    }

    /// A folder with nothing in it.
    pub(crate) fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    pub(crate) fn write(&self, relative: &str, text: &str) {
        fs::write(self.path(relative), text).unwrap();
    }

    pub(crate) fn read(&self, relative: &str) -> String {
        fs::read_to_string(self.path(relative)).unwrap()
    }

    /// The command, not yet started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_leafbox"));
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LEAFBOX_")) {
            command.env_remove(name);
        }
        // What the tests found or fetched once serves every one of them.
        command.env("LEAFBOX_NATS_SERVER", supervisor::testing::nats_server_binary_blocking());
        command.env("NO_COLOR", "1").env("XDG_CONFIG_HOME", self.path("config"));
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    /// Starts `leafbox dev` or `leafbox run` and waits until the node is ready.
    pub(crate) fn start(&self, arguments: &[&str]) -> Node {
        self.start_command(self.command(arguments))
    }

    /// Starts a command that runs a node, and waits until the node is ready.
    pub(crate) fn start_command(&self, mut command: Command) -> Node {
        let log = self.path("node.log");
        let output = fs::File::options().create(true).append(true).open(&log).unwrap();
        command.stdout(output.try_clone().unwrap()).stderr(output);
        // What an earlier run left must not be read as this one's.
        let addresses = self.path(".data/run/addresses.json");
        let _ = fs::remove_file(&addresses);
        let child = command.spawn().unwrap();
        let mut node = Node { child, addresses: Value::Null, log };
        let started = Instant::now();
        loop {
            if let Some(status) = node.child.try_wait().unwrap() {
                panic!("leafbox ended with {status} before it was ready:\n{}", node.log());
            }
            let bound = fs::read(&addresses).ok().and_then(|text| serde_json::from_slice(&text).ok());
            if let Some(bound) = bound {
                node.addresses = bound;
                if http_get(node.address("health"), "/readyz").is_some_and(|(status, _)| status == 200) {
                    return node;
                }
            }
            assert!(started.elapsed() < DEADLINE, "not ready in time:\n{}", node.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// How a command ended.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Asserts the exit code and gives stdout.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> String {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self.stdout
    }

    /// Asserts the exit code and that stderr says each of these.
    #[track_caller]
    pub(crate) fn says(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "stderr does not say `{word}`:\n{}", self.stderr);
        }
    }

    pub(crate) fn json(self, code: i32) -> Value {
        serde_json::from_str(&self.expect(code)).unwrap()
    }
}

/// A running node, stopped when dropped.
pub(crate) struct Node {
    child: Child,
    addresses: Value,
    log: PathBuf,
}

impl Node {
    pub(crate) fn address(&self, listener: &str) -> SocketAddr {
        let address = self.addresses[listener].as_str();
        address.unwrap_or_else(|| panic!("no {listener} in {}", self.addresses)).parse().unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.address("client"))
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// Stops the node as Ctrl-C does, and gives its exit code.
    pub(crate) fn stop(mut self) -> i32 {
        self.signal(nix::sys::signal::Signal::SIGINT);
        wait(&mut self.child).unwrap_or_else(|| panic!("did not stop in time:\n{}", self.log()))
    }

    /// The answer of `/readyz` as status and text.
    pub(crate) fn readyz(&self) -> Option<(u16, String)> {
        http_get(self.address("health"), "/readyz")
    }

    /// nats-server's monitoring.
    pub(crate) fn monitoring(&self, path: &str) -> Option<Value> {
        let (_, body) = http_get(self.address("monitoring"), path)?;
        serde_json::from_str(&body).ok()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.signal(nix::sys::signal::Signal::SIGINT);
            if wait(&mut self.child).is_none() {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
    }
}

fn wait(child: &mut Child) -> Option<i32> {
    let started = Instant::now();
    while started.elapsed() < DEADLINE {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status.code().unwrap_or(-1));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}

/// Waits until something holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < DEADLINE, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Status and body of a GET, if the server answers.
pub(crate) fn http_get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    // The old version, whose answers never come in chunks.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// Every file below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
