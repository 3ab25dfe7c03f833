//! Who makes a request, and what it may do.

use std::sync::Arc;

use super::{
    Refused,
    rights::{Action, Rights},
    scope::Scopes,
};
use crate::Repository;

/// What records and events say of a client without a token.
pub const ANONYMOUS: &str = "anonymous";

/// Who makes a request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The token's name; `None` without one.
    pub(super) token: Option<Arc<str>>,
    pub(super) rights: Rights,
    /// What its Bearer token is good for, where it came with one.
    pub(super) scopes: Option<Scopes>,
}

impl Caller {
    /// The name for records and events.
    pub fn name(&self) -> &str {
        self.token.as_deref().unwrap_or(ANONYMOUS)
    }

    /// Whether `GET /v2/` is answered, which takes credentials also where pulling does not.
    ///
    /// docker, skopeo, podman and crane ask it first and take its answer for all that follows: after a
    /// 200 without a challenge, they would never log in, and a push would fail where anonymous clients
    /// may only pull; and `docker login` would take any password. With the challenge, those that have
    /// no login get a Bearer token without one.
    pub fn may_enter(&self) -> Result<(), Refused> {
        let has_credentials = self.token.is_some() || self.scopes.is_some();
        if has_credentials { Ok(()) } else { Err(Refused::LoginNeeded { scopes: Scopes::default() }) }
    }

    /// Whether it may do this in the repository. It does not matter whether the repository exists, so
    /// that nobody finds out without the right to.
    pub fn may(&self, repository: &Repository, action: Action) -> Result<(), Refused> {
        let has_right = self.rights.on(repository).has(action);
        let in_scope = self.scopes.as_ref().is_none_or(|scopes| scopes.on(repository).has(action));
        let scopes = || Scopes::needed(repository, action);
        match (has_right, in_scope, &self.token) {
            (true, true, _) => Ok(()),
            (true, false, _) => Err(Refused::ScopeTooSmall { scopes: scopes() }),
            (false, _, None) => Err(Refused::LoginNeeded { scopes: scopes() }),
            (false, _, Some(name)) => {
                Err(Refused::Denied { name: Arc::clone(name), action, repository: repository.clone() })
            }
        }
    }

    /// Whether it may ask which repositories there are; it is then shown those that it
    /// [`sees`](Self::sees).
    pub fn may_list(&self) -> Result<(), Refused> {
        let in_scope = self.scopes.as_ref().is_none_or(Scopes::has_catalog);
        match (self.rights.are_none(), in_scope, &self.token) {
            (false, true, _) => Ok(()),
            (false, false, _) => Err(Refused::ScopeTooSmall { scopes: Scopes::catalog() }),
            (true, _, None) => Err(Refused::LoginNeeded { scopes: Scopes::catalog() }),
            (true, _, Some(name)) => Err(Refused::NothingToList { name: Arc::clone(name) }),
        }
    }

    /// Whether it could pull from the repository, with whatever scope: for lists, and for the source
    /// of a mount that names none, whose client cannot know which scope to ask for. A mount that is not
    /// allowed becomes an upload, never an error.
    pub fn sees(&self, repository: &Repository) -> bool {
        self.rights.on(repository).pull
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::access::rights::Actions;

    fn caller(token: Option<&str>, actions: &str, scopes: Option<&str>) -> Caller {
        Caller {
            token: token.map(Arc::from),
            rights: Rights::everywhere(Actions::parse(actions)),
            scopes: scopes.map(|text| Scopes::parse([text])),
        }
    }

    fn status(result: Result<(), Refused>) -> u16 {
        result.map_or_else(|refused| refused.status().as_u16(), |()| 200)
    }

    #[test]
    fn a_right_is_needed_and_the_scope_where_there_is_one() {
        let app: Repository = "team/app".parse().unwrap();
        for (caller, pull, push) in [
            (caller(None, "pull", None), 200, 401),
            (caller(None, "", None), 401, 401),
            (caller(None, "pull", Some("repository:team/app:pull,push")), 200, 401),
            (caller(Some("ci"), "pull", None), 200, 403),
            (caller(Some("ci"), "pull,push", None), 200, 200),
            (caller(Some("ci"), "pull,push", Some("repository:team/app:pull")), 200, 401),
            (caller(Some("ci"), "pull,push", Some("repository:other:pull,push")), 401, 401),
            (caller(Some("ci"), "pull", Some("repository:team/app:pull,push")), 200, 403),
        ] {
            assert_eq!(status(caller.may(&app, Action::Pull)), pull, "{caller:?}");
            assert_eq!(status(caller.may(&app, Action::Push)), push, "{caller:?}");
            assert_ne!(status(caller.may(&app, Action::Delete)), 200, "{caller:?}");
        }
        let too_small = caller(Some("ci"), "pull,push", Some("repository:team/app:pull"));
        let Err(Refused::ScopeTooSmall { scopes }) = too_small.may(&app, Action::Push) else {
            panic!("the scope is too small");
        };
        assert_eq!(scopes.to_string(), "repository:team/app:pull,push");
    }

    #[test]
    fn the_version_check_takes_credentials_even_where_everything_is_allowed() {
        assert_eq!(status(caller(None, "pull,push", None).may_enter()), 401);
        assert_eq!(status(caller(None, "pull", Some("")).may_enter()), 200);
        assert_eq!(status(caller(Some("ci"), "pull", None).may_enter()), 200);
    }

    #[test]
    fn listing_needs_a_right_and_the_scope_of_the_catalog() {
        for (caller, expected) in [
            (caller(None, "pull", None), 200),
            (caller(None, "", None), 401),
            (caller(Some("ci"), "pull", None), 200),
            (caller(Some("ci"), "pull", Some("registry:catalog:*")), 200),
            (caller(Some("ci"), "pull", Some("repository:a:pull")), 401),
            (caller(Some("ci"), "", None), 403),
        ] {
            assert_eq!(status(caller.may_list()), expected, "{caller:?}");
        }
    }
}
