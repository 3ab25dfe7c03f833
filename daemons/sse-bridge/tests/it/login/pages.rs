//! What stands before a page, and what comes with it.

use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use serde_json::json;
use sse_bridge::{Role, login::DevLogin};

use super::site::{Browser, ORIGIN, Site};
use crate::server::Server;

fn request(method: Method, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_logged_in_gets_the_login_for_a_page_and_an_error_for_anything_else() {
    let server = Server::start().await;
    let site = Site::open(&server).await;
    let page = request(Method::GET, "/?a=b&c=/d", &[("accept", "text/html,*/*")]);
    let page = site.send(page).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert_eq!(page.headers[header::LOCATION], "/login/?next=%2F%3Fa%3Db%26c%3D%2Fd");
    for (method, accept) in
        [(Method::GET, "text/event-stream"), (Method::GET, "*/*"), (Method::POST, "text/html")]
    {
        let asked = request(
            method.clone(),
            "/act",
            &[("accept", accept), ("origin", ORIGIN), ("host", "localhost:8080")],
        );
        let answer = site.send(asked).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (StatusCode::UNAUTHORIZED, "login_needed"),
            "{method}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_page_does_nothing_in_the_name_of_who_is_logged_in() {
    let server = Server::start().await;
    let site = Site::open(&server).await;
    let (mut browser, _) = site.enrol("ada", Role::Admin).await;
    let cookie = format!("__Host-leafbox={}", browser.cookie.clone().unwrap());
    assert_eq!(site.post(&mut browser, "/act", json!({})).await.ok(), json!({ "by": "ada" }));
    for of in [
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("accept", "*/*"),
    ] {
        let forged = request(Method::POST, "/act", &[("cookie", &cookie), of]);
        let answer = site.send(forged).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "cross_site"), "{of:?}");
    }
    let begin = request(Method::POST, "/login/begin", &[("origin", "https://evil.example")]);
    assert_eq!(site.send(begin).await.code(), "cross_site");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_login_page_runs_nothing_but_its_own_script_and_names_the_remedies() {
    let server = Server::start().await;
    let site = Site::open(&server).await;
    let page = site.get(&mut Browser::default(), "/login/?next=/streams").await;
    assert_eq!(page.status, StatusCode::OK);
    let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(
        policy.contains("default-src 'none'; script-src 'self';") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(page.headers[header::CACHE_CONTROL], "no-store");
    for needed in [
        "data-next=\"/streams\"",
        "<noscript>",
        "webauthn",
        "ssh -L 8080:127.0.0.1:8080",
        "leafbox console ca",
    ] {
        assert!(page.text.contains(needed), "{needed}");
    }
    let by_address = request(Method::GET, "/login/", &[("host", "192.0.2.1:8080")]);
    assert!(site.send(by_address).await.text.contains("You came by another address"));
    for (path, kind) in [("/assets/login.js", "text/javascript"), ("/assets/login.css", "text/css")] {
        let asset = site.get(&mut Browser::default(), path).await;
        assert!(asset.headers[header::CONTENT_TYPE].to_str().unwrap().starts_with(kind));
    }
    let (mut browser, _) = site.enrol("ada", Role::Viewer).await;
    let inside = site.get(&mut browser, "/login/?next=//evil.example").await;
    assert_eq!(inside.headers[header::LOCATION], "/");
}

#[tokio::test(flavor = "multi_thread")]
async fn development_logs_in_by_itself_and_its_cookie_is_good_nowhere_else() {
    let server = Server::start().await;
    let dev = DevLogin::on("127.0.0.1:8080".parse().unwrap()).unwrap();
    let site = Site::with(&server, Some(dev)).await;
    let mut browser = Browser::default();
    let entered = site.get(&mut browser, "/login/?next=/admins").await;
    assert_eq!(
        (entered.status, &entered.headers[header::LOCATION]),
        (StatusCode::SEE_OTHER, &"/admins".parse().unwrap())
    );
    assert_eq!(site.get(&mut browser, "/admins").await.text, "secrets");
    assert_eq!(site.get(&mut browser, "/login/passkeys").await.code(), "development");
    // A page whose name was made to point here, and a proxy for others.
    for headers in [
        &[("host", "evil.example:8080")] as &[(&str, &str)],
        &[("host", "localhost:8080"), ("x-forwarded-for", "192.0.2.1")],
        &[("host", "localhost:8080"), ("sec-fetch-site", "cross-site")],
    ] {
        let answer = site.send(request(Method::GET, "/login/", headers)).await;
        assert!(!answer.headers.contains_key(header::SET_COOKIE), "{headers:?}");
    }
    let outside = Site::open(&server).await;
    assert_eq!(outside.get(&mut browser, "/login/session").await.status, StatusCode::UNAUTHORIZED);
    assert!(outside.login.users().all().is_empty());
}
