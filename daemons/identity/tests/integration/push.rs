//! Pushing to one running server: what changes at once, and what is refused before it is sent.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use async_nats::Event;
use identity::{
    Creds, changes_in_force,
    claims::SigningKeyClaim,
    ensure_fleet_keys, layout,
    push::{Outcome, PushError, PushOptions, in_force, push},
    revoke, sign,
};
use serde_json::Value;

use crate::fleet::{Shops, User, name};

fn options() -> PushOptions {
    PushOptions::default()
}

#[tokio::test]
async fn a_change_is_pushed_to_live_users_and_the_rest_is_not_sent() {
    let shops = Shops::new();
    let server = shops.start("one").await;
    let pusher = shops.pusher(&server).await;
    let mut observer = shops.user(&server, "SHOP", "all").await;
    let mut till = shops.user(&server, "SHOP", "till").await;
    assert!(!till.can_publish(&mut observer, "sales.void").await);

    let report = push(&pusher, &shops.set, &options()).await.unwrap();
    assert_eq!((report.pushed.len(), report.unchanged.len()), (0, shops.set.accounts.len()));
    let next = shops.changed("publish_deny = [\"sales.void\"]", "");
    let state = in_force(&pusher, &next, &options()).await.unwrap();
    assert_eq!(state.differs_from(&next), [&name("SHOP")]);
    assert_eq!(state.newest(&name("SHOP")).unwrap().issued_at, shops.set.accounts["SHOP"].issued_at);
    assert_eq!(state.as_set().as_ref(), Some(&shops.set), "the servers know the whole set");
    let changes = changes_in_force(&state, &next);
    let [change] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!((&change.account, change.what.as_str()), (&name("SHOP"), "role till publish"));
    assert_eq!(change.from.as_deref(), Some("sales.> but not sales.void"));
    let report = push(&pusher, &next, &options()).await.unwrap();
    assert_eq!(report.to_string(), "accounts: SHOP in force on 1 server; 4 unchanged");
    assert_eq!(report.pushed.keys().collect::<Vec<_>>(), [&name("SHOP")]);
    assert_eq!(report.pushed["SHOP"]["one"], Outcome::InForce);
    till.reconnects().await;
    assert!(till.can_publish(&mut observer, "sales.void").await, "the live user has its new permission");
    let report = push(&pusher, &next, &options()).await.unwrap();
    assert!(report.pushed.is_empty());
}

#[tokio::test]
async fn an_account_made_later_is_stored_and_used_when_its_first_user_comes() {
    let shops = Shops::new();
    let server = shops.start("one").await;
    let pusher = shops.pusher(&server).await;
    let next = shops.changed("[accounts.VAN.roles.all]", "[accounts.BOAT]\n[accounts.VAN.roles.all]");
    let report = push(&pusher, &next, &options()).await.unwrap();
    assert_eq!(report.pushed["BOAT"]["one"], Outcome::Stored);
    let boat = Creds::read(&layout::apply_creds(shops.keys.path(), &name("BOAT"))).unwrap();
    User::connect(&server, &boat).await.unwrap();
    let report = push(&pusher, &next, &options()).await.unwrap();
    assert!(report.pushed.is_empty());
}

#[tokio::test]
async fn changing_the_pushers_own_role_is_verified_all_the_same() {
    let shops = Shops::new();
    let server = shops.start("one").await;
    let pusher = shops.pusher(&server).await;
    let next = shops.forged("SYS", |system| {
        for key in &mut system.signing_keys {
            if let SigningKeyClaim::Scoped(scope) = key {
                scope.template.publish.allow.push("$SYS.REQ.SERVER.PING.IDZ".into());
            }
        }
    });
    let report = push(&pusher, &next, &options()).await.unwrap();
    assert_eq!(report.pushed["SYS"]["one"], Outcome::InForce);
}

#[tokio::test]
async fn a_revoked_user_is_dropped_and_an_older_set_cannot_bring_it_back() {
    let shops = Shops::new();
    let server = shops.start("one").await;
    let pusher = shops.pusher(&server).await;
    let (lost, kept) = (shops.mint("SHOP", "till"), shops.mint("SHOP", "till"));
    let mut live = User::connect(&server, &lost).await.unwrap();
    let mut stays = User::connect(&server, &kept).await.unwrap();
    let now = SystemTime::now();
    let next = revoke(&shops.keys, &shops.set, &name("SHOP"), &lost.claims.subject, now).unwrap();
    push(&pusher, &next, &options()).await.unwrap();
    live.hears("the disconnection", |event| matches!(event, Event::Disconnected)).await;
    assert!(User::connect(&server, &lost).await.is_err());
    stays.settle().await;
    User::connect(&server, &kept).await.unwrap();

    let error = push(&pusher, &shops.set, &options()).await.unwrap_err();
    let PushError::NewerInForce { accounts } = &error else { panic!("{error}") };
    assert_eq!((&accounts[0].account, accounts[0].server.as_str()), (&name("SHOP"), "one"));
    assert!(error.to_string().contains("would undo newer ones, revocations too"), "{error}");
    assert!(User::connect(&server, &lost).await.is_err());

    // Signed on top of the set before the revocation, at the same second: as new, and other.
    let rival = sign(
        &shops.keys,
        &toml::from_str(&crate::fleet::SHOPS.replace("sales.void", "sales.x")).unwrap(),
        Some(&shops.set),
        now,
    );
    let error = push(&pusher, &rival.unwrap(), &options()).await.unwrap_err();
    assert!(matches!(error, PushError::NewerInForce { .. }), "{error}");
    let merged = sign(&shops.keys, &shops.fleet, Some(&next), now + Duration::from_secs(5)).unwrap();
    assert_eq!(merged, next, "signing keeps the revocation");
}

#[tokio::test]
async fn a_foreign_operator_is_refused_before_anything_is_sent() {
    let (ours, theirs) = (Shops::new(), Shops::new());
    let server = ours.start("one").await;
    let pusher = ours.pusher(&server).await;
    let error = push(&pusher, &theirs.set, &options()).await.unwrap_err();
    assert!(matches!(error, PushError::ForeignOperator { .. }));
    let message = error.to_string();
    let keys = [&ours.set, &theirs.set].map(|set| set.operator_claims().subject.clone());
    assert!(
        keys.iter().all(|key| message.contains(key)) && message.contains("nothing was sent"),
        "{message}"
    );
    let resolver = ours.folder.path().join("one/resolver");
    let foreign = &theirs.set.accounts["SHOP"].public_key;
    assert!(!resolver.join(format!("{foreign}.jwt")).exists());
    let file =
        fs::read_to_string(resolver.join(format!("{}.jwt", ours.set.accounts["SHOP"].public_key))).unwrap();
    assert_eq!(file, ours.set.accounts["SHOP"].jwt);
}

#[tokio::test]
async fn a_signing_key_that_the_server_does_not_know_is_refused_before_anything_is_sent() {
    let shops = Shops::new();
    let server = shops.start("one").await;
    let pusher = shops.pusher(&server).await;
    for path in layout::operator_signing_keys(shops.keys.path()) {
        fs::remove_file(path).unwrap();
    }
    ensure_fleet_keys(&shops.keys, &shops.fleet, SystemTime::now()).unwrap();
    let rotated = sign(&shops.keys, &shops.fleet, Some(&shops.set), SystemTime::now()).unwrap();
    let error = push(&pusher, &rotated, &options()).await.unwrap_err();
    assert!(matches!(error, PushError::UnknownSigningKey { .. }));
    assert!(error.to_string().contains("give the server the new operator.jwt"), "{error}");
}

#[tokio::test]
async fn creds_of_another_account_cannot_push_and_are_told_so() {
    let shops = Shops::new();
    let server = shops.start("one").await;
    let user = shops.user(&server, "SHOP", "all").await;
    let options = PushOptions { timeout: Duration::from_secs(1), ..options() };
    let error = push(&user.client, &shops.set, &options).await.unwrap_err();
    assert!(error.to_string().contains("keys/sys.creds"), "{error}");
}

#[tokio::test]
async fn the_server_takes_every_jwt_without_a_complaint() {
    let shops = Shops::new();
    let server = shops.start("one").await;
    let pusher = shops.pusher(&server).await;
    for account in ["SHOP", "HEAD", "VAN"] {
        shops.user(&server, account, "all").await;
    }
    for (name, account) in &shops.set.accounts {
        let subject = format!("$SYS.REQ.ACCOUNT.{}.INFO", account.public_key);
        let reply = pusher.request(subject, "".into()).await.unwrap();
        let info: Value = serde_json::from_slice(&reply.payload).unwrap();
        let Some(data) = info["data"].as_object() else {
            assert_eq!(name.as_str(), "LEAFBOX", "all others have users: {info}");
            continue;
        };
        assert_eq!(data["complete"], true, "{name}: {info}");
        assert!(
            data.get("validation_result_jwt").and_then(Value::as_array).is_none_or(Vec::is_empty),
            "{name}: {info}"
        );
        // The Go library's reading of our JWT, against our own.
        let ours = serde_json::to_value(account.claims()).unwrap();
        let mut theirs = data["decoded_jwt"].clone();
        let nats = theirs["nats"].as_object_mut().unwrap();
        // Structs that it writes even when they are empty.
        nats.remove("default_permissions");
        nats.remove("authorization");
        assert_eq!(theirs, ours, "{name}");
    }
}
