//! Who is refused, with what, and what ends a stream of events.

use sse_bridge::feed::{FeedConfig, Policy};

use crate::{
    event_source::{Request, watch},
    site::{Bridge, Nats, quick},
};

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told_as_json() {
    let nats = Nats::start().await;
    let bridge = Bridge::with_policy(&nats, quick(), Policy::standard()).await;
    let refused =
        async |query: &str, status, code| Request::new(bridge.address, query).refused(status, code).await;
    assert!(refused("subject=a&topic=b", 400, "bad_query").await.contains("`topic` is no parameter"));
    assert!(refused("subject=a..b", 400, "bad_query").await.contains("single dots"));
    assert!(refused("stream=NONE", 404, "no_feed").await.contains("NONE"));
    assert!(refused("stream=NONE&subject=orders.1", 404, "no_feed").await.contains("NONE"));
    assert!(refused("subject=a&account=SHOP", 404, "no_account").await.contains("LEAFBOX, SYS"));
    assert!(refused("subject=%3E", 403, "denied").await.contains("secrets"));
    assert!(refused("subject=$KV.leafbox_users.%3E", 403, "denied").await.contains("secrets"));
    let id = Request::new(bridge.address, "subject=a").with("last-event-id", "x");
    assert!(id.refused(400, "bad_last_event_id").await.contains("stream:incarnation:sequence"));
    let cross = Request::new(bridge.address, "subject=a").with("sec-fetch-site", "cross-site");
    cross.refused(403, "other_origin").await;
    let mut nobody = Request::new(bridge.address, "subject=a");
    nobody.headers.clear();
    nobody.refused(401, "not_logged_in").await;
    let viewer = Request::new(bridge.address, "subject=orders.new").with("x-user", "bob:viewer");
    viewer.refused(403, "denied").await;
    assert_eq!(bridge.metric("refused_total"), 11);
    assert_eq!((bridge.metric("clients"), bridge.metric("feeds")), (0, 0));
    Request::new(bridge.address, "subject=a").with("sec-fetch-site", "same-origin").events().await;
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_subjects_are_secret_is_refused_as_a_whole_and_by_subject() {
    let nats = Nats::start().await;
    let jetstream = nats.jetstream().await;
    for bucket in ["leafbox_users", "leafbox_nodes"] {
        let config = async_nats::jetstream::kv::Config { bucket: bucket.to_owned(), ..Default::default() };
        jetstream.create_key_value(config).await.unwrap();
    }
    let copy = async_nats::jetstream::stream::Config {
        name: "COPY".to_owned(),
        sources: Some(vec![async_nats::jetstream::stream::Source {
            name: "KV_leafbox_users".to_owned(),
            ..Default::default()
        }]),
        ..Default::default()
    };
    jetstream.create_stream(copy).await.unwrap();
    let bridge = Bridge::with_policy(&nats, quick(), Policy::standard()).await;
    for query in
        ["stream=KV_leafbox_users", "stream=KV_leafbox_users&subject=$KV.leafbox_users.user.a", "stream=COPY"]
    {
        let request = Request::new(bridge.address, query);
        request.refused(403, "denied").await;
    }
    let viewer =
        Request::new(bridge.address, "stream=KV_leafbox_nodes&kind=state").with("x-user", "bob:viewer");
    assert_eq!(viewer.events().await.next().await.unwrap().name, "snapshot");
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_a_limit_for_each_user_and_one_for_all() {
    let nats = Nats::start().await;
    let bridge = Bridge::start(&nats, FeedConfig { clients: 3, clients_per_user: 2, ..quick() }).await;
    let request = |user| Request::new(bridge.address, "subject=a").with("x-user", user);
    let first = request("ann:admin").events().await;
    let _second = request("ann:admin").events().await;
    request("ann:admin").refused(429, "too_many_of_user").await;
    let _third = request("bob:admin").events().await;
    let answer = request("bob:admin").send().await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("10")));
    drop(first);
    bridge.until("clients", |clients| clients == 2).await;
    request("ann:admin").events().await;
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_session_ends_its_streams_and_no_others() {
    let nats = Nats::start().await;
    let bridge = Bridge::start(&nats, quick()).await;
    let mut ann = watch(bridge.address, "subject=a").await;
    let mut bob = Request::new(bridge.address, "subject=a").with("x-user", "bob:admin").events().await;
    bridge.revoke("ann");
    let end = ann.next().await.unwrap();
    assert_eq!((end.name.as_str(), end.data.as_str()), ("end", "{\"reason\":\"session\"}"));
    assert!(ann.next().await.is_none());
    bridge.until("clients", |clients| clients == 1).await;
    bridge.stop().await;
    let end = bob.next().await.unwrap();
    assert_eq!((end.name.as_str(), end.data.as_str()), ("end", "{\"reason\":\"shutdown\"}"));
}
