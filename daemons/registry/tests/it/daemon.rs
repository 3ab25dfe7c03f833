//! The program as systemd runs it: exit codes, credentials, notifications, and what it may reach.

use std::fs;

use nix::sys::signal::Signal;
use supervisor::testing::Unit;

use crate::{
    client::{Client, sha256},
    harness::{Node, content, until},
};

/// A registry beside the given server.
fn unit(server: &Node) -> Unit {
    let client = server.url().replace("nats://", "");
    let node = format!(
        "name = \"shop-1\"\ndata = \"data\"\n[nats]\nclient = \"{client}\"\nmonitoring = \"127.0.0.1:1\"\n\
         [registry]\nlisten = \"127.0.0.1:0\"\nanonymous = \"push\"\ncache = \"64MiB\"\n\
         [jetstream]\nreserve = \"1B\"\n"
    );
    Unit::new(server.folder.path(), "registry", &node, &nkeys::KeyPair::new_user().seed().unwrap())
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_leafbox-registry");

/// It is confined when it listens: what follows shows that nothing is missing to it.
#[tokio::test]
async fn it_serves_confined_tells_systemd_and_exits_with_0() {
    let server = Node::start().await;
    let unit = unit(&server);
    let told = unit.notifications();
    let daemon = unit.start(PROGRAM);
    told.hear("READY=1").await;
    told.hear("WATCHDOG=1").await;
    let address = daemon.listening().await;
    let client = Client { address, authorization: None };
    until("ready", async || client.get("/readyz").await.status == 200).await;
    let layer = content(1, 2_500_000);
    client.push_image("app", "v1", &layer).await;
    let blob = format!("/v2/app/blobs/{}", sha256(&layer));
    // What was just pushed is in the cache already; the second whole read has it stay there.
    let file = unit.data.join("registry").join(sha256(&layer).replace(':', "/"));
    until("cached", async || {
        assert_eq!(client.get(&blob).await.is(200).body, layer);
        file.exists()
    })
    .await;
    assert!(!client.get("/metrics").await.text().contains("\nleafbox_registry_cache_hits_total 0\n"));
    daemon.signal(Signal::SIGTERM);
    let (code, log) = daemon.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("received SIGTERM"), "{log}");
    told.hear("STOPPING=1").await;
    assert!(!log.contains("ERROR") && !log.contains("Permission denied"), "{log}");
}

/// The process that systemd started is the one that runs, with the allocator's settings.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[tokio::test]
async fn the_allocator_keeps_memory_in_the_process_that_was_started() {
    let server = Node::start().await;
    let unit = unit(&server);
    let daemon = unit.start(PROGRAM);
    daemon.listening().await;
    let environment = fs::read(format!("/proc/{}/environ", daemon.pid())).unwrap();
    // Older ones of glibc put a NUL behind each of the settings that they took.
    let mut variables = environment.split(|byte| *byte == 0);
    assert!(variables.any(|variable| variable.starts_with(b"GLIBC_TUNABLES=glibc.malloc.")));
    let name = fs::read_to_string(format!("/proc/{}/comm", daemon.pid())).unwrap();
    assert_eq!(name.trim(), "leafbox-registr", "ps and the journal show it by its name");
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.ended().await.0, Some(0));
}

#[tokio::test]
async fn a_bad_file_exits_with_2_and_a_bad_credential_with_1_and_both_say_what_to_do() {
    let server = Node::start().await;
    let unit = unit(&server);
    let creds = fs::read_to_string(&unit.creds).unwrap();
    let refused = async || unit.start(PROGRAM).ended().await;

    unit.write_creds(&creds, 0o644);
    let (code, log) = refused().await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("run `chmod 600") && log.contains("keys/registry.creds"), "{log}");

    fs::remove_file(&unit.creds).unwrap();
    let (code, log) = refused().await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("`registry.creds` is missing"), "{log}");

    let good = fs::read_to_string(&unit.node).unwrap();
    fs::write(&unit.node, good.replace("anonymous", "anonimous")).unwrap();
    let (code, log) = refused().await;
    assert_eq!(code, Some(2), "{log}");
    assert!(log.contains("anonimous"), "{log}");
}
