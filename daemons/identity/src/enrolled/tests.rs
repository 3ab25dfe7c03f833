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
