//! `GET /accounts/{account}`: what an account may do, who speaks for it, and who is connected.

use axum::{
    extract::{Path, Query},
    response::Response,
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::{
    claims::{Body, Export, Import},
    gather::{self, Known},
    limits, list,
    mint::{self, Draft},
    revoke, roles,
};
use crate::{
    Role,
    console::{
        command::command,
        failure::Failure,
        figures::{at, bytes, moment},
        link::{escaped, trail},
        payload::indented,
        signer::{BOX_ALONE, READING, ask, by_hand, shown},
        visit::Visit,
    },
    signing::{About, Signer},
};

/// `GET /accounts/{account}`.
pub(super) async fn show(visit: Visit, Path(account): Path<String>, Query(asked): Query<Asked>) -> Response {
    let revoke = if revoke::is_user(&asked.revoke) { asked.revoke.as_str() } else { "" };
    match content(&visit, &account, &Draft::default(), revoke).await {
        Ok(content) => visit.page(&title(&account), &content),
        Err(failure) => visit.failed(&title(&account), &failure),
    }
}

/// The page with the form that mints a user, as it was typed and with what is wrong with it.
pub(super) async fn again(visit: &Visit, account: &str, draft: Draft) -> Response {
    match content(visit, account, &draft, "").await {
        Ok(content) => visit.form_again(&title(account), &content),
        Err(failure) => visit.failed(&title(account), &failure),
    }
}

/// What an address may say.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    /// The user whose key stands in the form that revokes one.
    revoke: String,
}

fn title(account: &str) -> String {
    format!("Account {}", account.chars().take(60).collect::<String>())
}

async fn content(visit: &Visit, account: &str, draft: &Draft, revoke: &str) -> Result<Markup, Failure> {
    let known = gather::one(&visit.console.servers, account).await?;
    let used = used(visit, &known).await;
    let users = if visit.may(Role::Admin) {
        users(visit, account, ask(&visit.console, &About {}, READING).await, draft, revoke)
    } else {
        html! { p.quiet { "Minting and revoking users takes the role admin." } }
    };
    Ok(page(
        visit,
        &known,
        &used,
        &html! {
            @if let Some(failure) = draft.refused() { (failure.markup()) }
            (users)
        },
    ))
}

/// The forms for users of the account, where a signer answers.
fn users(
    visit: &Visit,
    account: &str,
    signer: Result<Signer, Failure>,
    draft: &Draft,
    revoke: &str,
) -> Markup {
    let user = if revoke.is_empty() { "PUBLIC_KEY" } else { revoke };
    let signer = match signer {
        Ok(signer) => signer,
        Err(failure) => {
            let mint = ["user", "mint", account, "ROLE", "--name", "NAME", "--output", "FILE"];
            return by_hand(&failure, &[&mint, &["user", "revoke", account, user], &["apply"]]);
        }
    };
    if !visit.proven {
        return html! { (shown(&signer)) (visit.ask_for_passkey()) };
    }
    html! {
        (shown(&signer))
        h3 #mint { "Mint a user" }
        @match signer.roles.get(account) {
            Some(roles) if !roles.is_empty() => (mint::form(account, roles, draft)),
            Some(_) => p { "The account has no role to mint users with: fleet.toml declares them." },
            None => p { "Its users are leafbox's own: what a node runs with is made by " code { "leafbox enroll" } " and " code { "leafbox apply" } "." },
        }
        h3 #revoke { "Revoke a user" }
        @if signer.is_operator { (revoke::form(account, revoke)) } @else {
            (by_hand(BOX_ALONE, &[&["user", "revoke", account, user], &["apply"]]))
        }
    }
}

/// What JetStream says of the account; nothing where it has none, or the console does not look in.
async fn used(visit: &Visit, known: &Known) -> Result<Option<Value>, Failure> {
    match visit.account(known.detail.name()) {
        Ok(account) if known.detail.jetstream_enabled => Ok(Some(account.read("INFO", &Value::Null).await?)),
        _ => Ok(None),
    }
}

fn page(visit: &Visit, known: &Known, used: &Result<Option<Value>, Failure>, users: &Markup) -> Markup {
    let detail = &known.detail;
    let name = detail.name();
    let declared = visit.console.fleet.accounts.get(name);
    html! {
        (trail(&[("/accounts", "Accounts")]))
        p {
            (list::declared(name, &visit.console.fleet)) " "
            (detail.body().map_or("", |body| body.description.as_str()))
        }
        dl.facts {
            div { dt { "Connections" } dd { a href={ "/connections?account=" (escaped(name)) } { (detail.client_connections) } } }
            div { dt { "Leaf node links" } dd { (detail.leafnode_connections) } }
            div { dt { "Subscriptions" } dd { (detail.subscriptions) } }
            @if let Ok(Some(used)) = used {
                div { dt { "JetStream files" } dd { (bytes(used["storage"].as_u64().unwrap_or_default())) } }
                div { dt { "JetStream memory" } dd { (bytes(used["memory"].as_u64().unwrap_or_default())) } }
                div { dt { "Streams" } dd { a href={ "/streams?account=" (escaped(name)) } { (used["streams"]) } } }
                div { dt { "Consumers" } dd { (used["consumers"]) } }
            }
        }
        @if let Err(failure) = used { (failure.markup()) }
        @if let Some(declared) = declared { (roles::services(declared)) }
        h2 { "Users" }
        (users)
        @match detail.body() {
            Some(body) => { (roles::roles(body)) (revocations(body)) (exchange(body)) h2 { "Limits" } (limits::table(&body.limits)) },
            None => p.notice { "The account has no claims: it stands in nats-server's own configuration." },
        }
        h2 { "As the server has it" }
        dl {
            dt { "Public key" } dd { code { (detail.key()) } }
            @if let Some(claims) = &detail.decoded_jwt {
                dt { "Signed" } dd { (at(claims.iat)) }
                dt { "Signed by" } dd { code { (claims.iss) } }
                dt { "Good until" } dd { @if claims.exp > 0 { (at(claims.exp)) } @else { "for ever" } }
            }
            dt { "Taken over" } dd { (moment(&detail.update_time)) }
        }
        details {
            summary { "As JSON" }
            pre.tall tabindex="0" aria-label="The account as JSON" { code { (indented(&known.json.to_string())) } }
        }
        (command(&["server", "account", "info", detail.key()]))
    }
}

fn revocations(body: &Body) -> Markup {
    html! {
        h2 { "Revoked users" }
        @if body.revocations.is_empty() { p { "None." } } @else {
            table {
                caption { "Users that may not connect" }
                thead { tr { th scope="col" { "Public key" } th scope="col" { "Signed at this time or before" } } }
                tbody {
                    @for (key, seconds) in &body.revocations {
                        tr { th scope="row" { @if key == "*" { "all users" } @else { code { (key) } } } td { (at(*seconds)) } }
                    }
                }
            }
        }
    }
}

/// What the account gives to others and takes from them.
fn exchange(body: &Body) -> Markup {
    html! {
        h2 { "Exports and imports" }
        @if body.exports.is_empty() && body.imports.is_empty() { p { "None: nothing crosses its border." } }
        @if !body.exports.is_empty() {
            table {
                caption { "What other accounts may import" }
                thead { tr { th scope="col" { "Subject" } th scope="col" { "Kind" } th scope="col" { "To" } } }
                tbody {
                    @for Export { subject, kind, token_req, response_type, description } in &body.exports {
                        tr {
                            th scope="row" { code { (subject) } @if !description.is_empty() { br; span.quiet { (description) } } }
                            td { (kind) @if !response_type.is_empty() { ", " (response_type) } }
                            td { @if *token_req { "those who were let" } @else { "all accounts" } }
                        }
                    }
                }
            }
        }
        @if !body.imports.is_empty() {
            table {
                caption { "What it takes from other accounts" }
                thead { tr { th scope="col" { "Subject" } th scope="col" { "Kind" } th scope="col" { "From" } th scope="col" { "Here" } } }
                tbody {
                    @for Import { subject, kind, account, local_subject } in &body.imports {
                        tr {
                            th scope="row" { code { (subject) } }
                            td { (kind) }
                            td { code { (account) } }
                            td { @if local_subject.is_empty() { "the same" } @else { code { (local_subject) } } }
                        }
                    }
                }
            }
        }
    }
}
