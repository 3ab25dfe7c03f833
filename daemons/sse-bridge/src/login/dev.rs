//! Development: the console of a node on loopback logs in by itself.

use std::{net::SocketAddr, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::{records::now, secret::Secret, users::Found};
use crate::{Caller, Role, SessionId};

/// Name of the user and the session.
const NAME: &str = "dev";

/// A login without a passkey, as an admin. Only `leafbox dev` makes one. It lives in memory alone:
/// nothing of it is in the bucket, so that no cookie of it is good when the same data is run later.
#[derive(Clone, Debug)]
pub struct DevLogin(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    secret: Secret,
    ended: CancellationToken,
}

/// The listener can be reached from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the console listens on {0}, which others reach: it logs in by itself on loopback only")]
pub struct NotLoopback(SocketAddr);

impl DevLogin {
    /// For a listener on loopback.
    ///
    /// # Errors
    /// When others can reach it.
    pub fn on(listen: SocketAddr) -> Result<Self, NotLoopback> {
        if !listen.ip().to_canonical().is_loopback() {
            return Err(NotLoopback(listen));
        }
        Ok(Self(Arc::new(Inner { secret: Secret::of_session(), ended: CancellationToken::new() })))
    }

    /// The cookie's value.
    pub(super) fn cookie(&self) -> String {
        format!("{NAME}.{}", self.0.secret.reveal())
    }

    /// The caller, if the cookie is the one.
    pub(super) fn find(&self, cookie: &str) -> Option<Found> {
        let (name, secret) = cookie.split_once('.')?;
        if name != NAME || !self.0.secret.hash().is_of(secret) {
            return None;
        }
        let caller = Caller {
            name: NAME.into(),
            role: Role::Admin,
            session: SessionId(NAME.into()),
            ended: self.0.ended.clone(),
        };
        Some(Found { caller, proven: now(), cookie: None })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn it_is_made_on_loopback_only_and_knows_its_own_cookie_alone() {
        for elsewhere in ["0.0.0.0:8080", "192.0.2.1:8080", "[::]:8080"] {
            DevLogin::on(elsewhere.parse().unwrap()).unwrap_err();
        }
        let dev = DevLogin::on("127.0.0.1:8080".parse().unwrap()).unwrap();
        let another = DevLogin::on("[::1]:8080".parse().unwrap()).unwrap();
        assert_eq!(dev.find(&dev.cookie()).unwrap().caller.role, Role::Admin);
        assert!(dev.find(&another.cookie()).is_none() && dev.find("dev.").is_none());
        assert!(!format!("{dev:?}").contains(dev.cookie().split_once('.').unwrap().1));
    }
}
