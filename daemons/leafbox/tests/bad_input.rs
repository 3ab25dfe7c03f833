//! What a user can get wrong: each is refused with what is wrong, where, and what to do, before
//! anything was changed and before nats-server was started.
#![allow(clippy::unwrap_used)]

mod harness;

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use harness::{
    PORTS, Place, client,
    untouched::{Servers, Snapshot},
};

const NODE: &str = include_str!("../../../examples/school/node.toml");
const FLEET: &str = include_str!("../../../examples/school/fleet.toml");

const DEV: [&str; 3] = ["dev", "--once", "--any-port"];

/// A node that ran once, and stopped: keys, accounts and stores are there.
fn stopped() -> Place {
    let place = Place::new(&format!("name = \"school-1\"\n{PORTS}"), FLEET);
    place.run(&DEV).expect(0);
    place
}

/// A node that ran once, with this many events in its outbox.
async fn stopped_with_events(node_file: &str, count: usize) -> Place {
    let place = Place::new(node_file, FLEET);
    let node = place.start(&["dev", "--any-port"]);
    let creds = key(&place, "services/SCHOOL/teacher-service.creds");
    let teacher = client::connect(&node.url(), &creds).await;
    client::publish(&teacher, "events.teacher.marks", "event", 0..count).await;
    assert_eq!(node.stop(), 0);
    place
}

async fn assert_events(place: &Place, count: usize) {
    let node = place.start(&["dev", "--any-port"]);
    let apply = client::connect(&node.url(), &key(place, "apply-SCHOOL.creds")).await;
    client::assert_exactly(&apply, "EVENTS", "event", 0..count).await;
    assert_eq!(node.stop(), 0);
}

fn key(place: &Place, relative: &str) -> PathBuf {
    place.path(".data/keys").join(relative)
}

/// Puts a file or folder of another place where this one has its own.
fn take(place: &Place, other: &Place, relative: &str) {
    let (from, to) = (other.path(relative), place.path(relative));
    if from.is_dir() {
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap().file_name().into_string().unwrap();
            take(place, other, &format!("{relative}/{entry}"));
        }
    } else {
        fs::copy(from, to).unwrap();
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn truncate(path: &Path) {
    let text = fs::read(path).unwrap();
    fs::write(path, &text[..text.len() / 2]).unwrap();
}

#[test]
fn every_mistake_in_both_files_is_told_at_once() {
    let node = r#"
name = "school-1"
regoin = "school"
[nats]
max_payload = "1 MB"
[jetstream]
max_storage = "900000TiB"
"#;
    let fleet = r#"
name = "school"
[nodes]
leaves = ["school-1"]
[accounts.SYS]
[accounts.SCHOOL.services.teacher-service]
publish = ["teacher..marks"]
[accounts.SCHOOL.streams.EVENTS]
subjects = ["events.>"]
max_age = "20 fortnights"
[accounts.TILL]
imports = [{ from = "SHOP", kind = "stream", subject = "orders.>" }]
"#;
    let all = [
        "node.toml:3  regoin",
        "did you mean `region`?",
        "node.toml:5  nats.max_payload = \"1 MB\"",
        "write the binary one, \"1MiB\"",
        "node.toml:7  jetstream.max_storage = \"900000TiB\"",
        "more than the whole disk has",
        "fleet.toml:5  accounts.SYS",
        "give your account another name",
        "fleet.toml:7  accounts.SCHOOL.services.teacher-service.publish[0] = \"teacher..marks\"",
        "take out the doubled, leading or trailing dot",
        "fleet.toml:10  accounts.SCHOOL.streams.EVENTS.max_age = \"20 fortnights\"",
        "such as \"20s\"",
        "fleet.toml:12  accounts.TILL.imports[0]",
        "SHOP",
    ];
    let place = Place::new(node, fleet);
    for command in [&DEV[..], &["run"]] {
        place.refuses(command, 2, &all);
    }
    for command in ["plan", "apply", "render", "status"] {
        place.refuses(&[command], if command == "plan" { 1 } else { 2 }, &all);
    }
    let checked = place.run(&["check"]).expect(2);
    for words in all {
        assert!(checked.contains(words), "check does not say `{words}`:\n{checked}");
    }
    assert!(!place.path(".data").exists());
}

#[test]
fn an_import_without_an_export_and_a_permission_without_an_import_are_refused() {
    let exporter = "[accounts.SHOP]\nexports = [{ subject = \"orders.>\", kind = \"stream\" }]\n";
    let import = "imports = [{ from = \"SHOP\", kind = \"stream\", subject = \"orders.>\" }]\n";
    let till = "[accounts.TILL]\nservices.till = { subscribe = [\"orders.new\"] }\n";
    let place = Place::new(NODE, FLEET);
    for (wrong, words) in [
        (format!("{till}{import}"), ["fleet.toml:", "accounts.TILL.imports[0]", "SHOP"]),
        (
            format!("{exporter}{till}"),
            ["fleet.toml:", "accounts.TILL.services.till.subscribe[0]", "add [[accounts.TILL.imports]] with"],
        ),
    ] {
        place.write("fleet.toml", &format!("{FLEET}\n{wrong}"));
        for command in [&DEV[..], &["run"]] {
            place.refuses(command, 2, &words);
        }
        place.refuses(&["plan"], 1, &words);
    }
    place.write("fleet.toml", &format!("{FLEET}\n{exporter}{till}{import}"));
    place.run(&["check"]).expect(0);
}

#[test]
fn keys_of_another_operator_are_refused() {
    let (place, other) = (stopped(), stopped());
    let operator = ["operator/operator.nk", "operator/signing-1.nk", "operator/signing-2.nk"];
    for name in operator {
        fs::rename(key(&place, name), key(&place, &format!("{name}.own"))).unwrap();
        fs::copy(key(&other, name), key(&place, name)).unwrap();
    }
    let jwts = place.path(".data/jwts").display().to_string();
    let keys = place.path(".data/keys").display().to_string();
    place.refuses(&DEV, 1, &[&jwts, &keys, "use the keys or the set of the same fleet"]);
    for name in operator {
        fs::rename(key(&place, &format!("{name}.own")), key(&place, name)).unwrap();
    }
    place.run(&DEV).expect(0);
}

#[test]
fn accounts_of_another_operator_are_refused() {
    let (place, other) = (stopped(), stopped());
    let own = fs::read(key(&place, "accounts/SCHOOL.nk")).unwrap();
    take(&place, &other, ".data/keys/accounts/SCHOOL.nk");
    place.refuses(&DEV, 1, &["the account SCHOOL", "restore accounts/SCHOOL.nk from a backup"]);
    fs::write(key(&place, "accounts/SCHOOL.nk"), own).unwrap();

    take(&place, &other, ".data/jwts/SCHOOL.jwt");
    let file = place.path(".data/jwts/SCHOOL.jwt").display().to_string();
    let words = [file.as_str(), "is not a signing key of the operator school", "belongs to another fleet"];
    place.refuses(&DEV, 1, &words);
    place.refuses(&["run"], 1, &words);
}

#[test]
fn a_role_of_another_operator_is_refused() {
    let (place, other) = (stopped(), stopped());
    take(&place, &other, ".data/keys/roles");
    place.refuses(&DEV, 1, &[".creds was signed with a key that is not the one of the role", "delete it"]);
}

#[test]
fn the_jwts_of_another_fleet_are_refused_by_run() {
    let (place, other) = (stopped(), stopped());
    let jwts = other.path(".data/jwts");
    place.write("node.toml", &format!("name = \"school-1\"\njwts = {jwts:?}\n{PORTS}"));
    place.refuses(&["run"], 2, &[&jwts.display().to_string(), "they are of two fleets"]);
    place.write("node.toml", &format!("name = \"school-1\"\n{PORTS}"));
    assert_eq!(place.start(&["run"]).stop(), 0);
}

#[test]
fn a_truncated_creds_file_is_refused_before_a_start() {
    for name in
        ["health.creds", "registry.creds", "apply-SCHOOL.creds", "services/SCHOOL/teacher-service.creds"]
    {
        let place = stopped();
        let path = key(&place, name);
        truncate(&path);
        let words =
            [&path.display().to_string(), "it is cut off or damaged", "move it away and make a new one"];
        place.refuses(&DEV, 1, &words);
        // What it says helps.
        fs::remove_file(&path).unwrap();
        place.run(&DEV).expect(0);
    }
}

#[test]
fn a_truncated_creds_file_is_named_by_the_command_that_needs_it() {
    let place = stopped();
    let node = place.start(&["dev", "--any-port"]);
    let damaged = |name: &str, commands: &[&[&str]]| {
        let path = key(&place, name);
        let whole = fs::read(&path).unwrap();
        truncate(&path);
        let (keys, jwts) = (place.path(".data/keys"), place.path(".data/jwts"));
        let before = (Snapshot::of(&keys), Snapshot::of(&jwts));
        for command in commands {
            let ran = place.run(command);
            assert_eq!(ran.code, 1, "{command:?}:\n{}{}", ran.stdout, ran.stderr);
            let said = format!("{}{}", ran.stdout, ran.stderr);
            for words in [&path.display().to_string(), "it is cut off or damaged", "make a new one"] {
                assert!(said.contains(words), "{command:?} does not say `{words}`:\n{said}");
            }
        }
        before.0.assert_still(&keys);
        before.1.assert_still(&jwts);
        fs::write(&path, whole).unwrap();
        for command in commands {
            place.run(command).expect(0);
        }
    };
    damaged(
        "services/SCHOOL/teacher-service.creds",
        &[&["auth", "test"], &["service", "creds", "SCHOOL", "teacher-service"]],
    );
    damaged("apply-SCHOOL.creds", &[&["apply"]]);
    assert_eq!(node.stop(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_or_missing_jetstream_key_starts_nothing_and_loses_nothing() {
    let place = stopped_with_events(NODE, 200).await;
    let path = key(&place, "jetstream.key");
    let right = fs::read(&path).unwrap();
    let store = place.path(".data/jetstream").display().to_string();

    let other = stopped();
    take(&place, &other, ".data/keys/jetstream.key");
    for command in [&DEV[..], &["run"]] {
        place.refuses(command, 2, &[&store, "put the right key back", "nothing was started"]);
    }
    fs::remove_file(&path).unwrap();
    for command in [&DEV[..], &["run"]] {
        place.refuses(command, 1, &[&store, "`jetstream.key` is missing", "from a backup"]);
    }
    fs::write(&path, &right[..20]).unwrap();
    set_mode(&path, 0o600);
    place.refuses(&DEV, 1, &[&path.display().to_string(), "20 characters", "from a backup"]);

    fs::write(&path, right).unwrap();
    assert_events(&place, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn encryption_cannot_be_turned_off_or_on_under_a_store() {
    let plain = format!("{NODE}\n[jetstream]\nencryption = \"off\"\n");
    for (first, then, remedy) in
        [(NODE, plain.as_str(), "take that line out"), (plain.as_str(), NODE, "encryption = \"off\"`")]
    {
        let place = stopped_with_events(first, 200).await;
        place.write("node.toml", then);
        let store = place.path(".data/jetstream").display().to_string();
        for command in [&DEV[..], &["run"]] {
            place.refuses(command, 2, &[&store, "encrypt", remedy, "nothing was started"]);
        }
        place.write("node.toml", first);
        assert_events(&place, 200).await;
    }
}

#[test]
fn a_key_is_not_bound_to_a_start_that_was_refused() {
    let (operator, other) = (stopped(), stopped());
    let jwts = operator.path(".data/jwts");
    let place = Place::new(&format!("name = \"school-1\"\njwts = {jwts:?}\n{PORTS}"), FLEET);
    let run = |keys: PathBuf| {
        let mut command = place.command(&["run"]);
        command.env("CREDENTIALS_DIRECTORY", keys);
        command
    };
    let refused = run(other.path(".data/keys")).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "the creds are of another fleet");
    // Regression: the other fleet's JetStream key was on record, and the right one refused.
    assert_eq!(place.start_command(run(operator.path(".data/keys"))).stop(), 0);
}

#[test]
fn keys_that_others_can_read_are_refused_until_the_chmod_was_typed() {
    let place = stopped();
    for (name, mode) in
        [("operator/signing-1.nk", 0o644), ("jetstream.key", 0o640), ("", 0o755), ("roles", 0o750)]
    {
        let path = fs::canonicalize(key(&place, name)).unwrap();
        set_mode(&path, mode);
        let wanted = if path.is_dir() { "700" } else { "600" };
        let typed = format!("chmod {wanted} {}", path.display());
        for command in [&DEV[..], &["run"]] {
            place.refuses(command, 1, &[&format!("`{typed}`"), &format!("(mode {mode:04o})")]);
        }
        assert!(Command::new("sh").args(["-c", &typed]).status().unwrap().success());
        place.run(&DEV).expect(0);
    }
}

#[test]
fn a_data_folder_of_a_newer_version_is_left_alone() {
    let place = stopped();
    let marker = place.read(".data/leafbox.json");
    place.write(".data/leafbox.json", r#"{ "layout": 99, "written_by": "9.1.0" }"#);
    let root = place.path(".data").display().to_string();
    let words = [root.as_str(), "leafbox 9.1.0 (layout 99)", "run that version or a newer one"];
    let commands: [&[&str]; 8] = [
        &DEV,
        &["run"],
        &["status"],
        &["plan"],
        &["apply"],
        &["service", "creds", "SCHOOL", "teacher-service"],
        &["user", "revoke", "SCHOOL", "*"],
        &["clean", "--yes"],
    ];
    for command in commands {
        // With 2 `plan` says that something differs.
        let code = if command == ["plan"] { 1 } else { 2 };
        place.refuses(command, code, &words);
    }
    place.write(".data/leafbox.json", &marker);
    place.run(&DEV).expect(0);
}

#[test]
fn a_second_leafbox_on_the_same_data_is_kept_out() {
    let place = stopped();
    let node = place.start(&["dev", "--any-port"]);
    let (keys, jwts) = (place.path(".data/keys"), place.path(".data/jwts"));
    let run = || {
        [".data/run/addresses.json", ".data/run/nats-server.conf", ".data/run/declared.conf"]
            .map(|file| place.read(file))
    };
    let before = (Snapshot::of(&keys), Snapshot::of(&jwts), run());
    // Regression: the second one noted its own files as what the first was started from.
    place.write("node.toml", &place.read("node.toml").replace("[nats]", "[nats]\nmax_connections = 77"));
    let root = place.path(".data").display().to_string();
    for command in [&DEV[..], &["run"]] {
        let servers = Servers::new();
        let ran = servers.watch(place.command(command)).output().unwrap();
        let said = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(1), "{said}");
        for words in [&format!("pid {}", node.pid()), &root, "stop it", "--data"] {
            assert!(said.contains(words), "{command:?} does not say `{words}`:\n{said}");
        }
        assert_eq!(servers.started(), [] as [u32; 0]);
    }
    before.0.assert_still(&keys);
    before.1.assert_still(&jwts);
    assert_eq!(run(), before.2);
    assert_eq!(node.readyz().unwrap().0, 200);
    assert_eq!(node.stop(), 0);
}

#[test]
fn a_taken_port_is_named_with_its_holder_and_the_key_that_moves_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let listeners = [
        "nats.client",
        "nats.monitoring",
        "nats.websocket",
        "health.listen",
        "registry.listen",
        "console.listen",
    ];
    for moved in listeners {
        let place = stopped();
        let lines: String = listeners
            .iter()
            .map(|key| {
                let port = if *key == moved { address.port() } else { 0 };
                format!("{key} = \"127.0.0.1:{port}\"\n")
            })
            .collect();
        place.write("node.toml", &format!("name = \"school-1\"\n{lines}"));
        let (keys, jwts) = (place.path(".data/keys"), place.path(".data/jwts"));
        let before = (Snapshot::of(&keys), Snapshot::of(&jwts));
        for command in [&DEV[..2], &["run"]] {
            let servers = Servers::new();
            let ran = servers.watch(place.command(command)).output().unwrap();
            let said = String::from_utf8(ran.stderr).unwrap();
            assert_eq!(ran.status.code(), Some(1), "{moved} {command:?}:\n{said}");
            let holder = format!("(process {})", std::process::id());
            for words in [&format!("{address} is taken"), &holder, &format!("set `{moved}`")] {
                assert!(said.contains(words), "{moved} {command:?} does not say `{words}`:\n{said}");
            }
            assert!(servers.started().is_empty(), "nats-server was started beside {moved}");
        }
        before.0.assert_still(&keys);
        before.1.assert_still(&jwts);
    }
}

#[test]
fn clean_leaves_a_running_node_and_foreign_folders_alone() {
    let place = stopped();
    let node = place.start(&["dev", "--any-port"]);
    place.run(&["clean", "--yes"]).says(1, &["a node runs on", "stop it first", "nothing was removed"]);
    assert_eq!(node.readyz().unwrap().0, 200);
    assert_eq!(node.stop(), 0);

    fs::create_dir(place.path("photos")).unwrap();
    place.write("photos/holiday.jpg", "a photo");
    place.refuses(&["clean", "--yes", "--data", "photos"], 1, &["photos", "not a leafbox data folder"]);
    place.refuses(&["clean"], 1, &["no terminal to ask on", "--yes"]);

    place.run(&["clean", "--yes"]).expect(0);
    assert!(!place.path(".data").exists());
}

#[test]
fn without_a_node_commands_say_how_to_start_one() {
    let place = stopped();
    let commands: [&[&str]; 5] = [&["status"], &["plan"], &["apply"], &["health"], &["auth", "test"]];
    for command in commands {
        place.refuses(command, 1, &["`leafbox dev` or `leafbox run`"]);
    }
    let nowhere = Place::empty();
    for command in commands {
        nowhere.refuses(command, 1, &["there is no node.toml here", "`leafbox init`", "`leafbox dev`"]);
    }
}
