//! Heartbeats: on the subject, in the bucket, and as a micro service.

use futures::StreamExt;
use health::Report;
use tokio::time::timeout;

use crate::node::{DEADLINE, JETSTREAM, Node};

#[tokio::test]
async fn heartbeats_are_published_and_kept_in_the_bucket() {
    let node = Node::start(JETSTREAM).await;
    node.applied(true, &[]);
    let bucket = node.make_bucket().await;
    let client = node.nats().await;
    let mut beats = client.subscribe("leafbox.node.*.heartbeat").await.unwrap();
    let health = node.health(node.config()).await;
    let mut last = 0;
    for _ in 0..3 {
        let beat = timeout(DEADLINE, beats.next()).await.unwrap().unwrap();
        assert_eq!(beat.subject.as_str(), "leafbox.node.shop-1.heartbeat");
        let report: Report = serde_json::from_slice(&beat.payload).unwrap();
        assert!(report.sequence > last);
        last = report.sequence;
    }
    let kept: Report = serde_json::from_slice(&bucket.get("shop-1").await.unwrap().unwrap()).unwrap();
    assert_eq!(kept.node.as_str(), "shop-1");
    assert_eq!(kept.region.as_deref(), Some("ams"));
    health.stop().await;
}

#[tokio::test]
async fn heartbeats_go_on_after_the_server_was_away_and_none_piled_up() {
    let mut node = Node::start(JETSTREAM).await;
    node.applied(true, &[]);
    node.make_bucket().await;
    let health = node.health(node.config()).await;
    health.until("a heartbeat", |report| report.sequence > 0).await;

    node.server.take().unwrap().kill().await;
    health.until("unready", |report| !report.ready).await;
    let during = health.report().await.sequence;
    // Heartbeats would be due all the while that these are asked for.
    for _ in 0..5 {
        tokio::time::sleep(node.config().heartbeat).await;
    }
    assert!(health.report().await.sequence <= during + 1, "heartbeats were counted without a server");
    node.start_server(JETSTREAM).await;
    health.until("sending again", |report| report.ready && report.sequence > during).await;
    health.stop().await;
}

#[tokio::test]
async fn a_daemon_that_starts_before_the_server_waits_for_it() {
    let mut node = Node::start(JETSTREAM).await;
    node.applied(true, &[]);
    node.make_bucket().await;
    node.server.take().unwrap().stop_now(DEADLINE).await;
    let health = node.health(node.config()).await;
    assert_eq!(health.text("/healthz").await.0, 200);
    assert!(!health.report().await.ready);
    node.start_server(JETSTREAM).await;
    health.until("ready", |report| report.ready).await;
    health.stop().await;
}

#[tokio::test]
async fn it_is_listed_as_a_micro_service() {
    let node = Node::start(JETSTREAM).await;
    let health = node.health(node.config()).await;
    health.until("connected", |report| !report.checks[1].detail.contains("not connected")).await;
    let client = node.nats().await;
    let answer = timeout(DEADLINE, client.request("$SRV.INFO.leafbox-health", "".into()));
    let info: serde_json::Value = serde_json::from_slice(&answer.await.unwrap().unwrap().payload).unwrap();
    assert_eq!(info["name"], "leafbox-health");
    assert_eq!(info["metadata"]["node"], "shop-1");
    health.stop().await;
}

#[tokio::test]
async fn it_does_with_the_permissions_of_its_role() {
    let account = settings::Fleet {
        name: "test".parse().unwrap(),
        nodes: Default::default(),
        accounts: Default::default(),
        registry: Default::default(),
    };
    let leafbox = account.all_accounts().remove("LEAFBOX").unwrap();
    let role = leafbox.services.get(settings::builtin::HEALTH_SERVICE).unwrap();
    let quoted = |subjects: &[settings::Subject]| {
        subjects.iter().map(|subject| format!("\"{subject}\"")).collect::<Vec<_>>().join(", ")
    };
    let more = format!(
        "{JETSTREAM}\nno_auth_user: health\nauthorization {{ users: [\n\
         {{ user: test, password: test }}\n\
         {{ user: health, password: health, permissions: {{ publish: [{}], subscribe: [{}], \
         allow_responses: {{ max: 1, expires: \"10s\" }} }} }} ] }}",
        quoted(&role.publish),
        quoted(&role.subscribe)
    );
    let node = Node::start(&more).await;
    node.applied(true, &[]);
    let options = async_nats::ConnectOptions::with_user_and_password("test".into(), "test".into());
    let client = options.connect(node.client.to_string()).await.unwrap();
    let config = async_nats::jetstream::kv::Config { bucket: "leafbox_nodes".into(), ..Default::default() };
    async_nats::jetstream::new(client.clone()).create_key_value(config).await.unwrap();
    let mut beats = client.subscribe("leafbox.node.shop-1.heartbeat").await.unwrap();
    let health = node.health(node.config()).await;
    health.until("ready", |report| report.ready).await;
    timeout(DEADLINE, beats.next()).await.unwrap().unwrap();
    let answer = timeout(DEADLINE, client.request("$SRV.PING.leafbox-health", "".into())).await.unwrap();
    assert!(!answer.unwrap().payload.is_empty());
    health.stop().await;
}
