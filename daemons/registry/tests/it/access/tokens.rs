//! Tokens are made, listed and revoked.

use registry::{
    access::{TokenError, list, mint, revoke},
    records::now,
};

use super::{Door, HERE, basic, login, new};
use crate::harness::{Node, until};

#[tokio::test]
async fn a_token_is_stored_as_a_hash_listed_and_revoked_once() {
    let node = Node::start().await;
    let door = Door::at(&node).await;
    let ci = door.mint("ci", &["team/*", "base"], "pull,push").await;
    door.mint("admin", &["**"], "*").await;
    let tokens = list(&door.storage);
    assert_eq!(tokens.iter().map(|token| token.name.as_str()).collect::<Vec<_>>(), ["admin", "ci"]);
    assert_eq!(tokens[1], ci.record);
    assert_eq!(ci.record.repositories, ["team/*", "base"]);
    assert!(ci.record.pull && ci.record.push && !ci.record.delete);
    let stored = serde_json::to_string(&tokens).unwrap();
    assert!(stored.contains(&ci.secret.hash()) && !stored.contains(ci.secret.reveal()));
    let end = async |name| revoke(&door.storage, &door.audit, "command", name).await;
    end("ci").await.unwrap();
    for unknown in ["ci", "nobody", "", "a.b", "*"] {
        assert!(matches!(end(unknown).await, Err(TokenError::Unknown { .. })), "{unknown}");
    }
    assert_eq!(list(&door.storage).len(), 1);
}

#[tokio::test]
async fn what_would_be_no_good_token_is_refused_with_the_reason() {
    let node = Node::start().await;
    let door = Door::at(&node).await;
    let refused =
        async |token| mint(&door.storage, &door.audit, "command", token).await.unwrap_err().to_string();
    let long = "a".repeat(65);
    for bad in ["", "a b", "a.b", "a:b", "ä", "a/b", &long] {
        let text = refused(new(bad, &["**"], "pull")).await;
        assert!(text.contains("cannot name a token: use"), "{text}");
    }
    for reserved in ["anonymous", "travel", "command", "retention"] {
        let text = refused(new(reserved, &["**"], "pull")).await;
        assert!(text.contains("choose another"), "{text}");
    }
    for nothing in [new("ci", &[], "pull"), new("ci", &["**"], "")] {
        let text = refused(nothing).await;
        assert!(text.contains("would allow nothing"), "{text}");
    }
    let mut past = new("ci", &["**"], "pull");
    past.expires = Some(now());
    assert!(refused(past).await.contains("have ended already"));
    assert!(list(&door.storage).is_empty());
}

#[tokio::test]
async fn of_two_tokens_of_one_name_made_at_once_there_is_one() {
    let node = Node::start().await;
    let (one, two) = tokio::join!(Door::at(&node), Door::at(&node));
    let make = |door: &Door| {
        let (storage, audit) = (door.storage.clone(), door.audit.clone());
        async move { mint(&storage, &audit, "command", new("ci", &["**"], "pull")).await }
    };
    let made = tokio::join!(make(&one), make(&two), make(&one), make(&two));
    let made = [made.0, made.1, made.2, made.3];
    let (made, taken): (Vec<_>, Vec<_>) = made.into_iter().partition(Result::is_ok);
    assert_eq!((made.len(), taken.len()), (1, 3));
    assert!(taken.iter().all(|taken| matches!(taken, Err(TokenError::Taken { .. }))));
    let made = login(made[0].as_ref().unwrap());
    for door in [&one, &two] {
        until("the token is known", async || door.caller(HERE, &made).is_ok()).await;
    }
}

#[tokio::test]
async fn a_token_that_has_expired_gives_its_name_away_and_its_secret_stays_ended() {
    let node = Node::start().await;
    let door = Door::at(&node).await;
    let first = door.mint("ci", &["**"], "pull").await;
    let again = mint(&door.storage, &door.audit, "command", new("ci", &["**"], "pull")).await;
    assert!(matches!(again, Err(TokenError::Taken { .. })));
    assert!(door.storage.revoke_token("ci").await.unwrap());
    let mut ended = first.record.clone();
    ended.expires = Some(now());
    assert!(door.storage.add_token("ci", &ended).await.unwrap());
    let second = door.mint("ci", &["**"], "pull").await;
    assert!(door.caller(HERE, &login(&second)).is_ok());
    assert!(door.caller(HERE, &basic("ci", first.secret.reveal())).is_err());
}
