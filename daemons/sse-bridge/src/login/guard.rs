//! What stands before a route that needs somebody logged in.

use axum::{
    Router,
    extract::{FromRequestParts, Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{ACCEPT, CACHE_CONTROL, COOKIE as COOKIE_HEADER, LOCATION, SET_COOKIE},
        request::Parts,
    },
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Failure, Found, Login, Seconds, now, origin::is_safe, users::Cookie};
use crate::{Caller, Role};

/// The cookie's name: the prefix has browsers refuse it from anywhere but this very host.
pub const COOKIE: &str = "__Host-leafbox";

/// How long ago a passkey may have been shown before what destroys.
const FRESH: Seconds = 300;

/// When the caller last showed a passkey: an extension of each request that has a [`Caller`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proven {
    /// When it was.
    pub at: Seconds,
}

impl Proven {
    /// Whether it was within the last five minutes.
    ///
    /// # Errors
    /// [`Failure::NotFresh`], by which a page asks for the passkey again.
    pub fn is_fresh(self) -> Result<(), Failure> {
        if now().saturating_sub(self.at) < FRESH { Ok(()) } else { Err(Failure::NotFresh) }
    }
}

/// An extractor that lets a request through only shortly after the caller showed a passkey.
#[derive(Clone, Copy, Debug)]
pub struct Fresh;

impl<S: Sync> FromRequestParts<S> for Fresh {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let proven = parts.extensions.get::<Proven>().ok_or(Failure::NoSession)?;
        proven.is_fresh().map(|()| Self)
    }
}

/// Lets callers of this role, or one that may more, through to `router`; [`Login::protect`] stands
/// before it.
pub fn require_role(router: Router, needed: Role) -> Router {
    router.layer(from_fn(move |request: Request, next: Next| async move {
        match request.extensions().get::<Caller>() {
            Some(caller) if caller.role >= needed => next.run(request).await,
            Some(caller) => Failure::Role { role: caller.role, needed }.into_response(),
            None => Failure::NoSession.into_response(),
        }
    }))
}

impl Login {
    /// Lets through to `router` who is logged in, with a [`Caller`] and a [`Proven`] on the request.
    /// Others get a redirect to the login where they asked for a page, and else an error in JSON.
    /// What another page sent is refused.
    pub fn protect(&self, router: Router) -> Router {
        router.layer(from_fn_with_state(self.clone(), protect))
    }
}

async fn protect(State(login): State<Login>, mut request: Request, next: Next) -> Response {
    if let Err(cross) = login.origin().same(request.method(), request.headers()) {
        return Failure::from(cross).into_response();
    }
    let Found { caller, proven, cookie } = match login.find(request.headers()).await {
        Ok(found) => found,
        Err(Failure::NoSession) if asks_for_page(&request) => return to_login(&request),
        Err(failure) => return failure.into_response(),
    };
    request.extensions_mut().insert(caller);
    request.extensions_mut().insert(Proven { at: proven });
    let mut response = next.run(request).await;
    if let Some(cookie) = cookie {
        response.headers_mut().append(SET_COOKIE, set_cookie(&cookie));
    }
    // Pages show what only the caller may see: none stays where another finds it after the logout.
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn asks_for_page(request: &Request) -> bool {
    // Datastar takes any HTML, and would put the login's into the page that it keeps up to date.
    if request.headers().contains_key("datastar-request") {
        return false;
    }
    let accepts = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    matches!(*request.method(), Method::GET | Method::HEAD)
        && accepts.is_some_and(|accept| accept.contains("text/html"))
}

fn to_login(request: &Request) -> Response {
    let wanted = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let next = utf8_percent_encode(wanted, NON_ALPHANUMERIC);
    redirect(&format!("/login/?next={next}"))
}

/// A redirect that no browser keeps.
pub(super) fn redirect(to: &str) -> Response {
    let Ok(to) = HeaderValue::from_str(to) else { return StatusCode::BAD_REQUEST.into_response() };
    let headers = [(LOCATION, to), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// The path that a login leads to: one of this console's own, whatever the query says.
pub(super) fn next_path(asked: Option<&str>) -> &str {
    let is_own = |path: &&str| {
        // Browsers take a backslash for a slash, and two slashes for another host.
        path.starts_with('/')
            && !path.starts_with("//")
            && !path.starts_with("/login")
            && path.chars().all(|character| character.is_ascii_graphic() && character != '\\')
    };
    asked.filter(is_own).unwrap_or("/")
}

/// The cookie of a request. A second one of the name is nobody's: browsers send one.
pub(super) fn cookie_of(headers: &HeaderMap) -> Option<&str> {
    let pairs = headers.get_all(COOKIE_HEADER).iter().filter_map(|value| value.to_str().ok());
    let pairs = pairs.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut own = pairs.filter(|(name, _)| *name == COOKIE).map(|(_, value)| value);
    let first = own.next();
    own.next().is_none().then_some(first).flatten()
}

/// The header that has the browser keep a cookie.
pub(super) fn set_cookie(cookie: &Cookie) -> HeaderValue {
    keep(&cookie.reveal(), cookie.life)
}

/// The header that has the browser keep a text as the cookie for `life` seconds; forget it with 0.
pub(super) fn keep(value: &str, life: Seconds) -> HeaderValue {
    let text = format!("{COOKIE}={value}; Path=/; Max-Age={life}; Secure; HttpOnly; SameSite=Strict");
    let mut value = HeaderValue::from_str(&text).expect("a cookie is plain ASCII");
    value.set_sensitive(true);
    value
}

/// Refuses what another page sent, before a route that needs nobody logged in.
pub(super) async fn same_origin(State(login): State<Login>, request: Request, next: Next) -> Response {
    let method = request.method();
    match login.origin().same(method, request.headers()) {
        Err(cross) if !is_safe(method) => Failure::from(cross).into_response(),
        _ => next.run(request).await,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_login_leads_to_paths_of_this_console_only() {
        for own in ["/", "/streams/ORDERS?seq=1", "/kv#x"] {
            assert_eq!(next_path(Some(own)), own);
        }
        for other in
            ["//evil.example", "/\\evil.example", "https://evil.example", "", "/login/", "/a\tb", "/ä"]
        {
            assert_eq!(next_path(Some(other)), "/", "{other}");
        }
        assert_eq!(next_path(None), "/");
    }

    #[test]
    fn the_cookie_is_found_among_others_and_two_are_none() {
        let of = |values: &[&str]| {
            let pairs = values.iter().map(|value| (COOKIE_HEADER, HeaderValue::from_str(value).unwrap()));
            cookie_of(&pairs.collect()).map(str::to_owned)
        };
        assert_eq!(of(&["a=b; __Host-leafbox=id.secret; c=d"]).as_deref(), Some("id.secret"));
        assert_eq!(of(&["__Host-leafbox=one; __Host-leafbox=two"]), None);
        assert_eq!(of(&["leafbox=one", "x__Host-leafbox=two"]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn a_cookie_is_for_this_host_alone_and_out_of_reach_of_scripts() {
        let text = keep("id.secret", 60);
        assert_eq!(
            text.to_str().unwrap(),
            "__Host-leafbox=id.secret; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Strict"
        );
        assert!(!format!("{text:?}").contains("secret"));
    }
}
