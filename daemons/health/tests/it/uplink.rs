//! The uplink: reported, and never a reason to be unready.

use health::UplinkState;

use crate::node::{JETSTREAM, Node};

#[tokio::test]
async fn an_uplink_that_is_down_is_reported_and_the_node_stays_ready() {
    let mut hub = Node::start("leafnodes { listen: \"127.0.0.1:-1\" }").await;
    let address = hub.server.as_ref().unwrap().addresses().leaf.unwrap();
    let remote = format!(
        "{JETSTREAM}\nleafnodes {{ reconnect: \"1s\", remotes: [ {{ url: \"nats://{address}\" }} ] }}"
    );
    let leaf = Node::start(&remote).await;
    leaf.applied(true, &[]);
    leaf.make_bucket().await;
    let health = leaf.health(leaf.config()).await;
    let up = health.until("up", |report| report.ready && report.uplink.state == UplinkState::Up).await;
    assert_eq!((up.uplink.linked, up.uplink.of), (1, 1));

    hub.server.take().unwrap().kill().await;
    let down = health.until("down", |report| report.uplink.state == UplinkState::Down).await;
    assert!(down.ready, "{down:#?}");
    let (status, text) = health.text("/readyz").await;
    assert_eq!(status, 200);
    assert!(text.contains("info  uplink       down since"), "{text}");

    hub.start_server(&format!("leafnodes {{ listen: \"{address}\" }}")).await;
    health.until("up again", |report| report.uplink.state == UplinkState::Up).await;
    health.stop().await;
}
