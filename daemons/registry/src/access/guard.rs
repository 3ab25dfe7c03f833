//! Tells who makes a request.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Instant,
};

use axum::http::{HeaderMap, HeaderValue};
use runtime::{
    limit::{Limiter, Pace},
    visitor::Visitor,
};
use settings::node::Anonymous;

use super::{
    BadAuthorization, BadBearer, Caller, Credentials, Refused, Scopes,
    bearer::{Claims, LIFETIME, Login, SigningKey},
    challenge::challenge,
    login,
    rights::{Action, Actions, Rights},
};
use crate::{
    Storage, StorageError,
    audit::{About, Audit, Event, What},
    records::{TokenRecord, now},
};

/// Failed logins in the audit stream within a minute, whoever they come from, and refusals likewise: a
/// crowd must not push everything else out of it.
const MOST_TOLD: u32 = 60;
/// Characters of a user name in an event.
const LONGEST_TOLD: usize = 64;

/// What the configuration says about access.
#[derive(Clone, Debug)]
pub struct AccessConfig {
    /// What programs of this machine may do without a token.
    pub anonymous: Anonymous,
    /// Where it listens, for clients that do not say what they call it.
    pub listen: SocketAddr,
}

/// Tells who makes a request. Clones share the counts of failed logins.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    storage: Storage,
    anonymous: Rights,
    listen: SocketAddr,
    limiter: Limiter,
    pace: Pace,
    pace_of_refusals: Pace,
    audit: Audit,
}

impl Access {
    /// Access to what `storage` holds, by the tokens in it.
    pub fn new(storage: Storage, config: &AccessConfig, audit: Audit) -> Self {
        let actions = match config.anonymous {
            Anonymous::None => Actions::NONE,
            Anonymous::Pull => Actions { pull: true, ..Actions::NONE },
            Anonymous::Push => Actions { pull: true, push: true, ..Actions::NONE },
        };
        Self(Arc::new(Inner {
            storage,
            anonymous: Rights::everywhere(actions),
            listen: config.listen,
            limiter: Limiter::default(),
            pace: Pace::default(),
            pace_of_refusals: Pace::default(),
            audit,
        }))
    }

    /// Who makes a request with these headers from `socket`. Without credentials that is somebody
    /// anonymous, with whatever rights; wrong ones are refused.
    pub fn caller(&self, headers: &HeaderMap, socket: SocketAddr) -> Result<Caller, Refused> {
        let peer = Visitor::of(headers, socket);
        let credentials = Credentials::of(headers).map_err(|error| self.failed(&peer, "", error.into()))?;
        match &credentials {
            Credentials::None => Ok(self.anonymous(&peer)),
            Credentials::Basic { user, password } => {
                self.logged_in(Some(user), password, &peer).map(|token| caller(&token, None))
            }
            Credentials::Refresh(secret) => {
                self.logged_in(None, secret, &peer).map(|token| caller(&token, None))
            }
            Credentials::Bearer(token) => self.bearer(token, &peer),
        }
    }

    /// The header `WWW-Authenticate` of an answer that refuses, where logging in would help; `tls` says
    /// that the request came by TLS.
    pub fn challenge(&self, refused: &Refused, headers: &HeaderMap, tls: bool) -> Option<HeaderValue> {
        challenge(refused, headers, tls, self.0.listen)
    }

    /// Tells of a token that was used to push or delete where it may not. Who only reads is not told of:
    /// clients look for what is there as a matter of course.
    pub(crate) fn tell(&self, refused: &Refused, peer: IpAddr) {
        let Refused::Denied { name, action: Action::Push | Action::Delete, repository } = refused else {
            return;
        };
        let Some(held_back) = self.0.pace_of_refusals.allow(MOST_TOLD, Instant::now()) else { return };
        self.0.audit.record(Event {
            peer: Some(peer),
            about: About { repository: Some(repository.clone()), ..About::default() },
            detail: Some(format!("{refused}{}", others(held_back))),
            ..Event::new(What::Refused, name.as_ref())
        });
    }

    /// A Bearer token for whoever shows these credentials, for what of `asked` they may.
    pub(super) async fn grant(
        &self,
        credentials: &Credentials,
        peer: &Visitor,
        asked: Scopes,
    ) -> Result<(String, Scopes), GrantError> {
        let token = match credentials {
            Credentials::None => None,
            Credentials::Basic { user, password } => Some(self.logged_in(Some(user), password, peer)?),
            Credentials::Refresh(secret) => Some(self.logged_in(None, secret, peer)?),
            // One Bearer token does not get another: its time would never be over.
            Credentials::Bearer(_) => return Err(Refused::Unreadable(BadAuthorization).into()),
        };
        let rights = token.as_ref().map_or_else(|| self.anonymous(peer).rights, |token| Rights::of(token));
        let login = token.map(|token| Login::with(&token));
        if login.is_none() && rights.are_none() {
            return Err(Refused::LoginNeeded { scopes: asked }.into());
        }
        let scopes = asked.granted(&rights);
        let record = self.0.storage.bearer_key().await?;
        let key = SigningKey::of(&record).ok_or(GrantError::Key)?;
        let token = key.sign(&Claims { login, scopes: scopes.clone(), expires: now() + LIFETIME });
        Ok((token, scopes))
    }

    fn anonymous(&self, peer: &Visitor) -> Caller {
        let rights = if peer.is_local { self.0.anonymous.clone() } else { Rights::default() };
        Caller { token: None, rights, scopes: None }
    }

    /// The token that a secret is of, and a name with it where one is given.
    fn logged_in(
        &self,
        user: Option<&str>,
        secret: &str,
        peer: &Visitor,
    ) -> Result<Arc<TokenRecord>, Refused> {
        // Before the secret is looked at: who tries must not learn from the answers.
        self.heard(peer, user.unwrap_or_default())?;
        let index = self.0.storage.index();
        let token = match user {
            Some(user) => login::by_name(index, user, secret, now()),
            None => login::by_secret(index, secret, now()),
        };
        token.map_err(|refused| self.failed(peer, user.unwrap_or_default(), refused))
    }

    /// Who got a Bearer token here. One that is good is heard whatever others of its network do.
    fn bearer(&self, token: &str, peer: &Visitor) -> Result<Caller, Refused> {
        let ended = |bearer| Refused::BearerEnded { bearer, scopes: Scopes::default() };
        let record = self.0.storage.index().bearer();
        let key = record.and_then(|record| SigningKey::of(&record));
        let opened = key.map_or(Err(BadBearer::Forged), |key| key.open(token, now()));
        let claims = match opened {
            Ok(claims) => claims,
            // Its time is over, which happens to everybody.
            Err(error @ (BadBearer::Ended | BadBearer::Revoked)) => return Err(ended(error)),
            Err(BadBearer::Forged) => {
                self.heard(peer, "")?;
                return Err(self.failed(peer, "", ended(BadBearer::Forged)));
            }
        };
        let Some(login) = claims.login else {
            return Ok(Caller { scopes: Some(claims.scopes), ..self.anonymous(peer) });
        };
        let token = self.0.storage.index().token(&login.name).map(|token| token.record);
        let token = token.filter(|token| login.was_with(token) && !login::has_ended(token, now()));
        let token = token.ok_or_else(|| ended(BadBearer::Revoked))?;
        Ok(caller(&token, Some(claims.scopes)))
    }

    fn heard(&self, peer: &Visitor, user: &str) -> Result<(), Refused> {
        let key = self.0.limiter.key(peer, user);
        self.0.limiter.check(key, Instant::now()).map_err(|wait| Refused::TooManyFailures { wait })
    }

    /// Counts a failed attempt and tells of it.
    fn failed(&self, peer: &Visitor, user: &str, refused: Refused) -> Refused {
        let at = Instant::now();
        self.0.limiter.failed(self.0.limiter.key(peer, user), at);
        if let Some(held_back) = self.0.pace.allow(MOST_TOLD, at) {
            let others = others(held_back);
            let who = tellable(user);
            tracing::info!(
                registry.peer = %peer.address,
                "a login as `{who}` from {}{} failed: {refused}{others}",
                peer.address,
                told(peer)
            );
            self.0.audit.record(Event {
                peer: Some(peer.address),
                detail: Some(format!("{refused}{}{others}", told(peer))),
                ..Event::new(What::LoginFailed, who)
            });
        }
        refused
    }
}

fn caller(token: &TokenRecord, scopes: Option<Scopes>) -> Caller {
    Caller { token: Some(token.name.as_str().into()), rights: Rights::of(token), scopes }
}

/// Whom a proxy connects for, in a sentence: not in place of the address, as any program of this
/// machine may say it.
fn told(peer: &Visitor) -> String {
    peer.forwarded.map(|client| format!(" (a proxy says, for {client})")).unwrap_or_default()
}

/// How many were not told of since the last one that was.
fn others(held_back: u32) -> String {
    if held_back > 0 { format!("; {held_back} more before") } else { String::new() }
}

/// A user name as it may stand in a log: people paste secrets into the wrong field.
fn tellable(user: &str) -> String {
    if user.contains("lbr_") {
        return "lbr_…".to_owned();
    }
    user.chars().filter(|character| !character.is_control()).take(LONGEST_TOLD).collect()
}

/// No Bearer token is granted.
#[derive(Debug, thiserror::Error)]
pub(super) enum GrantError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(
        "the record `bearer` of the bucket leafbox_registry is damaged: delete it, and the registry makes a new one"
    )]
    Key,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_the_place_of_the_name_is_not_told() {
        assert_eq!(tellable("ci"), "ci");
        assert_eq!(tellable("lbr_0123"), "lbr_…");
        assert_eq!(tellable(" lbr_0123"), "lbr_…");
        assert_eq!(tellable(&"a\n".repeat(100)), "a".repeat(64));
    }
}
