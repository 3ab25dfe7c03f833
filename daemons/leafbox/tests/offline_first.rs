//! A leaf that boots alone, a hub that comes later, a link that breaks under load in both
//! directions: everything acknowledged arrives once.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod harness;

use std::time::{Duration, Instant};

use harness::{Node, PORTS, Place, client, eventually, proxy::Proxy};
use settings::Name;

const FLEET: &str = include_str!("../../../examples/school/fleet.toml");

/// A stream that the hub writes, and someone who writes it, beside the school's own.
const DOWN: &str = r#"
[accounts.SCHOOL.streams.NOTICES]
subjects = ["notices.>"]
travel = "down"
max_bytes = "16MiB"

[accounts.SCHOOL.services.office]
publish = ["notices.>"]
subscribe = ["_INBOX.>"]
"#;

const FIRST: usize = 10_000;
const MORE: usize = 2_000;

fn leaf_file(uplink: std::net::SocketAddr) -> String {
    format!("name = \"school-1\"\n{PORTS}\n[uplink]\nurls = [\"nats-leaf://{uplink}\"]\n")
}

/// A hub on another "machine": its own data, the keys and JWTs that the operator gave it.
fn hub_place(operator: &Place, fleet: &str) -> Place {
    let jwts = operator.path(".data/jwts");
    Place::new(
        &format!("name = \"hub-1\"\nrole = \"hub\"\njwts = {jwts:?}\n{PORTS}leaf = \"127.0.0.1:0\"\n"),
        fleet,
    )
}

fn start_hub(hub: &Place, operator: &Place) -> Node {
    let mut command = hub.command(&["run"]);
    command.env("CREDENTIALS_DIRECTORY", operator.path(".data/keys"));
    hub.start_command(command)
}

fn service_creds(place: &Place, service: &str) -> std::path::PathBuf {
    let name = |text: &str| text.parse::<Name>().unwrap();
    identity::layout::service_creds(&place.path(".data/keys"), &name("SCHOOL"), &name(service))
}

fn apply_creds(place: &Place) -> std::path::PathBuf {
    identity::layout::apply_creds(&place.path(".data/keys"), &"SCHOOL".parse().unwrap())
}

fn linked(node: &Node) -> bool {
    node.monitoring("/leafz").is_some_and(|leafz| leafz["leafnodes"].as_u64().unwrap_or(0) >= 3)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_across_a_late_hub_and_a_cut_link() {
    let proxy = Proxy::start().await;
    let fleet = format!("{FLEET}\n{DOWN}");
    let leaf_place = Place::new(&leaf_file(proxy.address()), &fleet);

    // The leaf alone: ready, and the outbox takes everything.
    let leaf = leaf_place.start(&["dev"]);
    let teacher = client::connect(&leaf.url(), &service_creds(&leaf_place, "teacher-service")).await;
    client::publish(&teacher, "events.teacher.marks", "event", 0..FIRST).await;
    let on_leaf = client::connect(&leaf.url(), &apply_creds(&leaf_place)).await;
    assert_eq!(client::count(&on_leaf, "EVENTS").await, FIRST as u64);

    // The hub comes: all of it travels up, and the outbox drains.
    let hub_place = hub_place(&leaf_place, &fleet);
    let hub = start_hub(&hub_place, &leaf_place);
    proxy.heal(hub.address("leaf"));
    let on_hub = client::connect(&hub.url(), &apply_creds(&leaf_place)).await;
    wait_for(&on_hub, "EVENTS", FIRST as u64).await;
    client::assert_exactly(&on_hub, "EVENTS", "event", 0..FIRST).await;
    wait_for(&on_leaf, "EVENTS", 0).await;

    // Under load both ways, the link breaks and heals.
    let office = client::connect(&hub.url(), &service_creds(&leaf_place, "office")).await;
    let up = tokio::spawn(async move {
        client::publish(&teacher, "events.teacher.marks", "event", FIRST..FIRST + MORE).await;
    });
    let down = tokio::spawn(async move { client::publish(&office, "notices.all", "notice", 0..MORE).await });
    wait_for_at_least(&on_hub, "EVENTS", (FIRST + MORE / 10) as u64).await;
    proxy.cut();
    eventually("the leaf notices the cut", || !linked(&leaf));
    up.await.unwrap();
    down.await.unwrap();
    let (_, ready) = leaf.readyz().unwrap();
    assert!(ready.contains("uplink"), "the cut is not reported:\n{ready}");
    assert_eq!(leaf.readyz().unwrap().0, 200, "a cut uplink made the node unready");

    proxy.heal(hub.address("leaf"));
    let healed = Instant::now();
    wait_for(&on_hub, "EVENTS", (FIRST + MORE) as u64).await;
    wait_for(&on_leaf, "NOTICES", MORE as u64).await;
    println!("caught up {:.1} s after the heal", healed.elapsed().as_secs_f64());
    client::assert_exactly(&on_hub, "EVENTS", "event", 0..FIRST + MORE).await;
    client::assert_exactly(&on_leaf, "NOTICES", "notice", 0..MORE).await;
    wait_for(&on_leaf, "EVENTS", 0).await;

    assert_eq!(hub.stop(), 0);
    assert_eq!(leaf.stop(), 0);
}

async fn wait_for(client: &async_nats::Client, stream: &str, messages: u64) {
    poll(client, stream, &format!("{messages} messages"), |count| count == messages).await;
}

async fn wait_for_at_least(client: &async_nats::Client, stream: &str, messages: u64) {
    poll(client, stream, &format!("{messages} messages or more"), |count| count >= messages).await;
}

async fn poll(client: &async_nats::Client, stream: &str, what: &str, holds: impl Fn(u64) -> bool) {
    let started = Instant::now();
    loop {
        let count = client::count(client, stream).await;
        if holds(count) {
            return;
        }
        assert!(started.elapsed() < harness::DEADLINE * 2, "{stream} has {count} messages, not {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
