//! Users: signed by the scoped key of a role, from which they have their permissions.
//!
//! A user carries no permissions, limits or source networks of its own: nats-server refuses one of
//! a scoped key that does.

use std::time::{Duration, SystemTime};

use settings::Name;

use crate::{
    claims::{Claims, UserBody},
    creds::Creds,
    keystore::{KeyStore, KeyStoreError},
    nkey::{KeyKind, SecretKey, public_key_kind},
    sign::seconds,
};

/// Longest user JWT: with a nonce signature and client's name it must fit the 4 KiB control line.
pub const LONGEST_USER_JWT: usize = 3 * 1024;

/// Why a user could not be minted.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// The role's signing key is missing or damaged, or a key could not be made.
    #[error(transparent)]
    Keys(#[from] KeyStoreError),
    /// The key offered is not a user's.
    #[error(
        "`{key}` is not the public key of a user: make one with `nk -gen user -pubout`, it starts with `U`"
    )]
    NotAUser {
        /// The text offered, public by intent.
        key: String,
    },
    /// The account's key is not an account's.
    #[error("`{key}` is not the public key of an account: it starts with `A`")]
    NotAnAccount {
        /// The text given, public by intent.
        key: String,
    },
    /// It would be expired when it arrives.
    #[error("the user {user} would expire at once: give it a second at least")]
    Expires {
        /// The user.
        user: String,
    },
    /// No server would read it.
    #[error(
        "the JWT of the user {user} is {bytes} bytes long and NATS reads {LONGEST_USER_JWT}: use a shorter name and fewer tags"
    )]
    TooLong {
        /// The user.
        user: String,
        /// Its length.
        bytes: usize,
    },
}

/// The user that is wanted.
#[derive(Clone, Copy, Debug)]
pub struct UserRequest<'a> {
    /// The account.
    pub account: &'a Name,
    /// The account's public key, which stands in its JWT.
    pub account_key: &'a str,
    /// The role that it has.
    pub role: &'a Name,
    /// Its name, for people.
    pub name: &'a str,
    /// How long it is valid; for ever when left out.
    pub expires: Option<Duration>,
    /// Free words, written in lower case.
    pub tags: &'a [String],
}

/// Makes a user with a new key.
pub fn mint(keys: &KeyStore, request: &UserRequest<'_>, now: SystemTime) -> Result<Creds, MintError> {
    mint_with(&keys.role(request.account, request.role)?, request, now)
}

/// Makes a user with a new key, signed by a key of the role that the caller has read.
pub fn mint_with(signer: &SecretKey, request: &UserRequest<'_>, now: SystemTime) -> Result<Creds, MintError> {
    let key = SecretKey::generate(KeyKind::User).map_err(KeyStoreError::Generate)?;
    let (jwt, claims) = signed(signer, request, &key.public_key(), now)?;
    Ok(Creds::new(jwt, claims, key))
}

/// Makes the JWT of a user whose seed stays where it was made: only its public key is known here.
pub fn mint_for(
    keys: &KeyStore,
    request: &UserRequest<'_>,
    user_key: &str,
    now: SystemTime,
) -> Result<String, MintError> {
    mint_for_with(&keys.role(request.account, request.role)?, request, user_key, now)
}

/// The same, signed by a key of the role that the caller has read.
pub fn mint_for_with(
    signer: &SecretKey,
    request: &UserRequest<'_>,
    user_key: &str,
    now: SystemTime,
) -> Result<String, MintError> {
    if public_key_kind(user_key) != Some(KeyKind::User) {
        return Err(MintError::NotAUser { key: user_key.into() });
    }
    signed(signer, request, user_key, now).map(|(jwt, _)| jwt)
}

fn signed(
    signer: &SecretKey,
    request: &UserRequest<'_>,
    user_key: &str,
    now: SystemTime,
) -> Result<(String, Claims<UserBody>), MintError> {
    if public_key_kind(request.account_key) != Some(KeyKind::Account) {
        return Err(MintError::NotAnAccount { key: request.account_key.into() });
    }
    let now = seconds(now);
    let mut tags: Vec<String> = request.tags.iter().map(|tag| tag.trim().to_lowercase()).collect();
    tags.sort();
    tags.dedup();
    let mut claims = Claims::new(user_key.into(), request.name, UserBody::new(request.account_key, tags));
    if let Some(expires) = request.expires {
        if expires < Duration::from_secs(1) {
            return Err(MintError::Expires { user: request.name.into() });
        }
        claims.expires = Some(now.saturating_add(i64::try_from(expires.as_secs()).unwrap_or(i64::MAX)));
    }
    let jwt = claims.sign(signer, now);
    if jwt.len() > LONGEST_USER_JWT {
        return Err(MintError::TooLong { user: request.name.into(), bytes: jwt.len() });
    }
    Ok((jwt, claims))
}

#[cfg(test)]
mod tests;
