//! Whether a name and a secret are those of a token.

use std::sync::Arc;

use subtle::ConstantTimeEq;

use super::{Refused, Secret};
use crate::{
    Index,
    key::is_token_id,
    records::{Seconds, TokenRecord},
};

/// Where there is no token, a hash that no secret has is compared: it takes as long.
const NO_HASH: &str = "----------------------------------------------------------------";

/// The token of this name, if the password is its secret and its time is not over.
pub(super) fn by_name(
    index: &Index,
    user: &str,
    password: &str,
    now: Seconds,
) -> Result<Arc<TokenRecord>, Refused> {
    let secret: Secret = password.parse()?;
    let token = is_token_id(user).then(|| index.token(user)).flatten().map(|token| token.record);
    let stored = token.as_ref().map_or(NO_HASH, |token| &token.hash);
    let fits = is_same(&secret.hash(), stored);
    live(token.filter(|_| fits).ok_or(Refused::Unknown)?, now)
}

/// The token whose secret this is, for the grant `refresh_token`, which names no user.
pub(super) fn by_secret(index: &Index, password: &str, now: Seconds) -> Result<Arc<TokenRecord>, Refused> {
    let secret: Secret = password.parse()?;
    let hash = secret.hash();
    let token = index.tokens().into_iter().find(|(_, token)| is_same(&hash, &token.hash));
    live(token.ok_or(Refused::Unknown)?.1.record, now)
}

/// The token unless its time is over, which only who has its secret is told.
fn live(token: Arc<TokenRecord>, now: Seconds) -> Result<Arc<TokenRecord>, Refused> {
    if has_ended(&token, now) {
        Err(Refused::Expired { name: token.name.as_str().into() })
    } else {
        Ok(token)
    }
}

/// Whether its time is over.
pub(super) fn has_ended(token: &TokenRecord, now: Seconds) -> bool {
    token.expires.is_some_and(|expires| expires <= now)
}

fn is_same(hash: &str, stored: &str) -> bool {
    hash.as_bytes().ct_eq(stored.as_bytes()).into()
}
