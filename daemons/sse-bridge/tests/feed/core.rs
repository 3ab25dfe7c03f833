//! Subjects of core NATS and of the system account.

use std::time::Duration;

use sse_bridge::feed::FeedConfig;

use crate::{
    event_source::{Request, watch},
    site::{Bridge, DEADLINE, Nats, quick},
};

/// Publishes until somebody hears it: a subscription takes a moment to be there.
async fn subscribed(
    client: &async_nats::Client,
    monitoring: std::net::SocketAddr,
    subject: &str,
    times: usize,
) {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while subscriptions(monitoring, subject).await != times {
        assert!(tokio::time::Instant::now() < deadline, "never {times} subscriptions to {subject}");
        client.flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How many subscriptions nats-server has for a subject.
async fn subscriptions(monitoring: std::net::SocketAddr, subject: &str) -> usize {
    let (_, body) = runtime::Monitoring::new(monitoring).get("/subsz?subs=1&limit=10000").await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let all = body["subscriptions_list"].as_array().cloned().unwrap_or_default();
    all.iter().filter(|it| it["subject"] == subject).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_of_a_subject_share_one_subscription_which_ends_after_them() {
    let nats = Nats::start().await;
    let bridge = Bridge::start(&nats, quick()).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(watch(bridge.address, "subject=orders.%3E").await);
    }
    let client = nats.client("leafbox").await;
    subscribed(&client, nats.monitoring, "orders.>", 1).await;
    for payload in ["{\"n\":1}", "plain", "\"text\""] {
        client.publish("orders.new", payload.into()).await.unwrap();
    }
    for events in &mut clients {
        let first = events.message().await;
        assert_eq!(first.data, "{\"subject\":\"orders.new\",\"headers\":{},\"data\":{\"n\":1}}");
        assert_eq!(first.id, "", "nothing keeps a message of core NATS");
        assert_eq!(events.message().await.json()["text"], "plain");
        assert_eq!(events.message().await.json()["data"], "text");
    }
    assert_eq!(
        (bridge.metric("clients"), bridge.metric("feeds"), bridge.metric("events_total")),
        (20, 1, 60)
    );
    assert_eq!(bridge.metric("messages_total"), 3);
    drop(clients);
    bridge.until("clients", |clients| clients == 0).await;
    bridge.until("feeds", |feeds| feeds == 0).await;
    subscribed(&client, nats.monitoring, "orders.>", 0).await;
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_subjects_come_in_one_stream_of_events() {
    let nats = Nats::start().await;
    let bridge = Bridge::start(&nats, quick()).await;
    let mut events = watch(bridge.address, "subject=a.*&subject=b.%3E").await;
    let client = nats.client("leafbox").await;
    subscribed(&client, nats.monitoring, "a.*", 1).await;
    subscribed(&client, nats.monitoring, "b.>", 1).await;
    client.publish("a.one", "1".into()).await.unwrap();
    assert_eq!(events.message().await.json()["subject"], "a.one");
    client.publish("b.two.three", "2".into()).await.unwrap();
    assert_eq!(events.message().await.json()["subject"], "b.two.three");
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_sees_who_connects_and_nobody_else_does() {
    let nats = Nats::start().await;
    let bridge = Bridge::start(&nats, quick()).await;
    let query = "subject=$SYS.ACCOUNT.*.CONNECT";
    let mut events = watch(bridge.address, query).await;
    let refused =
        Request::new(bridge.address, query).with("x-user", "bob:operator").refused(403, "denied").await;
    assert!(refused.contains("ask an admin"), "{refused}");
    let sys = nats.client("sys").await;
    subscribed(&sys, nats.monitoring, "$SYS.ACCOUNT.*.CONNECT", 1).await;
    let _other = nats.client("leafbox").await;
    loop {
        let json = events.message().await.json();
        assert_eq!(json["data"]["type"], "io.nats.server.advisory.v1.client_connect");
        if json["subject"] == "$SYS.ACCOUNT.LEAFBOX.CONNECT" {
            break;
        }
    }
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_a_gap_on_core_subjects() {
    let mut nats = Nats::start().await;
    let bridge = Bridge::start(&nats, quick()).await;
    let mut events = watch(bridge.address, "subject=orders.new").await;
    let client = nats.client("leafbox").await;
    subscribed(&client, nats.monitoring, "orders.new", 1).await;
    client.publish("orders.new", "1".into()).await.unwrap();
    assert_eq!(events.payload().await, "1");
    nats.kill().await;
    nats.run().await;
    let gap = events.next().await.unwrap();
    assert_eq!(
        (gap.name.as_str(), gap.data.as_str()),
        ("gap", "{\"subject\":\"orders.new\",\"reason\":\"disconnected\"}")
    );
    subscribed(&client, nats.monitoring, "orders.new", 1).await;
    client.publish("orders.new", "2".into()).await.unwrap();
    assert_eq!(events.payload().await, "2");
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_broken_by_a_comment() {
    let nats = Nats::start().await;
    let bridge = Bridge::start(&nats, FeedConfig { heartbeat: Duration::from_millis(20), ..quick() }).await;
    let mut events = watch(bridge.address, "subject=orders.new").await;
    events.comment().await;
    events.comment().await;
    bridge.stop().await;
}
