//! Scopes: what a client asks for at `/token`, and what a Bearer token is good for.
//!
//! The grammar is that of distribution's token specification ("Token Scope Documentation"):
//! `repository:team/app:pull,push`, more of them after spaces or in more parameters. What is not
//! understood grants nothing.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::rights::{Action, Actions, Rights};
use crate::Repository;

/// Bytes of the repositories' names in one Bearer token: it is to fit into 8 KiB of a header. Who asks
/// for more gets the first ones, and a challenge that names the next when it comes to that.
const MOST_NAME_BYTES: usize = 4096;
/// What lists the repositories.
const CATALOG: &str = "registry:catalog:*";

/// Actions by repository, and the list of repositories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    repositories: BTreeMap<Repository, Actions>,
    catalog: bool,
}

impl Scopes {
    /// What a request needs: a push is asked for with the pull that every client does beside it.
    pub fn needed(repository: &Repository, action: Action) -> Self {
        let actions = match action {
            Action::Pull => Actions { pull: true, ..Actions::NONE },
            Action::Push => Actions { pull: true, push: true, ..Actions::NONE },
            Action::Delete => Actions { delete: true, ..Actions::NONE },
        };
        Self { repositories: BTreeMap::from([(repository.clone(), actions)]), catalog: false }
    }

    /// Adds what a pull needs.
    pub fn add_pull(&mut self, repository: &Repository) {
        self.repositories.entry(repository.clone()).or_default().pull = true;
    }

    /// What the list of repositories needs.
    pub fn catalog() -> Self {
        Self { catalog: true, ..Self::default() }
    }

    /// Reads scopes: each text may hold several.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut scopes = Self::default();
        let mut name_bytes = 0;
        for text in texts.into_iter().flat_map(|text| text.split(' ')) {
            if text == CATALOG {
                scopes.catalog = true;
                continue;
            }
            let Some((repository, actions)) = repository_scope(text) else { continue };
            name_bytes += repository.as_str().len();
            if name_bytes > MOST_NAME_BYTES {
                break;
            }
            let known = scopes.repositories.entry(repository).or_default();
            *known = known.or(actions);
        }
        scopes
    }

    /// What of it a caller with these rights gets.
    #[must_use]
    pub fn granted(self, rights: &Rights) -> Self {
        let repositories = self.repositories.into_iter().filter_map(|(repository, asked)| {
            let actions = asked.and(rights.on(&repository));
            (actions != Actions::NONE).then_some((repository, actions))
        });
        Self { repositories: repositories.collect(), catalog: self.catalog && !rights.are_none() }
    }

    /// The actions on one repository.
    pub fn on(&self, repository: &Repository) -> Actions {
        self.repositories.get(repository).copied().unwrap_or_default()
    }

    /// Whether repositories may be listed.
    pub fn has_catalog(&self) -> bool {
        self.catalog
    }
}

/// `repository:<name>:<actions>`, or `repository(<class>):…`, which other registries have.
fn repository_scope(text: &str) -> Option<(Repository, Actions)> {
    let (kind, rest) = text.split_once(':')?;
    let (name, actions) = rest.rsplit_once(':')?;
    let is_repository =
        kind == "repository" || kind.strip_prefix("repository(").is_some_and(|class| class.ends_with(')'));
    let actions = Actions::parse(actions);
    (is_repository && actions != Actions::NONE).then_some((name.parse().ok()?, actions))
}

impl fmt::Display for Scopes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let repositories = self
            .repositories
            .iter()
            .map(|(repository, actions)| format!("repository:{repository}:{actions}"));
        let all: Vec<_> = repositories.chain(self.catalog.then(|| CATALOG.to_owned())).collect();
        formatter.write_str(&all.join(" "))
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::parse([String::deserialize(deserializer)?.as_str()]))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn scopes_are_read_as_clients_write_them() {
        let scopes = Scopes::parse([
            "repository:team/app:pull,push",
            "repository(plugin):b:pull repository:team/app:delete  registry:catalog:*",
        ]);
        let text = "repository:b:pull repository:team/app:pull,push,delete registry:catalog:*";
        assert_eq!(scopes.to_string(), text);
        assert_eq!(Scopes::parse([text]), scopes);
        assert_eq!(Scopes::parse(["repository:a:*"]).on(&"a".parse().unwrap()), Actions::parse("*"));
    }

    #[test]
    fn what_is_no_scope_grants_nothing() {
        for bad in [
            "",
            ":",
            "::",
            "repository:a",
            "repository:a:",
            "repository:A:pull",
            "repository:*:pull",
            "a:b:c",
            "repository:host:5000/a:pull",
            "repository(x:a:pull",
            "registry:catalog:",
            "registry:catalog:pull",
        ] {
            assert_eq!(Scopes::parse([bad]), Scopes::default(), "{bad}");
        }
    }

    #[test]
    fn a_bearer_token_stays_short_however_much_is_asked() {
        let asked: Vec<_> = (0..1000).map(|number| format!("repository:{number:0>200}:pull")).collect();
        let scopes = Scopes::parse(asked.iter().map(String::as_str));
        assert!(scopes.to_string().len() < 6000, "{}", scopes.to_string().len());
        assert!(scopes.on(&format!("{:0>200}", 0).parse().unwrap()).pull);
    }
}
