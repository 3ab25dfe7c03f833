//! What ends a session, and where.

use axum::http::{Method, StatusCode};
use serde_json::json;
use sse_bridge::Role;

use super::site::{Browser, Site};
use crate::server::{DEADLINE, Server};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_revoked_by_another_daemon_ends_its_callers_here() {
    let server = Server::start().await;
    let (here, there) = (Site::open(&server).await, Site::open(&server).await);
    let (mut browser, mut device) = here.enrol("ada", Role::Admin).await;
    let mut other = Browser::default();
    here.log_in(&mut other, &mut device).await.ok();
    let caller = here.caller(&browser).await.unwrap();
    let kept = here.caller(&other).await.unwrap();
    assert!(!caller.ended.is_cancelled());
    there.login.users().caught_up().await.unwrap();
    assert!(there.login.users().end_session(&caller.session).await.unwrap());
    tokio::time::timeout(DEADLINE, caller.ended.cancelled()).await.unwrap();
    assert_eq!(here.get(&mut browser, "/login/session").await.status, StatusCode::UNAUTHORIZED);
    assert!(!kept.ended.is_cancelled() && here.caller(&other).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_is_removed_is_out_everywhere() {
    let server = Server::start().await;
    let (here, there) = (Site::open(&server).await, Site::open(&server).await);
    let (browser, mut device) = here.enrol("ada", Role::Admin).await;
    let (vic, _) = here.enrol("vic", Role::Viewer).await;
    let (caller, kept) = (here.caller(&browser).await.unwrap(), here.caller(&vic).await.unwrap());
    there.login.users().caught_up().await.unwrap();
    let name = "ada".parse().unwrap();
    there.login.users().remove(&name).await.unwrap();
    tokio::time::timeout(DEADLINE, caller.ended.cancelled()).await.unwrap();
    here.login.users().caught_up().await.unwrap();
    assert!(here.caller(&browser).await.is_none());
    assert_eq!(here.log_in(&mut Browser::default(), &mut device).await.code(), "unknown_passkey");
    assert!(!kept.ended.is_cancelled());
    // A later user of the name is another one.
    let (again, _) = here.enrol("ada", Role::Viewer).await;
    assert_eq!(here.caller(&again).await.unwrap().role, Role::Viewer);
    assert!(here.caller(&browser).await.is_none());
    assert_eq!(here.log_in(&mut Browser::default(), &mut device).await.code(), "unknown_passkey");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_role_ends_what_is_open_and_gives_another_cookie() {
    let server = Server::start().await;
    let site = Site::open(&server).await;
    let (mut browser, _) = site.enrol("ada", Role::Admin).await;
    let caller = site.caller(&browser).await.unwrap();
    site.get(&mut browser, "/admins").await;
    let before = browser.cookie.clone();
    site.login.users().set_role(&"ada".parse().unwrap(), Role::Viewer).await.unwrap();
    assert!(caller.ended.is_cancelled());
    assert_eq!(site.get(&mut browser, "/admins").await.code(), "role");
    assert_ne!(browser.cookie, before, "the cookie rotates with the role");
    // The new one works, and once it came back the old one only for a moment.
    assert_eq!(site.get(&mut browser, "/").await.status, StatusCode::OK);
    assert_eq!(site.caller(&browser).await.unwrap().role, Role::Viewer);
    assert_eq!(site.caller(&browser).await.unwrap().session, caller.session);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_own_sessions_are_listed_and_ended_and_those_of_others_are_not() {
    let server = Server::start().await;
    let site = Site::open(&server).await;
    let (mut browser, mut device) = site.enrol("ada", Role::Viewer).await;
    let (mut vic, _) = site.enrol("vic", Role::Admin).await;
    let mut others = [Browser::default(), Browser::default()];
    for other in &mut others {
        site.log_in(other, &mut device).await.ok();
    }
    let list = site.get(&mut browser, "/login/sessions").await.ok();
    let list = list["sessions"].as_array().unwrap();
    assert_eq!(list.len(), 3);
    assert_eq!(list.iter().filter(|session| session["current"] == true).count(), 1);

    let of_vic = site.caller(&vic).await.unwrap().session;
    let end = async |browser: &mut Browser, path: &str| site.ask(browser, Method::DELETE, path, None).await;
    let path = format!("/login/sessions/{}", of_vic.0);
    assert_eq!(end(&mut browser, &path).await.code(), "unknown");
    let one = site.caller(&others[0]).await.unwrap().session;
    end(&mut browser, &format!("/login/sessions/{}", one.0)).await.ok();
    assert!(site.caller(&others[0]).await.is_none());
    assert_eq!(end(&mut browser, "/login/sessions").await.ok(), json!({ "ended": 1 }));
    assert!(site.caller(&others[1]).await.is_none());
    assert!(site.caller(&browser).await.is_some() && site.caller(&vic).await.is_some());
    assert_eq!(site.get(&mut vic, "/").await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_logs_out_is_out_and_the_browser_forgets_the_cookie() {
    let server = Server::start().await;
    let site = Site::open(&server).await;
    let (mut browser, _) = site.enrol("ada", Role::Viewer).await;
    let (caller, kept) = (site.caller(&browser).await.unwrap(), browser.clone());
    site.post(&mut browser, "/login/logout", json!({})).await.ok();
    assert!(browser.cookie.is_none() && caller.ended.is_cancelled());
    assert!(site.caller(&kept).await.is_none());
    assert_eq!(site.told("logged-out").await.who, "ada");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_starts_later_knows_who_is_logged_in() {
    let server = Server::start().await;
    let browser = {
        let site = Site::open(&server).await;
        site.enrol("ada", Role::Operator).await.0
    };
    let site = Site::open(&server).await;
    assert_eq!(site.caller(&browser).await.unwrap().role, Role::Operator);
    let mut forged = browser.clone();
    forged.cookie = forged.cookie.map(|cookie| format!("{}A", &cookie[..cookie.len() - 1]));
    if forged.cookie != browser.cookie {
        assert!(site.caller(&forged).await.is_none());
    }
}
