//! Pages of streams that go on by themselves.

use async_nats::jetstream::stream;
use serde_json::json;

use super::Box;

const LIVE: &str = "/live/streams/SHOP/ORDERS";

/// A work queue, which would refuse a second consumer.
async fn with_queue() -> Box {
    let own = Box::start().await;
    let config = stream::Config {
        name: "ORDERS".into(),
        subjects: vec!["orders.>".into()],
        retention: stream::RetentionPolicy::WorkQueue,
        ..Default::default()
    };
    let jetstream = own.jetstream().await;
    let queue = jetstream.create_stream(config).await.unwrap();
    let pull = async_nats::jetstream::consumer::pull::Config {
        durable_name: Some("all".into()),
        ..Default::default()
    };
    queue.create_consumer(pull).await.unwrap();
    own
}

async fn publish(own: &Box, subject: &'static str, payload: String) {
    own.jetstream().await.publish(subject, payload.into()).await.unwrap().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_arrives_at_the_end_of_the_page_that_shows_the_newest() {
    let own = with_queue().await;
    publish(&own, "orders.new", "first".into()).await;
    // Who only looks may see what is stored.
    let page = own.see(&own.viewer, "/streams/SHOP/ORDERS/messages").await;
    for shown in ["first", "data-at=\"1\"", "The stream holds 1 message, sequence 1."] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    let mut live =
        own.console.live(&format!("{LIVE}/messages?subject=&shown=1&after=1"), &own.viewer, "").await;
    live.until("The stream holds 1 message").await;
    publish(&own, "orders.new", "<b>second".into()).await;
    let came = live.until("The stream holds 2 messages, sequences 1 to 2").await;
    assert!(came.contains("mode append") && came.contains("&lt;b&gt;second"), "{came}");
    assert!(!came.contains("first") && came.contains("id: 2\n"), "{came}");
    // Datastar tries the same address again, and says how far it was.
    let path = format!("{LIVE}/messages?subject=&shown=1&after=1");
    let mut again = own.console.live(&path, &own.viewer, "last-event-id: 2\r\n").await;
    publish(&own, "orders.new", "third".into()).await;
    let came = again.until("third").await;
    assert!(!came.contains("second"), "{came}");
    let mut sought = own
        .console
        .live(&format!("{LIVE}/messages?subject=orders.paid&shown=0&after=0"), &own.viewer, "")
        .await;
    publish(&own, "orders.new", "fourth".into()).await;
    publish(&own, "orders.paid", "fifth".into()).await;
    let came = sought.until("fifth").await;
    assert!(!came.contains("fourth") && !came.contains("third"), "{came}");
    own.console.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_what_is_older_stays_as_it_is() {
    let own = with_queue().await;
    for number in 0..30 {
        publish(&own, "orders.new", format!("n{number}")).await;
    }
    let older = own.see(&own.viewer, "/streams/SHOP/ORDERS/messages?seq=1").await;
    assert!(!older.contains("data-live") && older.contains("Load the page again"), "{older}");
    let newest = own.see(&own.viewer, "/streams/SHOP/ORDERS/messages?seq=20").await;
    assert!(newest.contains("data-live") && newest.contains("data-at=\"30\""), "{newest}");
    own.console.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_too_fast_is_passed_over_and_a_stream_made_anew_begins_again() {
    let own = with_queue().await;
    for number in 1..=150 {
        publish(&own, "orders.new", format!("n{number}")).await;
    }
    let mut live =
        own.console.live(&format!("{LIVE}/messages?subject=&shown=0&after=0"), &own.viewer, "").await;
    let came = live.until(">n150<").await;
    assert!(came.contains("Sequences 21 to 130 are passed over") && !came.contains(">n50<"), "{came}");
    own.jetstream().await.delete_stream("ORDERS").await.unwrap();
    let made = json!({ "name": "ORDERS", "subjects": ["orders.>"] }).to_string();
    let client = own.node.client("shop").await;
    client.request("$JS.API.STREAM.CREATE.ORDERS", made.into()).await.unwrap();
    publish(&own, "orders.new", "of the new one".into()).await;
    let came = live.until("of the new one").await;
    assert!(came.contains("The stream was made anew"), "{came}");
    own.console.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_and_a_stream_s_page_count_on() {
    let own = with_queue().await;
    let list = own.see(&own.viewer, "/streams?name=ORD").await;
    assert!(list.contains("/live/streams?name=ORD") && list.contains("id=\"streams\""), "{list}");
    let mut list = own.console.live("/live/streams?name=ORD&account=&from=0", &own.viewer, "").await;
    let mut one = own.console.live(LIVE, &own.viewer, "").await;
    one.until("id=\"rest\"").await;
    publish(&own, "orders.new", "x".into()).await;
    let came = one.until("1 to 1").await;
    assert!(came.contains("id=\"consumers-part\"") && came.contains(">all<"), "{came}");
    let came = list.until("<td class=\"number\">1</td>").await;
    assert!(!came.contains("KV_leafbox_nodes"), "{came}");
    // What may not be read is not told of live either.
    for path in ["/live/streams/LEAFBOX/KV_leafbox_users", "/live/streams/LEAFBOX/KV_leafbox_users/messages"]
    {
        assert_eq!(own.console.get(path, Some(&own.admin)).await.status, 403, "{path}");
    }
    assert_eq!(own.console.get(LIVE, None).await.status, 401);
    own.console.stop().await;
}
