//! A store in which nats-server ended while it made a block.

use std::{fs, path::Path};

use async_nats::jetstream::{self, stream};
use supervisor::{Launch, NatsServer};

use crate::servers::{DEADLINE, Node};

/// Starts it on an encrypted store, stores three messages, kills it, and leaves what a kill between the
/// making of a block and of its key leaves.
async fn killed_halfway(node: &Node) -> Launch {
    let store = node.folder.path().join("jetstream");
    let text = format!(
        "listen: \"127.0.0.1:-1\"\nhttp: \"127.0.0.1:-1\"\n\
         jetstream {{ store_dir: \"{}\", sync_interval: always, cipher: aes, key: test }}\n",
        store.display()
    );
    fs::write(node.config(), text).unwrap();
    let launch = Launch { store: Some(store.clone()), ..node.launch().await };
    let mut server = NatsServer::start(&launch).await.unwrap();
    let jetstream = connect(&server).await;
    let config = stream::Config {
        name: "ORDERS".to_owned(),
        subjects: vec!["orders".to_owned()],
        ..Default::default()
    };
    jetstream.create_stream(config).await.unwrap();
    for _ in 0..3 {
        jetstream.publish("orders", "order".into()).await.unwrap().await.unwrap();
    }
    server.kill().await;
    drop(server);
    fs::write(blocks(&store).join("2.blk"), "").unwrap();
    launch
}

fn blocks(store: &Path) -> std::path::PathBuf {
    store.join("jetstream/$G/streams/ORDERS/msgs")
}

async fn connect(server: &NatsServer) -> jetstream::Context {
    let address = server.addresses().client.unwrap();
    jetstream::new(async_nats::connect(address.to_string()).await.unwrap())
}

#[tokio::test]
async fn a_block_without_its_key_costs_no_stream() {
    let node = Node::new();
    let launch = killed_halfway(&node).await;
    let server = NatsServer::start(&launch).await.unwrap();
    let stream = connect(&server).await.get_stream("ORDERS").await.unwrap();
    assert_eq!(stream.cached_info().state.messages, 3);
    server.stop_now(DEADLINE).await;
}

/// Why that is needed. When this fails, nats-server does without it.
#[tokio::test]
async fn nats_server_deletes_a_stream_that_has_a_block_without_its_key() {
    let node = Node::new();
    let launch = Launch { store: None, ..killed_halfway(&node).await };
    let server = NatsServer::start(&launch).await.unwrap();
    assert!(connect(&server).await.get_stream("ORDERS").await.is_err());
    assert!(!blocks(&node.folder.path().join("jetstream")).exists());
    server.stop_now(DEADLINE).await;
}
