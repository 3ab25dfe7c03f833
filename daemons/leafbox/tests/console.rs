//! The web console of a node, as a browser asks for it.
#![allow(clippy::unwrap_used)]

#[path = "console/authority.rs"]
mod authority;
// A device with a passkey, as the console's own tests have it.
#[path = "../../sse-bridge/tests/it/login/device.rs"]
#[allow(dead_code, reason = "here it only enrols")]
mod device;
mod harness;
#[path = "console/people.rs"]
mod people;
#[path = "console/users.rs"]
mod users;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
};

use harness::{DEADLINE, Node, PORTS, Place, eventually};

const NODE: &str = include_str!("../../../examples/school/node.toml");
const FLEET: &str = include_str!("../../../examples/school/fleet.toml");

/// Asks as a browser that came to `http://localhost` does, and leaves the answer to be read.
fn ask(address: SocketAddr, path: &str, headers: &str) -> BufReader<TcpStream> {
    ask_with(address, &format!("GET {path}"), headers, "")
}

fn ask_with(address: SocketAddr, request: &str, headers: &str, body: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let host = format!("Host: localhost:{}\r\nAccept: text/html\r\nConnection: close", address.port());
    write!(stream, "{request} HTTP/1.1\r\n{host}\r\n{headers}\r\n{body}").unwrap();
    BufReader::new(stream)
}

fn get(address: SocketAddr, path: &str, headers: &str) -> String {
    let mut answer = String::new();
    ask(address, path, headers).read_to_string(&mut answer).unwrap();
    answer
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// The `Cookie` header of the session that development gives.
fn session(node: &Node) -> String {
    let login = get(node.address("console"), "/login/?next=%2F", "");
    assert_eq!(status(&login), 303, "{login}");
    let cookie = login.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    for attribute in ["__Host-leafbox=", "; Secure", "; HttpOnly", "; SameSite=Strict"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    format!("Cookie: {}\r\n", cookie.split(';').next().unwrap())
}

#[test]
fn in_development_the_overview_is_there_and_goes_on_by_itself() {
    let place = Place::new(&format!("{NODE}\n[health]\nheartbeat = \"1s\"\n"), FLEET);
    let node = place.start(&["dev", "--any-port"]);
    let address = node.address("console");
    eventually("the console answers", || status(&get(address, "/healthz", "")) == 200);
    let cookie = session(&node);
    eventually("the overview knows the node", || get(address, "/", &cookie).contains("✓ school-1 is ready"));
    let page = get(address, "/", &cookie);
    assert!(page.contains("content-security-policy: default-src 'none'"), "{page}");
    assert!(page.contains("whoever uses this machine is an admin here"), "{page}");
    assert!(!page.contains("onclick") && !page.contains("<style") && !page.contains("<script>"), "{page}");

    let mut live = ask(address, "/live/overview", &cookie).lines().map(Result::unwrap);
    let mut told = live.by_ref().filter(|line| line.contains("elements <section id=\"overview\""));
    let first = told.next().unwrap();
    assert!(told.next().unwrap() != first, "heartbeats differ in their time");

    let schema = get(address, "/schemas/io.nats.jetstream.api.v1.stream_create_request", &cookie);
    assert!(schema.contains("application/schema+json") && schema.contains("\"max_msgs\""), "{schema}");
    assert_eq!(node.stop(), 0);
}

/// A node that has all that `leafbox run` needs.
fn made() -> Place {
    let place = Place::new(&format!("{NODE}{PORTS}"), FLEET);
    place.run(&["dev", "--once"]).expect(0);
    place
}

#[test]
fn without_a_session_there_is_the_login_alone() {
    let place = made();
    let node = place.start(&["run"]);
    let address = node.address("console");
    eventually("the console answers", || status(&get(address, "/healthz", "")) == 200);
    for path in ["/", "/live/overview", "/metrics", "/sse?subject=leafbox.node.%3E", "/schemas/x"] {
        let answer = get(address, path, "");
        assert!(status(&answer) == 303 && answer.contains("location: /login/?next="), "{path}: {answer}");
    }
    let login = get(address, "/login/", "");
    assert!(status(&login) == 200 && !login.contains("set-cookie"), "{login}");
    assert_eq!(node.stop(), 0);
}

/// A node that was let in before there was a console has no creds for it.
#[test]
fn without_its_creds_the_console_alone_is_not_started() {
    let place = made();
    let creds = place.path(".data/keys/console-LEAFBOX.creds");
    std::fs::remove_file(&creds).unwrap();
    let node = place.start(&["run"]);
    let log = node.log();
    let said = log.lines().find(|line| line.contains("the console is not started")).unwrap();
    for words in ["console-LEAFBOX.creds is not there", "`leafbox apply`", "console.listen = \"off\""] {
        assert!(said.contains(words), "{said}");
    }
    let bound: serde_json::Value = serde_json::from_str(&place.read(".data/run/addresses.json")).unwrap();
    assert!(bound["registry"].is_string() && bound["console"].is_null(), "{bound}");
    assert_eq!(node.stop(), 0);
}
