//! Who uses the console: passkeys, sessions, roles, and how the first admin comes in.
//!
//! Routes are under `/login/` ([`Login::routes`]); what needs somebody logged in is wrapped by
//! [`Login::protect`], which puts a [`Caller`] on each request.
//!
//! Invariants:
//! - Nobody is let in without a passkey that checked who uses it; a token of `leafbox console enroll`
//!   makes a passkey and nothing else.
//! - Cookies and tokens are stored as hashes. A ceremony is finished once.
//! - What was revoked anywhere ends here within a second: [`Caller::ended`].
//! - A user has a passkey as long as there is the user.
//!
//! Absent on purpose: passwords, e-mail, and groups.

mod ca;
mod ceremonies;
mod dev;
mod failure;
mod guard;
mod name;
mod origin;
mod page;
mod pending;
mod records;
mod routes;
mod secret;
mod users;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::http::HeaderMap;
use runtime::{
    http::Peer,
    limit::{Key, Limiter, Pace},
    visitor::Visitor,
};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub use ca::{CaError, CaFiles, LocalCa, Outcome, how_to_install};
pub use ceremonies::CeremonyError;
pub use dev::{DevLogin, NotLoopback};
pub use failure::Failure;
pub use guard::{COOKIE, Fresh, Proven, require_role};
pub use name::{BadUserName, UserName};
pub use origin::{BadOrigin, CrossSite, NoPasskeys, Origin};
pub use records::{BUCKET, EnrolmentRecord, PasskeyRecord, Purpose, Seconds, SessionRecord, UserRecord, now};
pub use secret::Secret;
pub use users::{EnrolError, Found, Invite, PasskeyError, User, UserError, Users, Versioned, WriteError};

use crate::{
    Caller,
    audit::{About, Audit, Event, What},
};
use ceremonies::Ceremonies;

/// How long a token of `leafbox console enroll` is good.
pub const ENROLMENT_LIFE: Duration = Duration::from_secs(15 * 60);

/// Ceremonies that a network begins within a minute: each page that is opened begins one.
const MOST_BEGUN: u32 = 120;
/// Failures in the audit stream within a minute, whoever they come from.
const MOST_TOLD: u32 = 60;
/// How often sessions are looked at whose time may be over.
const SWEEP: Duration = Duration::from_secs(5);

/// What the login is told.
#[derive(Clone, Debug)]
pub struct LoginConfig {
    /// The node's name, which pages and browsers show.
    pub node: String,
    /// Where browsers find the console.
    pub origin: Origin,
    /// In development, what logs in by itself.
    pub dev: Option<DevLogin>,
}

/// The login. A clone is the same.
#[derive(Clone)]
pub struct Login(Arc<Inner>);

struct Inner {
    node: String,
    origin: Origin,
    dev: Option<DevLogin>,
    users: Users,
    ceremonies: Ceremonies,
    audit: Audit,
    failures: Limiter,
    begun: Limiter,
    told: Pace,
}

impl Login {
    /// A login of `users`.
    pub fn new(config: LoginConfig, users: Users, audit: Audit) -> Self {
        let LoginConfig { node, origin, dev } = config;
        let ceremonies = Ceremonies::new(&origin, &node);
        Self(Arc::new(Inner {
            node,
            origin,
            dev,
            users,
            ceremonies,
            audit,
            failures: Limiter::default(),
            begun: Limiter::new(MOST_BEGUN),
            told: Pace::default(),
        }))
    }

    /// The users.
    pub fn users(&self) -> &Users {
        &self.0.users
    }

    /// Where browsers find the console.
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// Ends sessions whose time is over, until `shutdown`.
    pub async fn run(&self, shutdown: CancellationToken) {
        let mut ticks = interval(SWEEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            self.0.users.sweep(now()).await;
        }
    }

    /// Whose session a request's cookie is of.
    ///
    /// # Errors
    /// When it is nobody's, or the users are not known yet.
    pub async fn find(&self, headers: &HeaderMap) -> Result<Found, Failure> {
        let cookie = guard::cookie_of(headers).ok_or(Failure::NoSession)?;
        if let Some(found) = self.0.dev.as_ref().and_then(|dev| dev.find(cookie)) {
            return Ok(found);
        }
        if !self.0.users.is_ready() {
            return Err(Failure::NotReady);
        }
        self.0.users.find_session(cookie, now()).await.ok_or(Failure::NoSession)
    }

    /// Whether a request of this visitor is heard; `user` is whom it claims to be.
    fn heard(&self, visitor: &Visitor, user: &str) -> Result<Key, Failure> {
        let key = self.0.failures.key(visitor, user);
        match self.0.failures.check(key, Instant::now()) {
            Ok(()) => Ok(key),
            Err(wait) => Err(Failure::TooMany { wait }),
        }
    }

    /// Counts one more ceremony of this visitor.
    fn begins(&self, visitor: &Visitor) -> Result<(), Failure> {
        let (key, at) = (self.0.begun.key(visitor, ""), Instant::now());
        self.0.begun.check(key, at).map_err(|wait| Failure::TooMany { wait })?;
        self.0.begun.failed(key, at);
        Ok(())
    }

    /// Counts a failed attempt and tells of it.
    fn failed(&self, visitor: &Visitor, key: Key, user: &str, failure: Failure) -> Failure {
        let at = Instant::now();
        self.0.failures.failed(key, at);
        if let Some(held_back) = self.0.told.allow(MOST_TOLD, at) {
            let others = if held_back > 0 { format!("; {held_back} more before") } else { String::new() };
            tracing::info!(
                console.peer = %visitor.address,
                "a login at the console from {} failed: {failure}{others}",
                visitor.address
            );
            self.0.audit.record(Event {
                peer: Some(visitor.address),
                detail: Some(format!("{failure}{others}")),
                ..Event::new(What::LoginFailed, user)
            });
        }
        failure
    }

    /// Tells what a caller did.
    fn tell(&self, what: What, caller: &Caller, visitor: &Visitor, detail: impl Into<Option<String>>) {
        self.0.audit.record(Event {
            peer: Some(visitor.address),
            about: About { session: Some(caller.session.0.as_ref().to_owned()), ..About::default() },
            detail: detail.into(),
            ..Event::new(what, caller.name.as_ref())
        });
    }
}

/// Who connected, as far as failures are counted for it.
fn visitor(headers: &HeaderMap, peer: Peer) -> Visitor {
    Visitor::of(headers, peer.address)
}
