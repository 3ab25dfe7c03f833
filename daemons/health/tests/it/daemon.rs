//! The program as systemd runs it: exit codes, credentials, notifications.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use nix::{sys::signal::Signal, unistd::Pid};
use supervisor::testing::Unit;

use crate::node::{DEADLINE, JETSTREAM, Node};

const PROGRAM: &str = env!("CARGO_BIN_EXE_leafbox-health");

/// A health daemon beside the given server.
fn unit(server: &Node) -> Unit {
    let node = format!(
        "name = \"shop-1\"\ndata = \"data\"\n[nats]\nclient = \"{}\"\nmonitoring = \"{}\"\n\
         [health]\nlisten = \"127.0.0.1:0\"\nheartbeat = \"1s\"\n[jetstream]\nreserve = \"1B\"\n",
        server.client, server.monitoring
    );
    Unit::new(server.folder.path(), "health", &node, &nkeys::KeyPair::new_user().seed().unwrap())
}

async fn refused(unit: &Unit) -> (Option<i32>, String) {
    unit.start(PROGRAM).ended().await
}

#[tokio::test]
async fn it_tells_systemd_that_it_is_ready_alive_and_stopping_and_exits_with_0() {
    let server = Node::start(JETSTREAM).await;
    let bucket = server.make_bucket().await;
    let unit = unit(&server);
    let told = unit.notifications();
    let daemon = unit.start(PROGRAM);
    let mut messages = [told.next().await, told.next().await];
    messages.sort();
    assert_eq!(messages, ["READY=1", "WATCHDOG=1"]);
    assert_eq!(told.next().await, "WATCHDOG=1", "it goes on being alive");
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while bucket.get("shop-1").await.unwrap().is_none() {
        assert!(tokio::time::Instant::now() < deadline, "no heartbeat was stored");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    daemon.signal(Signal::SIGTERM);
    let (code, log) = daemon.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("received SIGTERM"), "{log}");
    told.hear("STOPPING=1").await;
}

#[tokio::test]
async fn a_bad_file_exits_with_2_and_a_bad_credential_with_1_and_both_say_what_to_do() {
    let server = Node::start(JETSTREAM).await;
    let unit = unit(&server);
    let creds = fs::read_to_string(&unit.creds).unwrap();

    unit.write_creds(&creds, 0o644);
    let (code, log) = refused(&unit).await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("run `chmod 600") && log.contains("keys/health.creds"), "{log}");

    unit.write_creds(&creds[..40], 0o600);
    let (code, log) = refused(&unit).await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("health.creds cannot be used"), "{log}");

    fs::remove_file(&unit.creds).unwrap();
    let (code, log) = refused(&unit).await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("`health.creds` is missing"), "{log}");

    fs::write(&unit.node, "name = \"shop-1\"\nheatlh = 1\n").unwrap();
    let (code, log) = refused(&unit).await;
    assert_eq!(code, Some(2), "{log}");
    assert!(log.contains("heatlh"), "{log}");
}

/// A line of `/proc/<pid>/status`.
#[cfg(target_os = "linux")]
fn status(pid: Pid, key: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {key} in {text}")).trim().to_owned()
}

/// As in its unit: a credential out of a folder, and a data folder that it cannot write.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn confined_by_itself_it_reads_what_it_needs_and_nothing_else() {
    let server = Node::start(JETSTREAM).await;
    let unit = unit(&server);
    let credentials = server.folder.path().join("credentials");
    fs::rename(unit.data.join("keys"), &credentials).unwrap();
    fs::rename(credentials.join("health.creds"), credentials.join("leafbox_health.creds")).unwrap();
    let told = unit.notifications();
    let run = unit.data.join("run");
    health::Applied::now(true, Vec::new(), "digest").write(&unit.data).unwrap();
    fs::set_permissions(&run, fs::Permissions::from_mode(0o555)).unwrap();

    let daemon = unit.run(unit.command(PROGRAM).env("CREDENTIALS_DIRECTORY", &credentials));
    told.hear("READY=1").await;
    let pid = daemon.pid();
    assert_eq!(status(pid, "NoNewPrivs"), "1");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(status(pid, set), "0000000000000000", "{set}");
    }
    let http = runtime::Monitoring::new(daemon.listening().await);
    let stores = async || {
        let (_, body) = http.get("/readyz?format=json").await.unwrap();
        let report: health::Report = serde_json::from_slice(&body).unwrap();
        let check = report.checks.into_iter().find(|check| check.name == "stores").unwrap();
        (check.ok, check.detail)
    };
    assert!(stores().await.0, "{:?}", stores().await);

    if daemon.log().contains("this kernel has no Landlock") {
        runtime::testing::skipped("this kernel has no Landlock");
        return;
    }
    // A link out of the folder that it was given leads nowhere.
    fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
    let outside = server.folder.path().join("outside.json");
    fs::rename(run.join("applied.json"), &outside).unwrap();
    std::os::unix::fs::symlink(&outside, run.join("applied.json")).unwrap();
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while !stores().await.1.contains("Permission denied") {
        assert!(tokio::time::Instant::now() < deadline, "{:?}", stores().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once_with_130() {
    let server = Node::start(JETSTREAM).await;
    let unit = unit(&server);
    let told = unit.notifications();
    let daemon = unit.start(PROGRAM);
    told.hear("READY=1").await;
    // Both arrive before it can run on, so that it cannot have stopped in between.
    for signal in [Signal::SIGSTOP, Signal::SIGTERM, Signal::SIGINT, Signal::SIGCONT] {
        daemon.signal(signal);
    }
    assert_eq!(daemon.ended().await.0, Some(130));
}
