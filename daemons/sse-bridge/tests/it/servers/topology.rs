//! `/topology`: a leaf, its hub, and what travels between them.

use async_nats::jetstream::{self, stream};
use futures::StreamExt;
use sse_bridge::Role;

use super::fleet::{Answer, Fleet};

/// A stream on the leaf, and another one that copies it.
async fn make_a_mirror(fleet: &Fleet) {
    let jetstream = jetstream::new(fleet.leaf.client("shop").await);
    let orders =
        stream::Config { name: "ORDERS".into(), subjects: vec!["orders.>".into()], ..Default::default() };
    jetstream.create_stream(orders).await.unwrap();
    let mirror = stream::Source { name: "ORDERS".into(), ..Default::default() };
    let copy = stream::Config { name: "COPY".into(), mirror: Some(mirror), ..Default::default() };
    jetstream.create_stream(copy).await.unwrap();
}

fn is_whole(page: &Answer) -> bool {
    page.text.contains("mirror of ORDERS") && page.text.contains("✓ has all")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_and_its_hub_are_there_with_their_link_and_a_mirror_with_its_lag() {
    let mut fleet = Fleet::start().await;
    let console = fleet.leaf.console(true).await;
    let viewer = console.session(Role::Viewer).await;
    make_a_mirror(&fleet).await;

    let page = console.eventually("the mirror is in step", "/topology", Some(&viewer), is_whole).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_sees_its_leaf_by_way_of_the_leaf_s_console_and_commands_nothing_there() {
    let mut fleet = Fleet::start_apart().await;
    let at_leaf = fleet.leaf.console(true).await;
    let console = fleet.hub.console(true).await;
    let admin = console.session(Role::Admin).await;
    make_a_mirror(&fleet).await;

    let page = console.eventually("the leaf's mirror is shown", "/topology", Some(&admin), is_whole).await;
    assert!(page.text.contains("shop-1 is a leaf of hub-1"), "{page:?}");
    assert_eq!(page.text.matches("✓ answers").count(), 2, "{page:?}");

    let varz = console.get("/api/varz?server=shop-1", Some(&admin)).await.json();
    assert_eq!(varz["data"]["server_name"], "shop-1", "{varz}");
    let connections = console.get("/api/connz?server=shop-1&limit=100", Some(&admin)).await.json();
    let cid = connections["data"]["connections"][0]["cid"].as_u64().unwrap();
    let path = format!("/connections/shop-1/{cid}");
    let page = console.get(&path, Some(&admin)).await;
    assert!(page.text.contains("It can be ended on the console of shop-1"), "{page:?}");
    let number = cid.to_string();
    let kicked = console.post(&format!("{path}/kick"), &admin, &[("confirm", &number)]).await;
    assert!(kicked.status == 409 && kicked.text.contains("takes no orders"), "{kicked:?}");

    // The leaf shows its own end of the link, and asks the hub nothing.
    let of_leaf = at_leaf.session(Role::Admin).await;
    let page = at_leaf.get("/topology", Some(&of_leaf)).await;
    assert!(page.text.contains("– known by its links alone"), "{page:?}");
    at_leaf.stop().await;

    let gone = |page: &Answer| page.text.contains("shop-1 does not answer: its link to the hub is down");
    console.eventually("the leaf's console is missing", "/topology", Some(&admin), gone).await;
    fleet.leaf.kill().await;
    console.stop().await;
}

/// What a leaf's console does for who can send it a message.
#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_answers_what_reads_and_only_to_the_hub() {
    let fleet = Fleet::start_apart().await;
    let console = fleet.leaf.console(true).await;
    let client = fleet.leaf.client("leafbox").await;
    let mut all = client.subscribe("leak.>").await.unwrap();
    let ask = async |what: &str, number: u8| {
        let to = format!("_SERVERS.hub.shop-1.{number}");
        let mut answer = client.subscribe(to.clone()).await.unwrap();
        let question = serde_json::json!({ "what": what, "options": {} }).to_string();
        // Where an answer would be heard by others, or be taken for something else.
        for elsewhere in ["leak.answer", "leak.hub.shop-1.1"] {
            client
                .publish_with_reply("_SERVERS.leaf.shop-1", elsewhere, question.clone().into())
                .await
                .unwrap();
        }
        client.publish_with_reply("_SERVERS.leaf.shop-1", to, question.into()).await.unwrap();
        let said = tokio::time::timeout(crate::server::DEADLINE, answer.next()).await.unwrap().unwrap();
        serde_json::from_slice::<serde_json::Value>(&said.payload).unwrap()
    };
    // The console listens when it is there to be asked.
    let mut here = client.subscribe("_SERVERS.here.shop-1").await.unwrap();
    let listening = async {
        loop {
            client.publish("_SERVERS.ask", "".into()).await.unwrap();
            if tokio::time::timeout(std::time::Duration::from_millis(100), here.next()).await.is_ok() {
                return;
            }
        }
    };
    tokio::time::timeout(crate::server::DEADLINE, listening).await.unwrap();

    let idz = ask("LEAFZ", 1).await;
    assert_eq!(idz["server"]["name"], "shop-1", "{idz}");
    for (number, what) in (2..).zip(["KICK", "RELOAD", "LDM", "PING", "varz", ""]) {
        let refused = ask(what, number).await;
        assert_eq!(refused["error"]["description"], "a leaf answers what reads alone", "{what}: {refused}");
    }
    assert!(futures::FutureExt::now_or_never(all.next()).is_none(), "it answered elsewhere");
    console.stop().await;
}
