#![allow(clippy::unwrap_used)]

use super::*;

const SHOPS: &str = r#"
name = "shops"
nodes = { hub = ["hub-1", "hub-2", "hub-3"], leaves = ["shop-1", "shop-2"] }

[accounts.SHOP.streams.SALES]
subjects = ["sales.>"]
travel = "up"
max_age = "90d"
outbox = { max_bytes = "1GiB" }
consumers = { books = { filter = ["sales.paid"], max_deliver = 5 } }
[accounts.SHOP.streams.RECORDS]
subjects = ["records.{node}.>"]
travel = "both"
[accounts.SHOP.kv.prices]
travel = "down"
[accounts.SHOP.kv.stock]
travel = "up"
history = 3
replicas = 5
[accounts.SHOP.objects.menus]
travel = "down"
"#;

fn node(text: &str) -> Node {
    toml::from_str(text).unwrap()
}

fn shop(fleet: &str, node: &Node) -> DesiredAccount {
    let fleet: Fleet = toml::from_str(fleet).unwrap();
    desired(&fleet, node).into_iter().find(|account| account.name.as_str() == "SHOP").unwrap()
}

/// The stores without the fields that say no more than their absence.
fn shown(account: &DesiredAccount) -> String {
    let mut text = String::new();
    for store in &account.stores {
        let config = Value::from(diff::canonical_fields(&store.config));
        text += &format!("{} {}\n  {config}\n", store.kind.word(), store.name);
        for (name, consumer) in &store.consumers {
            text += &format!("  consumer {name} {}\n", Value::from(diff::canonical_fields(consumer)));
        }
    }
    text
}

#[test]
fn a_leaf_holds_outboxes_buckets_and_mirrors() {
    insta::assert_snapshot!(shown(&shop(SHOPS, &node("name = \"shop-1\""))));
}

#[test]
fn the_hub_gathers_from_every_leaf() {
    insta::assert_snapshot!(shown(&shop(SHOPS, &node("name = \"hub-2\"\nrole = \"hub\""))));
}

#[test]
fn every_store_carries_the_marks_of_its_owner() {
    let account = shop(SHOPS, &node("name = \"shop-1\""));
    let all =
        account.stores.iter().flat_map(|store| [&store.config].into_iter().chain(store.consumers.values()));
    for config in all {
        assert_eq!(diff::mark(config, OWNER), Some("shops"));
        assert_eq!(diff::mark(config, APPLIED).map(str::len), Some(12));
    }
}

#[test]
fn the_mark_of_the_declaration_changes_only_with_what_it_means() {
    let applied = |text: &str| {
        let fleet = format!("name = \"f\"\n[accounts.SHOP.streams.S]\n{text}");
        diff::mark(&shop(&fleet, &node("name = \"a\"")).stores[0].config, APPLIED).unwrap().to_owned()
    };
    let plain = applied("");
    assert_eq!(plain, applied("subjects = [\"S\"]\nduplicate_window = \"2m\"\nallow_direct = true"));
    assert_ne!(plain, applied("max_messages = 1"));
}

#[test]
fn what_cannot_travel_says_what_to_declare_instead() {
    let cases = [
        (
            "streams.S",
            "travel = \"down\"\nsubjects = [\"s\"]\nretention = \"workqueue\"",
            "retention = \"limits\"",
        ),
        ("streams.S", "travel = \"both\"\nsubjects = [\"s.>\"]", "{node}"),
        ("streams.S", "travel = \"both\"", "declares its subjects"),
        ("streams.S", "travel = \"up\"\nmirror = { stream = \"X\" }", "leave out `travel`"),
        ("objects.o", "travel = \"both\"", "travel = \"up\""),
    ];
    for (store, declared, remedy) in cases {
        let fleet = format!("name = \"f\"\n[accounts.SHOP.{store}]\n{declared}");
        let account = shop(&fleet, &node("name = \"a\""));
        let problem = account.stores[0].problem.clone().unwrap();
        assert!(problem.contains(remedy), "{problem}");
    }
}

#[test]
fn a_store_exists_where_it_is_declared() {
    let fleet = "name = \"f\"\n[accounts.SHOP.streams.A]\non = \"leaves\"\n[accounts.SHOP.streams.B]\non = \"hub\"\n[accounts.SHOP.streams.C]";
    let names = |node: &str| {
        let account = shop(fleet, &toml::from_str(node).unwrap());
        account.stores.into_iter().map(|store| store.name).collect::<String>()
    };
    assert_eq!(names("name = \"x\""), "AC");
    assert_eq!(names("name = \"x\"\nrole = \"hub\""), "BC");
}

#[test]
fn a_leaf_that_the_hub_does_not_know_is_told() {
    let fleet: Fleet = toml::from_str(SHOPS).unwrap();
    assert!(notes(&fleet, &node("name = \"shop-1\"")).is_empty());
    assert!(notes(&fleet, &node("name = \"shop-9\""))[0].contains("nodes.leaves"));
}

#[test]
fn the_longest_name_makes_a_bucket() {
    let fleet = format!("name = \"f\"\n[accounts.SHOP.kv.{}]\ntravel = \"down\"", "x".repeat(64));
    assert_eq!(shop(&fleet, &node("name = \"a\"")).stores[0].stream.len(), 67);
}

#[test]
fn a_hub_keeps_an_odd_number_of_copies_as_settings_say() {
    for (nodes, replicas) in [(1, 1), (2, 1), (3, 3), (4, 3), (5, 3)] {
        let hub: Vec<String> = (1..=nodes).map(|number| format!("\"hub-{number}\"")).collect();
        let text = format!("name = \"f\"\nnodes = {{ hub = [{}] }}\n[accounts.SHOP.kv.k]", hub.join(", "));
        let node = node("name = \"hub-1\"\nrole = \"hub\"");
        let fleet: Fleet = toml::from_str(&text).unwrap();
        let store = &shop(&text, &node).stores[0];
        assert_eq!(store.config["num_replicas"], json!(replicas), "a hub of {nodes}");
        assert_eq!(store.config["num_replicas"], json!(fleet.replicas(None, &node)));
    }
}
