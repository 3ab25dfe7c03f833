//! Who may do what, with tokens that are stored in a real nats-server.

mod bearer;
mod limit;
mod logins;
mod requests;
mod tokens;

use std::net::SocketAddr;

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header::AUTHORIZATION},
};
use registry::{
    Storage,
    access::{Access, AccessConfig, Action, Actions, Caller, Minted, NewToken, Refused, mint},
    audit::{self, Audit},
};
use runtime::http::Peer;
use serde_json::Value;
use settings::node::Anonymous;
use tokio_util::sync::CancellationToken;

use crate::harness::{Node, repository};

/// A program of this machine.
const HERE: &str = "127.0.0.1:50000";
/// Another machine.
const ELSEWHERE: &str = "192.0.2.1:50000";

/// A daemon's access, without its listener.
struct Door {
    storage: Storage,
    access: Access,
    audit: Audit,
}

impl Door {
    async fn at(node: &Node) -> Self {
        Self::with(node, Anonymous::Pull).await
    }

    async fn with(node: &Node, anonymous: Anonymous) -> Self {
        let storage = node.storage().await;
        let (audit, publisher) = audit::channel(&node.client().await, "shop-1");
        tokio::spawn(publisher.run(CancellationToken::new()));
        let config = AccessConfig { anonymous, listen: "127.0.0.1:5000".parse().unwrap() };
        Self { access: Access::new(storage.clone(), &config, audit.clone()), storage, audit }
    }

    async fn mint(&self, name: &str, patterns: &[&str], actions: &str) -> Minted {
        mint(&self.storage, &self.audit, "command", new(name, patterns, actions)).await.unwrap()
    }

    fn caller(&self, from: &str, authorization: &str) -> Result<Caller, Refused> {
        self.access.caller(&headers(authorization), from.parse().unwrap())
    }

    /// What a client from there may do in a repository: the actions, or the status of the refusal.
    fn rights(&self, from: &str, authorization: &str, name: &str) -> String {
        let caller = match self.caller(from, authorization) {
            Ok(caller) => caller,
            Err(refused) => return refused.status().as_u16().to_string(),
        };
        let may = |action| caller.may(&repository(name), action).is_ok();
        Actions { pull: may(Action::Pull), push: may(Action::Push), delete: may(Action::Delete) }.to_string()
    }

    async fn token(&self, from: &str, request: Request<Body>) -> (u16, HeaderMap, Value) {
        let address: SocketAddr = from.parse().unwrap();
        let (head, body) = request.into_parts();
        read(self.access.token(&head, Peer { address, tls: false }, body).await).await
    }

    /// The Bearer token of `GET /token`, as a header.
    async fn bearer(&self, from: &str, authorization: &str, scope: &str) -> String {
        let (status, _, body) = self.token(from, get(authorization, scope)).await;
        assert_eq!(status, 200, "{body}");
        format!("Bearer {}", body["token"].as_str().unwrap())
    }
}

fn new(name: &str, patterns: &[&str], actions: &str) -> NewToken {
    NewToken {
        name: name.to_owned(),
        repositories: patterns.iter().map(|pattern| pattern.parse().unwrap()).collect(),
        actions: Actions::parse(actions),
        expires: None,
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", data_encoding::BASE64.encode(format!("{user}:{password}").as_bytes()))
}

fn login(minted: &Minted) -> String {
    basic(&minted.record.name, minted.secret.reveal())
}

/// No header when it is empty.
fn headers(authorization: &str) -> HeaderMap {
    let value = HeaderValue::from_str(authorization).unwrap();
    let headers = [(AUTHORIZATION, value)].into_iter().filter(|(_, value)| !value.is_empty());
    headers.collect::<HeaderMap<_>>()
}

fn get(authorization: &str, scope: &str) -> Request<Body> {
    let mut request =
        Request::get(format!("/token?service=127.0.0.1%3A5000&scope={scope}")).body(Body::empty()).unwrap();
    *request.headers_mut() = headers(authorization);
    request
}

fn post(form: &str) -> Request<Body> {
    let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
    Request::post("/token")
        .header(HeaderName::from_static("content-type"), form_type)
        .body(Body::from(form.to_owned()))
        .unwrap()
}

async fn read(response: Response<Body>) -> (u16, HeaderMap, Value) {
    let (head, body) = response.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    (head.status.as_u16(), head.headers, serde_json::from_slice(&body).unwrap_or(Value::Null))
}
