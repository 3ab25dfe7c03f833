//! The operator's machine, a hub, and boxes that know two files and nothing else.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::harness::{DEADLINE, Node, PORTS, Place, Ran, client, files};

const SCHOOL: &str = include_str!("../../../../examples/school/fleet.toml");

/// The school, with three boxes.
pub(crate) fn fleet() -> String {
    let leaves = r#"leaves = ["box-1", "box-2", "box-3"]"#;
    let text = SCHOOL.replace(r#"leaves = ["school-1"]"#, leaves);
    assert!(text.contains(leaves));
    text
}

/// The machine with the operator's keys. No node runs on it.
pub(crate) fn operator() -> Place {
    let operator = Place::new("name = \"box-3\"\n", &fleet());
    operator.run(&["dev", "--once", "--any-port"]).expect(0);
    operator
}

/// The operator's hub, which runs with the operator's keys.
pub(crate) struct Hub {
    pub(crate) operator: Place,
    place: Place,
    pub(crate) node: Node,
}

impl Hub {
    pub(crate) fn start() -> Self {
        let operator = operator();
        let jwts = operator.path(".data/jwts");
        let settings =
            format!("name = \"hub-1\"\nrole = \"hub\"\njwts = {jwts:?}\n{PORTS}leaf = \"127.0.0.1:0\"\n");
        let place = Place::new(&settings, &fleet());
        let mut command = place.command(&["run"]);
        command.env("CREDENTIALS_DIRECTORY", operator.path(".data/keys"));
        let node = place.start_command(command);
        Self { operator, place, node }
    }

    /// A command of the operator, there.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = self.place.command(arguments);
        command.env("CREDENTIALS_DIRECTORY", self.operator.path(".data/keys"));
        Ran::of(command.output().unwrap())
    }

    /// Lets a box in, and hands it the answer.
    pub(crate) fn enroll(&self, one: &Box) {
        one.run(&["request"]).expect(0);
        let answer = one.place.path("answer");
        let request = one.place.path(".data/keys/request");
        let paths = [request.to_str().unwrap(), answer.to_str().unwrap()];
        self.run(&["enroll", "approve", "--yes", paths[0], "-o", paths[1]]).expect(0);
        one.run(&["accept", "answer"]).expect(0);
    }

    /// How many accounts a box is linked for.
    pub(crate) fn links_of(&self, name: &str) -> usize {
        let Some(leafz) = self.node.monitoring("/leafz") else { return 0 };
        let links = leafz["leafs"].as_array().cloned().unwrap_or_default();
        links.iter().filter(|link| link["name"] == name).count()
    }

    pub(crate) fn write_fleet(&self, fleet: &str) {
        self.place.write("fleet.toml", fleet);
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.operator.path(".data/keys")
    }
}

/// A box.
pub(crate) struct Box {
    pub(crate) place: Place,
}

impl Box {
    /// With a way to the hub, if there is one.
    pub(crate) fn new(name: &str, hub: Option<SocketAddr>) -> Self {
        Self { place: Place::new(&Self::settings(name, hub), &fleet()) }
    }

    pub(crate) fn settings(name: &str, hub: Option<SocketAddr>) -> String {
        let uplink = hub.map(|hub| format!("[uplink]\nurls = [\"nats-leaf://{hub}\"]\n")).unwrap_or_default();
        format!("name = \"{name}\"\n{PORTS}{uplink}")
    }

    /// `leafbox enroll …` there. The keys directory is named, so that the test may run on a machine
    /// that is a box itself.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let arguments = [&["enroll"], arguments, &["--keys", ".data/keys"]].concat();
        Ran::of(self.place.command(&arguments).output().unwrap())
    }

    /// The same, with something pasted.
    pub(crate) fn paste(&self, arguments: &[&str], text: &str) -> Ran {
        let arguments = [&["enroll"], arguments, &["--keys", ".data/keys"]].concat();
        pasted(self.place.command(&arguments), text)
    }

    pub(crate) fn read(&self, relative: &str) -> String {
        self.place.read(relative)
    }
}

/// Runs a command with a text on its standard input.
pub(crate) fn pasted(mut command: std::process::Command, text: &str) -> Ran {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that refuses early reads no further.
    let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
    Ran::of(child.wait_with_output().unwrap())
}

/// The block in what a command printed.
pub(crate) fn block(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let place = |word: &str| lines.iter().position(|line| line.starts_with(word)).unwrap();
    lines[place("-----BEGIN")..=place("-----END")].join("\n") + "\n"
}

/// The fingerprint in what a command printed.
pub(crate) fn fingerprint(text: &str) -> String {
    let line = text.lines().find_map(|line| line.trim().strip_prefix("fingerprint")).unwrap();
    line.trim().to_owned()
}

/// Every seed below a folder, and the JetStream key.
pub(crate) fn secrets(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in files(folder) {
        let text = fs::read_to_string(&file).unwrap();
        let words = text.split(|character: char| !character.is_ascii_alphanumeric());
        let seeds =
            words.filter(|word| word.len() == 58 && (word.starts_with("SU") || word.starts_with("SA")));
        found.extend(seeds.map(str::to_owned));
        if file.ends_with("jetstream.key") {
            found.insert(text.trim().to_owned());
        }
    }
    found
}

/// Waits until a stream holds as many messages.
pub(crate) async fn until_count(client: &async_nats::Client, stream: &str, messages: u64) {
    let started = Instant::now();
    while client::count(client, stream).await < messages {
        assert!(started.elapsed() < DEADLINE, "{stream} does not get {messages} messages");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What a stream's messages on a subject say last.
pub(crate) async fn last(client: &async_nats::Client, stream: &str, subject: &str) -> Option<Value> {
    let body = serde_json::json!({ "last_by_subj": subject });
    let subject = format!("$JS.API.STREAM.MSG.GET.{stream}");
    let answer = client::request(client, &subject, &body).await?;
    answer.get("message").cloned()
}
