//! Minting a user: its seed is made here, its JWT by the signer, and both are given out once, as a file.

use axum::{
    body::Body,
    extract::{Path, Request},
    http::{HeaderValue, header},
    response::Response,
};
use identity::{
    Creds,
    nkey::{KeyKind, SecretKey},
};
use maud::{Markup, html};
use settings::Span;
use zeroize::Zeroizing;

use super::{one, path};
use crate::{
    audit::What,
    console::{
        command::leafbox,
        download::download,
        failure::Failure,
        form::Inputs,
        signer::{SIGNING, SignError, ask},
        visit::{Signing, Visit},
    },
    signing::Mint,
};

/// Characters of a user's name: its JWT has to stay short.
const LONGEST_NAME: usize = 64;

/// What was typed, and what is wrong with it.
#[derive(Debug, Default)]
pub(super) struct Draft {
    inputs: Inputs,
    wrong: Vec<(&'static str, String)>,
    refused: Option<Failure>,
}

impl Draft {
    /// Why it was not signed.
    pub(super) fn refused(&self) -> Option<&Failure> {
        self.refused.as_ref()
    }
}

/// What is asked for, once all of it was read.
struct Wanted {
    role: String,
    name: String,
    expires_seconds: Option<u64>,
}

/// `POST /accounts/{account}/mint`: answers with the creds, which no page, log or event ever has.
pub(super) async fn mint(Signing(visit): Signing, Path(account): Path<String>, request: Request) -> Response {
    let inputs = match Inputs::of(request).await {
        Ok(inputs) => inputs,
        Err(failure) => return visit.failed("Mint a user", &failure),
    };
    let wanted = match read(&inputs) {
        Ok(wanted) => wanted,
        Err(wrong) => return one::again(&visit, &account, Draft { inputs, wrong, refused: None }).await,
    };
    match signed(&visit, &account, &wanted).await {
        Ok(creds) => {
            let mut response =
                download(&format!("{account}-{}.creds", wanted.name), Body::from(creds.to_string()));
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(failure) => {
            one::again(&visit, &account, Draft { inputs, wrong: Vec::new(), refused: Some(failure) }).await
        }
    }
}

/// What was typed, or what is wrong, by the input that it is wrong in.
fn read(inputs: &Inputs) -> Result<Wanted, Vec<(&'static str, String)>> {
    let (role, name) = (inputs.get("role").trim(), inputs.get("name").trim());
    let mut wrong = Vec::new();
    if role.is_empty() {
        wrong.push(("role", "choose the role that it has".to_owned()));
    }
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        wrong.push(("name", format!("write a name of 1 to {LONGEST_NAME} characters, such as till-7")));
    }
    let expires_seconds = match inputs.get("expires").trim() {
        "" => None,
        text => match text.parse::<Span>() {
            Ok(span) if span.0.as_secs() > 0 => Some(span.0.as_secs()),
            Ok(_) => {
                wrong.push(("expires", "give it a second at least".to_owned()));
                None
            }
            Err(error) => {
                wrong.push(("expires", error.to_string()));
                None
            }
        },
    };
    if wrong.is_empty() {
        Ok(Wanted { role: role.to_owned(), name: name.to_owned(), expires_seconds })
    } else {
        Err(wrong)
    }
}

async fn signed(visit: &Visit, account: &str, wanted: &Wanted) -> Result<Zeroizing<String>, Failure> {
    let wrong = |error: &dyn std::fmt::Display| SignError::Wrong(error.to_string());
    let key = SecretKey::generate(KeyKind::User).map_err(|error| wrong(&error))?;
    let public_key = key.public_key();
    let Wanted { role, name, expires_seconds } = wanted;
    let request = Mint {
        who: visit.caller.name.to_string(),
        account: account.to_owned(),
        role: role.clone(),
        name: name.clone(),
        expires_seconds: *expires_seconds,
        public_key: public_key.clone(),
    };
    let minted = ask(&visit.console, &request, SIGNING).await?;
    let creds = Creds::of(minted.jwt, key).map_err(|error| wrong(&error))?;
    let expires = expires_seconds.map_or("for ever".to_owned(), |seconds| format!("for {seconds} s"));
    visit.tell(What::UserMinted, format!("{account}: {name} ({public_key}) with the role {role}, {expires}"));
    Ok(creds.text())
}

/// The form, for the roles that the signer mints users with.
pub(super) fn form(account: &str, roles: &[String], draft: &Draft) -> Markup {
    let value = |name: &str| draft.inputs.get(name).to_owned();
    html! {
        form method="post" action={ (path(account)) "/mint" } {
            p { "The creds are downloaded, once: no page, log or event has them, and nobody can read them again." }
            label for="role" { "Role" }
            select #role name="role" required aria-describedby=[described(draft, "role")] {
                @for role in roles { option value=(role) selected[*role == value("role")] { (role) } }
            }
            (wrong(draft, "role"))
            label for="name" { "Name" }
            input #name name="name" required maxlength=(LONGEST_NAME) value=(value("name")) autocomplete="off" autocapitalize="none" spellcheck="false" aria-describedby=[described(draft, "name")];
            (wrong(draft, "name"))
            label for="expires" { "Good for" }
            input #expires name="expires" value=(value("expires")) autocomplete="off" autocapitalize="none" spellcheck="false" aria-describedby=(described(draft, "expires").unwrap_or("expires-hint"));
            p.hint #expires-hint { "Such as 30d or 12h; empty is for ever, until it is revoked." }
            (wrong(draft, "expires"))
            button type="submit" { "Mint and download" }
        }
        (commands(account, draft))
    }
}

/// The same, to be typed where the keys are.
fn commands(account: &str, draft: &Draft) -> Markup {
    let typed = |name: &str, none: &str| match draft.inputs.get(name) {
        "" => none.to_owned(),
        typed => typed.to_owned(),
    };
    let (role, name, expires) = (typed("role", "ROLE"), typed("name", "NAME"), draft.inputs.get("expires"));
    let mut arguments = vec!["user", "mint", account, &role, "--name", &name];
    if !expires.is_empty() {
        arguments.extend(["--expires", expires]);
    }
    let file = format!("{account}-{name}.creds");
    arguments.extend(["--output", &file]);
    leafbox(&arguments)
}

fn described(draft: &Draft, name: &str) -> Option<&'static str> {
    let id = |name: &str| match name {
        "role" => "role-wrong",
        "name" => "name-wrong",
        _ => "expires-wrong",
    };
    draft.wrong.iter().find(|(of, _)| *of == name).map(|(of, _)| id(of))
}

fn wrong(draft: &Draft, name: &str) -> Markup {
    html! {
        @for (of, text) in draft.wrong.iter().filter(|(of, _)| *of == name) {
            p.field-error id={ (of) "-wrong" } { (text) }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn inputs(form: &[(&str, &str)]) -> Inputs {
        Inputs(form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn what_is_wrong_stands_beside_its_input() {
        let wanted = read(&inputs(&[("role", "till"), ("name", " till-7 "), ("expires", "1h")])).unwrap();
        assert_eq!((wanted.name.as_str(), wanted.expires_seconds), ("till-7", Some(3600)));
        let inputs = inputs(&[("role", ""), ("name", "a\nb"), ("expires", "<soon>")]);
        let wrong = read(&inputs).err().unwrap();
        assert_eq!(wrong.iter().map(|(of, _)| *of).collect::<Vec<_>>(), ["role", "name", "expires"]);
        let form = form("SHOP", &["till".to_owned()], &Draft { inputs, wrong, refused: None }).into_string();
        assert!(
            form.contains("id=\"expires-wrong\"") && form.contains("aria-describedby=\"name-wrong\""),
            "{form}"
        );
        assert!(!form.contains("<soon>"), "{form}");
    }
}
