//! A server that is kept running.

use std::{
    fs,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_nats::jetstream;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use supervisor::{Addresses, Launch, Leave, State, Stop, process::Stopped, supervise};
use tokio_util::sync::CancellationToken;

use crate::servers::{DEADLINE, Node};

const STOP: Stop = Stop { leave: Leave::AtOnce, deadline: DEADLINE };

fn end(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

/// Renders the node's configuration with the client port that it had before.
fn configure(
    node: &Arc<Node>,
    launch: Launch,
) -> impl FnMut(Option<&Addresses>) -> Result<Launch, supervisor::supervise::ConfigureError> + Send + 'static
{
    let node = Arc::clone(node);
    move |before| {
        let client = before.and_then(|addresses| addresses.client);
        let client = client.map_or_else(|| "127.0.0.1:-1".to_owned(), |address| address.to_string());
        node.configure(&client, "");
        Ok(launch.clone())
    }
}

#[tokio::test]
async fn a_killed_server_is_back_on_its_port_with_all_that_was_acknowledged() {
    let node = Arc::new(Node::new());
    let shutdown = CancellationToken::new();
    let launch = node.launch().await;
    let supervised = supervise(configure(&node, launch), STOP, shutdown.clone()).await.unwrap();
    let first = supervised.ready(DEADLINE).await.unwrap();
    let client = async_nats::connect(first.addresses.client.unwrap().to_string()).await.unwrap();
    let jetstream = jetstream::new(client);
    let config = jetstream::stream::Config { name: "KEPT".to_owned(), ..Default::default() };
    jetstream.create_stream(config).await.unwrap();
    for _ in 0..100 {
        jetstream.publish("KEPT", "payload".into()).await.unwrap().await.unwrap();
    }

    let mut state = supervised.state();
    end(first.pid, Signal::SIGKILL);
    state.wait_for(|state| matches!(state, State::Backoff { .. })).await.unwrap();
    let second = supervised.ready(DEADLINE).await.unwrap();
    assert_eq!(second.addresses.client, first.addresses.client);
    assert_ne!(second.pid, first.pid);
    assert_eq!(second.restarts, 1);
    let stream = jetstream.get_stream("KEPT").await.unwrap();
    assert_eq!(stream.get_info().await.unwrap().state.messages, 100);

    shutdown.cancel();
    assert_eq!(supervised.join().await, Some(Stopped::InOrder));
}

#[tokio::test]
async fn a_server_is_stopped_in_lame_duck_mode() {
    let node = Arc::new(Node::new());
    let shutdown = CancellationToken::new();
    let stop = Stop { leave: Leave::LameDuck, deadline: DEADLINE };
    let launch = node.launch().await;
    let supervised = supervise(configure(&node, launch), stop, shutdown.clone()).await.unwrap();
    let ready = supervised.ready(DEADLINE).await.unwrap();
    shutdown.cancel();
    assert_eq!(supervised.join().await, Some(Stopped::InOrder));
    TcpListener::bind(ready.addresses.client.unwrap()).unwrap();
}

#[tokio::test]
async fn a_server_that_cannot_start_again_is_tried_until_it_can() {
    let node = Arc::new(Node::new());
    let shutdown = CancellationToken::new();
    let launch = node.launch().await;
    let failures = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&failures);
    let broken = Arc::clone(&node);
    let configure = move |before: Option<&Addresses>| {
        node.configure("127.0.0.1:-1", "");
        if before.is_some() && counted.fetch_add(1, Ordering::SeqCst) < 2 {
            fs::write(broken.config(), "nonsense").unwrap();
        }
        Ok(launch.clone())
    };
    let supervised = supervise(configure, STOP, shutdown.clone()).await.unwrap();
    let first = supervised.ready(DEADLINE).await.unwrap();
    let mut state = supervised.state();
    end(first.pid, Signal::SIGKILL);
    let why = state.wait_for(|state| matches!(state, State::Backoff { why, .. } if why.contains("conf:1")));
    why.await.unwrap();
    assert_eq!(supervised.ready(DEADLINE).await.unwrap().restarts, 3);
    shutdown.cancel();
    supervised.join().await;
}

#[tokio::test]
async fn the_first_start_fails_at_once_and_names_the_reason() {
    let node = Arc::new(Node::new());
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap();
    let mut launch = node.launch().await;
    launch.keys = vec![(address, "nats.client".to_owned())];
    let rendered = Arc::clone(&node);
    let configure = move |_: Option<&Addresses>| {
        rendered.configure(&address.to_string(), "");
        Ok(launch.clone())
    };
    let text = supervise(configure, STOP, CancellationToken::new()).await.unwrap_err().to_string();
    assert!(text.contains("set `nats.client`"), "{text}");

    let text = supervise(|_| Err("no such file".into()), STOP, CancellationToken::new()).await;
    assert!(text.unwrap_err().to_string().contains("no such file"));
}

#[tokio::test]
async fn it_stops_at_once_while_it_waits_to_start_again() {
    let node = Arc::new(Node::new());
    let shutdown = CancellationToken::new();
    let launch = node.launch().await;
    let configure = move |before: Option<&Addresses>| match before {
        None => Ok(launch.clone()),
        Some(_) => Err("broken since".into()),
    };
    let supervised = supervise(configure, STOP, shutdown.clone()).await.unwrap();
    let ready = supervised.ready(DEADLINE).await.unwrap();
    let mut state = supervised.state();
    end(ready.pid, Signal::SIGKILL);
    let broken = |state: &State| matches!(state, State::Backoff { why, .. } if why.contains("broken since"));
    state.wait_for(broken).await.unwrap();
    let text = supervised.ready(Duration::from_millis(1)).await.unwrap_err().to_string();
    assert!(text.contains("broken since"), "{text}");
    shutdown.cancel();
    assert_eq!(supervised.join().await, None);
}

#[tokio::test]
async fn a_reload_reaches_the_running_server() {
    let node = Arc::new(Node::new());
    let shutdown = CancellationToken::new();
    let launch = node.launch().await;
    let supervised = supervise(configure(&node, launch), STOP, shutdown.clone()).await.unwrap();
    supervised.ready(DEADLINE).await.unwrap();
    node.configure("127.0.0.1:-1", "debug: true");
    supervised.reload().await.unwrap();
    node.configure("127.0.0.1:-1", "server_name: other");
    let text = supervised.reload().await.unwrap_err().to_string();
    assert!(text.contains("restart the node"), "{text}");
    shutdown.cancel();
    supervised.join().await;
}
