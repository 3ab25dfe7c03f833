//! The program as systemd runs it: exit codes, credentials, notifications, and what it may reach.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sse_bridge::login::{Invite, Users};
use supervisor::testing::Unit;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    login::device::Device,
    server::{DEADLINE, Server},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_leafbox-sse-bridge");

/// A console beside the given server, with the creds of both accounts.
fn unit(server: &Server) -> Unit {
    let node = format!(
        "name = \"shop-1\"\ndata = \"data\"\n[nats]\nclient = \"{}\"\nmonitoring = \"127.0.0.1:1\"\n\
         [console]\nlisten = \"127.0.0.1:0\"\n[jetstream]\nreserve = \"1B\"\n",
        server.address()
    );
    let seed = nkeys::KeyPair::new_user().seed().unwrap();
    let unit = Unit::new(server.folder(), "console-LEAFBOX", &node, &seed);
    fs::copy(&unit.creds, of_sys(&unit)).unwrap();
    unit
}

fn of_sys(unit: &Unit) -> PathBuf {
    unit.creds.with_file_name("console-SYS.creds")
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < DEADLINE, "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Asks as a page of the console does, and gives head and body of the answer.
async fn ask(address: SocketAddr, request: &str, headers: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let host = format!("Host: localhost:{}\r\nSec-Fetch-Site: same-origin\r\n", address.port());
    let length = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    // The old version, whose answers never come in chunks.
    let request = format!("{request} HTTP/1.0\r\n{host}{length}{headers}\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(DEADLINE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

async fn post(address: SocketAddr, path: &str, body: &Value) -> (String, Value) {
    let (head, body) = ask(address, &format!("POST {path}"), "", &body.to_string()).await;
    assert!(head.contains(" 200 OK"), "{path}: {head}\n{body}");
    (head, serde_json::from_str(&body).unwrap())
}

/// It is confined when it listens: that somebody comes in, which takes reading and writing on NATS,
/// shows that nothing is missing to it.
#[tokio::test(flavor = "multi_thread")]
async fn it_lets_people_in_confined_tells_systemd_and_exits_with_0() {
    let server = Server::start().await;
    let unit = unit(&server);
    let told = unit.notifications();
    let daemon = unit.start(PROGRAM);
    told.hear("READY=1").await;
    told.hear("WATCHDOG=1").await;
    let address = daemon.listening().await;

    let client = server.client().await;
    let (users, _following) = Users::follow(&client);
    users.caught_up().await.unwrap();
    let is_ready = async || {
        let (head, _) = ask(address, "POST /login/enroll/begin", "", r#"{"token":"none"}"#).await;
        !head.contains(" 503 ")
    };
    until("the users are known", is_ready).await;
    let token = users.invite(&Invite::default(), DEADLINE).await.unwrap().0;
    let (_, begun) = post(address, "/login/enroll/begin", &json!({ "token": token.reveal() })).await;
    let mut device = Device::new(&format!("http://localhost:{}", address.port()));
    let finish = json!({
        "ceremony": begun["ceremony"], "credential": device.create(&begun["options"]).await, "label": "key",
    });
    let (head, entered) = post(address, "/login/enroll/finish", &finish).await;
    assert_eq!(entered["role"], "admin");
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    let cookie = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());
    let (head, page) = ask(address, "GET /", &cookie, "").await;
    assert!(head.contains(" 200 OK") && page.contains("admin, admin"), "{head}\n{page}");
    let info = client.request("$SRV.INFO.leafbox-sse-bridge", "".into()).await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&info.payload).unwrap()["metadata"]["node"], "shop-1");

    daemon.signal(Signal::SIGTERM);
    let (code, log) = daemon.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("received SIGTERM"), "{log}");
    told.hear("STOPPING=1").await;
    assert!(!log.contains("ERROR") && !log.contains("Permission denied"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_exits_with_2_and_a_bad_credential_with_1_and_both_say_what_to_do() {
    let server = Server::start().await;
    let unit = unit(&server);
    let creds = fs::read_to_string(&unit.creds).unwrap();
    let refused = async || unit.start(PROGRAM).ended().await;

    unit.write_creds(&creds, 0o644);
    let (code, log) = refused().await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("run `chmod 600") && log.contains("keys/console-LEAFBOX.creds"), "{log}");

    fs::remove_file(&unit.creds).unwrap();
    let (code, log) = refused().await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("`console-LEAFBOX.creds` is missing"), "{log}");

    let good = fs::read_to_string(&unit.node).unwrap();
    fs::write(&unit.node, good.replace("[console]\nlisten", "[console]\nlisden")).unwrap();
    let (code, log) = refused().await;
    assert_eq!(code, Some(2), "{log}");
    assert!(log.contains("lisden"), "{log}");

    fs::write(&unit.node, good.replace("[console]\nlisten = \"127.0.0.1:0\"", "[console]\nlisten = \"off\""))
        .unwrap();
    let (code, log) = refused().await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("`console.listen` is \"off\"") && log.contains("do not start this daemon"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_creds_of_sys_it_runs_and_says_what_it_cannot_show() {
    let server = Server::start().await;
    let unit = unit(&server);
    fs::remove_file(of_sys(&unit)).unwrap();
    let daemon = unit.start(PROGRAM);
    let address = daemon.listening().await;
    let (head, _) = ask(address, "GET /healthz", "", "").await;
    assert!(head.contains(" 200 OK"), "{head}");
    daemon.signal(Signal::SIGTERM);
    let (code, log) = daemon.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(
        log.contains("shows nothing of the servers: the credential `console-SYS.creds` is missing"),
        "{log}"
    );
}
