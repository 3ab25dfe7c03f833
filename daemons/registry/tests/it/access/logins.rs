//! A name and a secret, on each request.

use registry::{
    access::{BadSecret, Refused, revoke},
    records::now,
};
use settings::node::Anonymous;

use super::{Door, ELSEWHERE, HERE, basic, login};
use crate::harness::{Node, until};

#[tokio::test]
async fn without_a_token_this_machine_does_what_node_toml_says_and_others_nothing() {
    let node = Node::start().await;
    for (anonymous, here) in
        [(Anonymous::None, ""), (Anonymous::Pull, "pull"), (Anonymous::Push, "pull,push")]
    {
        let door = Door::with(&node, anonymous).await;
        // What clients send that are not logged in.
        for nobody in ["", "Basic Og=="] {
            assert_eq!(door.rights(HERE, nobody, "team/app"), here, "{anonymous:?}");
            assert_eq!(door.rights("[::ffff:127.0.0.1]:1", nobody, "team/app"), here, "{anonymous:?}");
            assert_eq!(door.rights(ELSEWHERE, nobody, "team/app"), "", "{anonymous:?}");
        }
        assert_eq!(door.caller(HERE, "").unwrap().may_list().is_ok(), !here.is_empty());
        assert!(door.caller(ELSEWHERE, "").unwrap().may_list().is_err());
    }
}

#[tokio::test]
async fn a_token_gives_its_rights_in_its_repositories_from_anywhere() {
    let node = Node::start().await;
    let door = Door::at(&node).await;
    let ci = login(&door.mint("ci", &["team/*"], "pull,push").await);
    let all = login(&door.mint("admin", &["**"], "*").await);
    for from in [HERE, ELSEWHERE] {
        assert_eq!(door.rights(from, &ci, "team/app"), "pull,push");
        assert_eq!(door.rights(from, &ci, "other"), "");
        assert_eq!(door.rights(from, &all, "other"), "pull,push,delete");
    }
    let caller = door.caller(ELSEWHERE, &ci).unwrap();
    assert_eq!(caller.name(), "ci");
    assert!(caller.sees(&"team/app".parse().unwrap()) && !caller.sees(&"other".parse().unwrap()));
}

#[tokio::test]
async fn a_name_and_a_secret_that_do_not_belong_together_are_refused() {
    let node = Node::start().await;
    let door = Door::at(&node).await;
    let ci = door.mint("ci", &["**"], "pull").await;
    let other = door.mint("other", &["**"], "pull").await;
    let secret = ci.secret.reveal();
    let refused = |user: &str, password: &str| door.caller(ELSEWHERE, &basic(user, password)).unwrap_err();
    assert_eq!(refused("other", secret), Refused::Unknown);
    assert_eq!(refused("nobody", secret), Refused::Unknown);
    assert_eq!(refused("", secret), Refused::Unknown);
    assert_eq!(refused("CI", secret), Refused::Unknown);
    assert_eq!(refused("ci", other.secret.reveal()), Refused::Unknown);
    assert_eq!(refused("ci", &ci.record.hash), Refused::NoSecret(BadSecret::NotOne));
    assert_eq!(refused("ci", &secret[..50]), Refused::NoSecret(BadSecret::Cut { found: 50 }));
    assert!(door.caller(ELSEWHERE, &login(&ci)).is_ok());
    // Wrong credentials are not taken for none.
    assert_eq!(door.rights(HERE, &basic("ci", "hunter2"), "team/app"), "401");
    assert_eq!(door.rights(HERE, "Digest x", "team/app"), "401");
}

#[tokio::test]
async fn a_token_ends_when_its_time_is_over_and_only_its_holder_is_told() {
    let node = Node::start().await;
    let door = Door::at(&node).await;
    let ci = door.mint("ci", &["**"], "pull").await;
    assert!(door.storage.revoke_token("ci").await.unwrap());
    let mut record = ci.record.clone();
    record.expires = Some(now() + 3600);
    assert!(door.storage.add_token("ci", &record).await.unwrap());
    assert!(door.caller(ELSEWHERE, &login(&ci)).is_ok());
    assert!(door.storage.revoke_token("ci").await.unwrap());
    record.expires = Some(now());
    assert!(door.storage.add_token("ci", &record).await.unwrap());
    assert_eq!(door.caller(ELSEWHERE, &login(&ci)).unwrap_err(), Refused::Expired { name: "ci".into() });
    let other = registry::access::Secret::random();
    assert_eq!(door.caller(ELSEWHERE, &basic("ci", other.reveal())).unwrap_err(), Refused::Unknown);
}

#[tokio::test]
async fn a_revoked_token_ends_at_every_daemon() {
    let node = Node::start().await;
    let (one, two) = tokio::join!(Door::at(&node), Door::at(&node));
    let ci = login(&one.mint("ci", &["**"], "pull").await);
    until("the other daemon knows the token", async || two.caller(HERE, &ci).is_ok()).await;
    revoke(&two.storage, &two.audit, "command", "ci").await.unwrap();
    assert!(two.caller(HERE, &ci).is_err());
    until("the first daemon knows that it is revoked", async || one.caller(HERE, &ci).is_err()).await;
}

#[tokio::test]
async fn tokens_are_known_while_nats_server_is_away() {
    let mut node = Node::start().await;
    let door = Door::at(&node).await;
    let ci = login(&door.mint("ci", &["**"], "pull").await);
    let bearer = door.bearer(HERE, &ci, "repository:a:pull").await;
    node.kill().await;
    assert_eq!(door.rights(ELSEWHERE, &ci, "a"), "pull");
    assert_eq!(door.rights(ELSEWHERE, &bearer, "a"), "pull");
    // Another one can be signed as well: its key is known.
    door.bearer(HERE, &ci, "repository:a:pull").await;
}
