//! Start, readiness, reload and stop of one server.

use std::{
    fs,
    net::TcpListener,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use supervisor::{LogSink, NatsServer, StartError, process::Stopped, testing::nats_server_binary};
use zeroize::Zeroizing;

use crate::servers::{DEADLINE, Node, runs, until};

#[tokio::test]
async fn a_server_is_ready_on_the_ports_that_the_system_chose() {
    let node = Node::new();
    node.configure(
        "127.0.0.1:-1",
        "websocket { listen: \"127.0.0.1:-1\", no_tls: true }\nleafnodes { listen: \"127.0.0.1:-1\" }\n\
         mqtt { listen: \"127.0.0.1:-1\" }\nserver_name: all",
    );
    let server = NatsServer::start(&node.launch().await).await.unwrap();
    let found = server.addresses().clone();
    for address in [found.client, found.monitoring, found.websocket, found.leaf, found.mqtt] {
        assert_ne!(address.unwrap().port(), 0, "{found:?}");
    }
    assert_eq!(found.route, None);
    let client = async_nats::connect(found.client.unwrap().to_string()).await.unwrap();
    client.publish("subject", "payload".into()).await.unwrap();
    client.flush().await.unwrap();
    server.monitoring().unwrap().healthz().await.unwrap();
    assert_eq!(server.stop_now(DEADLINE).await, Stopped::InOrder);
}

#[tokio::test]
async fn a_stopped_server_is_gone_and_its_store_is_found_again() {
    let node = Node::new();
    let launch = node.launch().await;
    let server = NatsServer::start(&launch).await.unwrap();
    let pid = server.pid();
    let client = async_nats::connect(server.addresses().client.unwrap().to_string()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    jetstream
        .create_stream(async_nats::jetstream::stream::Config {
            name: "KEPT".to_owned(),
            ..Default::default()
        })
        .await
        .unwrap();
    jetstream.publish("KEPT", "payload".into()).await.unwrap().await.unwrap();
    assert_eq!(server.stop(DEADLINE).await, Stopped::InOrder);
    assert!(!runs(pid, &node.run_dir().join("nats-server.pid")));

    let server = NatsServer::start(&launch).await.unwrap();
    let client = async_nats::connect(server.addresses().client.unwrap().to_string()).await.unwrap();
    let stream = async_nats::jetstream::new(client).get_stream("KEPT").await.unwrap();
    assert_eq!(stream.get_info().await.unwrap().state.messages, 1);
}

#[tokio::test]
async fn a_server_that_does_not_stop_in_time_is_killed() {
    let node = Node::new();
    let server = NatsServer::start(&node.launch().await).await.unwrap();
    let address = server.addresses().client.unwrap();
    // A client that stays keeps a server in lame duck mode for thirty seconds.
    let _client = async_nats::connect(address.to_string()).await.unwrap();
    assert_eq!(server.stop(Duration::from_millis(1)).await, Stopped::Killed);
    TcpListener::bind(address).unwrap();
}

#[tokio::test]
async fn a_dropped_server_is_killed() {
    let node = Node::new();
    let server = NatsServer::start(&node.launch().await).await.unwrap();
    let pid = server.pid();
    drop(server);
    let pid_file = node.run_dir().join("nats-server.pid");
    until("the process ends", || !runs(pid, &pid_file)).await;
}

#[tokio::test]
async fn a_taken_port_names_its_holder_and_the_key_that_moves_it() {
    let node = Node::new();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap();
    node.configure(&address.to_string(), "");
    let mut launch = node.launch().await;
    launch.keys = vec![(address, "nats.client".to_owned())];
    let error = NatsServer::start(&launch).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, StartError::PortTaken(_)), "{text}");
    assert!(text.contains(&address.to_string()) && text.contains("set `nats.client`"), "{text}");
    assert!(text.contains(&format!("process {}", std::process::id())), "{text}");

    drop(holder);
    NatsServer::start(&launch).await.unwrap();
}

#[tokio::test]
async fn a_mistake_in_the_configuration_is_shown_in_the_servers_own_words() {
    let node = Node::new();
    node.configure("127.0.0.1:-1", "max_payload: \"lots\"");
    let text = NatsServer::start(&node.launch().await).await.unwrap_err().to_string();
    assert!(text.contains("ended instead of becoming ready"), "{text}");
    assert!(text.contains("nats-server.conf:6:1"), "{text}");
}

#[tokio::test]
async fn a_program_that_is_missing_is_named() {
    let node = Node::new();
    let mut launch = node.launch().await;
    launch.binary = node.folder.path().join("missing");
    let text = NatsServer::start(&launch).await.unwrap_err().to_string();
    assert!(text.contains("missing could not be run"), "{text}");
}

#[tokio::test]
async fn a_second_supervisor_of_the_same_node_is_refused() {
    let node = Node::new();
    let launch = node.launch().await;
    let server = NatsServer::start(&launch).await.unwrap();
    let error = NatsServer::start(&launch).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&format!("(process {})", std::process::id())), "{text}");
    server.monitoring().unwrap().healthz().await.unwrap();
}

#[tokio::test]
async fn a_server_that_a_dead_supervisor_left_is_ended_first() {
    let node = Node::new();
    let launch = node.launch().await;
    fs::create_dir_all(node.run_dir()).unwrap();
    let pid_file = node.run_dir().join("nats-server.pid");
    let mut orphan = Command::new(nats_server_binary().await)
        .arg("-c")
        .arg(node.config())
        .arg("-P")
        .arg(&pid_file)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("the orphan writes its pid", || fs::read_to_string(&pid_file).is_ok_and(|pid| !pid.is_empty()))
        .await;
    let waiting = tokio::task::spawn_blocking(move || orphan.wait().unwrap());
    let server = NatsServer::start(&launch).await.unwrap();
    waiting.await.unwrap();
    server.monitoring().unwrap().healthz().await.unwrap();
}

#[tokio::test]
async fn a_pid_file_with_the_pid_of_another_process_ends_nobody() {
    let node = Node::new();
    let mut bystander = Command::new("sleep").arg("300").spawn().unwrap();
    fs::create_dir_all(node.run_dir()).unwrap();
    fs::write(node.run_dir().join("nats-server.pid"), bystander.id().to_string()).unwrap();
    NatsServer::start(&node.launch().await).await.unwrap();
    assert!(bystander.try_wait().unwrap().is_none());
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[tokio::test]
async fn a_reload_is_answered_and_a_refused_one_shows_no_key() {
    let node = Node::new();
    let encrypted = |key: &str, debug: bool| {
        let store = node.folder.path().join("js").display().to_string();
        let text = format!(
            "listen: \"127.0.0.1:-1\"\nhttp: \"127.0.0.1:-1\"\ndebug: {debug}\n\
             jetstream {{ store_dir: \"{store}\", cipher: aes, key: {key} }}\n"
        );
        fs::write(node.config(), text).unwrap();
    };
    encrypted("$STORE_KEY", false);
    let mut launch = node.launch().await;
    launch.environment = vec![("STORE_KEY".to_owned(), Zeroizing::new("first-key".to_owned()))];
    let seen = Arc::new(Mutex::new(String::new()));
    let log = Arc::clone(&seen);
    launch.log = LogSink::Function(Arc::new(move |line| {
        log.lock().unwrap().push_str(&format!("{}\n", line.text));
    }));
    let mut server = NatsServer::start(&launch).await.unwrap();

    encrypted("$STORE_KEY", true);
    server.reload().await.unwrap();
    encrypted("other-key", true);
    let text = server.reload().await.unwrap_err().to_string();
    assert!(text.contains("keeps its old configuration"), "{text}");
    let log = seen.lock().unwrap().clone();
    for key in ["first-key", "other-key"] {
        assert!(!text.contains(key) && !log.contains(key), "{text}\n{log}");
    }
}
