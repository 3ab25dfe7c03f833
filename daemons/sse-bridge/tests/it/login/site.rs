//! A console with its users, as one daemon has it, and what a browser keeps of it.

use async_nats::{Client, jetstream};
use axum::{
    Extension, Json, Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode, header},
    response::Response,
    routing::{get, post},
};
use runtime::http::Peer;
use serde_json::{Value, json};
use sse_bridge::{
    Caller, Role,
    audit::{self, Event},
    login::{DevLogin, Invite, Login, LoginConfig, Users, require_role},
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::device::Device;
use crate::server::{DEADLINE, Server};

/// Where browsers find the console.
pub(crate) const ORIGIN: &str = "http://localhost:8080";

/// One daemon.
pub(crate) struct Site {
    pub(crate) login: Login,
    pub(crate) client: Client,
    router: Router,
    _tasks: JoinSet<()>,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The code of an error.
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_else(|| panic!("no error: {self:?}")).to_owned()
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        self.json()
    }
}

/// What a browser keeps, and how it asks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Browser {
    pub(crate) cookie: Option<String>,
}

impl Site {
    pub(crate) async fn open(server: &Server) -> Self {
        Self::with(server, None).await
    }

    pub(crate) async fn with(server: &Server, dev: Option<DevLogin>) -> Self {
        Self::of(server.client().await, dev).await
    }

    /// The login over a connection of its own.
    pub(crate) async fn of(client: Client, dev: Option<DevLogin>) -> Self {
        let (users, mut tasks) = Users::follow(&client);
        users.caught_up().await.unwrap();
        let (audit, publisher) = audit::channel(&client, "shop-1");
        tasks.spawn(publisher.run(CancellationToken::new()));
        let config = LoginConfig { node: "shop-1".to_owned(), origin: ORIGIN.parse().unwrap(), dev };
        let login = Login::new(config, users, audit);
        let own = Router::new().route("/", get(|| async { "the console" })).route(
            "/act",
            post(|Extension(caller): Extension<Caller>| async move { Json(json!({"by": *caller.name})) }),
        );
        let admins = Router::new().route("/admins", get(|| async { "secrets" }));
        let own = own.merge(require_role(admins, Role::Admin));
        let router = login.protect(own).merge(login.routes());
        Self { login, client, router, _tasks: tasks }
    }

    /// Asks, as this browser, from the console's own pages.
    pub(crate) async fn ask(
        &self,
        browser: &mut Browser,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost:8080");
        request = request.header("sec-fetch-site", "same-origin");
        if let Some(cookie) = &browser.cookie {
            request = request.header(header::COOKIE, format!("__Host-leafbox={cookie}"));
        }
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let answer = self.send(request.body(body).unwrap()).await;
        if let Some(set) = answer.headers.get(header::SET_COOKIE) {
            let set = set.to_str().unwrap();
            let value = set.strip_prefix("__Host-leafbox=").unwrap().split_once(';').unwrap().0;
            browser.cookie = (!value.is_empty()).then(|| value.to_owned());
        }
        answer
    }

    /// Sends a request as it is, from this machine.
    pub(crate) async fn send(&self, mut request: Request<Body>) -> Answer {
        let peer = Peer { address: "127.0.0.1:50000".parse().unwrap(), tls: false };
        request.extensions_mut().insert(peer);
        let response: Response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        Answer { status: head.status, headers: head.headers, text: String::from_utf8(body.to_vec()).unwrap() }
    }

    pub(crate) async fn get(&self, browser: &mut Browser, path: &str) -> Answer {
        self.ask(browser, Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, browser: &mut Browser, path: &str, body: Value) -> Answer {
        self.ask(browser, Method::POST, path, Some(body)).await
    }

    /// A token as the command makes it.
    pub(crate) async fn token(&self, invite: Invite) -> String {
        let made = self.login.users().invite(&invite, std::time::Duration::from_secs(60)).await;
        made.unwrap().0.reveal().to_owned()
    }

    /// Enrols somebody on a device of their own, who is logged in then.
    pub(crate) async fn enrol(&self, name: &str, role: Role) -> (Browser, Device) {
        let invite = Invite { user: Some(name.parse().unwrap()), role: Some(role), recover: false };
        let token = self.token(invite).await;
        let (mut browser, mut device) = (Browser::default(), Device::new(ORIGIN));
        let answer = self.enrol_with(&mut browser, &mut device, &token).await.ok();
        assert_eq!((answer["name"].as_str(), answer["role"].as_str()), (Some(name), Some(role.name())));
        (browser, device)
    }

    pub(crate) async fn enrol_with(&self, browser: &mut Browser, device: &mut Device, token: &str) -> Answer {
        let begun = self.post(browser, "/login/enroll/begin", json!({ "token": token })).await;
        if begun.status != StatusCode::OK {
            return begun;
        }
        let begun = begun.json();
        let credential = device.create(&begun["options"]).await;
        let body = json!({ "ceremony": begun["ceremony"], "credential": credential, "label": "laptop" });
        self.post(browser, "/login/enroll/finish", body).await
    }

    /// Logs in with the passkey of a device.
    pub(crate) async fn log_in(&self, browser: &mut Browser, device: &mut Device) -> Answer {
        let begun = self.post(browser, "/login/begin", json!({})).await.ok();
        let credential = device.get(&begun["options"]).await;
        let body = json!({ "ceremony": begun["ceremony"], "credential": credential });
        self.post(browser, "/login/finish", body).await
    }

    /// The caller that a browser's cookie makes.
    pub(crate) async fn caller(&self, browser: &Browser) -> Option<Caller> {
        let cookie = format!("__Host-leafbox={}", browser.cookie.as_ref()?);
        let headers: HeaderMap = [(header::COOKIE, cookie.parse().unwrap())].into_iter().collect();
        self.login.find(&headers).await.ok().map(|found| found.caller)
    }

    /// Makes the session of a cookie one whose passkey was shown six minutes ago.
    pub(crate) async fn age(&self, cookie: &str) {
        let bucket = jetstream::new(self.client.clone()).get_key_value("leafbox_users").await.unwrap();
        let key = format!("session.{}", cookie.split_once('.').unwrap().0);
        let mut record: Value = serde_json::from_slice(&bucket.get(&key).await.unwrap().unwrap()).unwrap();
        record["proven"] = (record["proven"].as_u64().unwrap() - 360).into();
        bucket.put(&key, record.to_string().into()).await.unwrap();
        self.login.users().caught_up().await.unwrap();
    }

    /// Waits for an audit event of this name.
    pub(crate) async fn told(&self, what: &str) -> Event {
        let stream = jetstream::new(self.client.clone()).get_stream("LEAFBOX_AUDIT").await.unwrap();
        let subject = format!("leafbox.audit.shop-1.console.{what}");
        let found = async {
            loop {
                if let Ok(message) = stream.get_last_raw_message_by_subject(&subject).await {
                    return serde_json::from_slice(&message.payload).unwrap();
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, found).await.unwrap_or_else(|_| panic!("no event {subject}"))
    }
}
