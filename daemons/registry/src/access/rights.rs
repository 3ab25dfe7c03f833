//! What a caller may do, and where.

use std::fmt;

use settings::Pattern;

use crate::{Repository, records::TokenRecord};

/// What a request does to a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Read.
    Pull,
    /// Write.
    Push,
    /// Remove manifests, tags or blobs.
    Delete,
}

impl Action {
    /// Its word in a scope.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A set of actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actions {
    /// [`Action::Pull`] is in it.
    pub pull: bool,
    /// [`Action::Push`] is in it.
    pub push: bool,
    /// [`Action::Delete`] is in it.
    pub delete: bool,
}

impl Actions {
    /// None.
    pub const NONE: Self = Self { pull: false, push: false, delete: false };

    /// Reads `pull,push`. Words that it does not know say nothing, as in the token specification;
    /// `*` is everything.
    pub fn parse(text: &str) -> Self {
        text.split(',').fold(Self::NONE, |actions, word| match word {
            "pull" => Self { pull: true, ..actions },
            "push" => Self { push: true, ..actions },
            "delete" => Self { delete: true, ..actions },
            "*" => Self { pull: true, push: true, delete: true },
            _ => actions,
        })
    }

    /// Whether the action is in it.
    pub fn has(self, action: Action) -> bool {
        match action {
            Action::Pull => self.pull,
            Action::Push => self.push,
            Action::Delete => self.delete,
        }
    }

    /// What is in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            pull: self.pull && other.pull,
            push: self.push && other.push,
            delete: self.delete && other.delete,
        }
    }

    /// What is in either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            pull: self.pull || other.pull,
            push: self.push || other.push,
            delete: self.delete || other.delete,
        }
    }
}

impl fmt::Display for Actions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [Action::Pull, Action::Push, Action::Delete];
        let words: Vec<_> = all.into_iter().filter(|action| self.has(*action)).map(Action::name).collect();
        formatter.write_str(&words.join(","))
    }
}

/// The same actions on every repository that a pattern names.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    patterns: Vec<Pattern>,
    actions: Actions,
}

impl Rights {
    /// These actions everywhere.
    pub fn everywhere(actions: Actions) -> Self {
        Self { patterns: vec![Pattern::all()], actions }
    }

    /// What a token gives. A pattern that cannot be read, which a newer leafbox may have written,
    /// gives nothing.
    pub fn of(token: &TokenRecord) -> Self {
        Self {
            patterns: token.repositories.iter().filter_map(|text| text.parse().ok()).collect(),
            actions: Actions { pull: token.pull, push: token.push, delete: token.delete },
        }
    }

    /// Whether they allow nothing at all.
    pub fn are_none(&self) -> bool {
        self.actions == Actions::NONE || self.patterns.is_empty()
    }

    /// What they allow on one repository.
    pub fn on(&self, repository: &Repository) -> Actions {
        let is_named = self.patterns.iter().any(|pattern| pattern.matches(repository.as_str()));
        if is_named { self.actions } else { Actions::NONE }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn token(repositories: &[&str]) -> TokenRecord {
        TokenRecord {
            name: "ci".into(),
            hash: String::new(),
            repositories: repositories.iter().map(|text| (*text).to_owned()).collect(),
            pull: true,
            push: true,
            delete: false,
            created: 0,
            expires: None,
        }
    }

    #[test]
    fn a_token_gives_its_actions_where_its_patterns_are_and_nothing_elsewhere() {
        let rights = Rights::of(&token(&["team/*", "deep/**"]));
        for inside in ["team/app", "deep/er/still"] {
            assert_eq!(rights.on(&inside.parse().unwrap()).to_string(), "pull,push");
        }
        for outside in ["team", "team/app/part", "teams/app", "other"] {
            assert_eq!(rights.on(&outside.parse().unwrap()), Actions::NONE, "{outside}");
        }
        assert!(!rights.are_none() && Rights::of(&token(&[])).are_none());
        assert!(Rights::everywhere(Actions::NONE).are_none());
    }

    #[test]
    fn actions_are_read_written_and_intersected() {
        let asked = Actions::parse("pull,push,reboot");
        assert_eq!(asked.to_string(), "pull,push");
        assert_eq!(asked.and(Actions::parse("push,delete")).to_string(), "push");
        assert_eq!(asked.or(Actions::parse("delete")), Actions::parse("*"));
        assert_eq!(Actions::parse(""), Actions::NONE);
    }
}
