//! Failed logins are counted.

use registry::access::Refused;

use super::{Door, ELSEWHERE, HERE, basic, get, login};
use crate::harness::Node;

fn is_limited(result: Result<registry::access::Caller, Refused>) -> bool {
    matches!(result, Err(Refused::TooManyFailures { .. }))
}

#[tokio::test]
async fn after_ten_failures_a_peer_waits_even_with_the_right_secret_and_no_other_peer_does() {
    let node = Node::start().await;
    let door = Door::at(&node).await;
    let ci = login(&door.mint("ci", &["**"], "pull").await);
    let bearer = door.bearer(ELSEWHERE, &ci, "repository:a:pull").await;
    for number in 0..10 {
        // A login that works takes nothing off the count.
        assert!(door.caller(ELSEWHERE, &ci).is_ok());
        let refused = door.caller(ELSEWHERE, &basic(&format!("name{number}"), "hunter2")).unwrap_err();
        assert_eq!(refused.status().as_u16(), 401);
    }
    let Err(refused @ Refused::TooManyFailures { .. }) = door.caller(ELSEWHERE, &ci) else {
        panic!("the eleventh attempt is heard");
    };
    assert_eq!((refused.status().as_u16(), refused.code()), (429, "TOOMANYREQUESTS"));
    assert!((1..=60).contains(&refused.retry_after().unwrap()));
    let (status, headers, _) = door.token(ELSEWHERE, get(&ci, "repository:a:pull")).await;
    assert_eq!(status, 429);
    assert!(headers.contains_key("retry-after"));
    assert!(is_limited(door.caller(ELSEWHERE, "Bearer forged")));
    // Its neighbours, who has a Bearer token already, and who needs none.
    assert!(door.caller("192.0.2.2:1", &ci).is_ok());
    assert!(door.caller(HERE, &ci).is_ok());
    assert!(door.caller(ELSEWHERE, &bearer).is_ok());
    assert!(door.caller(ELSEWHERE, "").is_ok());
}

#[tokio::test]
async fn on_loopback_where_proxies_are_one_user_does_not_lock_out_another() {
    let node = Node::start().await;
    let door = Door::at(&node).await;
    let ci = login(&door.mint("ci", &["**"], "pull").await);
    let other = login(&door.mint("other", &["**"], "pull").await);
    for _ in 0..10 {
        assert!(!is_limited(door.caller(HERE, &basic("ci", "hunter2"))));
    }
    assert!(is_limited(door.caller(HERE, &ci)));
    assert!(door.caller(HERE, &other).is_ok());
}

#[tokio::test]
async fn a_bearer_token_whose_time_is_over_is_no_failure() {
    let node = Node::start().await;
    let door = Door::at(&node).await;
    let minted = door.mint("ci", &["**"], "pull").await;
    let bearer = door.bearer(ELSEWHERE, &login(&minted), "repository:a:pull").await;
    assert!(door.storage.revoke_token("ci").await.unwrap());
    for _ in 0..20 {
        assert!(matches!(door.caller(ELSEWHERE, &bearer), Err(Refused::BearerEnded { .. })));
    }
    let next = login(&door.mint("ci", &["**"], "pull").await);
    assert!(door.caller(ELSEWHERE, &next).is_ok());
}
