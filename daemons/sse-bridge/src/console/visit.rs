//! A request for a page: who makes it, and how it is answered.
//!
//! What changes something takes [`Operator`] or [`Admin`] in the place of [`Visit`]: a handler cannot
//! forget to ask for the role, and who lacks it gets a page that names it.

use std::net::IpAddr;

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderValue, Method, StatusCode, Uri, header, request::Parts},
    response::{Html, IntoResponse, Response},
};
use maud::{Markup, html};
use runtime::http::Peer;

use super::{
    Console,
    failure::Failure,
    jetstream::Account,
    link::escaped,
    page::{Freshness, page},
    told::Message,
};
use crate::{
    Caller, Role,
    audit::{About, Event, What},
    login::Proven,
};

/// Somebody who is logged in asks for a page.
#[derive(Clone)]
pub(super) struct Visit {
    pub(super) console: Console,
    pub(super) caller: Caller,
    path: String,
    peer: Option<IpAddr>,
    told: Option<Message>,
    writes: bool,
    /// Whether a passkey was shown within the last five minutes.
    pub(super) proven: bool,
}

/// A [`Visit`] of who may publish and change data.
pub(super) struct Operator(pub(super) Visit);

/// A [`Visit`] of who may change definitions and people.
pub(super) struct Admin(pub(super) Visit);

/// A [`Visit`] of an admin who has just shown a passkey: what is signed outlasts any session, and a
/// browser that was left open must not sign.
pub(super) struct Signing(pub(super) Visit);

impl Visit {
    /// Whether the caller has this role, or one that may more: what others may not is not offered to them.
    pub(super) fn may(&self, role: Role) -> bool {
        self.caller.role >= role
    }

    /// The connection to an account.
    pub(super) fn account(&self, name: &str) -> Result<Account, Failure> {
        self.console.account(name)
    }

    /// A page of what is so at this moment.
    pub(super) fn page(&self, title: &str, content: &Markup) -> Response {
        self.shown(StatusCode::OK, title, Freshness::Still, content)
    }

    /// A page that goes on by itself: it holds [`live`](super::live::live).
    pub(super) fn live_page(&self, title: &str, content: &Markup) -> Response {
        self.shown(StatusCode::OK, title, Freshness::Live, content)
    }

    /// A form again, with what is wrong with it.
    pub(super) fn form_again(&self, title: &str, content: &Markup) -> Response {
        self.shown(StatusCode::UNPROCESSABLE_ENTITY, title, Freshness::Still, content)
    }

    /// The page, or what kept it from being made.
    pub(super) fn answer(&self, title: &str, content: Result<Markup, Failure>) -> Response {
        match content {
            Ok(content) => self.page(title, &content),
            Err(failure) => self.failed(title, &failure),
        }
    }

    /// A page that says what is wrong, and what to do.
    pub(super) fn failed(&self, title: &str, failure: &Failure) -> Response {
        let content = html! {
            (failure.markup())
            @if self.writes { p { "Go back in your browser: what you typed is still there." } }
        };
        self.shown(failure.status(self.writes), title, Freshness::Still, &content)
    }

    /// The page at `path`, which says what was done.
    pub(super) fn go(&self, path: &str, message: Message) -> Response {
        let name = self.console.told.keep(&self.caller.session, message);
        let between = if path.contains('?') { '&' } else { '?' };
        let Ok(to) = HeaderValue::from_str(&format!("{path}{between}told={name}")) else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()
    }

    /// What an action is answered: where to go and what to say there, or what kept it from being done.
    pub(super) fn acted(&self, title: &str, done: Result<(String, Message), Failure>) -> Response {
        match done {
            Ok((path, message)) => self.go(&path, message),
            Err(failure) => self.failed(title, &failure),
        }
    }

    /// What stands in place of a form that signs, for who has to show a passkey first.
    pub(super) fn ask_for_passkey(&self) -> Markup {
        passkey_wanted(&self.path)
    }

    /// Tells the audit stream what the caller did, and to what.
    pub(super) fn tell(&self, what: What, detail: impl Into<String>) {
        self.console.audit.record(Event {
            peer: self.peer,
            about: About { session: Some(self.caller.session.0.as_ref().to_owned()), ..About::default() },
            detail: Some(detail.into()),
            ..Event::new(what, self.caller.name.as_ref())
        });
    }

    fn shown(&self, status: StatusCode, title: &str, freshness: Freshness, content: &Markup) -> Response {
        let content = html! {
            @if let Some(told) = &self.told { (told.markup()) }
            (content)
        };
        let page = page(&self.console, &self.caller, &self.path, title, freshness, &content);
        (status, Html(page.into_string())).into_response()
    }

    /// The page for who lacks a role; none for who has it.
    fn lacks(&self, needed: Role) -> Option<Response> {
        let role = self.caller.role;
        (!self.may(needed)).then(|| self.failed("Not for your role", &Failure::Role { role, needed }))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visit
where
    Console: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let console = Console::from_ref(state);
        let Some(caller) = parts.extensions.get::<Caller>().cloned() else {
            return Err(crate::login::Failure::NoSession.into_response());
        };
        let query = parts.uri.query().unwrap_or_default();
        let told = form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == "told")
            .and_then(|(_, name)| console.told.take(&caller.session, &name));
        let peer = parts.extensions.get::<Peer>().map(|peer| peer.address.ip());
        let writes = !matches!(parts.method, Method::GET | Method::HEAD);
        let proven = parts.extensions.get::<Proven>().is_some_and(|proven| proven.is_fresh().is_ok());
        Ok(Self { console, caller, path: parts.uri.path().to_owned(), peer, told, writes, proven })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Operator
where
    Console: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let visit = Visit::from_request_parts(parts, state).await?;
        visit.lacks(Role::Operator).map_or(Ok(Self(visit)), Err)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Admin
where
    Console: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let visit = Visit::from_request_parts(parts, state).await?;
        visit.lacks(Role::Admin).map_or(Ok(Self(visit)), Err)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Signing
where
    Console: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let Admin(visit) = Admin::from_request_parts(parts, state).await?;
        if visit.proven {
            return Ok(Self(visit));
        }
        // The page with the form, which browsers name to their own origin.
        let from = parts.headers.get(header::REFERER).and_then(|from| from.to_str().ok());
        let from = from.and_then(|from| from.parse::<Uri>().ok());
        let content = html! {
            p.message.bad role="alert" { strong { "✗ " } "Nothing was signed." }
            (passkey_wanted(from.as_ref().map_or("/", Uri::path)))
        };
        Err(visit.shown(StatusCode::FORBIDDEN, "Show your passkey", Freshness::Still, &content))
    }
}

fn passkey_wanted(next: &str) -> Markup {
    html! {
        p.notice {
            strong { "Show your passkey first: " }
            "what is signed here outlasts your session, so you are asked for it again every five minutes. "
            a href={ "/login/prove?next=" (escaped(next)) } { "Show it" }
        }
    }
}
