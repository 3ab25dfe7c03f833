#![allow(clippy::unwrap_used)]
use std::{sync::Barrier, thread};

use super::*;
use crate::{
    fixture::{SHOPS, at, fleet, name, signed},
    nkey::{KeyKind, SecretKey},
    prepare_removal, revoke, sign,
};

fn public_user() -> String {
    SecretKey::generate(KeyKind::User).unwrap().public_key()
}

fn revoked(set: &JwtSet) -> Vec<&String> {
    set.accounts["SHOP"].claims().nats.revocations.keys().collect()
}

#[test]
fn a_lost_folder_of_jwts_loses_no_revocation_and_no_removal() {
    let (folder, keys, fleet, _) = signed();
    let jwts = folder.path().join("jwts");
    let ledger = Ledger::new(&keys, &jwts);
    let user = public_user();
    ledger.sign(at(0), |previous| sign(&keys, &fleet, previous, at(0))).unwrap();
    ledger.sign(at(1), |set| revoke(&keys, set.unwrap(), &name("SHOP"), &user, at(1))).unwrap();
    let removed = |set: Option<&JwtSet>| Ok(prepare_removal(&keys, set.unwrap(), &name("HEAD"), at(2))?.set);
    let last = ledger.sign(at(2), removed).unwrap().set;
    fs::remove_dir_all(&jwts).unwrap();
    let without = self::fleet("name = \"shops\"");
    let again = ledger.sign(at(9), |previous| sign(&keys, &without, previous, at(9))).unwrap();
    assert_eq!(again.set.accounts["SHOP"], last.accounts["SHOP"]);
    assert_eq!(revoked(&again.set), [&user]);
    assert!(again.set.accounts["HEAD"].is_removed());
    assert_eq!(JwtSet::read_dir(&jwts).unwrap(), again.set);
}

#[test]
fn every_place_adds_its_revocations_and_an_older_one_takes_nothing_back() {
    let (folder, keys, _, set) = signed();
    let (jwts, copy) = (folder.path().join("jwts"), folder.path().join("git"));
    let shop = name("SHOP");
    let [one, two, three] = [public_user(), public_user(), public_user()];
    let ledger = Ledger { copy: Some(&copy), ..Ledger::new(&keys, &jwts) };
    let changed = self::fleet(&SHOPS.replace("connections = 10", "connections = 20"));
    let newest = sign(&keys, &changed, Some(&set), at(60)).unwrap();
    ledger.remember(&newest).unwrap();
    revoke(&keys, &set, &shop, &one, at(10)).unwrap().write_dir(&jwts).unwrap();
    revoke(&keys, &set, &shop, &two, at(20)).unwrap().write_dir(&copy).unwrap();
    let in_force = revoke(&keys, &set, &shop, &three, at(30)).unwrap();
    let ledger = Ledger { in_force: Some(&in_force), ..ledger };

    let merged = ledger.read(at(70)).unwrap().unwrap();
    let mut all = [&one, &two, &three];
    all.sort();
    assert_eq!(revoked(&merged), all);
    assert_eq!(merged.accounts["SHOP"].claims().nats.limits.conn, 20, "the newest counts for the rest");
    assert_eq!(merged.accounts["HEAD"], set.accounts["HEAD"]);
    let next = ledger.sign(at(80), |previous| sign(&keys, &changed, previous, at(80))).unwrap().set;
    assert_eq!(revoked(&next), all);
    for folder in [&jwts, &copy] {
        assert_eq!(JwtSet::read_dir(folder).unwrap(), next);
    }
    assert_eq!(ledger.sign(at(99), |set| Ok(set.unwrap().clone())).unwrap().written, Vec::<PathBuf>::new());

    // Claims in force that are newer were signed elsewhere: a push refuses to go over them.
    let elsewhere = revoke(&keys, &next, &shop, "*", at(500)).unwrap();
    let ledger = Ledger { in_force: Some(&elsewhere), ..ledger };
    assert_eq!(ledger.read(at(600)).unwrap().unwrap(), next);
}

#[test]
fn with_nothing_left_but_the_keys_the_servers_know() {
    let (folder, keys, fleet, set) = signed();
    let jwts = folder.path().join("jwts");
    let set = revoke(&keys, &set, &name("SHOP"), "*", at(5)).unwrap();
    let ledger = Ledger { in_force: Some(&set), ..Ledger::new(&keys, &jwts) };
    let next = ledger.sign(at(9), |previous| sign(&keys, &fleet, previous, at(9))).unwrap().set;
    assert_eq!(next, set);
    // Another operator's servers have nothing to say.
    let (_other_folder, _, _, foreign) = signed();
    let other = folder.path().join("other");
    fs::remove_file(layout::ledger(keys.path())).unwrap();
    let ledger = Ledger { in_force: Some(&foreign), ..Ledger::new(&keys, &other) };
    assert_eq!(ledger.read(at(9)).unwrap(), None);
}

#[test]
fn a_folder_of_another_operator_is_refused_and_left_alone() {
    let (folder, keys, fleet, _) = signed();
    let (_other_folder, _, _, foreign) = signed();
    let (jwts, copy) = (folder.path().join("jwts"), folder.path().join("git"));
    foreign.write_dir(&copy).unwrap();
    Ledger::new(&keys, &jwts).sign(at(0), |previous| sign(&keys, &fleet, previous, at(0))).unwrap();
    let ledger = Ledger { copy: Some(&copy), ..Ledger::new(&keys, &jwts) };
    let error = ledger.sign(at(1), |previous| sign(&keys, &fleet, previous, at(1))).unwrap_err();
    assert!(matches!(error, LedgerError::Sign(SignError::ForeignOperator { .. })), "{error}");
    assert_eq!(JwtSet::read_dir(&copy).unwrap(), foreign);
    // A damaged one is what writing it again is for.
    fs::remove_dir_all(&copy).unwrap();
    ledger.sign(at(1), |set| Ok(set.unwrap().clone())).unwrap();
    let whole = JwtSet::read_dir(&copy).unwrap();
    fs::write(copy.join("SHOP.jwt"), "cut").unwrap();
    ledger.sign(at(2), |set| Ok(set.unwrap().clone())).unwrap();
    assert_eq!(JwtSet::read_dir(&copy).unwrap(), whole);
}

#[test]
fn a_damaged_memory_is_named_with_what_to_do() {
    let (folder, keys, _, set) = signed();
    let jwts = folder.path().join("jwts");
    let ledger = Ledger::new(&keys, &jwts);
    ledger.remember(&set).unwrap();
    let path = layout::ledger(keys.path());
    let whole = fs::read_to_string(&path).unwrap();
    for broken in [whole[..whole.len() / 2].to_owned(), whole.replacen("eyJ", "eyX", 1)] {
        fs::write(&path, broken).unwrap();
        let message = ledger.read(at(0)).unwrap_err().to_string();
        assert!(message.contains("signed.json") && message.contains("restore it from a backup"), "{message}");
    }
}

#[test]
fn revocations_at_the_same_moment_are_all_kept() {
    const COUNT: usize = 8;
    let (folder, keys, fleet, _) = signed();
    let jwts = folder.path().join("jwts");
    let ledger = Ledger::new(&keys, &jwts);
    ledger.sign(at(0), |previous| sign(&keys, &fleet, previous, at(0))).unwrap();
    let start = Barrier::new(COUNT);
    thread::scope(|scope| {
        for _ in 0..COUNT {
            scope.spawn(|| {
                let user = public_user();
                start.wait();
                ledger.sign(at(1), |set| revoke(&keys, set.unwrap(), &name("SHOP"), &user, at(1))).unwrap();
            });
        }
    });
    assert_eq!(revoked(&JwtSet::read_dir(&jwts).unwrap()).len(), COUNT);
}
