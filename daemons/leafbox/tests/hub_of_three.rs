//! A leaf and a hub of three, as `leafbox dev --hub 3` runs them: what travels up arrives once and
//! is kept three times, through the kill of a hub node and a stop of everything.
#![allow(clippy::unwrap_used)]

mod harness;

use std::{fmt::Write, fs, path::PathBuf};

use harness::{Node, Place, client, eventually};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use settings::Name;

const NODE: &str = include_str!("../../../examples/school/node.toml");
const FLEET: &str = include_str!("../../../examples/school/fleet.toml");
const HUB: [&str; 3] = ["hub-1", "hub-2", "hub-3"];

const FIRST: usize = 1_000;
const ALL: usize = 5_000;

fn creds(place: &Place, service: &str) -> PathBuf {
    let name = |text: &str| text.parse::<Name>().unwrap();
    identity::layout::service_creds(&place.path(".data/keys"), &name("SCHOOL"), &name(service))
}

fn hub_file(place: &Place, node: &str, file: &str) -> PathBuf {
    place.path(&format!(".data/hub/{node}/run/{file}"))
}

fn hub_address(place: &Place, node: &str, listener: &str) -> Option<String> {
    let addresses = fs::read(hub_file(place, node, "addresses.json")).ok()?;
    let addresses: Value = serde_json::from_slice(&addresses).ok()?;
    Some(addresses[listener].as_str()?.to_owned())
}

async fn on_hub(place: &Place, node: &str) -> async_nats::Client {
    let apply = identity::layout::apply_creds(&place.path(".data/keys"), &"SCHOOL".parse().unwrap());
    let address = hub_address(place, node, "client").unwrap();
    client::connect(&format!("nats://{address}"), &apply).await
}

fn server_pid(place: &Place, node: &str) -> i32 {
    let text = fs::read_to_string(hub_file(place, node, "nats-server.pid")).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

fn hub_is_ready(place: &Place, node: &str) -> bool {
    let address = hub_address(place, node, "health").and_then(|address| address.parse().ok());
    let answer = address.and_then(|address| harness::http_get(address, "/readyz"));
    answer.is_some_and(|(status, _)| status == 200)
}

fn all_ready(place: &Place) {
    for node in HUB {
        eventually(&format!("{node} is ready"), || hub_is_ready(place, node));
    }
}

/// Starts the leaf and its hub, and waits until all of it is ready.
fn start(place: &Place) -> Node {
    for node in HUB {
        // What an earlier run left must not be read as this one's.
        let _ = fs::remove_file(hub_file(place, node, "addresses.json"));
    }
    let leaf = place.start(&["dev", "--any-port", "--hub", "3"]);
    all_ready(place);
    leaf
}

async fn info(client: &async_nats::Client) -> Option<Value> {
    client::request(client, "$JS.API.STREAM.INFO.EVENTS", &json!({})).await
}

/// The leaf's outbox and the consumer by which the hub empties it, and what everybody said.
async fn outbox(place: &Place, leaf: &Node) -> String {
    let apply = identity::layout::apply_creds(&place.path(".data/keys"), &"SCHOOL".parse().unwrap());
    let client = client::connect(&leaf.url(), &apply).await;
    let mut told = String::new();
    for asked in ["STREAM.INFO.EVENTS", "CONSUMER.LIST.EVENTS"] {
        let answer = client::request(&client, &format!("$JS.API.{asked}"), &json!({})).await;
        writeln!(told, "{asked} of the leaf: {:#}", answer.unwrap_or_default()).unwrap();
    }
    told + &leaf.log()
}

/// Waits until the hub holds so many, on three nodes that are in step.
async fn in_step(place: &Place, leaf: &Node, messages: u64) {
    let client = on_hub(place, "hub-1").await;
    let started = std::time::Instant::now();
    loop {
        let info = info(&client).await.unwrap_or_default();
        let followers = info["cluster"]["replicas"].as_array().cloned().unwrap_or_default();
        let current = followers.iter().filter(|follower| follower["current"] == true).count();
        if info["state"]["messages"] == messages && current == 2 {
            return;
        }
        if started.elapsed() > harness::DEADLINE * 2 {
            panic!("not {messages} messages in step: {info:#}\n{}", outbox(place, leaf).await);
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// Asks the command, with a file that says what `leafbox dev` gave the node.
fn plan_is_empty(place: &Place, node: &str) {
    let (data, jwts) = (place.path(&format!(".data/hub/{node}")), place.path(".data/jwts"));
    let file = format!("{node}.toml");
    let text = format!(
        "name = {node:?}\nrole = \"hub\"\ndata = {data:?}\njwts = {jwts:?}\n[nats]\nleaf = \"127.0.0.1:0\"\nroute = \"127.0.0.1:0\"\n[cluster]\nroutes = [\"nats-route://127.0.0.1:9\"]\n"
    );
    place.write(&file, &text);
    let mut command = place.command(&["plan", "--json", "-c", &file]);
    command.env("CREDENTIALS_DIRECTORY", place.path(".data/keys"));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{node}: {said}"));
    // The ports are not the file's: what only a restart changes is not asked for.
    for empty in [&plan["stores"]["items"], &plan["stores"]["failures"], &plan["accounts"]["changes"]] {
        assert_eq!(*empty, json!([]), "{node}: {plan:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_of_three_keeps_everything_once_through_a_kill_and_a_second_start() {
    let fleet = FLEET.replacen("hub = [\"hub-1\"]", "hub = [\"hub-1\", \"hub-2\", \"hub-3\"]", 1);
    assert_ne!(fleet, FLEET);
    let place = Place::new(NODE, &fleet);
    let leaf = start(&place);
    let teacher = client::connect(&leaf.url(), &creds(&place, "teacher-service")).await;
    client::publish(&teacher, "events.teacher.marks", "event", 0..FIRST).await;
    in_step(&place, &leaf, FIRST as u64).await;
    for node in HUB {
        let held = info(&on_hub(&place, node).await).await.unwrap();
        assert_eq!(held["config"]["num_replicas"], 3, "{node}: {held:#}");
        plan_is_empty(&place, node);
    }

    // A node of the hub dies under load.
    let load = tokio::spawn(async move {
        client::publish(&teacher, "events.teacher.marks", "event", FIRST..ALL).await;
    });
    let pid = server_pid(&place, "hub-2");
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    eventually("the killed nats-server runs again", || ![0, pid].contains(&server_pid(&place, "hub-2")));
    load.await.unwrap();
    in_step(&place, &leaf, ALL as u64).await;
    client::assert_exactly(&on_hub(&place, "hub-2").await, "EVENTS", "event", 0..ALL).await;
    all_ready(&place);

    // All of it stops, and starts again.
    assert_eq!(leaf.stop(), 0);
    let leaf = start(&place);
    in_step(&place, &leaf, ALL as u64).await;
    client::assert_exactly(&on_hub(&place, "hub-3").await, "EVENTS", "event", 0..ALL).await;
    let teacher = client::connect(&leaf.url(), &creds(&place, "teacher-service")).await;
    client::publish(&teacher, "events.teacher.marks", "event", ALL..ALL + 100).await;
    in_step(&place, &leaf, ALL as u64 + 100).await;
    assert_eq!(leaf.stop(), 0);
}
