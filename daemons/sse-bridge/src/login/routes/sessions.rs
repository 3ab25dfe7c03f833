//! The caller's own sessions.

use axum::{
    Extension, Json,
    extract::{Path, State},
    http::{
        HeaderMap, HeaderValue,
        header::{CACHE_CONTROL, SET_COOKIE},
    },
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{Own, Sender, login::name_of};
use crate::{
    Caller, SessionId,
    audit::What,
    login::{Failure, Login, Proven, guard::keep},
};

/// Who is logged in.
pub(super) async fn current(
    Extension(caller): Extension<Caller>,
    Extension(proven): Extension<Proven>,
) -> Json<Value> {
    Json(json!({
        "name": caller.name.as_ref(),
        "role": caller.role,
        "session": caller.session.0.as_ref(),
        "proven": proven.at,
    }))
}

/// Whether somebody is: a page that asks this is told no without an error.
pub(super) async fn entered(State(login): State<Login>, headers: HeaderMap) -> Result<Response, Failure> {
    let entered = match login.find(&headers).await {
        Ok(_) => true,
        Err(Failure::NoSession) => false,
        Err(failure) => return Err(failure),
    };
    let fixed = [(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((fixed, Json(json!({ "entered": entered }))).into_response())
}

/// Lists them, the latest use first.
pub(super) async fn list(State(login): State<Login>, Own(caller): Own) -> Result<Json<Value>, Failure> {
    let sessions = login.users().sessions(Some(&name_of(&caller)?));
    let shown = sessions.iter().map(|(id, session)| {
        json!({
            "id": id.0.as_ref(),
            "current": *id == caller.session,
            "created": session.created,
            "seen": session.seen,
            "ends": session.ends,
            "browser": session.browser,
        })
    });
    Ok(Json(json!({ "sessions": shown.collect::<Vec<_>>() })))
}

/// Ends one.
pub(super) async fn end(
    State(login): State<Login>,
    Sender(visitor): Sender,
    Own(caller): Own,
    Path(id): Path<String>,
) -> Result<Json<Value>, Failure> {
    let (id, name) = (SessionId(id.into()), name_of(&caller)?);
    let is_own = login.users().session(&id).is_some_and(|session| session.record.user == name);
    if !is_own || !login.users().end_session(&id).await? {
        return Err(Failure::NoSuchSession);
    }
    login.tell(What::SessionRevoked, &caller, &visitor, format!("session {}", id.0));
    Ok(Json(json!({ "ended": 1 })))
}

/// Ends all but the one that asks.
pub(super) async fn end_others(
    State(login): State<Login>,
    Sender(visitor): Sender,
    Own(caller): Own,
) -> Result<Json<Value>, Failure> {
    let ended = login.users().end_sessions(&name_of(&caller)?, Some(&caller.session)).await?;
    login.tell(What::SessionRevoked, &caller, &visitor, format!("{ended} other sessions"));
    Ok(Json(json!({ "ended": ended })))
}

/// Ends the one that asks, and has the browser forget its cookie.
pub(super) async fn log_out(
    State(login): State<Login>,
    Sender(visitor): Sender,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Failure> {
    login.users().end_session(&caller.session).await?;
    login.tell(What::LoggedOut, &caller, &visitor, None);
    let mut response = Json(json!({ "ended": 1 })).into_response();
    response.headers_mut().append(SET_COOKIE, keep("", 0));
    Ok(response)
}
