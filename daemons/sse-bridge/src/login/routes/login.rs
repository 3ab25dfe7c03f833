//! Logging in by passkey, and showing it again.

use axum::{
    Json,
    extract::State,
    http::{
        HeaderMap,
        header::{SET_COOKIE, USER_AGENT},
    },
    response::{IntoResponse, Response},
};
use runtime::visitor::Visitor;
use serde_json::{Value, json};
use webauthn_rs::prelude::PublicKeyCredential;

use super::{Body, Finish, Own, Sender};
use crate::{
    Caller,
    audit::What,
    login::{CeremonyError, Failure, Login, UserName, UserRecord, ceremonies::Begun, guard::set_cookie, now},
};

/// Begins a login: what the browser is asked for is the same for everybody, and tells nothing about
/// who there is.
pub(super) async fn begin(
    State(login): State<Login>,
    Sender(visitor): Sender,
) -> Result<Json<Value>, Failure> {
    if !login.users().is_ready() {
        return Err(Failure::NotReady);
    }
    login.begins(&visitor)?;
    let (options, state) = login.0.ceremonies.ask_anybody()?;
    let ceremony = login.0.ceremonies.begin(Begun::Login(state));
    Ok(Json(json!({ "ceremony": ceremony, "options": options })))
}

/// Logs in whoever's passkey answers.
pub(super) async fn finish(
    State(login): State<Login>,
    Sender(visitor): Sender,
    headers: HeaderMap,
    Body(finish): Body<Finish<PublicKeyCredential>>,
) -> Result<Response, Failure> {
    let claimed = data_encoding::BASE64URL_NOPAD.encode(finish.credential.get_credential_id());
    let known = login.users().passkey(&claimed);
    let who = known.map_or_else(String::new, |known| known.record.user.to_string());
    let key = login.heard(&visitor, &who)?;
    let (name, user) = match check(&login, &finish).await {
        Err(failure @ Failure::Ceremony(_)) => return Err(login.failed(&visitor, key, &who, failure)),
        result => result?,
    };
    let response = enter(&login, &headers, &visitor, What::LoggedIn, &name, &user).await?;
    Ok(response)
}

async fn check(
    login: &Login,
    finish: &Finish<PublicKeyCredential>,
) -> Result<(UserName, UserRecord), Failure> {
    let ceremonies = &login.0.ceremonies;
    let Begun::Login(state) = ceremonies.take(&finish.ceremony)? else {
        return Err(CeremonyError::Unknown.into());
    };
    let (claimed, id) = ceremonies.identify(&finish.credential)?;
    let passkey = login.users().passkey(&id).filter(|passkey| passkey.record.user_id == claimed);
    let passkey = passkey.ok_or(CeremonyError::UnknownPasskey)?.record;
    let result = ceremonies.check_login(&finish.credential, state, &passkey.passkey)?;
    login.users().passkey_used(&id, &result, now()).await?;
    let user = login.users().user(&passkey.user).ok_or(CeremonyError::UnknownPasskey)?;
    Ok((passkey.user, user.record))
}

/// Begins a session of somebody who just showed a passkey, and ends the one that the browser had.
pub(super) async fn enter(
    login: &Login,
    headers: &HeaderMap,
    visitor: &Visitor,
    what: What,
    name: &UserName,
    user: &UserRecord,
) -> Result<Response, Failure> {
    let browser = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let before = login.find(headers).await.ok();
    let session = login.users().begin_session(name, user, browser).await?;
    if let Some(before) = before {
        login.users().end_session(&before.caller.session).await?;
    }
    let caller = Caller {
        name: name.shared(),
        role: user.role,
        session: session.id.clone(),
        ended: tokio_util::sync::CancellationToken::new(),
    };
    login.tell(what, &caller, visitor, None);
    let body = Json(json!({ "name": name, "role": user.role, "session": session.id.0.as_ref() }));
    let mut response = body.into_response();
    response.headers_mut().append(SET_COOKIE, set_cookie(&session.cookie));
    Ok(response)
}

/// Asks the caller for one of their own passkeys.
pub(super) async fn prove_begin(
    State(login): State<Login>,
    Sender(visitor): Sender,
    Own(caller): Own,
) -> Result<Json<Value>, Failure> {
    login.begins(&visitor)?;
    let passkeys = login.users().passkeys(&name_of(&caller)?);
    let passkeys: Vec<_> = passkeys.into_iter().map(|(_, passkey)| passkey.passkey).collect();
    let (options, state) = login.0.ceremonies.ask(&passkeys)?;
    let ceremony = login.0.ceremonies.begin(Begun::Prove { session: caller.session, state });
    Ok(Json(json!({ "ceremony": ceremony, "options": options })))
}

/// Keeps that the caller showed it.
pub(super) async fn prove_finish(
    State(login): State<Login>,
    Sender(visitor): Sender,
    Own(caller): Own,
    Body(finish): Body<Finish<PublicKeyCredential>>,
) -> Result<Json<Value>, Failure> {
    let key = login.heard(&visitor, &caller.name)?;
    match prove(&login, &caller, &finish).await {
        Err(failure @ Failure::Ceremony(_)) => {
            return Err(login.failed(&visitor, key, &caller.name, failure));
        }
        result => result?,
    }
    login.tell(What::Reauthenticated, &caller, &visitor, None);
    Ok(Json(json!({ "proven": now() })))
}

async fn prove(login: &Login, caller: &Caller, finish: &Finish<PublicKeyCredential>) -> Result<(), Failure> {
    let begun = login.0.ceremonies.take(&finish.ceremony)?;
    let state = match begun {
        Begun::Prove { session, state } if session == caller.session => state,
        _ => return Err(CeremonyError::Unknown.into()),
    };
    let result = login.0.ceremonies.check(&finish.credential, &state)?;
    let id = data_encoding::BASE64URL_NOPAD.encode(result.cred_id().as_ref());
    // The passkey may have been removed since it was asked for.
    login.users().passkey(&id).ok_or(CeremonyError::UnknownPasskey)?;
    login.users().passkey_used(&id, &result, now()).await?;
    Ok(login.users().prove_session(&caller.session).await?)
}

/// The name of a caller whose session is in the bucket.
pub(super) fn name_of(caller: &Caller) -> Result<UserName, Failure> {
    caller.name.parse().map_err(|_| Failure::NoSession)
}
