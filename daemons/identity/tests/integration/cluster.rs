//! Pushing to a cluster of three: each server is asked, and a silent one is not forgotten.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use async_nats::Event;
use identity::{
    prepare_removal,
    push::{Outcome, PushOptions, in_force, push, remove},
};
use supervisor::NatsServer;

use crate::fleet::{PATIENCE, Shops, User, name};

const NAMES: [&str; 3] = ["hub-1", "hub-2", "hub-3"];

fn options() -> PushOptions {
    PushOptions {
        timeout: Duration::from_secs(3),
        expected: NAMES.map(String::from).to_vec(),
        ..PushOptions::default()
    }
}

async fn start(shops: &Shops, server: &str, first: Option<SocketAddr>) -> NatsServer {
    let routes = first.map_or_else(String::new, |first| format!("\"nats-route://{first}\""));
    let cluster = format!("cluster {{ name: hub, listen: \"127.0.0.1:-1\", routes: [{routes}] }}");
    shops.start_with(server, &cluster).await
}

/// Where a server takes routes. It listens there only after it is ready for clients, and writes
/// its ports file after that.
async fn route(shops: &Shops, name: &str, server: &NatsServer) -> SocketAddr {
    let path = shops.folder.path().join(name).join(format!("nats-server_{}.ports", server.pid()));
    let written = async {
        loop {
            let ports = std::fs::read(&path).unwrap_or_default();
            if let Ok(ports) = serde_json::from_slice::<serde_json::Value>(&ports) {
                let route = ports["cluster"][0].as_str().unwrap();
                return route.rsplit('/').next().unwrap().parse().unwrap();
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, written).await.unwrap()
}

/// Three servers that know of each other, and where the first takes routes.
async fn cluster(shops: &Shops) -> (Vec<NatsServer>, SocketAddr) {
    let first = start(shops, NAMES[0], None).await;
    let route = route(shops, NAMES[0], &first).await;
    let second = start(shops, NAMES[1], Some(route)).await;
    let third = start(shops, NAMES[2], Some(route)).await;
    let servers = vec![first, second, third];
    for server in &servers {
        wait_until(shops, server, 3).await;
    }
    (servers, route)
}

async fn wait_until(shops: &Shops, server: &NatsServer, count: usize) {
    let pusher = shops.pusher(server).await;
    let all = async {
        loop {
            let state = in_force(&pusher, &shops.set, &options()).await.unwrap();
            if state.servers.answering.len() == count {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, all).await.unwrap();
}

#[tokio::test]
async fn each_server_is_pushed_to_and_verified() {
    let shops = Shops::new();
    let (servers, _) = cluster(&shops).await;
    let pusher = shops.pusher(&servers[0]).await;
    let mut users = Vec::new();
    for server in &servers {
        users.push(shops.user(server, "SHOP", "till").await);
    }
    let next = shops.changed("publish_deny = [\"sales.void\"]", "");
    let report = push(&pusher, &next, &options()).await.unwrap();
    let names: Vec<&str> = report.servers.iter().map(|server| server.name.as_str()).collect();
    assert_eq!((names, report.silent.len()), (NAMES.to_vec(), 0));
    assert!(NAMES.iter().all(|server| report.pushed["SHOP"][*server] == Outcome::InForce), "{report:?}");
    for (user, server) in users.iter_mut().zip(&servers) {
        user.reconnects().await;
        let mut observer = shops.user(server, "SHOP", "all").await;
        assert!(user.can_publish(&mut observer, "sales.void").await);
    }
}

#[tokio::test]
async fn a_server_that_is_down_is_named_and_in_step_when_it_returns() {
    let shops = Shops::new();
    let (mut servers, route) = cluster(&shops).await;
    let pusher = shops.pusher(&servers[0]).await;
    servers.pop().unwrap().kill().await;
    let next = shops.changed("publish_deny = [\"sales.void\"]", "");
    let report = push(&pusher, &next, &options()).await.unwrap();
    assert_eq!((report.servers.len(), report.silent.as_slice()), (2, &["hub-3".to_owned()][..]));
    let back = start(&shops, "hub-3", Some(route)).await;
    let pusher = shops.pusher(&back).await;
    let in_step = async {
        loop {
            let state = in_force(&pusher, &next, &options()).await.unwrap();
            if state.servers.answering.len() == 3 && state.differs_from(&next).is_empty() {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, in_step).await.unwrap();
}

#[tokio::test]
async fn a_removed_account_is_unusable_deleted_and_can_be_declared_again() {
    let shops = Shops::new();
    let (servers, _) = cluster(&shops).await;
    let pusher = shops.pusher(&servers[0]).await;
    let creds = shops.mint("VAN", "all");
    let mut live = User::connect(&servers[2], &creds).await.unwrap();
    let removal = prepare_removal(&shops.keys, &shops.set, &name("VAN"), SystemTime::now()).unwrap();
    let report = remove(&pusher, &removal, &options()).await.unwrap();
    assert!(report.deleted);
    let tombstone = &report.tombstone.pushed["VAN"];
    assert_eq!(tombstone["hub-3"], Outcome::InForce);
    assert!(NAMES.iter().all(|server| matches!(tombstone[*server], Outcome::InForce | Outcome::Stored)));
    live.hears("the disconnection", |event| matches!(event, Event::Disconnected)).await;
    for (server, name) in servers.iter().zip(NAMES) {
        assert!(User::connect(server, &creds).await.is_err());
        let file = shops
            .folder
            .path()
            .join(name)
            .join("resolver")
            .join(format!("{}.jwt", shops.set.accounts["VAN"].public_key));
        assert!(!file.exists());
    }
    let report = push(&pusher, &removal.set, &options()).await.unwrap();
    assert!(report.pushed.is_empty(), "a tombstone that is nowhere is not brought back: {report:?}");

    let again = identity::sign(&shops.keys, &shops.fleet, Some(&removal.set), SystemTime::now()).unwrap();
    push(&pusher, &again, &options()).await.unwrap();
    User::connect(&servers[1], &creds).await.unwrap();
}

#[tokio::test]
async fn while_a_server_is_down_the_tombstone_stays_and_wins_when_it_returns() {
    let shops = Shops::new();
    let (mut servers, route) = cluster(&shops).await;
    let pusher = shops.pusher(&servers[0]).await;
    let creds = shops.mint("VAN", "all");
    servers.pop().unwrap().kill().await;
    let removal = prepare_removal(&shops.keys, &shops.set, &name("VAN"), SystemTime::now()).unwrap();
    let report = remove(&pusher, &removal, &options()).await.unwrap();
    assert!(!report.deleted);
    assert_eq!(report.tombstone.silent, ["hub-3"]);
    assert!(User::connect(&servers[0], &creds).await.is_err());

    // It still has the old account in its file, and its preload too.
    let back = start(&shops, "hub-3", Some(route)).await;
    wait_until(&shops, &servers[0], 3).await;
    let refused = async { while User::connect(&back, &creds).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, refused).await.unwrap();
    assert!(User::connect(&servers[0], &creds).await.is_err(), "the old file did not spread");
    let report = remove(&pusher, &removal, &options()).await.unwrap();
    assert!(report.deleted);
}
