//! What others publish, on the page of the tester.

use async_nats::HeaderMap;

use super::Box;

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_sees_each_message_with_its_headers_and_no_html_of_its_own() {
    let own = Box::start().await;
    let page = own.see(&own.operator, "/publish?account=SHOP&subject=orders.%3E").await;
    for shown in [
        "/live/subscribe?account=SHOP&amp;subject=orders.%3E&amp;",
        "Subscribing needs a script",
        "nats sub 'orders.&gt;'",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }

    let path = "/live/subscribe?account=SHOP&subject=orders.%3E&shown=0";
    let mut live = own.console.live(path, &own.operator, "").await;
    live.until("Listening from here on").await;
    let client = own.node.client("shop").await;
    let mut headers = HeaderMap::new();
    headers.append("Till", "7<i>");
    client.publish("elsewhere", "not this".into()).await.unwrap();
    client.publish_with_headers("orders.new", headers, "{\"article\":\"<b>\"}".into()).await.unwrap();
    client.publish("orders.old", "a\rb".into()).await.unwrap();
    client.flush().await.unwrap();
    let came = live.until("2 messages came").await;
    assert!(
        came.contains("orders.new") && came.contains("7&lt;i&gt;") && came.contains("&lt;b&gt;"),
        "{came}"
    );
    assert!(!came.contains("not this") && !came.contains("<b>"), "{came}");
    own.console.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_keeps_as_many_as_it_shows_and_tells_how_many_it_passed_over() {
    let own = Box::start().await;
    let path = "/live/subscribe?account=SHOP&subject=orders.%3E&shown=40";
    let mut live = own.console.live(path, &own.operator, "").await;
    live.until("Listening from here on").await;
    let client = own.node.client("shop").await;
    for number in 0..250 {
        client.publish("orders.new", format!("n{number}").into()).await.unwrap();
    }
    client.flush().await.unwrap();
    let came = live.until("250 messages came").await;
    assert!(
        came.contains("n249") && came.contains("selector #heard > tr:nth-child(n + 101)\ndata: mode remove"),
        "{came}"
    );
    // However the messages fell into events: each was shown or counted.
    let passed: usize = came
        .split(" more messages came here")
        .filter_map(|before| before.rsplit(' ').next()?.rsplit('>').next()?.parse::<usize>().ok())
        .sum();
    let shown = came.matches("<tr id=\"heard-").count() - came.matches("colspan").count();
    assert_eq!(shown + passed, 250, "{came}");
    own.console.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listens_to_secrets_or_to_more_than_the_role_may() {
    let own = Box::start().await;
    for (session, account, subject, status) in [
        (&own.admin, "LEAFBOX", "%3E", 403),
        (&own.admin, "LEAFBOX", "$KV.leafbox_users.%3E", 403),
        (&own.admin, "LEAFBOX", "$KV.*.user.eve", 403),
        (&own.admin, "LEAFBOX", "$KV.leafbox_registry.blob.%3E", 403),
        (&own.admin, "SYS", "$SYS.%3E", 403),
        (&own.admin, "SHOP", "_INBOX.%3E", 403),
        (&own.admin, "SHOP", "$JS.API.%3E", 403),
        (&own.operator, "LEAFBOX", "orders.%3E", 403),
        (&own.viewer, "SHOP", "orders.%3E", 403),
        (&own.admin, "SHOP", "a..b", 400),
        (&own.admin, "NOWHERE", "a", 404),
    ] {
        for path in ["/publish", "/live/subscribe"] {
            let path = format!("{path}?account={account}&subject={subject}");
            let answer = own.console.get(&path, Some(session)).await;
            assert_eq!(answer.status, status, "{path}: {answer:?}");
        }
    }
    assert_eq!(own.console.get("/live/subscribe?account=SHOP&subject=a", None).await.status, 401);
    // What a viewer may watch.
    let mut live = own.console.live("/live/subscribe?account=SHOP&subject=$KV.%3E", &own.viewer, "").await;
    live.until("Listening from here on").await;
    let mut live =
        own.console.live("/live/subscribe?account=LEAFBOX&subject=orders.%3E", &own.admin, "").await;
    live.until("Listening from here on").await;
    own.console.stop().await;
}
