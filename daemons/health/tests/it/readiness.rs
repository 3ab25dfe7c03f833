//! `/healthz` and `/readyz`: each refusal beside the node that is well.

use settings::ByteSize;

use crate::node::{JETSTREAM, Node, check};

#[tokio::test]
async fn a_node_that_is_well_is_ready_as_text_and_as_json() {
    let node = Node::start(JETSTREAM).await;
    node.applied(true, &[]);
    node.make_bucket().await;
    let health = node.health(node.config()).await;
    let report = health.until("ready", |report| report.ready).await;
    assert_eq!(report.node.as_str(), "shop-1");
    assert_eq!(report.nats_version.as_deref().map(|version| version.starts_with("2.")), Some(true));
    assert!(report.jetstream.unwrap().max_storage > 0);
    assert!(report.disk_free.unwrap() > 0);

    let (status, text) = health.text("/readyz").await;
    assert_eq!(status, 200);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 6, "{text}");
    assert_eq!(lines[0], "shop-1 is ready");
    assert!(lines[1..5].iter().all(|line| line.starts_with("ok ")), "{text}");
    assert!(lines[5].starts_with("info  uplink       none declared"), "{text}");
    assert_eq!(health.text("/healthz").await, (200, "ok\n".to_owned()));
    assert!(health.text("/healthz?format=json").await.1.contains("\"status\":\"ok\""));
    assert_eq!(health.text("/elsewhere").await.0, 404);
    health.stop().await;
}

#[tokio::test]
async fn a_server_that_is_gone_makes_the_node_unready_and_its_return_ready() {
    let mut node = Node::start(JETSTREAM).await;
    node.applied(true, &[]);
    node.make_bucket().await;
    let health = node.health(node.config()).await;
    health.until("ready", |report| report.ready).await;

    node.server.take().unwrap().kill().await;
    let report = health.until("unready", |report| !check(report, "nats-server").0).await;
    assert!(check(&report, "nats-server").1.contains("leafbox logs"), "{report:#?}");
    let (status, text) = health.text("/readyz").await;
    assert_eq!(status, 503, "{text}");
    assert!(text.starts_with("shop-1 is not ready\nFAIL  nats-server"), "{text}");
    assert_eq!(health.text("/healthz").await.0, 200);

    node.start_server(JETSTREAM).await;
    health.until("ready again", |report| report.ready).await;
    health.stop().await;
}

#[tokio::test]
async fn a_server_without_jetstream_is_not_ready() {
    let node = Node::start("").await;
    node.applied(true, &[]);
    let health = node.health(node.config()).await;
    let found = |report: &health::Report| check(report, "jetstream").1.contains("JetStream is off");
    let report = health.until("without JetStream", found).await;
    assert!(!report.ready);
    assert!(check(&report, "nats-server").0, "{report:#?}");
    health.stop().await;
}

#[tokio::test]
async fn stores_must_have_been_applied() {
    let node = Node::start(JETSTREAM).await;
    node.make_bucket().await;
    let health = node.health(node.config()).await;
    let never = |report: &health::Report| check(report, "stores").1.contains("never applied");
    let report = health.until("never applied", never).await;
    assert!(!report.ready && report.checks.iter().filter(|check| !check.ok).count() <= 2, "{report:#?}");

    node.applied(false, &["ORDERS: storage cannot change"]);
    let refused =
        |report: &health::Report| check(report, "stores").1.contains("ORDERS: storage cannot change");
    let report = health.until("refused", refused).await;
    assert!(!check(&report, "stores").0);

    node.applied(true, &["PRICES waits for the uplink"]);
    let report = health.until("applied", |report| report.ready).await;
    assert!(check(&report, "stores").1.contains("PRICES waits for the uplink"), "{report:#?}");
    health.stop().await;
}

#[tokio::test]
async fn a_disk_below_its_reserve_makes_the_node_unready() {
    let node = Node::start(JETSTREAM).await;
    node.applied(true, &[]);
    node.make_bucket().await;
    let mut config = node.config();
    config.reserve = ByteSize(i64::MAX as u64);
    let health = node.health(config).await;
    let others_are_ok = |report: &health::Report| report.checks.iter().filter(|check| !check.ok).count() == 1;
    let report = health.until("below the reserve alone", others_are_ok).await;
    let (ok, detail) = check(&report, "disk");
    assert!(!ok && !report.ready && detail.contains("lower `jetstream.reserve`"), "{detail}");
    health.stop().await;
}

#[tokio::test]
async fn a_daemon_that_may_not_connect_says_where_to_look() {
    let refused = format!("{JETSTREAM}\nauthorization {{ token: other }}");
    let node = Node::start(&refused).await;
    node.applied(true, &[]);
    let health = node.health(node.config()).await;
    let report = health.report().await;
    let (ok, detail) = check(&report, "jetstream");
    assert!(!ok && detail.contains("health.creds"), "{detail}");
    assert!(check(&report, "nats-server").0);
    health.stop().await;
}

#[tokio::test]
async fn writes_that_are_refused_make_the_node_unready() {
    let node = Node::start(JETSTREAM).await;
    node.applied(true, &[]);
    // A full store, as far as the writer can tell.
    let context = async_nats::jetstream::new(node.nats().await);
    let full = async_nats::jetstream::stream::Config {
        name: "KV_leafbox_nodes".to_owned(),
        subjects: vec!["$KV.leafbox_nodes.>".to_owned()],
        max_bytes: 1,
        discard: async_nats::jetstream::stream::DiscardPolicy::New,
        ..Default::default()
    };
    context.create_stream(full).await.unwrap();
    let health = node.health(node.config()).await;
    let refused = |report: &health::Report| check(report, "jetstream").1.contains("JetStream does not store");
    let report = health.until("unwritable", refused).await;
    assert!(!report.ready);
    context.delete_stream("KV_leafbox_nodes").await.unwrap();
    node.make_bucket().await;
    health.until("writable", |report| report.ready).await;
    health.stop().await;
}
