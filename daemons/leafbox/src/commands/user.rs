//! `leafbox user`: users that stand in no file.

use std::{path::Path, time::SystemTime};

use anyhow::{Context, Result, bail};
use identity::{
    AccountJwt, JwtSet, KeyStore, KeyStoreError, Ledger, SignError, UserRequest, nkey::SecretKey,
};
use settings::{Name, Span};

use crate::{cli, data::write_whole, say, session::Session, setup};

/// Carries out one of the subcommands.
pub(crate) async fn run(session: &Session, command: &cli::User) -> Result<()> {
    match command {
        cli::User::Mint { account, role, name, expires, public_key, output } => {
            let account: Name = account.parse().map_err(anyhow::Error::msg)?;
            let role: Name = role.parse().map_err(anyhow::Error::msg)?;
            let expires =
                expires.as_deref().map(str::parse::<Span>).transpose().map_err(anyhow::Error::msg)?;
            let signed = account_of(&signed(session)?, &account)?;
            let request = UserRequest {
                account: &account,
                account_key: &signed.public_key,
                role: &role,
                name,
                expires: expires.map(|span| span.0),
                tags: &[],
            };
            mint(session, &request, public_key.as_deref(), output)
        }
        cli::User::Revoke { account, public_key } => revoke(session, account, public_key),
    }
}

/// The accounts, as last signed.
pub(crate) fn signed(session: &Session) -> Result<JwtSet> {
    setup::known(&session.settings)?
        .context("no account was signed yet: run `leafbox dev` or `leafbox apply` first")
}

/// An account that was signed.
pub(crate) fn account_of(jwts: &JwtSet, account: &Name) -> Result<AccountJwt> {
    jwts.accounts.get(account).cloned().with_context(|| {
        let names: Vec<&str> = jwts.accounts.keys().map(|name| name.as_str()).collect();
        format!("there is no account {account}: there are {}", names.join(", "))
    })
}

/// The signing key of a role: the fleet's where the operator's keys are, the box's own on a box.
pub(crate) fn signer(session: &Session, account: &Name, role: &Name) -> Result<SecretKey> {
    let own = || super::enroll::own_signing_key(&session.settings, account, role);
    if !session.keys.exists() {
        return own()?.with_context(|| {
            format!(
                "there is no signing key of the role {role} in {account} here: run this where the fleet's keys \
                 are kept, or on a box as root"
            )
        });
    }
    match KeyStore::open(&session.keys)?.role(account, role) {
        // A sealed key is no key to whoever does not open it.
        Err(error @ (KeyStoreError::NoKey { .. } | KeyStoreError::BadKey { .. })) => {
            own()?.ok_or(error.into())
        }
        other => Ok(other?),
    }
}

fn mint(session: &Session, request: &UserRequest<'_>, public_key: Option<&str>, output: &Path) -> Result<()> {
    let signer = signer(session, request.account, request.role)?;
    let to_stdout = output == Path::new("-");
    if !to_stdout && output.exists() {
        bail!("{} is there already: remove it or write elsewhere; nothing was minted", output.display());
    }
    match public_key {
        Some(key) => {
            let jwt = identity::mint_for_with(&signer, request, key, SystemTime::now())?;
            if to_stdout {
                say!("{jwt}");
            } else {
                write_whole(output, format!("{jwt}\n").as_bytes(), 0o644)?;
                say!(
                    "wrote the JWT of {key} to {}: put it beside the seed that made that key",
                    output.display()
                );
            }
        }
        None => {
            let creds = identity::mint_with(&signer, request, SystemTime::now())?;
            if to_stdout {
                say!("{}", creds.text().trim_end());
            } else {
                creds.write(output)?;
                say!(
                    "wrote {} ({}): nobody can read it again from here",
                    output.display(),
                    creds.claims.subject
                );
            }
        }
    }
    Ok(())
}

fn revoke(session: &Session, account: &str, public_key: &str) -> Result<()> {
    let account: Name = account.parse().map_err(anyhow::Error::msg)?;
    sign_revocation(session, &KeyStore::open(&session.keys)?, &account, public_key)?;
    say!("signed: {public_key} of {account} is revoked; `leafbox apply` takes it to the servers");
    Ok(())
}

/// Signs that a user may not connect any more. No server is told.
pub(crate) fn sign_revocation(
    session: &Session,
    keys: &KeyStore,
    account: &Name,
    public_key: &str,
) -> Result<()> {
    let (folder, now) = (session.settings.jwts_dir(), SystemTime::now());
    Ledger::new(keys, &folder).sign(now, |known| match known {
        Some(known) => identity::revoke(keys, known, account, public_key, now),
        None => Err(SignError::UnknownAccount { account: account.clone() }),
    })?;
    Ok(())
}
