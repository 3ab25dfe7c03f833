//! `leafbox registry token`: what clients log in with.

use anyhow::Result;
use registry::{
    access::{self, Actions, NewToken},
    records::{TokenRecord, now},
};
use serde_json::{Value, json};

use super::{BY, audited::audited, list::when, storage};
use crate::{cli, figures::span, say, session::Session, table::Table};

pub(super) async fn run(session: &Session, command: &cli::Token) -> Result<()> {
    match command {
        cli::Token::Add { name, repositories, pull, push, delete, expires, json } => {
            // Clients look what is there before they push.
            let pull = *pull || *push || !*delete;
            let new = NewToken {
                name: name.clone(),
                repositories: repositories.clone(),
                actions: Actions { pull, push: *push, delete: *delete },
                expires: expires.map(|expires| now() + expires.0.as_secs()),
            };
            add(session, new, *json).await
        }
        cli::Token::List { json } => list(session, *json).await,
        cli::Token::Revoke { name } => revoke(session, name).await,
    }
}

async fn add(session: &Session, new: NewToken, as_json: bool) -> Result<()> {
    let minted = audited(session, async |storage, audit| {
        access::mint(storage, audit, BY, new).await.map_err(Into::into)
    })
    .await?;
    let (record, secret) = (&minted.record, minted.secret.reveal());
    if as_json {
        let mut shown = shown(record);
        shown["secret"] = secret.into();
        say!("{}", serde_json::to_string_pretty(&shown)?);
        return Ok(());
    }
    say!("{secret}");
    let end = record.expires.map_or("until it is revoked".to_owned(), |end| format!("until {}", when(end)));
    eprintln!("{} may {} in {}, {end}.", record.name, rights(record), record.repositories.join(" "));
    eprintln!("The line above is its secret; nobody can show it again. To log in, type");
    eprintln!("  docker login -u {} {}", record.name, host(session));
    eprintln!("and the secret as the password, or in a script");
    eprintln!("  printf %s \"$SECRET\" | docker login -u {} --password-stdin {}", record.name, host(session));
    Ok(())
}

async fn list(session: &Session, as_json: bool) -> Result<()> {
    let storage = storage::open(session).await?;
    let tokens = access::list(&storage);
    if as_json {
        say!("{}", serde_json::to_string_pretty(&tokens.iter().map(shown).collect::<Vec<_>>())?);
        return Ok(());
    }
    if tokens.is_empty() {
        say!(
            "there is no token: `leafbox registry token add` makes one; without, clients of this machine have"
        );
        say!("what `registry.anonymous` in node.toml gives them, and others nothing");
        return Ok(());
    }
    let mut table = Table::new(&["NAME", "MAY", "REPOSITORIES", "MADE", "ENDS"]);
    for token in tokens {
        table.row([
            token.name.clone(),
            rights(&token),
            token.repositories.join(" "),
            when(token.created),
            end(&token),
        ]);
    }
    say!("{}", table.to_string().trim_end());
    Ok(())
}

async fn revoke(session: &Session, name: &str) -> Result<()> {
    audited(session, async |storage, audit| {
        access::revoke(storage, audit, BY, name).await.map_err(Into::into)
    })
    .await?;
    say!("{name} is revoked: whoever has its secret is refused from now on");
    Ok(())
}

/// All but the hash, which nobody needs.
fn shown(token: &TokenRecord) -> Value {
    json!({
        "name": token.name,
        "repositories": token.repositories,
        "pull": token.pull,
        "push": token.push,
        "delete": token.delete,
        "created": token.created,
        "expires": token.expires,
    })
}

fn rights(token: &TokenRecord) -> String {
    let words = [("pull", token.pull), ("push", token.push), ("delete", token.delete)];
    words.into_iter().filter(|(_, may)| *may).map(|(word, _)| word).collect::<Vec<_>>().join(" ")
}

fn end(token: &TokenRecord) -> String {
    let now = now();
    match token.expires {
        None => "never".to_owned(),
        Some(end) if end <= now => format!("ended {}", when(end)),
        Some(end) => format!("{} (in {})", when(end), span(end - now)),
    }
}

/// The registry as a client of this machine names it.
fn host(session: &Session) -> String {
    let address = session.addresses.registry;
    address.map_or("HOST:PORT".to_owned(), |address| runtime::reachable(address).to_string())
}
