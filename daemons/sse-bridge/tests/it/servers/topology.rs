//! `/topology`: a leaf, its hub, and what travels between them.

use async_nats::jetstream::{self, stream};
use sse_bridge::Role;

use super::fleet::{Answer, Fleet};

#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_and_its_hub_are_there_with_their_link_and_a_mirror_with_its_lag() {
    let mut fleet = Fleet::start().await;
    let console = fleet.leaf.console(true).await;
    let viewer = console.session(Role::Viewer).await;
    let jetstream = jetstream::new(fleet.leaf.client("shop").await);
    let orders =
        stream::Config { name: "ORDERS".into(), subjects: vec!["orders.>".into()], ..Default::default() };
    jetstream.create_stream(orders).await.unwrap();
    let mirror = stream::Source { name: "ORDERS".into(), ..Default::default() };
    let copy = stream::Config { name: "COPY".into(), mirror: Some(mirror), ..Default::default() };
    jetstream.create_stream(copy).await.unwrap();

    let whole = |page: &Answer| page.text.contains("mirror of ORDERS") && page.text.contains("✓ has all");
    let page = console.eventually("the mirror is in step", "/topology", Some(&viewer), whole).await;
    assert!(
        page.text.contains("role=\"img\"") && page.text.contains("shop-1 is a leaf of hub-1"),
        "{page:?}"
    );
    assert!(page.text.contains("SHOP, SYS") && page.text.matches("✓ answers").count() == 2, "{page:?}");
    assert!(!page.text.contains("KV_leafbox_users"), "{page:?}");

    let mut live = console.live("/live/topology?datastar=%7B%7D", &viewer, "").await;
    live.until("elements <section id=\"topology\"").await;
    drop(live);
    fleet.hub.kill().await;
    let gone = |page: &Answer| page.text.contains("✗ does not answer");
    console.eventually("the hub is missing", "/topology", Some(&viewer), gone).await;
    console.stop().await;
}
