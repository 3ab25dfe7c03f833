//! Bearer tokens of `GET` and `POST /token`.

use registry::{
    Key,
    access::{BadBearer, Refused, Scopes, revoke},
};
use settings::node::Anonymous;

use super::{Door, ELSEWHERE, HERE, get, login, post};
use crate::harness::{Node, until};

const PUSH: &str = "repository%3Ateam%2Fapp%3Apull%2Cpush";

#[tokio::test]
async fn a_bearer_token_has_what_was_asked_and_no_more_than_the_token_allows() {
    let node = Node::start().await;
    let door = Door::at(&node).await;
    let ci = login(&door.mint("ci", &["team/*"], "pull,push").await);
    let (status, headers, answer) =
        door.token(ELSEWHERE, get(&ci, &format!("{PUSH}&scope=repository:other:pull"))).await;
    assert_eq!((status, headers["cache-control"].to_str().unwrap()), (200, "no-store"));
    assert_eq!(answer["token"], answer["access_token"]);
    assert_eq!(
        (&answer["expires_in"], &answer["scope"]),
        (&900.into(), &"repository:team/app:pull,push".into())
    );
    assert!(answer["issued_at"].as_str().unwrap().ends_with('Z'));
    let bearer = format!("Bearer {}", answer["token"].as_str().unwrap());
    assert_eq!(door.rights(ELSEWHERE, &bearer, "team/app"), "pull,push");
    assert_eq!(door.rights(ELSEWHERE, &bearer, "team/next"), "");
    assert_eq!(door.rights(ELSEWHERE, &bearer, "other"), "");
    let caller = door.caller(ELSEWHERE, &bearer).unwrap();
    assert_eq!(caller.name(), "ci");
    assert!(caller.may_enter().is_ok() && caller.may_list().is_err());
    // What it lacks can be asked for, or cannot.
    let refused =
        |name: &str| caller.may(&name.parse().unwrap(), registry::access::Action::Pull).unwrap_err();
    assert!(matches!(refused("team/next"), Refused::ScopeTooSmall { .. }));
    assert!(matches!(refused("other"), Refused::Denied { .. }));
    // A pull is less than was allowed, and the list is a scope of its own.
    let pull = door.bearer(ELSEWHERE, &ci, "repository:team/app:pull").await;
    assert_eq!(door.rights(ELSEWHERE, &pull, "team/app"), "pull");
    let list = door.bearer(ELSEWHERE, &ci, "registry%3Acatalog%3A*").await;
    assert!(door.caller(ELSEWHERE, &list).unwrap().may_list().is_ok());
    // `docker login` asks for no scope.
    let nothing = door.bearer(ELSEWHERE, &ci, "").await;
    assert!(door.caller(ELSEWHERE, &nothing).unwrap().may_enter().is_ok());
}

#[tokio::test]
async fn without_a_login_this_machine_gets_what_is_anonymous_and_others_nothing() {
    let node = Node::start().await;
    let door = Door::at(&node).await;
    let bearer = door.bearer(HERE, "", PUSH).await;
    assert_eq!(door.rights(HERE, &bearer, "team/app"), "pull");
    assert_eq!(door.rights(HERE, &bearer, "other"), "");
    assert!(door.caller(HERE, &bearer).unwrap().may_enter().is_ok());
    // Carried elsewhere it is worth nothing.
    assert_eq!(door.rights(ELSEWHERE, &bearer, "team/app"), "");
    for nobody in ["", "Basic Og=="] {
        let (status, headers, body) = door.token(ELSEWHERE, get(nobody, PUSH)).await;
        assert_eq!((status, &body["errors"][0]["code"]), (401, &"UNAUTHORIZED".into()));
        assert!(headers["www-authenticate"].to_str().unwrap().starts_with("Basic "));
    }
    let closed = Door::with(&node, Anonymous::None).await;
    assert_eq!(closed.token(HERE, get("", PUSH)).await.0, 401);
    assert_eq!(closed.rights(HERE, &bearer, "team/app"), "");
}

#[tokio::test]
async fn a_bearer_token_is_good_at_every_daemon_and_ends_with_its_token() {
    let node = Node::start().await;
    let (one, two) = tokio::join!(Door::at(&node), Door::at(&node));
    let ci = login(&one.mint("ci", &["**"], "pull").await);
    until("the other daemon knows the token", async || two.caller(HERE, &ci).is_ok()).await;
    // Both make the key at once, and one of them wins.
    let (first, second) = tokio::join!(
        one.bearer(ELSEWHERE, &ci, "repository:a:pull"),
        two.bearer(ELSEWHERE, &ci, "repository:a:pull"),
    );
    for bearer in [&first, &second] {
        for door in [&one, &two] {
            until("the key is known", async || door.rights(ELSEWHERE, bearer, "a") == "pull").await;
        }
    }
    revoke(&one.storage, &one.audit, "command", "ci").await.unwrap();
    let ended = Refused::BearerEnded { bearer: BadBearer::Revoked, scopes: Scopes::default() };
    assert_eq!(one.caller(ELSEWHERE, &first).unwrap_err(), ended);
    until("the other daemon knows that it is revoked", async || two.caller(ELSEWHERE, &first).is_err()).await;
    // The next one of the name is another token.
    one.mint("ci", &["**"], "pull").await;
    assert_eq!(one.caller(ELSEWHERE, &first).unwrap_err(), ended);
}

#[tokio::test]
async fn rights_that_a_token_lost_are_lost_to_its_bearer_tokens() {
    let node = Node::start().await;
    let door = Door::at(&node).await;
    let minted = door.mint("ci", &["**"], "pull,push").await;
    let bearer = door.bearer(ELSEWHERE, &login(&minted), PUSH).await;
    assert_eq!(door.rights(ELSEWHERE, &bearer, "team/app"), "pull,push");
    let mut less = minted.record.clone();
    less.push = false;
    let known = door.storage.index().token("ci").unwrap();
    door.storage.ledger().update(&Key::Token("ci".into()), known.revision, &less).await.unwrap();
    assert_eq!(door.rights(ELSEWHERE, &bearer, "team/app"), "pull");
}

#[tokio::test]
async fn forms_are_answered_as_containerd_and_podman_send_them() {
    let node = Node::start().await;
    let door = Door::at(&node).await;
    let ci = door.mint("ci", &["**"], "pull,push").await;
    let secret = ci.secret.reveal();
    let forms = [
        format!("client_id=containerd-client&grant_type=password&username=ci&password={secret}&scope={PUSH}"),
        format!("client_id=containers%2Fimage&grant_type=refresh_token&refresh_token={secret}&scope={PUSH}"),
    ];
    for form in forms {
        let (status, _, answer) = door.token(ELSEWHERE, post(&form)).await;
        assert_eq!(status, 200, "{answer}");
        let bearer = format!("Bearer {}", answer["access_token"].as_str().unwrap());
        assert_eq!(door.rights(ELSEWHERE, &bearer, "team/app"), "pull,push");
        assert_eq!(door.caller(ELSEWHERE, &bearer).unwrap().name(), "ci");
    }
    let other = registry::access::Secret::random();
    let too_long = format!("grant_type=password&scope={}", "a".repeat(70_000));
    for (form, expected) in [
        (format!("grant_type=password&username=other&password={secret}"), 401),
        ("grant_type=password&username=&password=".to_owned(), 401),
        (format!("grant_type=refresh_token&refresh_token={}", other.reveal()), 401),
        ("grant_type=refresh_token".to_owned(), 401),
        ("grant_type=client_credentials".to_owned(), 400),
        (String::new(), 400),
        (too_long, 413),
    ] {
        let (status, _, body) = door.token(ELSEWHERE, post(&form)).await;
        assert_eq!(status, expected, "{body}");
    }
    let mut put = get("", "");
    *put.method_mut() = axum::http::Method::PUT;
    assert_eq!(door.token(HERE, put).await.0, 405);
}

#[tokio::test]
async fn a_bearer_token_gets_no_other_one_and_a_forged_one_nothing() {
    let node = Node::start().await;
    let door = Door::at(&node).await;
    let bearer = door.bearer(HERE, "", "repository:a:pull").await;
    assert_eq!(door.token(HERE, get(&bearer, "repository:a:pull")).await.0, 401);
    let forged = Refused::BearerEnded { bearer: BadBearer::Forged, scopes: Scopes::default() };
    let longer = format!("{bearer}A");
    for bad in ["Bearer x", "Bearer e30.AAAA", &longer] {
        assert_eq!(door.caller(HERE, bad).unwrap_err(), forged, "{bad}");
    }
    assert!(door.caller(HERE, &bearer).is_ok());
}

#[tokio::test]
async fn a_damaged_key_is_told_and_replaced_once_it_is_deleted() {
    let node = Node::start().await;
    let door = Door::at(&node).await;
    let ledger = door.storage.ledger();
    let revision = ledger.create(&Key::Bearer, &"damaged").await.unwrap();
    let (status, _, body) = door.token(HERE, get("", "repository:a:pull")).await;
    assert_eq!((status, &body["errors"][0]["code"]), (500, &"UNKNOWN".into()));
    ledger.delete(&Key::Bearer, revision).await.unwrap();
    let bearer = door.bearer(HERE, "", "repository:a:pull").await;
    assert_eq!(door.rights(HERE, &bearer, "a"), "pull");
}
