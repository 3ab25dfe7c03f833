//! `/events`: advisories of every account, and what the servers tell.

use async_nats::jetstream;
use sse_bridge::Role;

use super::fleet::Fleet;

async fn make_stream(client: &async_nats::Client, name: &str) {
    let config = jetstream::stream::Config {
        name: name.to_owned(),
        subjects: vec![format!("{name}.>")],
        ..Default::default()
    };
    jetstream::new(client.clone()).create_stream(config).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn advisories_of_each_account_come_with_what_their_schema_says() {
    let fleet = Fleet::start().await;
    let console = fleet.leaf.console(true).await;
    let viewer = console.session(Role::Viewer).await;
    let (shop, leafbox) = (fleet.leaf.client("shop").await, fleet.leaf.client("leafbox").await);
    make_stream(&shop, "ORDERS").await;
    make_stream(&leafbox, "OWN").await;
    let page = console
        .eventually("both are there", "/events?kind=stream", Some(&viewer), |page| {
            page.text.contains("stream ORDERS action create")
                && page.text.contains("stream OWN action create")
        })
        .await;
    assert!(page.text.contains("href=\"/schemas/io.nats.jetstream.advisory.v1.stream_action\""), "{page:?}");
    assert!(page.text.contains("&quot;action&quot;: &quot;create&quot;"), "the JSON is there: {page:?}");
    let shop_alone = console.get("/events?kind=stream&account=SHOP&text=orders", Some(&viewer)).await.text;
    assert!(
        shop_alone.contains("stream ORDERS action create") && !shop_alone.contains("stream OWN"),
        "{shop_alone}"
    );
    assert!(!shop_alone.contains("→ connected</strong>"), "{shop_alone}");

    let mut live = console.live("/live/events?kind=stream&account=SHOP", &viewer, "").await;
    live.until("id: ").await;
    make_stream(&leafbox, "OWN2").await;
    make_stream(&shop, "LATER").await;
    let came = live.until("stream LATER action create").await;
    assert!(!came.contains("OWN2") && !came.contains("ORDERS"), "{came}");
    assert!(came.contains("data: mode prepend"), "{came}");
    console.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_jetstream_are_not_among_them_and_a_lost_connection_is() {
    let mut fleet = Fleet::start().await;
    let console = fleet.leaf.console(true).await;
    let viewer = console.session(Role::Viewer).await;
    let shop = fleet.leaf.client("shop").await;
    make_stream(&shop, "ORDERS").await;
    let created = |page: &super::fleet::Answer| page.text.contains("stream ORDERS action create");
    let page = console.eventually("the advisory is there", "/events", Some(&viewer), created).await;
    assert!(!page.text.contains("api_audit") && !page.text.contains("ADVISORY.API"), "{page:?}");
    assert_eq!(console.get("/events", None).await.status, 401);

    let at = fleet.leaf.server().addresses().client.unwrap();
    fleet.leaf.kill().await;
    fleet.leaf.run_again(at).await;
    let gap = |page: &super::fleet::Answer| page.text.contains("⚠ gap");
    console.eventually("it is told that something may be missing", "/events", Some(&viewer), gap).await;
    console.stop().await;
}
