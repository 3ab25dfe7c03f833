//! The caller's own passkeys.

use axum::{
    Json,
    extract::{Path, State},
};
use serde::Deserialize;
use serde_json::{Value, json};
use webauthn_rs::prelude::RegisterPublicKeyCredential;

use super::{Body, Finish, Own, Sender, login::name_of};
use crate::{
    audit::What,
    login::{
        CeremonyError, Failure, Login, PasskeyError, PasskeyRecord,
        ceremonies::{Begun, Person, id_of},
        guard::Fresh,
        now,
        users::passkey_label,
    },
};

/// Lists them.
pub(super) async fn list(State(login): State<Login>, Own(caller): Own) -> Result<Json<Value>, Failure> {
    let passkeys = login.users().passkeys(&name_of(&caller)?);
    let shown = passkeys.iter().map(|(id, passkey)| {
        json!({ "id": id, "label": passkey.label, "created": passkey.created, "used": passkey.used })
    });
    Ok(Json(json!({ "passkeys": shown.collect::<Vec<_>>() })))
}

/// Asks for one more. Whoever finds a browser open must not be able to stay.
pub(super) async fn begin(
    State(login): State<Login>,
    _: Fresh,
    Sender(visitor): Sender,
    Own(caller): Own,
) -> Result<Json<Value>, Failure> {
    login.begins(&visitor)?;
    let name = name_of(&caller)?;
    let user = login.users().user(&name).ok_or(Failure::NoSession)?.record;
    let known: Vec<_> = login.users().passkeys(&name).into_iter().map(|(_, known)| known.passkey).collect();
    let person = Person { name: &name, id: user.id, passkeys: &known };
    let (options, state) = login.0.ceremonies.ask_new(&person)?;
    let ceremony = login.0.ceremonies.begin(Begun::Add { session: caller.session, state });
    Ok(Json(json!({ "ceremony": ceremony, "options": options })))
}

/// Adds it.
pub(super) async fn finish(
    State(login): State<Login>,
    Sender(visitor): Sender,
    Own(caller): Own,
    Body(finish): Body<Finish<RegisterPublicKeyCredential>>,
) -> Result<Json<Value>, Failure> {
    let state = match login.0.ceremonies.take(&finish.ceremony)? {
        Begun::Add { session, state } if session == caller.session => state,
        _ => return Err(CeremonyError::Unknown.into()),
    };
    let passkey = login.0.ceremonies.check_new(&finish.credential, &state)?;
    let name = name_of(&caller)?;
    let user = login.users().user(&name).ok_or(Failure::NoSession)?.record;
    let (id, label) = (id_of(&passkey), passkey_label(&finish.label));
    let record = PasskeyRecord {
        user: name,
        user_id: user.id,
        label: label.clone(),
        created: now(),
        used: None,
        passkey,
    };
    login.users().add_passkey(&id, record).await?;
    login.tell(What::PasskeyAdded, &caller, &visitor, label.clone());
    Ok(Json(json!({ "id": id, "label": label })))
}

#[derive(Deserialize)]
pub(super) struct Rename {
    label: String,
}

/// Calls one something else.
pub(super) async fn rename(
    State(login): State<Login>,
    Sender(visitor): Sender,
    Own(caller): Own,
    Path(id): Path<String>,
    Body(Rename { label }): Body<Rename>,
) -> Result<Json<Value>, Failure> {
    let label = passkey_label(&label);
    login.users().rename_passkey(&name_of(&caller)?, &id, &label).await?;
    login.tell(What::PasskeyRenamed, &caller, &visitor, label.clone());
    Ok(Json(json!({ "id": id, "label": label })))
}

/// Removes one, if another stays.
pub(super) async fn remove(
    State(login): State<Login>,
    _: Fresh,
    Sender(visitor): Sender,
    Own(caller): Own,
    Path(id): Path<String>,
) -> Result<Json<Value>, Failure> {
    let name = name_of(&caller)?;
    let user = login.users().user(&name).ok_or(Failure::NoSession)?.record;
    let known = login.users().passkey(&id).filter(|known| known.record.user == name);
    let label = known.ok_or(PasskeyError::Unknown)?.record.label;
    login.users().remove_passkey(&name, user.id, &id).await?;
    login.tell(What::PasskeyRemoved, &caller, &visitor, label);
    Ok(Json(json!({ "id": id })))
}
