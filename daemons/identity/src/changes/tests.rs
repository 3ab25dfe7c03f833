#![allow(clippy::unwrap_used)]
use super::*;
use crate::{
    fixture::{SHOPS, at, fleet, name, shops, signed},
    prepare_removal, revoke, sign,
};

fn texts(changes: &[AccountChange]) -> Vec<String> {
    let side = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    changes
        .iter()
        .map(|change| {
            format!("{} {}: {} -> {}", change.account, change.what, side(&change.from), side(&change.to))
        })
        .collect()
}

#[test]
fn a_signed_set_says_what_its_fleet_says() {
    let (_folder, _, fleet, set) = signed();
    assert_eq!(texts(&needs_operator(&set, &fleet)), [""; 0]);
    assert_eq!(texts(&changes(Some(&set), &set)), [""; 0]);
    assert!(changes(None, &set).iter().all(|change| change.what == "account" && change.from.is_none()));
}

#[test]
fn each_kind_of_change_is_told_with_what_was_and_what_will_be() {
    let (_folder, keys, _, set) = signed();
    for (from, to, expected) in [
        ("connections = 10", "connections = 20", "SHOP limit connections: 10 -> 20"),
        ("storage = \"1GiB\"\n", "", "SHOP limit jetstream storage: 1073741824 -> unlimited"),
        (
            "[accounts.SHOP.jetstream]",
            "[accounts.SHOP.jetstream]\nenabled = false",
            "SHOP jetstream: on -> off",
        ),
        (
            "sales.void",
            "sales.secret",
            "SHOP role till publish: sales.> but not sales.void -> sales.> but not sales.secret",
        ),
        ("subscribe = [\"ask\"]", "", "SHOP role answers subscribe: ask -> nothing"),
        ("max = 2", "max = 3", "SHOP role answers responses: 2 within 5 s -> 3 within 5 s"),
        (", response = \"chunked\"", "", "HEAD export service stock.*: to all, replies chunked -> to all"),
        (
            ", to = [\"SHOP\"]",
            "",
            "SHOP import stream prices.fruit.> from HEAD: as prices.fruit.>, by leave -> as prices.fruit.>",
        ),
        (
            ", share = true",
            "",
            "SHOP import service stock.* from HEAD as head.stock.*: as head.stock.*, telling who asks -> as head.stock.*",
        ),
        ("a shop", "the shop", "SHOP description: a shop -> the shop"),
    ] {
        let changed = fleet(&SHOPS.replace(from, to));
        let waiting = texts(&needs_operator(&set, &changed));
        assert!(waiting.contains(&expected.to_owned()), "{expected}: {waiting:?}");
        let next = sign(&keys, &changed, Some(&set), at(9)).unwrap();
        assert!(texts(&changes(Some(&set), &next)).contains(&expected.to_owned()), "{expected}");
        assert!(needs_operator(&next, &changed).is_empty(), "{expected}");
    }
}

#[test]
fn accounts_and_roles_that_come_and_go_are_told() {
    let (_folder, keys, _, set) = signed();
    let more = format!("{SHOPS}\n[accounts.VAN]\n[accounts.SHOP.roles.boss]\npublish = [\">\"]\n");
    let waiting = texts(&needs_operator(&set, &fleet(&more)));
    assert!(waiting.contains(&"VAN account: - -> new".to_owned()), "{waiting:?}");
    assert!(waiting.contains(&"SHOP role boss publish: - -> >".to_owned()), "{waiting:?}");
    let less = fleet("name = \"shops\"");
    assert_eq!(undeclared(&set, &less), [name("HEAD"), name("SHOP")]);
    assert!(needs_operator(&set, &less).is_empty(), "nothing is taken away by signing");
    let removal = prepare_removal(&keys, &set, &name("SHOP"), at(5)).unwrap();
    assert_eq!(undeclared(&removal.set, &less), [name("HEAD")]);
    let waiting = texts(&needs_operator(&removal.set, &shops()));
    assert_eq!(waiting, ["SHOP account: - -> new"], "a removed account that is declared again is new");
}

#[test]
fn revocations_show_between_sets_and_are_nothing_the_fleet_asks_for() {
    let (_folder, keys, fleet, set) = signed();
    let next = revoke(&keys, &set, &name("SHOP"), "*", at(7)).unwrap();
    assert_eq!(texts(&changes(Some(&set), &next)), ["SHOP revoked *: - -> signed until second 1700000007"]);
    assert!(needs_operator(&next, &fleet).is_empty());
}
