//! How the first admin and others come in.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;
use sse_bridge::{
    Role,
    login::{EnrolError, Invite},
};

use super::{
    device::Device,
    site::{Browser, ORIGIN, Site},
};
use crate::server::Server;

fn named(name: &str) -> Invite {
    Invite { user: Some(name.parse().unwrap()), ..Invite::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_admin_comes_in_by_a_token_that_is_good_once() {
    let server = Server::start().await;
    let site = Site::open(&server).await;
    let token = site.token(Invite::default()).await;
    let (mut browser, mut device) = (Browser::default(), Device::new(ORIGIN));
    let begun = site.post(&mut browser, "/login/enroll/begin", json!({ "token": token })).await.ok();
    let selection = &begun["options"]["publicKey"]["authenticatorSelection"];
    assert_eq!(selection["residentKey"], "required", "conditional UI finds no other passkeys");
    assert_eq!(selection["requireResidentKey"], true);
    assert_eq!(selection["userVerification"], "required");

    let entered = site.enrol_with(&mut browser, &mut device, &token).await.ok();
    assert_eq!((&entered["name"], &entered["role"]), (&json!("admin"), &json!("admin")));
    assert_eq!(site.get(&mut browser, "/").await.text, "the console");
    assert_eq!(site.get(&mut browser, "/login/session").await.ok()["role"], "admin");
    let event = site.told("enrolled").await;
    assert_eq!((event.who.as_str(), event.peer.unwrap().to_string()), ("admin", "127.0.0.1".to_owned()));

    let mut thief = Browser::default();
    let second = site.enrol_with(&mut thief, &mut Device::new(ORIGIN), &token).await;
    assert_eq!((second.status, second.code().as_str()), (StatusCode::FORBIDDEN, "bad_token"));
    assert!(thief.cookie.is_none());
    assert_eq!(site.login.users().all().len(), 1);
    site.told("login-failed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_show_a_token_at_once_one_comes_in() {
    let server = Server::start().await;
    let (here, there) = (Site::open(&server).await, Site::open(&server).await);
    // Not waited for: who opens a link at once is let in, whatever a daemon has heard by then.
    let token = here.token(Invite::default()).await;
    let mut devices = (Device::new(ORIGIN), Device::new(ORIGIN));
    let mut browsers = (Browser::default(), Browser::default());
    let answers = tokio::join!(
        here.enrol_with(&mut browsers.0, &mut devices.0, &token),
        there.enrol_with(&mut browsers.1, &mut devices.1, &token)
    );
    let entered = [&answers.0, &answers.1].iter().filter(|answer| answer.status == StatusCode::OK).count();
    assert_eq!(entered, 1, "{answers:?}");
    here.login.users().caught_up().await.unwrap();
    assert_eq!(here.login.users().all().len(), 1);
    assert_eq!(here.login.users().passkeys(&"admin".parse().unwrap()).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_ends_with_its_time_and_with_the_next_one() {
    let server = Server::start().await;
    let site = Site::open(&server).await;
    let begin = async |token: &str| {
        site.post(&mut Browser::default(), "/login/enroll/begin", json!({ "token": token })).await
    };
    let over = site.login.users().invite(&Invite::default(), Duration::ZERO).await.unwrap().0;
    assert_eq!(begin(over.reveal()).await.code(), "bad_token");
    let first = site.token(Invite::default()).await;
    begin(&first).await.ok();
    let second = site.token(Invite::default()).await;
    assert_eq!(begin(&first).await.code(), "bad_token");
    begin(&second).await.ok();
    assert_eq!(begin("").await.code(), "bad_token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_the_first_admin_is_void_once_there_is_one_and_a_recovery_is_not() {
    let server = Server::start().await;
    let site = Site::open(&server).await;
    let users = site.login.users();
    let life = Duration::from_secs(60);
    site.enrol("vic", Role::Viewer).await;
    let first = site.token(Invite::default()).await;
    let mut browser = Browser::default();
    let vic = "vic".parse().unwrap();
    users.set_role(&vic, Role::Admin).await.unwrap();
    let void = site.post(&mut browser, "/login/enroll/begin", json!({ "token": first })).await;
    assert_eq!(void.code(), "bad_token");
    users.set_role(&vic, Role::Viewer).await.unwrap();
    let (mut device, mut lost) = (Device::new(ORIGIN), Device::new(ORIGIN));
    site.enrol_with(&mut browser, &mut lost, &first).await.ok();

    let again = users.invite(&Invite::default(), life).await.unwrap_err();
    assert!(matches!(again, EnrolError::HasAdmin), "{again}");
    let again = users.invite(&named("admin"), life).await.unwrap_err();
    assert!(matches!(again, EnrolError::UserExists { .. }), "{again}");

    let recovery = site.token(Invite { recover: true, ..named("admin") }).await;
    let mut recovered = Browser::default();
    let entered = site.enrol_with(&mut recovered, &mut device, &recovery).await.ok();
    assert_eq!((&entered["name"], &entered["role"]), (&json!("admin"), &json!("admin")));
    assert_eq!(users.passkeys(&"admin".parse().unwrap()).len(), 2);
    assert_eq!(site.told("recovered").await.who, "admin");
    // Both work.
    site.log_in(&mut Browser::default(), &mut lost).await.ok();
    site.log_in(&mut Browser::default(), &mut device).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_invited_has_the_role_given_and_no_more() {
    let server = Server::start().await;
    let site = Site::open(&server).await;
    site.enrol("ada", Role::Admin).await;
    let (mut browser, _) = site.enrol("vic", Role::Viewer).await;
    assert_eq!(site.get(&mut browser, "/").await.status, StatusCode::OK);
    let refused = site.get(&mut browser, "/admins").await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::FORBIDDEN, "role"));
    let twice = site.login.users().invite(&named("vic"), Duration::from_secs(60)).await.unwrap_err();
    assert!(matches!(twice, EnrolError::UserExists { .. }), "{twice}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_cookies_are_nowhere_in_the_bucket() {
    let server = Server::start().await;
    let site = Site::open(&server).await;
    let token = site.token(named("late")).await;
    let (browser, _) = site.enrol("ada", Role::Viewer).await;
    let secret = browser.cookie.unwrap().split_once('.').unwrap().1.to_owned();
    let bucket =
        async_nats::jetstream::new(site.client.clone()).get_key_value("leafbox_users").await.unwrap();
    let mut keys = bucket.keys().await.unwrap();
    let mut seen = 0;
    while let Some(key) = futures::StreamExt::next(&mut keys).await {
        let value = bucket.get(key.unwrap()).await.unwrap().unwrap();
        let text = String::from_utf8(value.to_vec()).unwrap();
        assert!(!text.contains(&token) && !text.contains(&secret), "{text}");
        seen += 1;
    }
    assert_eq!(seen, 4, "a user, a passkey, a session, a token");
}
