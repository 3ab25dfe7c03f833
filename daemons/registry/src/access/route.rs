//! `GET` and `POST /token`: a Bearer token for a login (distribution's "Token Authentication
//! Specification" and its OAuth2 form).
//!
//! docker, skopeo, podman, crane and oras ask by `GET` with Basic; containerd, and whoever has an
//! identity token, by `POST`. No refresh tokens are handed out: the secret of a token does as one.

use std::time::Duration;

use axum::{
    Json,
    body::{Body, to_bytes},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{ALLOW, CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE},
        request,
    },
    response::{IntoResponse, Response},
};
use runtime::{http::Peer, visitor::Visitor};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Access, Credentials, Refused, Scopes, bearer::LIFETIME, guard::GrantError};

/// Bytes of a form.
const LONGEST_FORM: usize = 64 * 1024;
/// How long a form may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a client asks for.
#[derive(Debug)]
pub struct TokenRequest {
    /// Who asks; `None` when the header says it.
    login: Option<Credentials>,
    scopes: Scopes,
}

impl TokenRequest {
    /// Reads the query of a `GET`: `service=…&scope=…&scope=…&account=…`.
    pub fn of_query(query: &str) -> Self {
        let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
        let scopes = pairs.iter().filter(|(name, _)| name == "scope").map(|(_, value)| value.as_ref());
        Self { login: None, scopes: Scopes::parse(scopes) }
    }

    /// Reads the form of a `POST`: `grant_type=password&username=…&password=…&scope=…`, or
    /// `grant_type=refresh_token&refresh_token=…&scope=…`.
    pub fn of_form(form: &[u8]) -> Result<Self, UnknownGrant> {
        let pairs: Vec<_> = form_urlencoded::parse(form).collect();
        let all = |wanted: &'static str| {
            pairs.iter().filter(move |(name, _)| name == wanted).map(|(_, value)| value.as_ref())
        };
        let one = |wanted: &'static str| all(wanted).next().unwrap_or_default();
        let login = match one("grant_type") {
            "password" => Credentials::login(one("username"), one("password")),
            "refresh_token" => Credentials::Refresh(one("refresh_token").to_owned()),
            _ => return Err(UnknownGrant),
        };
        Ok(Self { login: Some(login), scopes: Scopes::parse(all("scope")) })
    }
}

impl TokenRequest {
    /// What it asks for.
    pub fn scopes(&self) -> &Scopes {
        &self.scopes
    }
}

/// The form asks in a way that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`grant_type` is `password` or `refresh_token`")]
pub struct UnknownGrant;

/// A Bearer token.
#[derive(Debug, Serialize, Deserialize)]
pub struct TokenAnswer {
    /// The token.
    pub token: String,
    /// The same, as OAuth2 calls it.
    pub access_token: String,
    /// What it is good for.
    pub scope: Scopes,
    /// Seconds.
    pub expires_in: u64,
    /// When it was made (RFC 3339).
    pub issued_at: String,
}

impl Access {
    /// Answers `GET` and `POST /token`.
    pub async fn token(&self, head: &request::Parts, connection: Peer, body: Body) -> Response {
        let request = match head.method {
            Method::GET | Method::HEAD => TokenRequest::of_query(head.uri.query().unwrap_or_default()),
            Method::POST => match tokio::time::timeout(PATIENCE, to_bytes(body, LONGEST_FORM)).await {
                Ok(Ok(form)) => match TokenRequest::of_form(&form) {
                    Ok(request) => request,
                    Err(error) => return failure(StatusCode::BAD_REQUEST, "UNSUPPORTED", &error.to_string()),
                },
                Ok(Err(_)) => {
                    return failure(
                        StatusCode::PAYLOAD_TOO_LARGE,
                        "SIZE_INVALID",
                        "the form is cut or too long",
                    );
                }
                Err(_) => {
                    return failure(StatusCode::REQUEST_TIMEOUT, "UNKNOWN", "the form took too long");
                }
            },
            _ => {
                let text = "this is answered to GET and POST only";
                let mut response = failure(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", text);
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
                return response;
            }
        };
        answer(self.bearer_token(&head.headers, connection, request).await)
    }

    async fn bearer_token(
        &self,
        headers: &HeaderMap,
        connection: Peer,
        request: TokenRequest,
    ) -> Result<TokenAnswer, GrantError> {
        let credentials = match request.login {
            Some(login) => login,
            None => Credentials::of(headers).map_err(Refused::from)?,
        };
        let peer = Visitor::of(headers, connection.address);
        let (token, scope) = self.grant(&credentials, &peer, request.scopes).await?;
        let issued_at = OffsetDateTime::now_utc().format(&Rfc3339).expect("now has a date");
        Ok(TokenAnswer { access_token: token.clone(), token, scope, expires_in: LIFETIME, issued_at })
    }
}

fn answer(result: Result<TokenAnswer, GrantError>) -> Response {
    let mut response = match result {
        Ok(token) => Json(token).into_response(),
        Err(GrantError::Refused(refused)) => {
            let mut response = failure(refused.status(), refused.code(), &refused.to_string());
            if refused.status() == StatusCode::UNAUTHORIZED {
                let login = HeaderValue::from_static("Basic realm=\"leafbox registry\"");
                response.headers_mut().insert(WWW_AUTHENTICATE, login);
            }
            if let Some(seconds) = refused.retry_after() {
                response.headers_mut().insert(RETRY_AFTER, seconds.into());
            }
            response
        }
        Err(error @ GrantError::Storage(_)) => {
            tracing::warn!("no Bearer token could be made: {error}");
            let text = "the registry cannot reach its storage: try again in a moment";
            let mut response = failure(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", text);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("2"));
            response
        }
        Err(error @ GrantError::Key) => {
            tracing::error!("no Bearer token can be made: {error}");
            let text = "the registry cannot make Bearer tokens: its log says why";
            failure(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", text)
        }
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn failure(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(serde_json::json!({ "errors": [{ "code": code, "message": message }] }))).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn requests_are_read_as_docker_containerd_and_skopeo_write_them() {
        let docker = "account=ci&client_id=docker&offline_token=true&scope=repository%3Ateam%2Fapp%3Apull%2Cpush&scope=repository%3Abase%3Apull&service=127.0.0.1%3A5000";
        let request = TokenRequest::of_query(docker);
        assert_eq!(request.scopes.to_string(), "repository:base:pull repository:team/app:pull,push");
        assert!(request.login.is_none());
        let containerd = b"client_id=containerd-client&grant_type=password&password=lbr_x%2B&scope=repository%3Aa%3Apull+repository%3Ab%3Apull&service=h&username=ci";
        let request = TokenRequest::of_form(containerd).unwrap();
        assert_eq!(request.scopes.to_string(), "repository:a:pull repository:b:pull");
        assert_eq!(request.login, Some(Credentials::login("ci", "lbr_x+")));
        let skopeo = b"client_id=containers%2Fimage&grant_type=refresh_token&refresh_token=lbr_y&scope=repository%3Aa%3A%2A";
        let request = TokenRequest::of_form(skopeo).unwrap();
        assert_eq!(request.login, Some(Credentials::Refresh("lbr_y".into())));
        assert_eq!(request.scopes.to_string(), "repository:a:pull,push,delete");
    }

    #[test]
    fn a_form_without_a_known_grant_is_refused() {
        for form in ["", "grant_type=authorization_code", "username=ci&password=x"] {
            assert_eq!(TokenRequest::of_form(form.as_bytes()).unwrap_err(), UnknownGrant);
        }
    }
}
