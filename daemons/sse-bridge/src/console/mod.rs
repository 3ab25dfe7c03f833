//! The web console: pages made on the server, kept up to date by Datastar over Server-Sent Events.
//!
//! - A page is whole without a script: it shows the data of the moment it was made.
//! - What changes is a fragment with an `id`. The same function writes it for the page and for the
//!   stream, so that the two cannot differ.
//! - Everything but the login needs a session; what a role may not do is refused here, not hidden there.
//! - What changes something is a form that works without a script: a POST, which
//!   [`Login::protect`](crate::login::Login::protect) lets in from pages of this console alone. It takes
//!   [`visit::Operator`] or [`visit::Admin`], and answers with a page that is safe to load again.
//! - No name reaches NATS but by [`guard`].

mod accounts;
mod api;
mod assets;
mod buckets;
mod command;
mod connections;
mod datastar;
mod definition;
mod download;
mod events;
mod failure;
mod figures;
mod form;
mod guard;
mod jetstream;
mod journal;
mod kv;
mod leaves;
mod link;
mod live;
mod objects;
mod overview;
mod page;
mod payload;
mod registry;
mod said;
mod servers;
mod signer;
mod stored;
mod streams;
mod tester;
mod told;
mod topology;
mod visit;

use std::time::Duration;

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderName, HeaderValue, Request, StatusCode, header},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::get,
};

use crate::{
    audit::Audit,
    feed::{self, Accounts, Feeds, LEAFBOX},
    login::Login,
};
use failure::Failure;
use jetstream::Account;
pub(crate) use journal::Journal;
pub(crate) use servers::Servers;
pub(crate) use told::Told;

/// What this host serves and nothing else. Datastar compiles its expressions, which takes
/// `unsafe-eval`; no page has a script of its own.
const CONTENT_SECURITY: &str = "default-src 'none'; script-src 'self' 'unsafe-eval'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
/// Pages elsewhere are not told what somebody looked at. Where nobody is, browsers send no origin with a
/// form either, and what it asks for is refused.
const REFERRER: &str = "same-origin";
/// On every answer that does not say otherwise.
const ON_ALL: [(HeaderName, &str); 3] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, REFERRER),
];

/// What pages are made from. A clone is the same console.
#[derive(Clone)]
pub(crate) struct Console {
    /// The node's name.
    pub(crate) node: String,
    /// Whether everybody on this machine is let in: each page says so.
    pub(crate) development: bool,
    /// How often the node's health daemon tells of it.
    pub(crate) heartbeat: Duration,
    pub(crate) accounts: Accounts,
    /// What fleet.toml declares.
    pub(crate) fleet: std::sync::Arc<settings::Fleet>,
    /// Streams, by account and name, that are outboxes on this node.
    pub(crate) outboxes: std::sync::Arc<std::collections::BTreeSet<(String, String)>>,
    pub(crate) servers: Servers,
    pub(crate) journal: Journal,
    pub(crate) feeds: Feeds,
    pub(crate) audit: Audit,
    pub(crate) told: Told,
}

impl Console {
    /// The connection to an account that somebody asked for.
    fn account(&self, name: &str) -> Result<Account, Failure> {
        let (name, client) = self.accounts.get(name).ok_or_else(|| Failure::NoAccount {
            asked: name.to_owned(),
            known: self.accounts.names().collect::<Vec<_>>().join(", "),
        })?;
        Ok(Account { name: std::sync::Arc::clone(name), client: client.clone() })
    }

    /// The connection to leafbox's own account.
    fn leafbox(&self) -> Result<Account, Failure> {
        self.account(LEAFBOX)
    }
}

/// All routes of the daemon.
pub(crate) fn router(console: Console, login: &Login) -> Router {
    let pages = Router::new()
        .route("/", get(overview::show))
        .route("/live/overview", get(overview::live))
        .route("/metrics", get(metrics))
        .route("/schemas/{title}", get(schema))
        .merge(accounts::router())
        .merge(api::router())
        .merge(kv::router())
        .merge(leaves::router())
        .merge(objects::router())
        .merge(tester::router())
        .merge(registry::router())
        .merge(streams::router())
        .merge(connections::router())
        .merge(events::router())
        .merge(topology::router())
        .with_state(console.clone())
        .merge(feed::router(console.feeds));
    login
        .protect(pages)
        .merge(assets::router())
        .merge(login.routes())
        .route("/healthz", get(async || "ok\n"))
        .layer(from_fn(secured))
}

async fn secured(request: Request<axum::body::Body>, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in ON_ALL {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

async fn metrics(State(console): State<Console>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], console.feeds.metrics()).into_response()
}

/// NATS's own schema of a type of message.
async fn schema(Path(title): Path<String>) -> Response {
    match schemas::Schema::titled(&title) {
        Some(schema) => ([(header::CONTENT_TYPE, "application/schema+json")], schema.text()).into_response(),
        None => {
            (StatusCode::NOT_FOUND, format!("there is no schema {title}: `leafbox schema list` has all\n"))
                .into_response()
        }
    }
}
