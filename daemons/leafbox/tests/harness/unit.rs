//! Runs what the systemd units run, as systemd would: a notify socket, credentials with the names
//! that a folder credential gives them, and fixed ports.

use std::{
    fs,
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
    os::unix::{
        fs::{DirBuilderExt, PermissionsExt},
        net::UnixDatagram,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use settings::NodeRole;

use super::{DEADLINE, Place, Ran, http_get};

pub(crate) const FLEET: &str = r#"
name = "school"
[nodes]
hub = ["hub-1", "hub-2", "hub-3"]
[accounts.SCHOOL.streams.EVENTS]
subjects = ["events.>"]
max_bytes = "1MiB"
[accounts.SCHOOL.services.teacher]
publish = ["events.>"]
subscribe = ["_INBOX.>"]
"#;

/// A box whose operator is elsewhere.
pub(crate) struct Appliance {
    pub(crate) place: Place,
    pub(crate) operator: Place,
    pub(crate) credentials: PathBuf,
    pub(crate) client: SocketAddr,
    pub(crate) monitoring: SocketAddr,
    role: NodeRole,
}

impl Appliance {
    /// A leaf.
    pub(crate) fn new() -> Self {
        Self::with(NodeRole::Leaf)
    }

    /// A leaf, or the first of three hub nodes, whose others never start.
    pub(crate) fn with(role: NodeRole) -> Self {
        let operator = Place::new("name = \"school-1\"\n", FLEET);
        operator.run(&["dev", "--once", "--any-port"]).expect(0);
        let place = Place::new("", FLEET);
        operator.run(&["apply", "--export", place.path("jwts").to_str().unwrap()]).expect(0);
        let credentials = place.path("credentials");
        fs::DirBuilder::new().mode(0o700).create(&credentials).unwrap();
        for entry in fs::read_dir(operator.path(".data/keys")).unwrap() {
            let entry = entry.unwrap();
            // The claims of a node in the field are the operator's business.
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_file() && !["signed.json", "sys.creds"].contains(&name.as_str())
            {
                fs::copy(entry.path(), credentials.join(format!("leafbox_{name}"))).unwrap();
            }
        }
        let any = "127.0.0.1:0".parse().unwrap();
        let mut appliance = Self { place, operator, credentials, client: any, monitoring: any, role };
        appliance.choose_ports();
        appliance
    }

    /// Ports that nobody had a moment ago: a unit takes no port 0.
    fn choose_ports(&mut self) {
        let free = [(); 9].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [client, monitoring, health, registry, console, leaf, route, second, third] =
            free.each_ref().map(|listener| listener.local_addr().unwrap());
        (self.client, self.monitoring) = (client, monitoring);
        let listeners = format!(
            "[health]\nlisten = \"{health}\"\n[registry]\nlisten = \"{registry}\"\n[console]\nlisten = \"{console}\"\n\
             [nats]\nclient = \"{client}\"\nmonitoring = \"{monitoring}\"\nwebsocket = \"off\"\n"
        );
        let node = match self.role {
            NodeRole::Leaf => format!("name = \"school-1\"\njwts = \"jwts\"\n{listeners}"),
            NodeRole::Hub => format!(
                "name = \"hub-1\"\nrole = \"hub\"\njwts = \"jwts\"\n{listeners}leaf = \"{leaf}\"\n\
                 route = \"{route}\"\n[cluster]\n\
                 routes = [\"nats-route://{second}\", \"nats-route://{third}\"]\n"
            ),
        };
        self.place.write("node.toml", &node);
    }

    pub(crate) fn credential(&self, name: &str) -> PathBuf {
        self.credentials.join(format!("leafbox_{name}"))
    }

    /// Replaces text in node.toml.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = self.place.read("node.toml");
        assert!(text.contains(from), "{text}");
        self.place.write("node.toml", &text.replace(from, to));
    }

    /// `leafbox unit <name>` as in the unit's own environment, without anyone to notify.
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = self.place.command(&["unit", name]);
        command.env("CREDENTIALS_DIRECTORY", &self.credentials);
        command.env_remove("NOTIFY_SOCKET").env_remove("JOURNAL_STREAM");
        command
    }

    pub(crate) fn run(&self, name: &str) -> Ran {
        Ran::of(self.command(name).output().unwrap())
    }

    /// Starts a unit that notifies.
    pub(crate) fn start(&self, name: &str) -> Unit {
        let socket = self.place.path(&format!("{name}.notify"));
        let _ = fs::remove_file(&socket);
        let told = UnixDatagram::bind(&socket).unwrap();
        let log = self.place.path(&format!("{name}.log"));
        let output = fs::File::create(&log).unwrap();
        let mut command = self.command(name);
        command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "1000000");
        command.stdout(Stdio::null()).stderr(output);
        Unit { child: command.spawn().unwrap(), told, log }
    }

    /// nats-server, ready. Chooses other ports when somebody was faster.
    pub(crate) fn start_nats(&mut self) -> Unit {
        loop {
            let mut unit = self.start("nats");
            if unit.hears("READY=1") {
                return unit;
            }
            assert!(unit.log().contains("is taken by"), "{}", unit.log());
            self.choose_ports();
        }
    }

    pub(crate) fn varz(&self) -> Value {
        let (_, body) = http_get(self.monitoring, "/varz").unwrap();
        serde_json::from_str(&body).unwrap()
    }
}

/// A unit's main process, killed when dropped.
pub(crate) struct Unit {
    pub(crate) child: Child,
    told: UnixDatagram,
    log: PathBuf,
}

impl Unit {
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.pid()).unwrap()), signal).unwrap();
    }

    /// The next message to systemd, if one comes within this time.
    pub(crate) fn next(&self, within: Duration) -> Option<String> {
        self.told.set_read_timeout(Some(within)).unwrap();
        let mut buffer = [0; 4096];
        match self.told.recv(&mut buffer) {
            Ok(length) => Some(String::from_utf8_lossy(&buffer[..length]).trim().to_owned()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Whether a message that starts so comes before the process ends.
    pub(crate) fn hears(&mut self, start: &str) -> bool {
        let started = Instant::now();
        while started.elapsed() < DEADLINE {
            match self.next(Duration::from_millis(100)) {
                Some(message) if message.starts_with(start) => return true,
                Some(_) => {}
                None if self.child.try_wait().unwrap().is_some() => return false,
                None => {}
            }
        }
        panic!("`{start}` was not told in time:\n{}", self.log());
    }

    /// Stops it as systemd stops a leaf, and gives its exit code.
    pub(crate) fn stop(mut self) -> i32 {
        self.signal(Signal::SIGTERM);
        self.wait()
    }

    pub(crate) fn wait(&mut self) -> i32 {
        super::wait(&mut self.child).unwrap_or_else(|| panic!("it does not end:\n{}", self.log()))
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line of `/proc/<pid>/status`.
pub(crate) fn status(pid: u32, key: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {key} in {text}")).trim().to_owned()
}

/// The only child of a process.
pub(crate) fn child_of(parent: u32) -> u32 {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_child = |pid: &u32| {
        fs::read_to_string(format!("/proc/{pid}/status"))
            .is_ok_and(|text| text.lines().any(|line| line == format!("PPid:\t{parent}")))
    };
    let children: Vec<u32> = pids.filter(is_child).collect();
    assert_eq!(children.len(), 1, "children of {parent}: {children:?}");
    children[0]
}

/// Whether a process runs, rather than being gone or waiting for its parent to notice.
pub(crate) fn is_running(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists() && !status(pid, "State").starts_with('Z')
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
