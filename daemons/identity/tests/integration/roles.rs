//! What a role may and may not do, and what an account may take from another.

use std::path::PathBuf;

use futures::StreamExt;
use identity::{
    claims::ImportClaim,
    push::{Outcome, PushError, PushOptions, push},
};
use tokio::time::timeout;

use crate::fleet::{PATIENCE, Shops, User, name};

#[tokio::test]
async fn a_role_does_what_it_declares_and_nothing_else() {
    let shops = Shops::new();
    let server = shops.start("one").await;
    let mut observer = shops.user(&server, "SHOP", "all").await;
    let mut till = shops.user(&server, "SHOP", "till").await;
    assert!(till.can_publish(&mut observer, "sales.fruit").await);
    assert!(!till.can_publish(&mut observer, "sales.void").await);
    assert!(!till.can_publish(&mut observer, "prices.fruit").await);
    assert!(till.can_subscribe(&observer, "prices.fruit").await);
    assert!(till.can_subscribe(&observer, "_INBOX.till").await);
    assert!(!till.can_subscribe(&observer, "sales.fruit").await);
    let mut speaks = shops.user(&server, "SHOP", "speaks").await;
    assert!(speaks.can_publish(&mut observer, "said").await);
    assert!(!speaks.can_subscribe(&observer, "said").await, "nothing declared is nothing allowed");
}

#[tokio::test]
async fn a_role_without_publish_answers_what_it_is_asked_and_only_so_often() {
    let shops = Shops::new();
    let server = shops.start("one").await;
    let mut observer = shops.user(&server, "SHOP", "all").await;
    let mut answers = shops.user(&server, "SHOP", "answers").await;
    assert!(!answers.can_publish(&mut observer, "anything").await);
    assert!(!answers.can_publish(&mut observer, "ask").await);
    let mut asked = answers.client.subscribe("ask").await.unwrap();
    answers.settle().await;
    let mut replies = observer.client.subscribe("reply.here").await.unwrap();
    observer.client.publish_with_reply("ask", "reply.here", "?".into()).await.unwrap();
    let request = timeout(PATIENCE, asked.next()).await.unwrap().unwrap();
    let reply = request.reply.unwrap();
    for text in ["one", "two", "three"] {
        answers.client.publish(reply.clone(), text.into()).await.unwrap();
    }
    answers.settle().await;
    answers.is_denied("publish", "reply.here").await;
    observer.client.publish("reply.here", "end".into()).await.unwrap();
    let mut heard = Vec::new();
    while heard.last().is_none_or(|last| last != "end") {
        let message = timeout(PATIENCE, replies.next()).await.unwrap().unwrap();
        heard.push(String::from_utf8(message.payload.to_vec()).unwrap());
    }
    assert_eq!(heard, ["one", "two", "end"]);
}

#[tokio::test]
async fn a_leaf_of_the_system_account_cannot_push_and_a_pusher_cannot_listen() {
    let shops = Shops::new();
    let server = shops.start("one").await;
    let read = |path: PathBuf| identity::Creds::read(&path).unwrap();
    let pusher = read(identity::layout::system_creds(shops.keys.path()));
    let leaf = read(identity::layout::leaf_creds(shops.keys.path(), &name("SYS")));
    let mut leaf = User::connect(&server, &leaf).await.unwrap();
    leaf.client.publish("$SYS.REQ.CLAIMS.UPDATE", "x".into()).await.unwrap();
    leaf.is_denied("publish", "$SYS.REQ.CLAIMS.UPDATE").await;
    let mut pusher = User::connect(&server, &pusher).await.unwrap();
    let _denied = pusher.client.subscribe("$SYS.ACCOUNT.>").await.unwrap();
    pusher.is_denied("subscription", "$SYS.ACCOUNT.>").await;
}

#[tokio::test]
async fn an_activated_import_works_and_another_account_cannot_take_it() {
    let shops = Shops::new();
    let server = shops.start("one").await;
    let mut head = shops.user(&server, "HEAD", "all").await;
    let mut shop = shops.user(&server, "SHOP", "all").await;
    let mut van = shops.user(&server, "VAN", "all").await;

    let mut stock = head.client.subscribe("stock.*").await.unwrap();
    head.settle().await;
    let client = shop.client.clone();
    let request = tokio::spawn(async move { client.request("head.stock.apple", "?".into()).await });
    let asked = timeout(PATIENCE, stock.next()).await.unwrap().unwrap();
    assert_eq!(asked.subject.as_str(), "stock.apple");
    head.client.publish(asked.reply.unwrap(), "7".into()).await.unwrap();
    assert_eq!(request.await.unwrap().unwrap().payload, "7");

    // VAN's JWT as somebody with the operator's keys but without HEAD's leave could write it.
    let import = &shops.set.accounts["SHOP"].claims().nats.imports[0];
    let forged = |token: &str| {
        shops.forged("VAN", |van| van.imports = vec![ImportClaim { token: token.into(), ..import.clone() }])
    };
    let pusher = shops.pusher(&server).await;
    assert!(!import.token.is_empty());
    let error = push(&pusher, &forged(&import.token), &PushOptions::default()).await.unwrap_err();
    let PushError::Incomplete { report } = &error else { panic!("{error}") };
    assert!(
        matches!(&report.pushed["VAN"]["one"], Outcome::Failed(why) if why.contains("activation token")),
        "{error}"
    );
    let report = push(&pusher, &forged(""), &PushOptions::default()).await.unwrap();
    assert_eq!(report.pushed["VAN"]["one"], Outcome::InForce);

    let mut prices = shop.client.subscribe("prices.fruit.>").await.unwrap();
    let mut taken = van.client.subscribe("prices.fruit.>").await.unwrap();
    shop.settle().await;
    van.settle().await;
    head.client.publish("prices.fruit.apple", "1".into()).await.unwrap();
    head.settle().await;
    assert_eq!(timeout(PATIENCE, prices.next()).await.unwrap().unwrap().payload, "1");
    van.client.publish("prices.fruit.apple", "own".into()).await.unwrap();
    let first = timeout(PATIENCE, taken.next()).await.unwrap().unwrap();
    assert_eq!(first.payload, "own", "what HEAD published before did not arrive");
}
