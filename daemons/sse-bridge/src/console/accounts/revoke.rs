//! Revoking a user: who has its creds is cut off, and may not connect again.

use axum::{
    extract::{Path, Request},
    response::Response,
};
use maud::{Markup, html};

use super::path;
use crate::{
    audit::What,
    console::{
        command::leafbox,
        failure::Failure,
        form::Inputs,
        signer::{SIGNING, ask},
        told::Message,
        visit::Signing,
    },
    signing::Revoke,
};

/// `POST /accounts/{account}/revoke`.
pub(super) async fn revoke(
    Signing(visit): Signing,
    Path(account): Path<String>,
    request: Request,
) -> Response {
    let done = async {
        let inputs = Inputs::of(request).await?;
        let user = inputs.get("user").trim().to_owned();
        if !is_user(&user) {
            return Err(Failure::Body(format!("`{user}` is not the public key of a user: it starts with U")));
        }
        inputs.confirms(&user)?;
        let revoke =
            Revoke { who: visit.caller.name.to_string(), account: account.clone(), user: user.clone() };
        let told = ask(&visit.console, &revoke, SIGNING).await?;
        visit.tell(What::UserRevoked, format!("{account}: {user}"));
        Ok((path(&account), Message::done(format!("{user} is revoked: {}", told.words))))
    };
    visit.acted("Revoke a user", done.await)
}

/// Whether it can be the public key of a user; the signer looks at its checksum too.
pub(in crate::console) fn is_user(key: &str) -> bool {
    key.len() == 56
        && key.starts_with('U')
        && key.bytes().all(|it| it.is_ascii_uppercase() || it.is_ascii_digit())
}

/// The form, with the user's key where a page that led here knows it.
pub(super) fn form(account: &str, user: &str) -> Markup {
    html! {
        form method="post" action={ (path(account)) "/revoke" } {
            p { "It is cut off at once wherever the change arrives, and never let in again. A connection's page has its key." }
            label for="user" { "Public key" }
            input #user name="user" value=(user) required autocomplete="off" autocapitalize="none" spellcheck="false" aria-describedby="user-hint";
            p.hint #user-hint { "It starts with U and has 56 characters." }
            label for="confirm-user" { "Type the public key again to confirm" }
            input #confirm-user name="confirm" required autocomplete="off" autocapitalize="none" spellcheck="false";
            button.danger type="submit" { "Revoke the user" }
        }
        (leafbox(&["user", "revoke", account, if user.is_empty() { "PUBLIC_KEY" } else { user }]))
    }
}
