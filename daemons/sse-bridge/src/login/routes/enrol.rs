//! Enrolling with a token: the first admin, an invited user, and who lost all passkeys.

use axum::{Json, extract::State, http::HeaderMap, response::Response};
use serde::Deserialize;
use serde_json::{Value, json};
use webauthn_rs::prelude::{RegisterPublicKeyCredential, Uuid};

use super::{Body, Finish, Sender, login::enter};
use crate::{
    audit::What,
    login::{
        CeremonyError, Failure, Login, PasskeyError, PasskeyRecord, Purpose, UserName, UserRecord,
        ceremonies::{Begun, Person, id_of},
        now,
        secret::Token,
        users::passkey_label,
    },
};

/// Whom failures are counted for behind a proxy on this machine: nobody has a name yet.
const WHO: &str = "enrolment";

#[derive(Deserialize)]
pub(super) struct Begin {
    token: Token,
}

/// Begins with a token, which stays good until the passkey is made.
pub(super) async fn begin(
    State(login): State<Login>,
    Sender(visitor): Sender,
    Body(Begin { token }): Body<Begin>,
) -> Result<Json<Value>, Failure> {
    if !login.users().is_ready() {
        return Err(Failure::NotReady);
    }
    let key = login.heard(&visitor, WHO)?;
    login.begins(&visitor)?;
    let users = login.users();
    let found = users.fresh_enrolment(token.as_str(), now()).await;
    let found = found.map_err(|error| login.failed(&visitor, key, WHO, error.into()))?.record;
    let there = users.user(&found.user).map(|user| user.record);
    let user_id = there.map_or_else(Uuid::new_v4, |user| user.id);
    let passkeys: Vec<_> = users.passkeys(&found.user).into_iter().map(|(_, known)| known.passkey).collect();
    let person = Person { name: &found.user, id: user_id, passkeys: &passkeys };
    let (options, state) = login.0.ceremonies.ask_new(&person)?;
    let ceremony = login.0.ceremonies.begin(Begun::Enrol { token, user_id, state });
    Ok(Json(json!({ "ceremony": ceremony, "options": options, "name": found.user, "role": found.role })))
}

/// Makes the user, or gives them the passkey, and logs them in.
pub(super) async fn finish(
    State(login): State<Login>,
    Sender(visitor): Sender,
    headers: HeaderMap,
    Body(finish): Body<Finish<RegisterPublicKeyCredential>>,
) -> Result<Response, Failure> {
    let key = login.heard(&visitor, WHO)?;
    let (name, user, what) = match enrol(&login, &finish).await {
        Err(failure @ (Failure::Ceremony(_) | Failure::Enrol(_))) => {
            return Err(login.failed(&visitor, key, WHO, failure));
        }
        result => result?,
    };
    tracing::info!(console.user = %name, "{name} enrolled at the console as {}", user.role);
    enter(&login, &headers, &visitor, what, &name, &user).await
}

async fn enrol(
    login: &Login,
    finish: &Finish<RegisterPublicKeyCredential>,
) -> Result<(UserName, UserRecord, What), Failure> {
    let begun = login.0.ceremonies.take(&finish.ceremony)?;
    let Begun::Enrol { token, user_id, state } = begun else {
        return Err(CeremonyError::Unknown.into());
    };
    let passkey = login.0.ceremonies.check_new(&finish.credential, &state)?;
    let (id, users) = (id_of(&passkey), login.users());
    // Before the token is used up, of what can be known before.
    if users.passkey(&id).is_some() {
        return Err(PasskeyError::Known.into());
    }
    let found = users.enrolment(token.as_str(), now())?;
    users.use_up(&found).await?;
    let found = found.record;
    let record = PasskeyRecord {
        user: found.user.clone(),
        user_id,
        label: passkey_label(&finish.label),
        created: now(),
        used: None,
        passkey,
    };
    let is_there = users.user(&found.user).is_some_and(|user| user.record.id == user_id);
    if is_there {
        users.add_passkey(&id, record).await?;
    } else {
        users.add_user(found.role, &id, record).await?;
    }
    let user = users.user(&found.user).ok_or(PasskeyError::NoUser { user: found.user.clone() })?;
    let what = if found.purpose == Purpose::Recovery { What::Recovered } else { What::Enrolled };
    Ok((found.user, user.record, what))
}
