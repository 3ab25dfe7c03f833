//! The program as systemd runs it: exit codes, credentials, notifications, and what it may reach.

use std::{
    fs,
    net::SocketAddr,
    os::unix::{fs::PermissionsExt, net::UnixDatagram},
    path::{Path, PathBuf},
    process::Stdio,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use crate::{
    client::{Client, sha256},
    harness::{DEADLINE, Node, content, until},
};

struct Files {
    node: PathBuf,
    data: PathBuf,
    notify: PathBuf,
    log: PathBuf,
}

/// `node.toml` for a registry beside the given server, with creds that a plain server takes.
fn files(server: &Node) -> Files {
    let folder = server.folder.path();
    let node = folder.join("node.toml");
    let client = server.url().replace("nats://", "");
    let text = format!(
        "name = \"shop-1\"\ndata = \"data\"\n[nats]\nclient = \"{client}\"\nmonitoring = \"127.0.0.1:1\"\n\
         [registry]\nlisten = \"127.0.0.1:0\"\nanonymous = \"push\"\ncache = \"64MiB\"\n\
         [jetstream]\nreserve = \"1B\"\n"
    );
    fs::write(&node, text).unwrap();
    fs::write(folder.join("fleet.toml"), "name = \"fleet\"\n").unwrap();
    let data = folder.join("data");
    fs::create_dir_all(data.join("keys")).unwrap();
    let user = nkeys::KeyPair::new_user();
    let creds = format!(
        "-----BEGIN NATS USER JWT-----\nheader.claims.signature\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        user.seed().unwrap()
    );
    write_creds(&data, &creds, 0o600);
    Files { node, data, notify: folder.join("notify"), log: folder.join("log") }
}

fn write_creds(data: &Path, text: &str, mode: u32) {
    let path = data.join("keys/registry.creds");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

fn start(files: &Files) -> Child {
    Command::new(env!("CARGO_BIN_EXE_leafbox-registry"))
        .arg("--config")
        .arg(&files.node)
        .env("NOTIFY_SOCKET", &files.notify)
        .env("WATCHDOG_USEC", "200000")
        .env("LEAFBOX_LOG", "debug,async_nats=off")
        .env_remove("WATCHDOG_PID")
        .env_remove("CREDENTIALS_DIRECTORY")
        .env_remove("JOURNAL_STREAM")
        .stdout(Stdio::null())
        .stderr(fs::File::create(&files.log).unwrap())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn ended(files: &Files, mut daemon: Child) -> (Option<i32>, String) {
    let status = timeout(DEADLINE, daemon.wait()).await.unwrap().unwrap();
    (status.code(), fs::read_to_string(&files.log).unwrap())
}

async fn listening(files: &Files) -> SocketAddr {
    let address = || {
        let log = fs::read_to_string(&files.log).unwrap();
        let (_, address) = log.lines().find_map(|line| line.split_once("listening on "))?;
        address.trim().parse().ok()
    };
    until("listening", async || address().is_some()).await;
    address().unwrap()
}

/// It is confined when it listens: what follows shows that nothing is missing to it.
#[tokio::test]
async fn it_serves_confined_tells_systemd_and_exits_with_0() {
    let server = Node::start().await;
    let files = files(&server);
    let told = UnixDatagram::bind(&files.notify).unwrap();
    told.set_nonblocking(true).unwrap();
    let heard = |wanted: &str| {
        let mut buffer = [0; 256];
        std::iter::from_fn(|| told.recv(&mut buffer).ok().map(|length| buffer[..length].to_vec()))
            .any(|message| message.starts_with(wanted.as_bytes()))
    };
    let daemon = start(&files);
    let pid = Pid::from_raw(i32::try_from(daemon.id().unwrap()).unwrap());
    until("READY=1", async || heard("READY=1")).await;
    until("WATCHDOG=1", async || heard("WATCHDOG=1")).await;
    let address = listening(&files).await;
    let client = Client { address, authorization: None };
    until("ready", async || client.get("/readyz").await.status == 200).await;
    let layer = content(1, 2_500_000);
    client.push_image("app", "v1", &layer).await;
    let blob = format!("/v2/app/blobs/{}", sha256(&layer));
    // The second whole read fills the cache on disk, which those after it are answered from.
    until("cached", async || {
        assert_eq!(client.get(&blob).await.is(200).body, layer);
        client.get("/metrics").await.text().contains("\nleafbox_registry_cache_hits_total 1\n")
    })
    .await;
    assert!(files.data.join("registry").is_dir());
    kill(pid, Signal::SIGTERM).unwrap();
    let (code, log) = ended(&files, daemon).await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("received SIGTERM") && heard("STOPPING=1"), "{log}");
    assert!(!log.contains("ERROR") && !log.contains("Permission denied"), "{log}");
}

#[tokio::test]
async fn a_bad_file_exits_with_2_and_a_bad_credential_with_1_and_both_say_what_to_do() {
    let server = Node::start().await;
    let files = files(&server);
    let creds = fs::read_to_string(files.data.join("keys/registry.creds")).unwrap();
    let refused = async || ended(&files, start(&files)).await;

    write_creds(&files.data, &creds, 0o644);
    let (code, log) = refused().await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("run `chmod 600") && log.contains("keys/registry.creds"), "{log}");

    fs::remove_file(files.data.join("keys/registry.creds")).unwrap();
    let (code, log) = refused().await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("`registry.creds` is missing"), "{log}");

    let good = fs::read_to_string(&files.node).unwrap();
    fs::write(&files.node, good.replace("anonymous", "anonimous")).unwrap();
    let (code, log) = refused().await;
    assert_eq!(code, Some(2), "{log}");
    assert!(log.contains("anonimous"), "{log}");
}
