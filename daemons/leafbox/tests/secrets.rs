//! No secret leaves its file: not into an output, a log, a configuration, a JWT or a command line.
#![allow(clippy::unwrap_used)]

mod harness;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
};

use harness::{Node, PORTS, Place, eventually, files};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const NODE: &str = include_str!("../../../examples/school/node.toml");
const FLEET: &str = include_str!("../../../examples/school/fleet.toml");

/// A seed is a type and 32 bytes in base 32.
const SEED_LENGTH: usize = 58;

/// Every seed in the keys folder, and the JetStream key.
fn secrets(keys: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in files(keys) {
        let text = fs::read_to_string(&file).unwrap();
        let words = text.split(|character: char| !character.is_ascii_alphanumeric());
        let seeds = words.filter(|word| {
            word.len() == SEED_LENGTH && ["SU", "SA", "SO"].iter().any(|kind| word.starts_with(kind))
        });
        found.extend(seeds.map(str::to_owned));
        if file.ends_with("jetstream.key") {
            found.insert(text.trim().to_owned());
        }
    }
    found
}

#[track_caller]
fn assert_holds_none(secrets: &BTreeSet<String>, what: &str, text: &str) {
    // Not in the message: a failing test must not print one either.
    let found = secrets.iter().filter(|secret| text.contains(secret.as_str())).count();
    assert_eq!(found, 0, "{what} holds {found} secrets");
}

fn server_pid(place: &Place) -> i32 {
    place.read(".data/run/nats-server.pid").trim().parse().unwrap()
}

/// What `ps` shows of a process.
fn command_line(pid: i32) -> String {
    let shown = Command::new("ps").args(["-ww", "-o", "args=", "-p", &pid.to_string()]).output().unwrap();
    String::from_utf8(shown.stdout).unwrap()
}

#[test]
fn no_secret_is_printed_logged_or_signed() {
    let place = Place::new(NODE, FLEET);
    let mut dev = place.command(&["dev", "--any-port"]);
    dev.env("LEAFBOX_LOG", "trace");
    let node = place.start_command(dev);
    let secrets = secrets(&place.path(".data/keys"));
    // Three of the operator, one of each account and role, one of each user, and JetStream's.
    assert!(secrets.len() > 20, "only {} secrets were found", secrets.len());

    let commands: [&[&str]; 16] = [
        &["check"],
        &["render"],
        &["plan"],
        &["plan", "--json"],
        &["apply"],
        &["apply", "--json"],
        &["auth", "test"],
        &["auth", "test", "--json"],
        &["status"],
        &["status", "--json"],
        &["health", "--json"],
        &["service", "list", "--json"],
        &["service", "creds", "SCHOOL", "teacher-service"],
        &["user", "mint", "SCHOOL", "teacher-service", "--name", "guest", "-o", "guest.creds"],
        &["context", "--select"],
        &["logs", "-n", "100000"],
    ];
    for arguments in commands {
        let mut command = place.command(arguments);
        command.env("LEAFBOX_LOG", "trace");
        let ran = command.output().unwrap();
        assert!(ran.status.success(), "{arguments:?}:\n{}", String::from_utf8_lossy(&ran.stderr));
        assert_holds_none(
            &secrets,
            &format!("stdout of {arguments:?}"),
            &String::from_utf8_lossy(&ran.stdout),
        );
        assert_holds_none(
            &secrets,
            &format!("stderr of {arguments:?}"),
            &String::from_utf8_lossy(&ran.stderr),
        );
    }
    refuse_a_reload(&place, &node);

    for pid in [i32::try_from(node.pid()).unwrap(), server_pid(&place)] {
        let shown = command_line(pid);
        assert!(!shown.trim().is_empty(), "ps shows nothing of {pid}");
        assert_holds_none(&secrets, "a command line", &shown);
    }
    assert_eq!(node.stop(), 0);
    let printed = place.read("node.log");
    assert!(printed.contains("TRACE"), "the node did not log all that it can");
    assert_holds_none(&secrets, "what the node printed", &printed);
    let elsewhere = [".data/run", ".data/jwts", ".data/resolver", "config"];
    for file in elsewhere.iter().flat_map(|folder| files(&place.path(folder))) {
        let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
        assert_holds_none(&secrets, &file.display().to_string(), &text);
    }
}

/// nats-server prints the JetStream key into its log when it refuses a reload.
fn refuse_a_reload(place: &Place, node: &Node) {
    let written = place.read(".data/run/nats-server.conf");
    let changed = written.replace("domain: \"school-1\"", "domain: \"elsewhere\"");
    assert_ne!(written, changed);
    place.write(".data/run/nats-server.conf", &changed);
    kill(Pid::from_raw(server_pid(place)), Signal::SIGHUP).unwrap();
    eventually("the reload is refused", || node.log().contains("Failed to reload server configuration"));
}

#[test]
fn keys_are_their_owners_alone_also_with_a_generous_umask() {
    let place = Place::new(NODE, FLEET);
    let mut command = Command::new("sh");
    let dev = place.command(&["dev", "--once", "--any-port"]);
    command.arg("-c").arg("umask 000; exec \"$0\" \"$@\"").arg(dev.get_program()).args(dev.get_args());
    command.current_dir(place.path("")).envs(dev.get_envs().filter_map(|(name, value)| Some((name, value?))));
    assert!(command.output().unwrap().status.success());
    let mut found = 0;
    let mut waiting = vec![place.path(".data/keys")];
    while let Some(path) = waiting.pop() {
        found += 1;
        let metadata = fs::metadata(&path).unwrap();
        let wanted = if metadata.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(metadata.permissions().mode() & 0o7777, wanted, "{}", path.display());
        if metadata.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    assert!(found > 20, "only {found} keys and folders");
    let mode = |path: &str| fs::metadata(place.path(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(".data"), 0o700);
    assert_eq!(mode(".data/run/leafbox.log"), 0o600);
}

/// What systemd's `LoadCredential` brings: the flat files, none of the operator's folders.
fn credentials(operator: &Place, to: &Place) -> PathBuf {
    let folder = to.path("credentials");
    fs::DirBuilder::new().mode(0o700).create(&folder).unwrap();
    for entry in fs::read_dir(operator.path(".data/keys")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
        }
    }
    folder
}

#[test]
fn exported_jwts_hold_no_secret_and_a_node_runs_from_them() {
    let operator = Place::new(NODE, FLEET);
    operator.run(&["dev", "--once", "--any-port"]).expect(0);
    let place = Place::new("", FLEET);
    let jwts = place.path("jwts");
    let exported = operator.run(&["apply", "--export", jwts.to_str().unwrap()]).expect(0);
    assert!(exported.contains("operator.jwt and 3 account JWTs"), "{exported}");
    let secrets = secrets(&operator.path(".data/keys"));
    let names: BTreeSet<String> =
        files(&jwts).iter().map(|file| file.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["LEAFBOX.jwt", "SCHOOL.jwt", "SYS.jwt", "operator.jwt"].map(String::from).into());
    for file in files(&jwts) {
        assert_holds_none(&secrets, &file.display().to_string(), &fs::read_to_string(&file).unwrap());
    }

    place.write("node.toml", &format!("name = \"school-1\"\njwts = \"jwts\"\n{PORTS}"));
    let credentials = credentials(&operator, &place);
    let command = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        command.env("CREDENTIALS_DIRECTORY", &credentials);
        command
    };
    let ran = |arguments: &[&str]| harness::Ran::of(command(arguments).output().unwrap());
    let node = place.start_command(command(&["run"]));
    assert!(!place.path(".data/keys").exists(), "run made keys");
    ran(&["plan"]).expect(0);
    ran(&["status"]).expect(0);

    // Without the operator's keys, apply does the stores and says what waits.
    let more = "\n[accounts.SCHOOL.streams.MORE]\nsubjects = [\"more.>\"]\nmax_bytes = \"1MiB\"\n\
                [accounts.SCHOOL.services.office]\npublish = [\"more.>\"]\n";
    place.write("fleet.toml", &format!("{FLEET}{more}"));
    let planned = ran(&["plan"]).expect(2);
    assert!(planned.contains("MORE") && planned.contains("office"), "{planned}");
    assert!(planned.contains("wait for the operator"), "{planned}");
    ran(&["apply"]).expect(0);
    let planned = ran(&["plan"]).expect(2);
    assert!(!planned.contains("MORE") && planned.contains("office"), "{planned}");
    let minted = ran(&["user", "mint", "SCHOOL", "teacher-service", "--name", "guest", "-o", "guest.creds"]);
    minted.says(1, &["signing key of the role teacher-service", "where the fleet's keys are kept"]);
    assert!(!place.path("guest.creds").exists());
    assert_eq!(node.stop(), 0);
}
