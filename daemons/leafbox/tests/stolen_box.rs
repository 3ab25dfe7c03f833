//! What the creds of a leaf are good for in the wrong hands: they join the hub, and take nothing
//! away from it. The thief runs software of its own, so it speaks the leaf protocol here itself.
#![allow(clippy::unwrap_used)]

mod harness;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

use data_encoding::BASE64URL_NOPAD;
use harness::{Node, PORTS, Place, client};
use identity::{
    Creds, layout,
    nkey::{KeyKind, SecretKey},
};
use serde_json::{Value, json};

const FLEET: &str = include_str!("../../../examples/school/fleet.toml");

/// Stores that the hub writes, and a user who is denied nothing.
const MORE: &str = r#"
[accounts.SCHOOL.streams.NOTICES]
subjects = ["notices.>"]
travel = "down"
max_bytes = "16MiB"

[accounts.SCHOOL.kv.menu]
travel = "down"
max_bytes = "1MiB"

[accounts.SCHOOL.services.anybody]
publish = [">"]
subscribe = [">"]
"#;

/// What destroys, and a body that would be taken.
const DESTRUCTIVE: [(&str, &str); 9] = [
    ("STREAM.PURGE.NOTICES", "{}"),
    ("STREAM.MSG.DELETE.NOTICES", r#"{"seq":1}"#),
    ("STREAM.UPDATE.NOTICES", r#"{"name":"NOTICES","subjects":["notices.>"],"max_msgs":1}"#),
    ("CONSUMER.DELETE.NOTICES.reader", ""),
    ("STREAM.CREATE.FILLER", r#"{"name":"FILLER","subjects":["filler"]}"#),
    ("STREAM.RESTORE.FILLER", "{}"),
    ("STREAM.LEADER.STEPDOWN.NOTICES", ""),
    ("STREAM.PEER.REMOVE.NOTICES", r#"{"peer":"hub-1"}"#),
    ("STREAM.DELETE.NOTICES", ""),
];

/// The operator's machine, and a hub with the keys and JWTs that it made.
fn hub() -> (Place, Place, Node) {
    let fleet = format!("{FLEET}{MORE}");
    let operator = Place::new("name = \"school-1\"\n", &fleet);
    operator.run(&["dev", "--once", "--any-port"]).expect(0);
    let place = Place::new(
        &format!(
            "name = \"hub-1\"\nrole = \"hub\"\njwts = {:?}\n{PORTS}leaf = \"127.0.0.1:0\"\n",
            operator.path(".data/jwts")
        ),
        &fleet,
    );
    let mut command = place.command(&["run"]);
    command.env("CREDENTIALS_DIRECTORY", operator.path(".data/keys"));
    let node = place.start_command(command);
    (operator, place, node)
}

/// A connection to the hub's port for leaf nodes.
struct Link {
    stream: BufReader<TcpStream>,
}

impl Link {
    /// Joins as a leaf, or as one that says that it is the hub.
    fn join(hub: SocketAddr, creds: &Path, as_hub: bool) -> Self {
        let stream = TcpStream::connect(hub).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut link = Self { stream: BufReader::new(stream) };
        let info = link.line();
        let info: Value = serde_json::from_str(info.strip_prefix("INFO ").unwrap()).unwrap();
        let text = Creds::read(creds).unwrap().text();
        let seed = text.lines().find(|line| line.starts_with("SU")).unwrap();
        let key = SecretKey::from_seed(seed, KeyKind::User).unwrap();
        let connect = json!({
            "jwt": Creds::read(creds).unwrap().jwt,
            "sig": BASE64URL_NOPAD.encode(&key.sign(info["nonce"].as_str().unwrap().as_bytes())),
            "name": "thief", "server_id": "thief", "domain": "thief", "version": "2.15.1",
            "is_hub": as_hub, "jetstream": true, "headers": false, "protocol": 1,
        });
        link.send(&format!("CONNECT {connect}\r\nLS+ answer.thief\r\nPING\r\n"));
        while link.line() != "PONG" {}
        link
    }

    fn send(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.stream.read_line(&mut line).unwrap(), 0, "the hub hung up");
        line.trim_end().to_owned()
    }

    fn publish(&mut self, subject: &str, reply: &str, body: &str) {
        self.send(&format!("LMSG {subject}{reply} {}\r\n{body}\r\n", body.len()));
    }

    /// The answer to a request, or what the hub says when it does not let it pass.
    fn ask(&mut self, subject: &str, body: &str) -> Result<Value, String> {
        self.publish(subject, " answer.thief", body);
        loop {
            let line = self.line();
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["PING"] => self.send("PONG\r\n"),
                ["-ERR", ..] => return Err(line),
                ["LMSG", to, .., size] => {
                    let mut body = vec![0; size.parse::<usize>().unwrap() + 2];
                    self.stream.read_exact(&mut body).unwrap();
                    if *to == "answer.thief" {
                        return Ok(serde_json::from_slice(&body).unwrap());
                    }
                }
                _ => {}
            }
        }
    }
}

/// The request that makes a consumer.
fn reader() -> String {
    let config = json!({ "name": "reader", "durable_name": "reader", "ack_policy": "explicit" });
    json!({ "stream_name": "NOTICES", "config": config }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_creds_of_a_leaf_destroy_nothing_on_the_hub() {
    let (operator, _place, hub) = hub();
    let keys = operator.path(".data/keys");
    let school = "SCHOOL".parse().unwrap();
    let apply = client::connect(&hub.url(), &layout::apply_creds(&keys, &school)).await;
    let anybody = layout::service_creds(&keys, &school, &"anybody".parse().unwrap());
    let office = client::connect(&hub.url(), &anybody).await;
    client::publish(&office, "notices.all", "notice", 0..3).await;
    let leaf = layout::leaf_creds(&keys, &school);

    // The hub's API, as a leaf reaches it and as clients do, and that of another leaf.
    for prefix in ["$JS.hub.API", "$JS.API", "$JS.school-2.API"] {
        // One who says that it is the hub is refused without a word.
        let mut as_hub = Link::join(hub.address("leaf"), &leaf, true);
        for (request, body) in DESTRUCTIVE {
            let subject = format!("{prefix}.{request}");
            as_hub.publish(&subject, " answer.thief", body);
            // The hub hangs up on a leaf that tries.
            let refused = Link::join(hub.address("leaf"), &leaf, false).ask(&subject, body).unwrap_err();
            assert!(refused.contains("Permissions Violation"), "{subject}: {refused}");
        }
        let answer = as_hub.ask("$JS.hub.API.CONSUMER.CREATE.NOTICES.reader", &reader()).unwrap();
        assert_eq!(answer["name"], "reader", "answered before all that was refused: {answer}");
    }
    let info = client::request(&apply, "$JS.API.STREAM.INFO.NOTICES", &json!({})).await.unwrap();
    assert_eq!((&info["state"]["messages"], &info["config"]["max_msgs"]), (&json!(3), &json!(-1)));
    assert_eq!(info["state"]["consumer_count"], 1, "{info}");

    // The same creds at the hub's port for clients.
    let thief = client::connect(&hub.url(), &leaf).await;
    for prefix in ["$JS.hub.API", "$JS.API"] {
        thief.publish(format!("{prefix}.STREAM.DELETE.NOTICES"), "".into()).await.unwrap();
    }
    let known = client::request(&thief, "$JS.hub.API.STREAM.INFO.NOTICES", &json!({})).await.unwrap();
    assert_eq!(known["state"]["messages"], 3, "answered after both were refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_reads_and_copies_and_writes_keys_of_the_hub() {
    let (operator, _place, hub) = hub();
    let keys = operator.path(".data/keys");
    let school = "SCHOOL".parse().unwrap();
    let mut link = Link::join(hub.address("leaf"), &layout::leaf_creds(&keys, &school), false);
    let info = link.ask("$JS.hub.API.STREAM.INFO.NOTICES", "").unwrap();
    assert_eq!(info["config"]["name"], "NOTICES", "{info}");
    let made = link.ask("$JS.hub.API.CONSUMER.CREATE.NOTICES.reader", &reader()).unwrap();
    assert_eq!(made["name"], "reader", "{made}");
    let stored = link.ask("$JS.hub.API.$KV.menu.today", "soup").unwrap();
    assert_eq!(stored["stream"], "KV_menu", "{stored}");

    // One who is denied nothing gets through on the same way: it is the role that refuses.
    let anybody = layout::service_creds(&keys, &school, &"anybody".parse().unwrap());
    let mut link = Link::join(hub.address("leaf"), &anybody, false);
    let deleted = link.ask("$JS.hub.API.CONSUMER.DELETE.NOTICES.reader", "").unwrap();
    assert_eq!(deleted["success"], true, "{deleted}");
    let purged = link.ask("$JS.hub.API.STREAM.PURGE.KV_menu", "").unwrap();
    assert_eq!(purged["purged"], 1, "{purged}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_an_honest_leaf_destroys_nothing_and_does_not_cut_its_link() {
    let (operator, _place, hub) = hub();
    operator.write(
        "node.toml",
        &format!("name = \"school-1\"\n[uplink]\nurls = [\"nats-leaf://{}\"]\n", hub.address("leaf")),
    );
    let leaf = operator.start(&["dev", "--any-port"]);
    let keys = operator.path(".data/keys");
    let school = "SCHOOL".parse().unwrap();
    let creds = layout::service_creds(&keys, &school, &"anybody".parse().unwrap());
    let anybody = client::connect(&leaf.url(), &creds).await;
    let on_hub = client::connect(&hub.url(), &creds).await;
    client::publish(&on_hub, "notices.all", "notice", 0..3).await;
    let started = std::time::Instant::now();
    while client::count(&anybody, "NOTICES").await < 3 {
        assert!(started.elapsed() < harness::DEADLINE, "the leaf has no copy:\n{}", leaf.log());
    }
    let links = || {
        let leafz = hub.monitoring("/leafz").unwrap();
        let mut ids: Vec<u64> =
            leafz["leafs"].as_array().unwrap().iter().map(|leaf| leaf["id"].as_u64().unwrap()).collect();
        ids.sort_unstable();
        ids
    };
    let before = links();
    assert!(!before.is_empty());
    for (request, body) in DESTRUCTIVE {
        anybody.publish(format!("$JS.hub.API.{request}"), body.into()).await.unwrap();
    }
    let info = client::request(&anybody, "$JS.hub.API.STREAM.INFO.NOTICES", &json!({})).await.unwrap();
    assert_eq!(info["state"]["messages"], 3, "{info}");
    assert_eq!(links(), before, "the hub cut the link:\n{}", leaf.log());
    client::publish(&on_hub, "notices.all", "notice", 3..6).await;
    while client::count(&anybody, "NOTICES").await < 6 {
        assert!(started.elapsed() < harness::DEADLINE, "the copy stands still:\n{}", leaf.log());
    }
}
