//! What prune removes.

use std::collections::BTreeSet;

use stores::Action;

use crate::servers::{Site, fleet};

const ALL: &str = r#"
name = "f"
[accounts.APP.streams.EMPTY]
[accounts.APP.streams.FULL]
[accounts.APP.kv.bucket]
[accounts.APP.streams.STAYS.consumers.c]
"#;
const LESS: &str = "name = \"f\"\n[accounts.APP.streams.STAYS]";

async fn leftovers() -> Site {
    let all = fleet(ALL);
    let leaf = Site::leaf(&all, "edge-1", None).await;
    leaf.apply(&all).await;
    leaf.jetstream("APP").publish("FULL", "x".into()).await.unwrap().await.unwrap();
    let foreign = async_nats::jetstream::stream::Config { name: "FOREIGN".into(), ..Default::default() };
    leaf.jetstream("APP").create_stream(foreign).await.unwrap();
    leaf
}

#[tokio::test]
async fn only_what_is_empty_and_leafboxes_own_goes() {
    let leaf = leftovers().await;
    let less = fleet(LESS);
    let plan = leaf.plan(&less).await;
    assert!(!plan.is_empty() && !plan.has_work(), "{plan}");
    let applied = stores::apply(&plan, &leaf.clients, leaf.healthy().await).await;
    assert!(applied.done.is_empty(), "apply deletes nothing");
    let pruned = stores::prune(&plan, &leaf.clients, &BTreeSet::new(), leaf.healthy().await).await.unwrap();
    let names = |items: &[stores::Item]| items.iter().map(|item| item.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&pruned.removed), ["EMPTY", "bucket", "c"], "{pruned}");
    assert_eq!(names(&pruned.kept), ["FULL"], "{pruned}");
    assert_eq!(leaf.count("APP", "FULL").await, 1);
    let after = leaf.plan(&less).await;
    let kinds: Vec<_> = after.items.iter().map(|item| (item.name.as_str(), &item.action)).collect();
    assert_eq!(
        kinds,
        [("FOREIGN", &Action::Unmanaged { messages: 0 }), ("FULL", &Action::Leftover { messages: 1 })]
    );
}

#[tokio::test]
async fn what_holds_messages_goes_only_by_name() {
    let leaf = leftovers().await;
    let less = fleet(LESS);
    let plan = leaf.plan(&less).await;
    for wrong in ["STAYS", "FOREIGN", "OTHER/FULL"] {
        let delete = BTreeSet::from([wrong.to_owned()]);
        let refused = stores::prune(&plan, &leaf.clients, &delete, leaf.healthy().await).await;
        assert!(refused.is_err(), "{wrong}");
    }
    assert_eq!(leaf.count("APP", "FULL").await, 1);
    let delete = BTreeSet::from(["APP/FULL".to_owned()]);
    let pruned = stores::prune(&plan, &leaf.clients, &delete, leaf.healthy().await).await.unwrap();
    assert!(pruned.failed.is_empty() && pruned.removed.len() == 4, "{pruned}");
    assert!(leaf.plan(&less).await.is_empty());
}

#[tokio::test]
async fn a_message_that_comes_after_the_plan_keeps_its_stream() {
    let leaf = leftovers().await;
    let plan = leaf.plan(&fleet(LESS)).await;
    leaf.jetstream("APP").publish("EMPTY", "late".into()).await.unwrap().await.unwrap();
    let pruned = stores::prune(&plan, &leaf.clients, &BTreeSet::new(), leaf.healthy().await).await.unwrap();
    assert_eq!(pruned.failed.len(), 1, "{pruned}");
    assert_eq!(leaf.payloads("APP", "EMPTY").await, ["late"]);
    leaf.jetstream("APP").publish("EMPTY", "open again".into()).await.unwrap().await.unwrap();
}
