//! The routes under `/login/`, and the files that the login page loads.
//!
//! | route | what |
//! |---|---|
//! | `GET /login/` | the page |
//! | `POST /login/begin`, `/login/finish` | log in by passkey, modal or conditional |
//! | `POST /login/enroll/begin`, `/login/enroll/finish` | the first passkey, by a token |
//! | `GET /login/session` | who is logged in |
//! | `GET /login/entered` | whether somebody is, for anybody |
//! | `POST /login/logout` | end this session |
//! | `GET /login/prove` | the page that asks for the passkey again |
//! | `POST /login/prove/begin`, `/login/prove/finish` | show the passkey again |
//! | `GET /login/sessions`, `DELETE /login/sessions`, `DELETE /login/sessions/{id}` | the caller's sessions: list, end the others, end one |
//! | `GET /login/passkeys`, `POST /login/passkeys/begin`, `/login/passkeys/finish` | the caller's passkeys: list, add |
//! | `PATCH /login/passkeys/{id}`, `DELETE /login/passkeys/{id}` | call it something else, remove it |
//!
//! Bodies are JSON, errors `{"error":{"code","message"}}`.

mod enrol;
mod login;
mod passkeys;
mod sessions;

use axum::{
    Router,
    body::to_bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::{header::CONTENT_TYPE, request::Parts},
    middleware::from_fn_with_state,
    routing::{delete, get, patch, post},
};
use runtime::{http::Peer, visitor::Visitor};
use serde::{Deserialize, de::DeserializeOwned};

use super::{Failure, Login, guard::same_origin, page, visitor};
use crate::Caller;

/// Bytes of a body: an answer of WebAuthn is two to four kilobytes, with attestation up to twenty.
const LONGEST_BODY: usize = 64 * 1024;

impl Login {
    /// The routes under `/login/`, `/assets/login.*` and `/assets/leaf.svg`. Requests need a [`Peer`] as an extension, which
    /// `runtime::http` gives them.
    pub fn routes(&self) -> Router {
        let own = Router::new()
            .route("/login/session", get(sessions::current))
            .route("/login/sessions", get(sessions::list).delete(sessions::end_others))
            .route("/login/sessions/{id}", delete(sessions::end))
            .route("/login/logout", post(sessions::log_out))
            .route("/login/prove", get(page::prove))
            .route("/login/prove/begin", post(login::prove_begin))
            .route("/login/prove/finish", post(login::prove_finish))
            .route("/login/passkeys", get(passkeys::list))
            .route("/login/passkeys/begin", post(passkeys::begin))
            .route("/login/passkeys/finish", post(passkeys::finish))
            .route("/login/passkeys/{id}", patch(passkeys::rename).delete(passkeys::remove))
            .with_state(self.clone());
        let anybody = Router::new()
            .route("/login", get(page::without_slash))
            .route("/login/", get(page::show))
            .route("/login/begin", post(login::begin))
            .route("/login/finish", post(login::finish))
            .route("/login/entered", get(sessions::entered))
            .route("/login/enroll/begin", post(enrol::begin))
            .route("/login/enroll/finish", post(enrol::finish))
            .route("/assets/login.js", get(page::script))
            .route("/assets/login.css", get(page::style))
            .route("/assets/leaf.svg", get(page::mark))
            .layer(from_fn_with_state(self.clone(), same_origin))
            .with_state(self.clone());
        anybody.merge(self.protect(own))
    }
}

/// A ceremony that is finished, with what the browser answers.
#[derive(Deserialize)]
struct Finish<T> {
    ceremony: String,
    credential: T,
    /// What the new passkey is called.
    #[serde(default)]
    label: String,
}

/// A body of JSON, no longer than [`LONGEST_BODY`]. Its type is asked for, so that no form of another
/// page is taken for one.
struct Body<T>(T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let kind =
            request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.split(';').next().unwrap_or_default().trim() != "application/json" {
            return Err(Failure::Body("its type must be application/json".to_owned()));
        }
        let body = to_bytes(request.into_body(), LONGEST_BODY).await;
        let body =
            body.map_err(|_| Failure::Body(format!("it was cut, or is longer than {LONGEST_BODY} bytes")))?;
        // What serde says of a text that it did not expect may hold that text, which may be a secret.
        serde_json::from_slice(&body).map(Self).map_err(|error| {
            Failure::Body(format!(
                "it is not the JSON expected, at line {} column {}",
                error.line(),
                error.column()
            ))
        })
    }
}

/// Who connected.
pub(super) struct Sender(pub(super) Visitor);

impl<S: Sync> FromRequestParts<S> for Sender {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let peer = parts.extensions.get::<Peer>().copied();
        let peer = peer.ok_or_else(|| Failure::Body("nobody knows where it came from".to_owned()))?;
        Ok(Self(visitor(&parts.headers, peer)))
    }
}

/// Who is logged in, with a session in the bucket.
struct Own(Caller);

impl FromRequestParts<Login> for Own {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, login: &Login) -> Result<Self, Failure> {
        let caller = parts.extensions.get::<Caller>().ok_or(Failure::NoSession)?;
        // What logs in by itself has no record to change.
        if login.users().session(&caller.session).is_none() {
            let is_dev = login.0.dev.is_some();
            return Err(if is_dev { Failure::Development } else { Failure::NoSession });
        }
        Ok(Self(caller.clone()))
    }
}
