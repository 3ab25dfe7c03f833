//! Tokens are made, listed and revoked, by the command `leafbox registry token`.

use settings::Pattern;

use super::{ANONYMOUS, Actions, Secret, login::has_ended};
use crate::{
    Storage, StorageError,
    audit::{Audit, Event, What},
    key::is_token_id,
    records::{Seconds, TokenRecord, now},
};

/// Characters of a name: it is in every log line and event of its user.
const LONGEST_NAME: usize = 64;
/// What records say where no token was used.
const RESERVED: [&str; 4] = [ANONYMOUS, "command", "retention", "travel"];

/// What a new token is to be.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Its name: the user name of `docker login`. Letters, digits, `-` and `_`, 64 at most.
    pub name: String,
    /// Where it is good.
    pub repositories: Vec<Pattern>,
    /// What it allows there.
    pub actions: Actions,
    /// When it ends, in seconds since 1970; never when left out.
    pub expires: Option<Seconds>,
}

/// A token that was made.
#[derive(Debug)]
pub struct Minted {
    /// What is known of it from now on.
    pub record: TokenRecord,
    /// Its secret, which nobody can show again.
    pub secret: Secret,
}

/// A token cannot be made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The name is none.
    #[error("`{name}` cannot name a token: use 1 to {LONGEST_NAME} letters, digits, `-` and `_`")]
    BadName {
        /// What was given.
        name: String,
    },
    /// The name means something else in records.
    #[error("`{name}` cannot name a token, as events use it for what no token did: choose another")]
    Reserved {
        /// What was given.
        name: String,
    },
    /// It would allow nothing.
    #[error("the token would allow nothing: name repositories, and at least one of pull, push and delete")]
    Nothing,
    /// It would have ended.
    #[error("the token would have ended already: choose a later end")]
    Past,
    /// A token has that name.
    #[error("there is a token `{name}`: choose another name, or revoke it first")]
    Taken {
        /// The name.
        name: String,
    },
    /// No token has that name.
    #[error("there is no token `{name}`: `leafbox registry token list` shows all")]
    Unknown {
        /// The name.
        name: String,
    },
    /// It was not written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Makes a token. `by` is who asked for it: `command`.
///
/// Its name is its id, so that two at once cannot make two of one name; one that has expired gives
/// its name away.
pub async fn mint(storage: &Storage, audit: &Audit, by: &str, new: NewToken) -> Result<Minted, TokenError> {
    let NewToken { name, repositories, actions, expires } = new;
    if !is_token_id(&name) || name.len() > LONGEST_NAME {
        return Err(TokenError::BadName { name });
    }
    if RESERVED.contains(&name.as_str()) {
        return Err(TokenError::Reserved { name });
    }
    if repositories.is_empty() || actions == Actions::NONE {
        return Err(TokenError::Nothing);
    }
    if expires.is_some_and(|expires| expires <= now()) {
        return Err(TokenError::Past);
    }
    let secret = Secret::random();
    let record = TokenRecord {
        name: name.clone(),
        hash: secret.hash(),
        repositories: repositories.iter().map(|pattern| pattern.as_str().to_owned()).collect(),
        pull: actions.pull,
        push: actions.push,
        delete: actions.delete,
        created: now(),
        expires,
    };
    if storage.index().token(&name).is_some_and(|known| has_ended(&known, now())) {
        storage.revoke_token(&name).await?;
    }
    if !storage.add_token(&name, &record).await? {
        return Err(TokenError::Taken { name });
    }
    let detail = format!("{name}: {actions} in {}", record.repositories.join(" "));
    audit.record(Event { detail: Some(detail), ..Event::new(What::TokenMinted, by) });
    Ok(Minted { record, secret })
}

/// All tokens by name, those that have expired among them.
pub fn list(storage: &Storage) -> Vec<TokenRecord> {
    storage.index().tokens().into_iter().map(|(_, token)| TokenRecord::clone(&token)).collect()
}

/// Ends a token, and the Bearer tokens that were made with it: at each daemon as soon as it hears of
/// it.
pub async fn revoke(storage: &Storage, audit: &Audit, by: &str, name: &str) -> Result<(), TokenError> {
    if !is_token_id(name) || !storage.revoke_token(name).await? {
        return Err(TokenError::Unknown { name: name.to_owned() });
    }
    audit.record(Event { detail: Some(name.to_owned()), ..Event::new(What::TokenRevoked, by) });
    Ok(())
}
