//! `/publish`.

use futures::StreamExt;

use super::Box;
use crate::server::DEADLINE;

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_published_with_headers_and_a_request_shows_its_reply() {
    let own = Box::start().await;
    let client = own.node.client("shop").await;
    let mut heard = client.subscribe("orders.>").await.unwrap();
    let mut asked = client.subscribe("ask").await.unwrap();
    client.flush().await.unwrap();
    let answering = client.clone();
    let answer = tokio::spawn(async move {
        let message = asked.next().await.unwrap();
        answering.publish(message.reply.unwrap(), "{\"said\":\"<b>\"}".into()).await.unwrap();
    });

    let form = [
        ("account", "SHOP"),
        ("subject", "orders.new"),
        ("headers", "Till: 7\r\nTill: 8"),
        ("payload", "a\r\nb"),
    ];
    let page = own.console.post("/publish", &own.operator, &form).await;
    assert!(page.status == 200 && page.text.contains("It is published"), "{page:?}");
    assert!(page.text.contains("nats pub orders.new"), "{page:?}");
    let message = tokio::time::timeout(DEADLINE, heard.next()).await.unwrap().unwrap();
    assert_eq!(message.payload, "a\nb");
    assert_eq!(message.headers.unwrap().get_all("Till").count(), 2);
    let told = own.console.site.told("message-published").await;
    assert_eq!(told.detail.as_deref(), Some("SHOP: orders.new (3 bytes)"), "no payload");

    let form = [("account", "SHOP"), ("subject", "ask"), ("request", "true")];
    let page = own.console.post("/publish", &own.operator, &form).await;
    assert!(page.text.contains("This is the reply") && page.text.contains("&lt;b&gt;"), "{page:?}");
    answer.await.unwrap();
    // A script has the answer without the page.
    let script = "sec-fetch-site: same-origin\r\ndatastar-request: true\r\n";
    let sent = "account=SHOP&subject=orders.new";
    let page = own.console.ask("POST", "/publish", Some(&own.operator), script, sent).await;
    assert!(page.status == 200 && page.text.starts_with("<div id=\"outcome\""), "{page:?}");
    let page =
        own.console.ask("POST", "/publish", Some(&own.operator), script, "account=SHOP&subject=a.*").await;
    assert!(page.status == 200 && page.text.contains("has a wildcard"), "{page:?}");
    let form = [("account", "SHOP"), ("subject", "nobody.listens"), ("request", "true")];
    let page = own.console.post("/publish", &own.operator, &form).await;
    assert!(page.text.contains("Nobody listens there"), "{page:?}");
    own.console.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_published_that_the_role_or_the_subject_forbids() {
    let own = Box::start().await;
    let client = own.node.client("leafbox").await;
    let mut heard = client.subscribe(">").await.unwrap();
    client.flush().await.unwrap();
    let offered = "method=\"post\"";
    assert!(
        !own.see(&own.viewer, "/publish").await.contains(offered)
            && own.see(&own.operator, "/publish").await.contains(offered)
    );
    let form = [("account", "LEAFBOX"), ("subject", "fine"), ("payload", "x")];
    own.refused(&own.viewer, "/publish", &form, 403).await;
    let forged =
        own.console.ask("POST", "/publish", Some(&own.admin), "", "account=LEAFBOX&subject=fine").await;
    assert_eq!((forged.status, forged.code().as_str()), (403, "cross_site"));
    for (account, subject, headers) in [
        ("LEAFBOX", "$JS.API.STREAM.DELETE.LEAFBOX_AUDIT", ""),
        ("LEAFBOX", "$KV.leafbox_users.user.eve", ""),
        ("LEAFBOX", "$SYS.REQ.SERVER.PING", ""),
        ("LEAFBOX", "leafbox.audit.shop-1.console.fake", ""),
        ("LEAFBOX", "_INBOX.abc", ""),
        ("LEAFBOX", "a.*", ""),
        ("LEAFBOX", "fine", "Nats-Trace-Dest: $KV.leafbox_users.user.eve"),
        ("LEAFBOX", "fine", "no header"),
        ("SYS", "fine", ""),
        ("NOWHERE", "fine", ""),
    ] {
        let form =
            [("account", account), ("subject", subject), ("headers", headers), ("payload", "forbidden")];
        own.refused(&own.admin, "/publish", &form, 422).await;
    }
    let form = [("account", "LEAFBOX"), ("subject", "fine"), ("payload", "allowed")];
    assert_eq!(own.console.post("/publish", &own.admin, &form).await.status, 200);
    // In the order in which they were published: what came before it, came before it here.
    let reading = async {
        while let Some(message) = heard.next().await {
            assert_ne!(message.payload, "forbidden", "{}", message.subject);
            if message.payload == "allowed" {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, reading).await.unwrap();
    own.console.stop().await;
}
