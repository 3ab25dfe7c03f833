//! Logging in, and being refused.

use axum::http::StatusCode;
use serde_json::json;
use sse_bridge::Role;

use super::site::{Browser, ORIGIN, Site};
use crate::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_logs_in_without_a_name_and_ends_the_session_before() {
    let server = Server::start().await;
    let site = Site::open(&server).await;
    let (mut browser, mut device) = site.enrol("ada", Role::Operator).await;
    let before = site.caller(&browser).await.unwrap();
    let begun = site.post(&mut browser, "/login/begin", json!({})).await.ok();
    let asked = &begun["options"]["publicKey"];
    assert_eq!(asked["userVerification"], "required");
    assert_eq!(asked["allowCredentials"], json!([]), "nobody learns who there is");

    let old = browser.clone();
    let entered = site.log_in(&mut browser, &mut device).await.ok();
    assert_eq!((&entered["name"], &entered["role"]), (&json!("ada"), &json!("operator")));
    assert_ne!(old.cookie, browser.cookie, "the cookie is a new one");
    assert!(before.ended.is_cancelled() && site.caller(&old).await.is_none());
    assert_eq!(site.told("logged-in").await.who, "ada");
    assert!(site.login.users().passkeys(&"ada".parse().unwrap())[0].1.used.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_did_not_verify_its_user_is_refused() {
    let server = Server::start().await;
    let site = Site::open(&server).await;
    let (_, mut device) = site.enrol("ada", Role::Admin).await;
    let mut browser = Browser::default();
    let begun = site.post(&mut browser, "/login/begin", json!({})).await.ok();
    let credential = device.get_unverified(&begun["options"]).await;
    let body = json!({ "ceremony": begun["ceremony"], "credential": credential });
    let answer = site.post(&mut browser, "/login/finish", body).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "not_verified"));
    assert!(browser.cookie.is_none());
    // Its twin: the same device, verified.
    site.log_in(&mut browser, &mut device).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_good_once_and_for_its_own_challenge() {
    let server = Server::start().await;
    let site = Site::open(&server).await;
    let (_, mut device) = site.enrol("ada", Role::Admin).await;
    let mut browser = Browser::default();
    let begun = site.post(&mut browser, "/login/begin", json!({})).await.ok();
    let credential = device.get(&begun["options"]).await;
    let body = json!({ "ceremony": begun["ceremony"], "credential": credential });
    site.post(&mut browser, "/login/finish", body.clone()).await.ok();
    let mut thief = Browser::default();
    let again = site.post(&mut thief, "/login/finish", body).await;
    assert_eq!((again.status, again.code().as_str()), (StatusCode::GONE, "begin_again"));
    let other = site.post(&mut thief, "/login/begin", json!({})).await.ok();
    let body = json!({ "ceremony": other["ceremony"], "credential": credential });
    assert_eq!(site.post(&mut thief, "/login/finish", body).await.code(), "refused");
    assert!(thief.cookie.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_of_nobody_and_one_of_another_address_are_refused() {
    let server = Server::start().await;
    let site = Site::open(&server).await;
    let (_, mut device) = site.enrol("ada", Role::Admin).await;
    let mut browser = Browser::default();
    // The same device at another console: it has a passkey for a user whom nobody knows here.
    let elsewhere_server = Server::start().await;
    let elsewhere = Site::open(&elsewhere_server).await;
    let (_, mut stranger) = elsewhere.enrol("ada", Role::Admin).await;
    assert_eq!(site.log_in(&mut browser, &mut stranger).await.code(), "unknown_passkey");

    let begun = site.post(&mut browser, "/login/begin", json!({})).await.ok();
    let mut credential = device.get(&begun["options"]).await;
    credential["response"]["signature"] =
        stranger.get(&begun["options"]).await["response"]["signature"].clone();
    let body = json!({ "ceremony": begun["ceremony"], "credential": credential });
    let forged = site.post(&mut browser, "/login/finish", body).await;
    assert_eq!((forged.status, forged.code().as_str()), (StatusCode::FORBIDDEN, "refused"));
    assert!(browser.cookie.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_fails_often_waits_and_others_of_this_machine_do_not() {
    let server = Server::start().await;
    let site = Site::open(&server).await;
    let (_, mut device) = site.enrol("ada", Role::Admin).await;
    let mut guesser = Browser::default();
    let guess = json!({ "token": "AAAAAAAAAAAAAAAAAAAAAA" });
    let mut codes = Vec::new();
    for _ in 0..11 {
        codes.push(site.post(&mut guesser, "/login/enroll/begin", guess.clone()).await);
    }
    let last = codes.pop().unwrap();
    assert!(codes.iter().all(|answer| answer.code() == "bad_token"));
    assert_eq!((last.status, last.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "too_many"));
    assert!(last.headers.contains_key("retry-after"));
    site.log_in(&mut Browser::default(), &mut device).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_not_what_they_should_be_are_refused_without_being_repeated() {
    let server = Server::start().await;
    let site = Site::open(&server).await;
    let mut browser = Browser::default();
    let secret = "my-secret-token";
    for body in [json!(secret), json!({ "token": 7, "x": secret }), json!({ "tokens": secret })] {
        let answer = site.post(&mut browser, "/login/enroll/begin", body).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::BAD_REQUEST, "bad_request"));
        assert!(!answer.text.contains(secret), "{answer:?}");
    }
    let form = axum::http::Request::post("/login/enroll/begin")
        .header("origin", ORIGIN)
        .header("content-type", "text/plain")
        .body("{\"token\":\"x\"}".into())
        .unwrap();
    assert_eq!(site.send(form).await.code(), "bad_request");
}
