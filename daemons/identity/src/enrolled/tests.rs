#![allow(clippy::unwrap_used)]
use super::*;
use crate::{
    claims::SigningKeyClaim,
    fixture::{at, name, signed},
    nkey::SecretKey,
    sign,
};

#[test]
fn the_health_key_of_a_node_speaks_for_that_node_alone() {
    let (_folder, keys, fleet, set) = signed();
    let health = SecretKey::generate(KeyKind::Account).unwrap().public_key();
    let offered: NodeKeys = [(name("LEAFBOX"), [(name("health"), health.clone())].into())].into();
    refuse_foreign(&set, &name("van-1"), &offered).unwrap();
    add_enrolled(&keys, &name("van-1"), offered.clone(), at(5)).unwrap();
    let set = sign(&keys, &fleet, Some(&set), at(6)).unwrap();
    let published = |set: &JwtSet| {
        let keys = &set.accounts["LEAFBOX"].claims().nats.signing_keys;
        let scopes = keys.iter().filter(|claim| claim.key() == health);
        let mut scopes = scopes.map(|claim| match claim {
            SigningKeyClaim::Scoped(scope) => scope.template.publish.allow.clone(),
            SigningKeyClaim::Plain(_) => panic!("without a scope"),
        });
        scopes.next().unwrap()
    };
    let expected = [
        "leafbox.node.van-1.heartbeat",
        "$KV.leafbox_nodes.van-1",
        "$JS.API.INFO",
        "$JS.API.STREAM.INFO.KV_leafbox_nodes",
    ];
    assert_eq!(published(&set), expected);

    // The same where the set alone knows the node.
    fs::remove_dir_all(keys.path().join(layout::ENROLLED_FOLDER)).unwrap();
    let changed = fleet.clone();
    let again = sign(&keys, &changed, Some(&set), at(7)).unwrap();
    assert_eq!(published(&again), expected);
    // And nobody else may take the key, nor one of the fleet's own.
    let error = refuse_foreign(&set, &name("van-2"), &offered).unwrap_err().to_string();
    assert!(error.contains("the node van-1 already"), "{error}");
    let till = keys.role(&name("SHOP"), &name("till")).unwrap().public_key();
    let offered: NodeKeys = [(name("SHOP"), [(name("leafbox-apply"), till)].into())].into();
    let error = refuse_foreign(&set, &name("van-2"), &offered).unwrap_err().to_string();
    assert!(error.contains("the role till in SHOP already"), "{error}");
}

/// What the registry of a leaf, and of a hub node, may publish and hear.
#[test]
fn the_registry_key_of_a_node_asks_and_answers_as_that_node_alone() {
    let (_folder, keys, mut fleet, set) = signed();
    fleet.nodes.hub.push(name("hub-1"));
    let key = || SecretKey::generate(KeyKind::Account).unwrap().public_key();
    let (leaf, hub) = (key(), key());
    for (node, key) in [("van-1", &leaf), ("hub-1", &hub)] {
        let offered = [(name("LEAFBOX"), [(name("registry"), key.clone())].into())].into();
        add_enrolled(&keys, &name(node), offered, at(5)).unwrap();
    }
    let set = sign(&keys, &fleet, Some(&set), at(6)).unwrap();
    let claims = &set.accounts["LEAFBOX"].claims().nats.signing_keys;
    let travels = |key: &str| {
        let SigningKeyClaim::Scoped(scope) = claims.iter().find(|claim| claim.key() == key).unwrap() else {
            panic!("without a scope")
        };
        let of = |allowed: &[String]| -> Vec<String> {
            let own = |subject: &&String| {
                !subject.starts_with("leafbox.registry.chunk") && subject.starts_with("leafbox.")
            };
            allowed.iter().filter(own).cloned().collect()
        };
        (of(&scope.template.publish.allow), of(&scope.template.subscribe.allow))
    };
    let texts = |subjects: &[&str]| subjects.iter().map(ToString::to_string).collect::<Vec<_>>();
    let leafs = (
        texts(&[
            "leafbox.audit.van-1.registry.>",
            "leafbox.registry.status.van-1",
            "leafbox.registry.hub.van-1.>",
        ]),
        texts(&["leafbox.registry.status.van-1", "leafbox.registry.leaf.van-1.>"]),
    );
    assert_eq!(travels(&leaf), leafs);
    let hubs = (
        texts(&[
            "leafbox.audit.hub-1.registry.>",
            "leafbox.registry.status.hub-1",
            "leafbox.registry.leaf.*.>",
        ]),
        texts(&["leafbox.registry.status.hub-1", "leafbox.registry.hub.>"]),
    );
    assert_eq!(travels(&hub), hubs);
}

#[test]
fn a_key_is_not_accepted_from_a_second_node_nor_after_it_was_taken_back_from_the_first() {
    let (_folder, keys, _, _) = signed();
    let key = SecretKey::generate(KeyKind::Account).unwrap().public_key();
    let offered: NodeKeys = [(name("SHOP"), [(name("till"), key)].into())].into();
    let first = add_enrolled(&keys, &name("van-1"), offered.clone(), at(5)).unwrap();
    assert_eq!(add_enrolled(&keys, &name("van-1"), offered.clone(), at(9)).unwrap(), first, "twice is once");
    let error = add_enrolled(&keys, &name("van-2"), offered.clone(), at(6)).unwrap_err().to_string();
    assert!(error.contains("the node van-1 already") && error.contains("copied"), "{error}");
    remove_enrolled(&keys, &name("van-1"), at(7)).unwrap();
    let error = add_enrolled(&keys, &name("van-2"), offered, at(8)).unwrap_err().to_string();
    assert!(error.contains("taken back from van-1"), "{error}");
}

/// A regression test: after a restore of an older backup a node that only the signed set knew could
/// not be cut off.
#[test]
fn a_node_that_only_the_signed_set_knows_is_taken_back_too() {
    let (_folder, keys, fleet, set) = signed();
    let (van, key) = (name("van-1"), SecretKey::generate(KeyKind::Account).unwrap().public_key());
    let offered: NodeKeys = [(name("SHOP"), [(name("till"), key.clone())].into())].into();
    add_enrolled(&keys, &van, offered, at(5)).unwrap();
    let set = sign(&keys, &fleet, Some(&set), at(6)).unwrap();
    assert_eq!(held_in(&set, &van), [key.clone()].into());
    assert_eq!(held_in(&set, &name("van")), BTreeSet::new());
    assert_eq!(take_back_others(&keys, &set, &van, at(7)).unwrap(), 0, "it holds them");

    fs::remove_dir_all(keys.path().join(layout::ENROLLED_FOLDER)).unwrap();
    let restored = sign(&keys, &fleet, Some(&set), at(8)).unwrap();
    assert_eq!(held_in(&restored, &van), [key.clone()].into());
    assert_eq!(take_back_others(&keys, &restored, &van, at(9)).unwrap(), 1);
    assert_eq!(take_back_others(&keys, &restored, &van, at(10)).unwrap(), 0, "twice is once");
    let after = sign(&keys, &fleet, Some(&restored), at(11)).unwrap();
    assert_eq!(held_in(&after, &van), BTreeSet::new());
    let offered: NodeKeys = [(name("SHOP"), [(name("till"), key)].into())].into();
    let error = add_enrolled(&keys, &van, offered, at(12)).unwrap_err().to_string();
    assert!(error.contains("taken back from van-1"), "{error}");
}

/// A regression test: with the key by which it applies its own stores, a box that was stolen could
/// delete the hub's; with its registry's, the hub's images.
#[test]
fn the_keys_by_which_a_node_changes_its_stores_are_good_on_that_machine_alone() {
    let (_folder, keys, fleet, set) = signed();
    let key = || SecretKey::generate(KeyKind::Account).unwrap().public_key();
    let (apply, till) = (key(), key());
    let roles = [(name("leafbox-apply"), apply.clone()), (name("till"), till.clone())];
    let registry = key();
    let offered =
        [(name("SHOP"), roles.into()), (name("LEAFBOX"), [(name("registry"), registry.clone())].into())];
    add_enrolled(&keys, &name("van-1"), offered.into(), at(5)).unwrap();
    let set = sign(&keys, &fleet, Some(&set), at(6)).unwrap();
    let networks = |key: &str| {
        let accounts = [&set.accounts["SHOP"], &set.accounts["LEAFBOX"]];
        let mut claims = accounts.into_iter().flat_map(|account| &account.claims().nats.signing_keys);
        match claims.find(|claim| claim.key() == key).unwrap() {
            SigningKeyClaim::Scoped(scope) => scope.template.other.get("src").cloned(),
            SigningKeyClaim::Plain(_) => panic!("without a scope"),
        }
    };
    assert_eq!(networks(&apply), Some(serde_json::json!(["127.0.0.0/8", "::1/128"])));
    assert_eq!(networks(&registry), networks(&apply));
    assert_eq!(networks(&till), None, "tills may connect from elsewhere");
    let fleets = keys.role(&name("SHOP"), &name("leafbox-apply")).unwrap().public_key();
    assert_eq!(networks(&fleets), None, "so may the operator's own");
}
