//! Several passkeys a user, and never none.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use sse_bridge::Role;

use super::{
    device::Device,
    site::{Answer, Browser, ORIGIN, Site},
};
use crate::server::Server;

async fn add(site: &Site, browser: &mut Browser, device: &mut Device) -> Answer {
    let begun = site.post(browser, "/login/passkeys/begin", json!({})).await.ok();
    let credential = device.create(&begun["options"]).await;
    let body = json!({ "ceremony": begun["ceremony"], "credential": credential, "label": "phone" });
    site.post(browser, "/login/passkeys/finish", body).await
}

async fn ids(site: &Site, browser: &mut Browser) -> Vec<String> {
    let list = site.get(browser, "/login/passkeys").await.ok();
    let id = |passkey: &Value| passkey["id"].as_str().unwrap().to_owned();
    list["passkeys"].as_array().unwrap().iter().map(id).collect()
}

async fn remove(site: &Site, browser: &mut Browser, id: &str) -> Answer {
    site.ask(browser, Method::DELETE, &format!("/login/passkeys/{id}"), None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_is_added_renamed_and_removed_and_the_last_one_stays() {
    let server = Server::start().await;
    let site = Site::open(&server).await;
    let (mut browser, mut laptop) = site.enrol("ada", Role::Viewer).await;
    let first = ids(&site, &mut browser).await.remove(0);
    assert_eq!(remove(&site, &mut browser, &first).await.code(), "last_passkey");

    let mut phone = Device::new(ORIGIN);
    let added = add(&site, &mut browser, &mut phone).await.ok();
    assert_eq!(added["label"], "phone");
    let second = added["id"].as_str().unwrap();
    assert_eq!(ids(&site, &mut browser).await, [first.as_str(), second]);
    site.log_in(&mut Browser::default(), &mut phone).await.ok();

    let renamed = json!({ "label": "old phone" });
    let path = format!("/login/passkeys/{second}");
    site.ask(&mut browser, Method::PATCH, &path, Some(renamed)).await.ok();
    let list = site.get(&mut browser, "/login/passkeys").await.ok();
    assert_eq!(list["passkeys"][1]["label"], "old phone");

    remove(&site, &mut browser, &first).await.ok();
    assert_eq!(site.log_in(&mut Browser::default(), &mut laptop).await.code(), "unknown_passkey");
    assert_eq!(remove(&site, &mut browser, second).await.code(), "last_passkey");
    site.log_in(&mut Browser::default(), &mut phone).await.ok();
    for what in ["passkey-added", "passkey-renamed", "passkey-removed"] {
        assert_eq!(site.told(what).await.who, "ada");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_removals_at_once_leave_one_passkey() {
    let server = Server::start().await;
    let (here, there) = (Site::open(&server).await, Site::open(&server).await);
    let (mut browser, _) = here.enrol("ada", Role::Viewer).await;
    add(&here, &mut browser, &mut Device::new(ORIGIN)).await.ok();
    there.login.users().caught_up().await.unwrap();
    let ids = ids(&here, &mut browser).await;
    let mut other = browser.clone();
    let answers = tokio::join!(remove(&here, &mut browser, &ids[0]), remove(&there, &mut other, &ids[1]));
    let removed = [&answers.0, &answers.1].iter().filter(|answer| answer.status == StatusCode::OK).count();
    assert_eq!(removed, 1, "{answers:?}");
    here.login.users().caught_up().await.unwrap();
    assert_eq!(here.login.users().passkeys(&"ada".parse().unwrap()).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn passkeys_of_others_are_out_of_reach() {
    let server = Server::start().await;
    let site = Site::open(&server).await;
    let (mut ada, _) = site.enrol("ada", Role::Admin).await;
    let (mut vic, _) = site.enrol("vic", Role::Viewer).await;
    let of_ada = ids(&site, &mut ada).await.remove(0);
    assert_eq!(remove(&site, &mut vic, &of_ada).await.code(), "unknown");
    let path = format!("/login/passkeys/{of_ada}");
    let renamed = Some(json!({ "label": "mine" }));
    assert_eq!(site.ask(&mut vic, Method::PATCH, &path, renamed).await.code(), "unknown");
    // What ada began, vic does not finish.
    let begun = site.post(&mut ada, "/login/passkeys/begin", json!({})).await.ok();
    let credential = Device::new(ORIGIN).create(&begun["options"]).await;
    let body = json!({ "ceremony": begun["ceremony"], "credential": credential });
    assert_eq!(site.post(&mut vic, "/login/passkeys/finish", body).await.code(), "begin_again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_not_fresh_shows_the_passkey_before_it_changes_one() {
    let server = Server::start().await;
    let site = Site::open(&server).await;
    let (mut browser, mut device) = site.enrol("ada", Role::Admin).await;
    site.age(browser.cookie.as_ref().unwrap()).await;

    let refused = site.post(&mut browser, "/login/passkeys/begin", json!({})).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::FORBIDDEN, "passkey_needed"));
    let id = ids(&site, &mut browser).await.remove(0);
    assert_eq!(remove(&site, &mut browser, &id).await.code(), "passkey_needed");

    let begun = site.post(&mut browser, "/login/prove/begin", json!({})).await.ok();
    let credential = device.get(&begun["options"]).await;
    let body = json!({ "ceremony": begun["ceremony"], "credential": credential });
    site.post(&mut browser, "/login/prove/finish", body).await.ok();
    add(&site, &mut browser, &mut Device::new(ORIGIN)).await.ok();
    site.told("reauthenticated").await;
}
