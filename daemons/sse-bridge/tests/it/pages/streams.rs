//! `/streams`.

use async_nats::{HeaderMap, jetstream::stream};

use super::Box;

async fn with_orders() -> Box {
    let own = Box::start().await;
    let jetstream = own.jetstream().await;
    let config = stream::Config {
        name: "ORDERS".to_owned(),
        subjects: vec!["orders.>".to_owned()],
        description: Some("what was <ordered>".to_owned()),
        ..Default::default()
    };
    let orders = jetstream.create_stream(config).await.unwrap();
    let pull = async_nats::jetstream::consumer::pull::Config {
        durable_name: Some("billing".to_owned()),
        ..Default::default()
    };
    orders.create_consumer(pull).await.unwrap();
    for number in 1..=50 {
        let mut headers = HeaderMap::new();
        headers.insert("Till", "<7>");
        let subject = if number % 2 == 0 { "orders.new" } else { "orders.paid" };
        let payload = format!("{{\"order\":{number},\"id\":18446744073709551615}}");
        let sent = jetstream.publish_with_headers(subject, headers, payload.into()).await.unwrap();
        sent.await.unwrap();
    }
    let sent = jetstream.publish("orders.scan", (&b"\x00\xff<b>"[..]).into()).await.unwrap();
    sent.await.unwrap();
    own
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_all_accounts_are_listed_and_shown_as_nats_has_them() {
    let own = with_orders().await;
    let list = own.see(&own.viewer, "/streams").await;
    assert!(list.contains("href=\"/streams/SHOP/ORDERS\"") && list.contains("LEAFBOX_AUDIT"), "{list}");
    assert!(list.contains("<caption>2 streams</caption>") && !list.contains("leafbox_users"), "{list}");
    let one = own.see(&own.viewer, "/streams?name=ORD").await;
    assert!(one.contains("<caption>1 streams") || one.contains("<caption>1 stream"), "{one}");

    let stream = own.see(&own.viewer, "/streams/SHOP/ORDERS").await;
    for shown in [
        "what was &lt;ordered&gt;",
        "&quot;max_msgs&quot;: -1",
        "1 to 51",
        "billing",
        "nats stream info ORDERS",
    ] {
        assert!(stream.contains(shown), "{shown}: {stream}");
    }
    assert!(!stream.contains("Purge"), "a viewer is offered nothing that changes");
    let consumer = own.see(&own.viewer, "/streams/SHOP/ORDERS/consumers/billing").await;
    assert!(consumer.contains("&quot;durable_name&quot;: &quot;billing&quot;"), "{consumer}");

    for (path, status, hint) in [
        ("/streams/SHOP/NONE", 404, "stream not found (10059)"),
        ("/streams/NOWHERE/ORDERS", 404, "there are LEAFBOX, SHOP"),
        ("/streams/SHOP/ORDERS/consumers/none", 404, "consumer not found (10014)"),
        ("/streams/SHOP/a.b", 400, "no name of a stream"),
        ("/streams/LEAFBOX/KV_leafbox_users", 403, "holds secrets"),
        ("/streams/LEAFBOX/KV_leafbox_users/messages", 403, "holds secrets"),
        ("/streams/LEAFBOX/KV_leafbox_registry/messages/1", 403, "holds secrets"),
    ] {
        let answer = own.console.get(path, Some(&own.admin)).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert!(answer.text.contains(hint) && answer.text.contains("<nav"), "{path}: {answer:?}");
    }
    own.console.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_found_by_sequence_subject_and_time() {
    let own = with_orders().await;
    let messages = "/streams/SHOP/ORDERS/messages";
    let rows = |page: &str| -> Vec<u64> {
        let link = format!("href=\"{messages}/");
        let links = page.split(&link).skip(1);
        links.map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect()
    };
    let newest = own.see(&own.viewer, messages).await;
    assert_eq!(rows(&newest), (32..=51).collect::<Vec<u64>>(), "{newest}");
    assert!(newest.contains(&format!("{messages}?seq=12&amp;subject=\">Older")), "{newest}");
    assert!(newest.contains("&quot;id&quot;: 18446744073709551615"), "{newest}");
    assert!(newest.contains("&lt;7&gt;") && newest.contains("00 ff 3c 62 3e"), "{newest}");
    assert_eq!(
        rows(&own.see(&own.viewer, &format!("{messages}?seq=1")).await),
        (1..=20).collect::<Vec<u64>>()
    );
    let paid = own.see(&own.viewer, &format!("{messages}?seq=10&subject=orders.paid")).await;
    assert_eq!(rows(&paid)[..3], [11, 13, 15], "{paid}");
    let long_ago = own.see(&own.viewer, &format!("{messages}?time=2020-01-01T00:00")).await;
    assert_eq!(rows(&long_ago)[0], 1);
    let later = own.see(&own.viewer, &format!("{messages}?time=2090-01-01T00:00:00Z")).await;
    assert!(rows(&later).is_empty() && later.contains("no message from there on"), "{later}");
    let bad = own.console.get(&format!("{messages}?time=noon"), Some(&own.viewer)).await;
    assert!(bad.status == 400 && bad.text.contains("2026-01-31T12:00:00Z"), "{bad:?}");

    let hex = own.see(&own.viewer, &format!("{messages}/1?as=hex")).await;
    assert!(hex.contains("|{&quot;order&quot;:1,&quot;id&quot;:|"), "{hex}");
    let raw = own.console.get(&format!("{messages}/2/raw"), Some(&own.viewer)).await;
    assert_eq!(raw.text, "{\"order\":2,\"id\":18446744073709551615}");
    assert_eq!(raw.header("content-type"), "application/octet-stream");
    assert!(raw.header("content-disposition").starts_with("attachment; filename=\"ORDERS-2\""), "{raw:?}");
    let gone = own.console.get(&format!("{messages}/99"), Some(&own.viewer)).await;
    assert!(gone.status == 404 && gone.text.contains("no message 99"), "{gone:?}");
    own.console.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_destroys_takes_the_role_the_page_and_the_name() {
    let own = with_orders().await;
    let stream = "/streams/SHOP/ORDERS";
    let confirmed = [("confirm", "ORDERS")];

    let refused = own.refused(&own.viewer, &format!("{stream}/purge"), &confirmed, 403).await;
    assert!(refused.text.contains("takes the role operator, and you are viewer"), "{refused:?}");
    let refused = own.refused(&own.operator, &format!("{stream}/delete"), &confirmed, 403).await;
    assert!(refused.text.contains("takes the role admin"), "{refused:?}");
    let refused = own.refused(&own.admin, &format!("{stream}/delete"), &[("confirm", "orders")], 422).await;
    assert!(refused.text.contains("type the name `ORDERS`"), "{refused:?}");
    // A form of another page.
    for headers in ["", "sec-fetch-site: cross-site\r\n", "origin: https://evil.example\r\n"] {
        let forged = own
            .console
            .ask("POST", &format!("{stream}/delete"), Some(&own.admin), headers, "confirm=ORDERS")
            .await;
        assert_eq!((forged.status, forged.code().as_str()), (403, "cross_site"), "{headers}");
    }
    let audit = "/streams/LEAFBOX/LEAFBOX_AUDIT";
    let refused =
        own.refused(&own.admin, &format!("{audit}/purge"), &[("confirm", "LEAFBOX_AUDIT")], 403).await;
    assert!(refused.text.contains("kept by leafbox itself"), "{refused:?}");
    let jetstream = own.jetstream().await;
    let count = async || jetstream.get_stream("ORDERS").await.unwrap().cached_info().state.messages;
    assert_eq!(count().await, 51, "nothing of that did anything");

    let page = own
        .act(
            &own.operator,
            &format!("{stream}/purge"),
            &[("filter", "orders.paid"), ("keep", "5"), ("confirm", "ORDERS")],
        )
        .await;
    assert!(page.contains("20 messages of ORDERS are purged"), "{page}");
    assert_eq!(count().await, 31);
    let told = own.console.site.told("stream-purged").await;
    assert!(told.detail.unwrap().starts_with("SHOP/ORDERS: 20 messages"));
    let page = own.act(&own.operator, &format!("{stream}/messages/2/delete"), &[("confirm", "2")]).await;
    assert!(page.contains("the message 2 of ORDERS is deleted"), "{page}");
    let page =
        own.act(&own.admin, &format!("{stream}/consumers/billing/delete"), &[("confirm", "billing")]).await;
    assert!(
        page.contains("the consumer billing of ORDERS is deleted") && page.contains("It has none"),
        "{page}"
    );
    let page = own.act(&own.admin, &format!("{stream}/delete"), &confirmed).await;
    assert!(page.contains("the stream ORDERS of SHOP is deleted"), "{page}");
    assert_eq!(own.console.site.told("stream-deleted").await.detail.as_deref(), Some("SHOP/ORDERS"));
    own.console.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fleet_toml_declares_is_marked_and_not_deleted_here() {
    let own = Box::start().await;
    let config = serde_json::json!({
        "name": "DECLARED", "subjects": ["declared.>"], "metadata": { "leafbox.owner": "shop" },
    });
    let client = own.node.client("shop").await;
    client.request("$JS.API.STREAM.CREATE.DECLARED", config.to_string().into()).await.unwrap();
    let list = own.see(&own.viewer, "/streams").await;
    assert!(list.contains("declared in fleet.toml"), "{list}");
    let page = own.see(&own.admin, "/streams/SHOP/DECLARED").await;
    assert!(page.contains("declared in fleet.toml") && !page.contains("Delete the stream"), "{page}");
    let refused =
        own.refused(&own.admin, "/streams/SHOP/DECLARED/delete", &[("confirm", "DECLARED")], 409).await;
    assert!(refused.text.contains("change it there, and run `leafbox apply`"), "{refused:?}");
    own.console.stop().await;
}
