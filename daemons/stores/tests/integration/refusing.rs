//! What apply refuses, and that nothing is changed then.

use serde_json::json;
use stores::{Action, Item, Plan};

use crate::{
    applying::{config, update},
    servers::{Site, eventually, fleet},
};

const BEFORE: &str = r#"
name = "f"
[accounts.APP.streams.S]
subjects = ["s.>"]
"#;

/// Applies `before`, stores ten messages, and plans `after`.
async fn changed(before: &str, after: &str) -> (Site, Plan) {
    let before = fleet(before);
    let leaf = Site::leaf(&before, "edge-1", None).await;
    leaf.apply(&before).await;
    for number in 0..10 {
        let subject = format!("s.{}", number % 2);
        leaf.jetstream("APP").publish(subject, "x".repeat(100).into()).await.unwrap().await.unwrap();
    }
    let plan = leaf.plan(&fleet(after)).await;
    (leaf, plan)
}

fn refusal(item: &Item) -> &stores::refusal::Refusal {
    let Action::Refused { refusal, .. } = &item.action else { panic!("{item}") };
    refusal
}

#[tokio::test]
async fn what_would_delete_or_replace_is_refused_and_changes_nothing() {
    let cases = [
        ("storage = \"memory\"", "storage"),
        ("retention = \"workqueue\"", "work queue"),
        ("retention = \"interest\"", "would delete"),
        ("max_messages = 9", "would delete messages: the stream holds 10"),
        ("max_bytes = \"1KiB\"", "would delete messages"),
        ("max_messages_per_subject = 4", "holds 5 of one subject"),
    ];
    let (leaf, _) = changed(BEFORE, BEFORE).await;
    let before = config(&leaf, "APP", "S").await;
    for (change, reason) in cases {
        let after = fleet(&format!("{BEFORE}{change}"));
        let plan = leaf.plan(&after).await;
        let [item] = plan.items.as_slice() else { panic!("{change}: {plan}") };
        assert!(refusal(item).reason.contains(reason), "{change}: {plan}");
        assert!(refusal(item).by_hand.iter().any(|line| line.starts_with("nats stream")), "{plan}");
        assert!(!plan.is_empty() && !plan.has_work());
        let applied = stores::apply(&plan, &leaf.clients, leaf.healthy().await).await;
        assert!(applied.done.is_empty() && applied.failed.is_empty(), "{applied}");
    }
    assert_eq!(config(&leaf, "APP", "S").await, before);
    assert_eq!(leaf.count("APP", "S").await, 10);
}

#[tokio::test]
async fn an_age_limit_is_refused_once_a_message_is_older() {
    let (leaf, _) = changed(BEFORE, BEFORE).await;
    let after = fleet(&format!("{BEFORE}max_age = \"100ms\""));
    let refused = eventually("the messages are older than 100 ms", || async {
        let plan = leaf.plan(&after).await;
        matches!(plan.items[0].action, Action::Refused { .. }).then_some(plan)
    });
    assert!(refusal(&refused.await.items[0]).reason.contains("the oldest is"));
}

#[tokio::test]
async fn limits_that_everything_fits_in_are_applied() {
    let after = format!(
        "{BEFORE}max_messages = 10\nmax_bytes = \"1MiB\"\nmax_messages_per_subject = 5\nmax_age = \"1h\"\ncompression = \"s2\"\nmax_consumers = 4"
    );
    let (leaf, plan) = changed(BEFORE, &after).await;
    assert!(matches!(plan.items.as_slice(), [Item { action: Action::Change { .. }, .. }]), "{plan}");
    leaf.apply(&fleet(&after)).await;
    assert_eq!(leaf.count("APP", "S").await, 10);
}

#[tokio::test]
async fn what_is_for_good_cannot_be_taken_back() {
    for field in ["deny_delete = true", "deny_purge = true", "allow_message_ttl = true"] {
        let (_, plan) = changed(&format!("{BEFORE}{field}"), BEFORE).await;
        let [item] = plan.items.as_slice() else { panic!("{field}: {plan}") };
        refusal(item);
    }
}

#[tokio::test]
async fn a_mirror_changes_its_origin_only_by_hand() {
    let before = format!("{BEFORE}[accounts.APP.streams.M]\nmirror = {{ stream = \"S\" }}");
    let after = format!("{BEFORE}[accounts.APP.streams.M]\nmirror = {{ stream = \"S\", filter = \"s.1\" }}");
    let (leaf, plan) = changed(&before, &after).await;
    let [item] = plan.items.as_slice() else { panic!("{plan}") };
    assert!(refusal(item).by_hand[0].contains("a copy"), "{plan}");
    // A stream does not become a mirror.
    let other = "name = \"f\"\n[accounts.APP.streams.S]\nmirror = { stream = \"X\" }\n[accounts.APP.streams.M]\nmirror = { stream = \"S\" }";
    let plan = leaf.plan(&fleet(other)).await;
    assert!(
        plan.items
            .iter()
            .any(|item| item.name == "S" && refusal(item).reason.contains("cannot become a mirror")),
        "{plan}"
    );
}

#[tokio::test]
async fn a_consumer_is_not_made_anew() {
    let before = format!("{BEFORE}[accounts.APP.streams.S.consumers.c]");
    let after = format!("{BEFORE}[accounts.APP.streams.S.consumers.c]\nack = \"none\"");
    let (_, plan) = changed(&before, &after).await;
    let [item] = plan.items.as_slice() else { panic!("{plan}") };
    assert!(refusal(item).reason.contains("ack_policy"), "{plan}");
}

#[tokio::test]
async fn a_stream_of_another_fleet_is_not_taken() {
    let (leaf, _) = changed(BEFORE, BEFORE).await;
    update(&leaf, "S", "metadata", json!({ "leafbox.owner": "other" })).await;
    let plan = leaf.plan(&fleet(BEFORE)).await;
    let [item] = plan.items.as_slice() else { panic!("{plan}") };
    assert!(refusal(item).reason.contains("belongs to the fleet `other`"), "{plan}");
}

#[tokio::test]
async fn nothing_is_applied_without_a_healthy_server() {
    let before = fleet(BEFORE);
    let mut leaf = Site::leaf(&before, "edge-1", None).await;
    leaf.healthy().await;
    let address = leaf.monitoring_address();
    leaf.kill().await;
    let error = stores::Healthy::ask(address).await.unwrap_err();
    assert!(error.to_string().contains("is it running"), "{error}");
}
