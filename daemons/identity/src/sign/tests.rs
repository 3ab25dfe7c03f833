#![allow(clippy::unwrap_used)]
use std::fs;

use super::*;
use crate::{
    JwtSetError, add_enrolled,
    claims::{ActivationBody, UNLIMITED},
    enrolled::NodeKeys,
    ensure_fleet_keys,
    fixture::{SHOPS, at, fleet, name, shops, signed},
    layout, prepare_removal, remove_enrolled,
};

const START: i64 = 1_700_000_000;

fn body<'a>(set: &'a JwtSet, account: &str) -> &'a AccountBody {
    &set.accounts[account].claims().nats
}

fn scope<'a>(set: &'a JwtSet, account: &str, role: &str) -> Option<&'a UserScope> {
    body(set, account).signing_keys.iter().find_map(|claim| match claim {
        SigningKeyClaim::Scoped(scope) if scope.role == role => Some(&**scope),
        _ => None,
    })
}

fn public_user() -> String {
    SecretKey::generate(KeyKind::User).unwrap().public_key()
}

#[test]
fn the_operator_is_strict_and_names_its_signing_keys_and_the_system_account() {
    let (_folder, keys, _, set) = signed();
    let operator = set.operator_claims();
    assert_eq!(operator.name, "shops");
    assert_eq!(operator.subject, keys.operator().unwrap().public_key());
    assert!(operator.nats.strict_signing_key_usage);
    assert_eq!(operator.nats.signing_keys.len(), 2);
    assert_eq!(operator.nats.system_account, set.accounts["SYS"].public_key);
    assert!(set.accounts.values().all(|account| account.claims().issuer == operator.nats.signing_keys[0]));
    let names: Vec<&str> = set.accounts.keys().map(Name::as_str).collect();
    assert_eq!(names, ["HEAD", "LEAFBOX", "SHOP", "SYS"]);
}

#[test]
fn declared_limits_are_written_and_the_rest_is_unlimited() {
    let (_folder, _, _, set) = signed();
    let limits = &body(&set, "SHOP").limits;
    assert_eq!((limits.conn, limits.payload, limits.subs, limits.leaf), (10, 1024, UNLIMITED, UNLIMITED));
    assert_eq!((limits.disk_storage, limits.mem_storage, limits.streams), (1 << 30, UNLIMITED, 5));
    assert_eq!((limits.max_ack_pending, limits.disk_max_stream_bytes), (0, 0), "here 0 is unlimited");
    let system = &body(&set, "SYS").limits;
    assert_eq!((system.disk_storage, system.mem_storage, system.conn), (0, 0, UNLIMITED));
}

#[test]
fn a_role_is_a_scoped_key_and_an_empty_list_denies_all() {
    let (_folder, keys, _, set) = signed();
    let till = scope(&set, "SHOP", "till").unwrap();
    assert_eq!(till.key, keys.role(&name("SHOP"), &name("till")).unwrap().public_key());
    let json = serde_json::to_string(&till).unwrap();
    assert!(json.contains(
        r#""template":{"pub":{"allow":["sales.>"],"deny":["sales.void"]},"sub":{"allow":["prices.>","_INBOX.>"]},"subs":-1,"data":-1,"payload":-1},"description":"a till""#
    ), "{json}");
    let answers = serde_json::to_string(&scope(&set, "SHOP", "answers").unwrap().template).unwrap();
    assert_eq!(
        answers,
        r#"{"pub":{"deny":[">"]},"sub":{"allow":["ask"]},"resp":{"max":2,"ttl":5000000000},"subs":-1,"data":-1,"payload":-1}"#
    );
    assert!(scope(&set, "HEAD", "office").is_some(), "a service with permissions of its own is a role");
    assert!(scope(&set, "SHOP", "till-1").is_none(), "a service with a role is not");
    let keys: Vec<&str> = body(&set, "SHOP").signing_keys.iter().map(SigningKeyClaim::key).collect();
    assert!(keys.is_sorted());
}

#[test]
fn a_private_export_gives_its_importer_an_activation() {
    let (_folder, keys, _, set) = signed();
    let (head, shop) = (body(&set, "HEAD"), body(&set, "SHOP"));
    assert_eq!(head.exports[0].subject, "prices.>");
    assert!(head.exports[0].token_req && !head.exports[1].token_req);
    assert_eq!(head.exports[1].response_type, "Chunked");
    let (prices, stock) = (&shop.imports[0], &shop.imports[1]);
    assert_eq!((prices.subject.as_str(), stock.local_subject.as_str()), ("prices.fruit.>", "head.stock.*"));
    assert!(stock.token.is_empty() && stock.share);
    let activation = Claims::<ActivationBody>::decode(&prices.token).unwrap();
    assert_eq!(activation.issuer, keys.account(&name("HEAD")).unwrap().public_key());
    assert_eq!(activation.subject, set.accounts["SHOP"].public_key);
    assert_eq!(activation.nats.subject, "prices.>");
}

#[test]
fn signing_again_changes_not_one_byte() {
    let (_folder, keys, fleet, set) = signed();
    assert_eq!(sign(&keys, &fleet, Some(&set), at(3600)).unwrap(), set);
}

#[test]
fn only_a_changed_account_is_signed_again_and_is_newer_even_when_the_clock_is_not() {
    let (_folder, keys, _, set) = signed();
    let changed = fleet(&SHOPS.replace("connections = 10", "connections = 20"));
    for (now, expected) in [(60, START + 60), (0, START + 1)] {
        let next = sign(&keys, &changed, Some(&set), at(now)).unwrap();
        assert_eq!(next.accounts["SHOP"].issued_at, expected);
        assert_eq!(body(&next, "SHOP").limits.conn, 20);
        let others = ["HEAD", "LEAFBOX", "SYS"];
        assert!(others.iter().all(|other| next.accounts[*other] == set.accounts[*other]));
        assert_eq!(next.operator, set.operator);
    }
    let behind = SystemTime::UNIX_EPOCH;
    assert_eq!(sign(&keys, &changed, Some(&set), behind).unwrap().accounts["SHOP"].issued_at, START + 1);
}

#[test]
fn revocations_are_merged_kept_by_signing_and_never_moved_back() {
    let (_folder, keys, fleet, set) = signed();
    let (one, two) = (public_user(), public_user());
    let shop = name("SHOP");
    let set = revoke(&keys, &set, &shop, &one, at(10)).unwrap();
    let set = revoke(&keys, &set, &shop, &two, at(5)).unwrap();
    assert!(set.accounts["SHOP"].issued_at > START + 10, "each is newer than the one before");
    let earlier = revoke(&keys, &set, &shop, &one, at(1)).unwrap();
    assert_eq!(earlier, set, "an earlier revocation adds nothing");
    let again = sign(&keys, &fleet, Some(&set), at(100)).unwrap();
    assert_eq!(again, set);
    let changed = self::fleet(&SHOPS.replace("connections = 10", "connections = 20"));
    let again = sign(&keys, &changed, Some(&set), at(100)).unwrap();
    let expected = [(one, START + 10), (two, START + 5)].into_iter().collect();
    assert_eq!(body(&again, "SHOP").revocations, expected);
    let all = revoke(&keys, &again, &shop, "*", at(200)).unwrap();
    assert_eq!(body(&all, "SHOP").revocations.len(), 3);
}

#[test]
fn what_cannot_be_revoked_is_told() {
    let (_folder, keys, _, set) = signed();
    let message = revoke(&keys, &set, &name("SHOP"), "till-1", at(0)).unwrap_err().to_string();
    assert!(message.contains("`till-1` is not the public key of a user"), "{message}");
    let message = revoke(&keys, &set, &name("SHIP"), "*", at(0)).unwrap_err().to_string();
    assert!(message.contains("no account SHIP"), "{message}");
}

#[test]
fn an_importer_that_loses_its_leave_loses_its_activation_and_may_get_a_new_one() {
    let (_folder, keys, _, set) = signed();
    let without = SHOPS.replace(r#"to = ["SHOP"]"#, r#"to = ["LEAFBOX"]"#);
    let without = without.replace(r#"{ from = "HEAD", subject = "prices.fruit.>", kind = "stream" },"#, "");
    let lost = sign(&keys, &fleet(&without), Some(&set), at(50)).unwrap();
    let shop_key = &set.accounts["SHOP"].public_key;
    assert_eq!(body(&lost, "HEAD").exports[0].revocations.get(shop_key), Some(&(START + 50)));
    assert_eq!(sign(&keys, &fleet(&without), Some(&lost), at(90)).unwrap(), lost);
    let back = sign(&keys, &shops(), Some(&lost), at(50)).unwrap();
    let activation = Claims::<ActivationBody>::decode(&body(&back, "SHOP").imports[0].token).unwrap();
    assert_eq!(activation.issued_at, START + 51, "dated after the revocation, which stays");
    assert_eq!(body(&back, "HEAD").exports[0].revocations.len(), 1);
    assert_eq!(sign(&keys, &shops(), Some(&back), at(99)).unwrap(), back);
}

#[test]
fn an_import_nobody_exports_is_named() {
    let (_folder, keys, _, _) = signed();
    let missing = fleet(&SHOPS.replace("prices.fruit.>", "weather.>"));
    let message = sign(&keys, &missing, None, at(0)).unwrap_err().to_string();
    assert!(
        message.contains("SHOP imports the stream weather.> from HEAD, which does not export it"),
        "{message}"
    );
    let private = fleet(&SHOPS.replace(r#"to = ["SHOP"]"#, r#"to = ["LEAFBOX"]"#));
    let message = sign(&keys, &private, None, at(0)).unwrap_err().to_string();
    assert!(message.contains("add \"SHOP\" to the export's `to`"), "{message}");
}

#[test]
fn the_set_of_another_operator_is_refused_naming_both() {
    let (_folder, keys, fleet, _) = signed();
    let (_other_folder, other, _, foreign) = signed();
    let theirs = other.operator().unwrap().public_key();
    let ours = keys.operator().unwrap().public_key();
    let message = sign(&keys, &fleet, Some(&foreign), at(1)).unwrap_err().to_string();
    assert!(message.contains(&theirs) && message.contains(&ours), "{message}");
    fs::remove_file(layout::operator_key(keys.path())).unwrap();
    let ours = keys.operator_signing().unwrap()[0].public_key();
    for error in [
        sign(&keys, &fleet, Some(&foreign), at(1)).unwrap_err(),
        revoke(&keys, &foreign, &name("SHOP"), "*", at(1)).unwrap_err(),
        prepare_removal(&keys, &foreign, &name("SHOP"), at(1)).unwrap_err(),
    ] {
        let message = error.to_string();
        assert!(message.contains(&theirs) && message.contains(&ours), "{message}");
    }
}

#[test]
fn an_account_whose_key_was_lost_is_not_silently_made_anew() {
    let (_folder, keys, fleet, set) = signed();
    let path = layout::account_key(keys.path(), &name("SHOP"));
    fs::remove_file(&path).unwrap();
    keys.ensure_key(&path, KeyKind::Account).unwrap();
    let message = sign(&keys, &fleet, Some(&set), at(1)).unwrap_err().to_string();
    assert!(message.contains("restore accounts/SHOP.nk from a backup"), "{message}");
}

#[test]
fn the_operators_own_key_may_be_offline_and_a_signing_key_lost() {
    let (_folder, keys, _, set) = signed();
    fs::remove_file(layout::operator_key(keys.path())).unwrap();
    let changed = fleet(&SHOPS.replace("connections = 10", "connections = 20"));
    let next = sign(&keys, &changed, Some(&set), at(9)).unwrap();
    assert_eq!(next.operator, set.operator);
    fs::remove_file(&layout::operator_signing_keys(keys.path())[0]).unwrap();
    let again = sign(&keys, &changed, Some(&next), at(9)).unwrap();
    assert_eq!(again, next, "what the lost key signed still counts");
    let error = sign(&keys, &changed, None, at(9)).unwrap_err().to_string();
    assert!(error.contains("operator.nk"), "{error}");
}

#[test]
fn a_withdrawn_signing_key_means_signing_all_again() {
    let (_folder, keys, fleet, set) = signed();
    fs::remove_file(&layout::operator_signing_keys(keys.path())[0]).unwrap();
    let next = sign(&keys, &fleet, Some(&set), at(9)).unwrap();
    assert_ne!(next.operator, set.operator);
    assert!(next.accounts.values().all(|account| account.issued_at == START + 9));
    assert!(next.accounts.values().all(|account| next.is_issued_here(account.claims())));
}

#[test]
fn a_nodes_own_keys_stand_beside_the_roles_until_taken_back() {
    let (_folder, keys, fleet, set) = signed();
    let node_key = SecretKey::generate(KeyKind::Account).unwrap().public_key();
    let offered: NodeKeys = [(name("SHOP"), [(name("till"), node_key.clone())].into())].into();
    add_enrolled(&keys, &name("van-1"), offered.clone(), at(5)).unwrap();
    let with = sign(&keys, &fleet, Some(&set), at(5)).unwrap();
    let held = scope(&with, "SHOP", "till@van-1").unwrap();
    assert_eq!(held.key, node_key);
    assert_eq!(held.template, scope(&with, "SHOP", "till").unwrap().template);

    // Another keys directory, that never heard of the node, keeps its keys and updates them.
    fs::remove_file(layout::enrolled_node(keys.path(), &name("van-1"))).unwrap();
    let changed = self::fleet(&SHOPS.replace("sales.void", "sales.secret"));
    let kept = sign(&keys, &changed, Some(&with), at(6)).unwrap();
    let held = scope(&kept, "SHOP", "till@van-1").unwrap();
    assert_eq!(held.template.publish.deny, ["sales.secret"]);

    add_enrolled(&keys, &name("van-1"), offered.clone(), at(5)).unwrap();
    let node = remove_enrolled(&keys, &name("van-1"), at(6)).unwrap();
    assert!(node.keys.is_empty() && node.taken_back.contains(&node_key));
    let without = sign(&keys, &fleet, Some(&kept), at(7)).unwrap();
    assert!(scope(&without, "SHOP", "till@van-1").is_none());
    let back = sign(&keys, &fleet, Some(&with), at(8)).unwrap();
    assert!(scope(&back, "SHOP", "till@van-1").is_none(), "an older set does not bring it back");
    let message = add_enrolled(&keys, &name("van-1"), offered, at(7)).unwrap_err().to_string();
    assert!(message.contains("was taken back"), "{message}");
    assert!(remove_enrolled(&keys, &name("van-2"), at(8)).is_err());
}

#[test]
fn an_account_that_is_not_declared_any_more_stays_until_removed() {
    let (_folder, keys, _, set) = signed();
    let user = public_user();
    let set = revoke(&keys, &set, &name("SHOP"), &user, at(1)).unwrap();
    let without = fleet("name = \"shops\"");
    let next = sign(&keys, &without, Some(&set), at(9)).unwrap();
    assert_eq!(next.accounts["SHOP"], set.accounts["SHOP"]);
    let removal = prepare_removal(&keys, &next, &name("SHOP"), at(10)).unwrap();
    let tombstone = &removal.set.accounts["SHOP"];
    assert!(tombstone.is_removed() && tombstone.issued_at > next.accounts["SHOP"].issued_at);
    let body = &tombstone.claims().nats;
    assert_eq!((&body.limits, body.signing_keys.len(), body.imports.len()), (&Default::default(), 0, 0));
    assert!(body.revocations.contains_key(&user));
    let later = sign(&keys, &shops(), Some(&removal.set), at(0)).unwrap();
    assert!(later.accounts["SHOP"].issued_at > tombstone.issued_at && !later.accounts["SHOP"].is_removed());
    assert!(self::body(&later, "SHOP").revocations.contains_key(&user), "declared again, it still remembers");
    assert!(matches!(prepare_removal(&keys, &set, &name("SYS"), at(0)), Err(SignError::NotRemovable { .. })));
}

#[test]
fn a_folder_is_read_back_written_once_and_left_alone_after() {
    let (folder, keys, _, set) = signed();
    let jwts = folder.path().join("jwts");
    assert_eq!(set.write_dir(&jwts).unwrap().len(), 5);
    assert_eq!(JwtSet::read_dir(&jwts).unwrap(), set);
    assert!(set.write_dir(&jwts).unwrap().is_empty());
    let changed = fleet(&SHOPS.replace("connections = 10", "connections = 20"));
    let next = sign(&keys, &changed, Some(&set), at(9)).unwrap();
    assert_eq!(next.write_dir(&jwts).unwrap(), [jwts.join("SHOP.jwt")]);
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(jwts.join("SHOP.jwt")).unwrap().permissions().mode() & 0o777, 0o644);
    let mut odd = set.clone();
    odd.accounts.insert(name("Operator"), set.accounts["SHOP"].clone());
    assert!(matches!(odd.write_dir(&jwts), Err(JwtSetError::ReservedName { .. })));
}

#[test]
fn a_damaged_foreign_or_misplaced_file_in_the_folder_is_named() {
    let (folder, _, _, set) = signed();
    let (_other_folder, _, _, foreign) = signed();
    let jwts = folder.path().join("jwts");
    let read_with = |file: &str, content: &str| {
        set.write_dir(&jwts).unwrap();
        fs::write(jwts.join(file), content).unwrap();
        let error = JwtSet::read_dir(&jwts).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        format!("{error}: {source}")
    };
    let shop = &set.accounts["SHOP"].jwt;
    for length in (0..shop.len()).step_by(100) {
        let message = read_with("SHOP.jwt", &shop[..length]);
        assert!(message.contains("SHOP.jwt") && message.contains("restore it from git"), "{message}");
    }
    let tampered = shop.replacen("A", "B", 40);
    assert!(read_with("SHOP.jwt", &tampered).contains("SHOP.jwt"));
    let message = read_with("SHOP.jwt", &foreign.accounts["SHOP"].jwt);
    let signer = &foreign.operator_claims().nats.signing_keys[0];
    let operator = &set.operator_claims().subject;
    assert!(message.contains(signer.as_str()) && message.contains(operator.as_str()), "{message}");
    assert!(read_with("SHOP.jwt", &set.accounts["HEAD"].jwt).contains("about the account HEAD, not SHOP"));
    set.write_dir(&jwts).unwrap();
    assert!(read_with("operator.jwt", shop).contains("operator.jwt"));
    set.write_dir(&jwts).unwrap();
    fs::remove_file(jwts.join("SYS.jwt")).unwrap();
    assert!(JwtSet::read_dir(&jwts).unwrap_err().to_string().contains("system account"));
    fs::remove_file(jwts.join("operator.jwt")).unwrap();
    let message = JwtSet::read_dir(&jwts).unwrap_err().to_string();
    assert!(message.contains("leafbox apply --export"), "{message}");
}

/// A regression test: a new operator key was made in place of one that is kept offline, and every
/// later signing was refused as another operator's.
#[test]
fn an_operator_key_that_is_kept_offline_is_not_made_anew() {
    let (_folder, keys, mut fleet, set) = signed();
    fs::remove_file(layout::operator_key(keys.path())).unwrap();
    let [_, second] = layout::operator_signing_keys(keys.path());
    fs::remove_file(&second).unwrap();
    fleet.accounts.insert(name("VAN"), Default::default());
    ensure_fleet_keys(&keys, &fleet, at(1)).unwrap();
    assert!(!layout::operator_key(keys.path()).exists() && !second.exists());
    let signed = sign(&keys, &fleet, Some(&set), at(2)).unwrap();
    assert_eq!(signed.operator, set.operator);
    assert!(signed.accounts.contains_key("VAN"));
}
