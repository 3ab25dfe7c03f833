#![allow(clippy::unwrap_used)]
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, SystemTime},
};

use super::*;
use crate::{
    Creds, CredsFault, EnsureError, ensure_fleet_keys,
    fixture::{at, keys, name, shops, signed},
    layout,
};

fn request<'a>(account: &'a Name, account_key: &'a str, role: &'a Name) -> UserRequest<'a> {
    UserRequest { account, account_key, role, name: "till 7", expires: None, tags: &[] }
}

/// A valid creds text that expires after ten seconds.
fn text() -> String {
    let (_folder, keys, _, set) = signed();
    let (shop, till) = (name("SHOP"), name("till"));
    let request = request(&shop, &set.accounts["SHOP"].public_key, &till);
    let request = UserRequest { expires: Some(Duration::from_secs(10)), ..request };
    mint(&keys, &request, at(0)).unwrap().text().to_string()
}

#[test]
fn a_user_carries_no_permissions_and_no_limits() {
    let (_folder, keys, _, set) = signed();
    let (shop, till) = (name("SHOP"), name("till"));
    let tags = ["Van".into(), "van ".into(), "a".into()];
    let request = UserRequest { tags: &tags, ..request(&shop, &set.accounts["SHOP"].public_key, &till) };
    let creds = mint(&keys, &request, at(0)).unwrap();
    assert_eq!(creds.claims.issuer, keys.role(&shop, &till).unwrap().public_key());
    let nats = serde_json::to_value(&creds.claims).unwrap()["nats"].clone();
    let expected = serde_json::json!({
        "issuer_account": set.accounts["SHOP"].public_key, "tags": ["a", "van"], "type": "user", "version": 2
    });
    assert_eq!(nats, expected);
    assert_eq!((creds.claims.name.as_str(), creds.claims.expires), ("till 7", None));
}

#[test]
fn for_a_given_public_key_only_the_jwt_is_made() {
    let (_folder, keys, _, set) = signed();
    let (shop, till) = (name("SHOP"), name("till"));
    let request = request(&shop, &set.accounts["SHOP"].public_key, &till);
    let device = SecretKey::generate(KeyKind::User).unwrap();
    let jwt = mint_for(&keys, &request, &device.public_key(), at(0)).unwrap();
    assert_eq!(Claims::<UserBody>::decode(&jwt).unwrap().subject, device.public_key());
    let seed = device.seed();
    let message = mint_for(&keys, &request, &set.accounts["SHOP"].public_key, at(0)).unwrap_err().to_string();
    assert!(message.contains("not the public key of a user") && !message.contains(&seed[3..]), "{message}");
}

#[test]
fn what_no_server_would_take_is_refused() {
    let (_folder, keys, _, set) = signed();
    let (shop, till, none) = (name("SHOP"), name("till"), name("none"));
    let account_key = &set.accounts["SHOP"].public_key;
    let message = mint(&keys, &request(&shop, account_key, &none), at(0)).unwrap_err().to_string();
    assert!(message.contains("role none in the account SHOP"), "{message}");
    let tags: Vec<String> = (0..300).map(|number| format!("tag-number-{number}")).collect();
    let long = UserRequest { tags: &tags, ..request(&shop, account_key, &till) };
    assert!(matches!(mint(&keys, &long, at(0)), Err(MintError::TooLong { .. })));
    let short =
        UserRequest { expires: Some(Duration::from_millis(10)), ..request(&shop, account_key, &till) };
    assert!(matches!(mint(&keys, &short, at(0)), Err(MintError::Expires { .. })));
    assert!(matches!(
        mint(&keys, &request(&shop, "SHOP", &till), at(0)),
        Err(MintError::NotAnAccount { .. })
    ));
}

#[test]
fn creds_are_written_for_their_owner_only_and_read_back() {
    let (folder, keys, _, set) = signed();
    let (shop, till) = (name("SHOP"), name("till"));
    let creds =
        mint(&keys, &request(&shop, &set.accounts["SHOP"].public_key, &till), SystemTime::now()).unwrap();
    let path = folder.path().join("till.creds");
    creds.write(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(Creds::read(&path).unwrap().claims, creds.claims);
    let (text, shown) = (creds.text(), format!("{creds:?}"));
    let seed = text.lines().find(|line| line.starts_with("SU")).unwrap();
    assert!(!shown.contains(seed) && !shown.contains(&seed[10..40]));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let message = Creds::read(&path).unwrap_err().to_string();
    assert!(message.contains("`chmod 600 ") && message.contains("till.creds"), "{message}");
}

#[test]
fn creds_cut_off_anywhere_are_refused_with_the_part_that_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let (text, path) = (text(), folder.path().join("till.creds"));
    let end = text.rfind("------END USER NKEY SEED------").unwrap() + "------END USER NKEY SEED------".len();
    assert!(Creds::parse(&text[..end], at(0)).is_ok(), "what follows the seed is ornament");
    for length in (0..end).step_by(100).chain(end - 70..end) {
        let part = match Creds::parse(&text[..length], at(0)).unwrap_err() {
            CredsFault::Missing { part } => part,
            other => panic!("cut at {length}: {other}"),
        };
        let jwt_is_whole = text[..length].contains("------END NATS USER JWT------");
        assert_eq!(part.contains("seed"), jwt_is_whole, "cut at {length}: {part}");
        crate::secret_file::replace(&path, &text.as_bytes()[..length], 0o600).unwrap();
        let message = Creds::read(&path).unwrap_err().to_string();
        for wanted in ["till.creds cannot be used", part, "leafbox service creds"] {
            assert!(message.contains(wanted), "{message}");
        }
        assert!(!message.contains("SUA") && !message.contains("eyJ"), "{message}");
    }
}

#[test]
fn damaged_mixed_and_expired_creds_are_told_apart() {
    let (one, two) = (text(), text());
    let seed = |text: &str| text.lines().find(|line| line.starts_with("SU")).unwrap().to_owned();
    let jwt = |text: &str| text.lines().find(|line| line.starts_with("eyJ")).unwrap().to_owned();
    let mixed = one.replace(&seed(&one), &seed(&two));
    assert!(matches!(Creds::parse(&mixed, at(0)), Err(CredsFault::Mismatch { .. })));
    let damaged = one.replace(&seed(&one), &seed(&one)[..57]);
    assert!(matches!(Creds::parse(&damaged, at(0)), Err(CredsFault::Seed(_))));
    let damaged = one.replace(&jwt(&one), &jwt(&one)[..300]);
    assert!(matches!(Creds::parse(&damaged, at(0)), Err(CredsFault::Jwt(_))));
    assert!(Creds::parse(&one, at(9)).is_ok());
    let message = Creds::parse(&one, at(10)).unwrap_err().to_string();
    assert_eq!(message, "the user till 7 expired at 2023-11-14T22:13:30Z");
}

#[test]
fn all_keys_of_a_fleet_are_made_once_and_none_is_made_again() {
    let fleet = shops();
    let (_folder, keys) = keys(&fleet);
    let listing = |keys: &KeyStore| {
        let mut found = Vec::new();
        let mut folders = vec![keys.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path)
                } else {
                    found.push((path.clone(), fs::read(&path).unwrap()))
                }
            }
        }
        found.sort();
        found
    };
    let before = listing(&keys);
    assert!(ensure_fleet_keys(&keys, &fleet, SystemTime::now()).unwrap().is_empty());
    assert_eq!(listing(&keys), before);
    let root = keys.path();
    for wanted in [
        layout::operator_key(root),
        layout::role_key(root, &name("SYS"), &name("leafbox-push")),
        layout::service_creds(root, &name("SHOP"), &name("till-1")),
        layout::leaf_creds(root, &name("SYS")),
        layout::apply_creds(root, &name("LEAFBOX")),
        layout::system_creds(root),
        layout::health_creds(root),
        layout::registry_creds(root),
        layout::jetstream_key(root),
    ] {
        assert!(wanted.is_file(), "{}", wanted.display());
    }
    assert!(!layout::apply_creds(root, &name("SYS")).exists());
    fs::remove_file(layout::system_creds(root)).unwrap();
    let created = ensure_fleet_keys(&keys, &fleet, SystemTime::now()).unwrap();
    assert_eq!((created.keys.len(), created.creds), (0, vec![layout::system_creds(root)]));
    assert!(KeyStore::open(root).is_ok());
}

#[test]
fn creds_of_another_fleet_among_the_keys_are_named() {
    let fleet = shops();
    let ((_one, ours), (_two, theirs)) = (keys(&fleet), keys(&fleet));
    fs::copy(layout::system_creds(theirs.path()), layout::system_creds(ours.path())).unwrap();
    let error = ensure_fleet_keys(&ours, &fleet, SystemTime::now()).unwrap_err();
    assert!(matches!(error, EnsureError::Foreign { .. }));
    assert!(
        error
            .to_string()
            .contains("sys.creds was signed with a key that is not the one of the role leafbox-push")
    );
}
