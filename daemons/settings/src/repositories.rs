//! Which repositories and tags of the container registry something is about.

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::units::string_value;

/// A pattern of repositories or tags: `*` stands for any characters within one path component, and
/// `**`, alone between slashes, for any number of components, none too.
///
/// So `team/*` is `team/app` and not `team/app/base`, and `team/**` is both and `team` itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern that everything matches.
    pub fn all() -> Self {
        Self("**".into())
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a repository or tag is meant.
    pub fn matches(&self, name: &str) -> bool {
        let pattern: Vec<&str> = self.0.split('/').collect();
        let name: Vec<&str> = name.split('/').collect();
        matches(
            &pattern,
            &name,
            |component| *component == "**",
            |pattern, component| {
                matches(pattern.as_bytes(), component.as_bytes(), |byte| *byte == b'*', u8::eq)
            },
        )
    }
}

/// Whether the pieces of a pattern match all of a text, in time linear in each: where a later piece
/// does not fit, only the last star before it can take one piece more.
fn matches<P, T>(
    pattern: &[P],
    text: &[T],
    is_star: impl Fn(&P) -> bool,
    fits: impl Fn(&P, &T) -> bool,
) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while read < text.len() {
        match pattern.get(at) {
            Some(piece) if is_star(piece) => {
                last_star = Some((at, read));
                at += 1;
            }
            Some(piece) if fits(piece, &text[read]) => (at, read) = (at + 1, read + 1),
            _ => {
                let Some((star, taken)) = &mut last_star else { return false };
                *taken += 1;
                (at, read) = (*star + 1, *taken);
            }
        }
    }
    pattern[at..].iter().all(is_star)
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let usual = "write one such as \"team/*\" or \"**\"";
        let allowed =
            |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-' | '*');
        for component in text.split('/') {
            if component.is_empty() {
                return Err(format!("the pattern `{text}` has an empty path component: {usual}"));
            }
            if let Some(bad) = component.chars().find(|character| !allowed(*character)) {
                return Err(format!(
                    "the pattern `{text}` has `{}`, which no repository and no tag has: {usual}",
                    bad.escape_default()
                ));
            }
            if component.contains("**") && component != "**" {
                return Err(format!(
                    "the pattern `{text}` has `**` beside other characters: it stands alone between slashes, as in \"team/**\""
                ));
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The first path components of repositories: `team` is the beginning of `team` and `team/app`, not
/// of `teams`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(String);

impl Prefix {
    /// The prefix as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a repository begins with it.
    pub fn covers(&self, repository: &str) -> bool {
        repository.strip_prefix(&self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The rest of a repository that begins with it, and has more components.
    pub fn rest<'r>(&self, repository: &'r str) -> Option<&'r str> {
        repository.strip_prefix(&self.0)?.strip_prefix('/')
    }
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let edge =
            |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let allowed = |byte: &u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-')
        };
        let good = text.split('/').all(|component| {
            let bytes = component.as_bytes();
            edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(allowed)
        });
        if good {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "`{text}` is not the beginning of a repository: write lower-case path components, such as \"team\" or \"docker.io\", without a slash at the end"
        ))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

string_value!(
    Pattern,
    "Pattern",
    "^[A-Za-z0-9._*-]+(/[A-Za-z0-9._*-]+)*$",
    "a pattern in quotes, such as \"team/*\" or \"**\""
);
string_value!(
    Prefix,
    "Prefix",
    "^[a-z0-9][a-z0-9._/-]*$",
    "the beginning of a repository in quotes, such as \"team\""
);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_star_stays_within_a_component_and_two_go_on() {
        let cases = [
            ("**", &["a", "a/b", "a/b/c"] as &[_], &[] as &[&str]),
            ("team/*", &["team/app", "team/a.b"], &["team", "team/app/base", "teams/app", "my/team/app"]),
            ("team/**", &["team", "team/app", "team/app/base"], &["teams", "my/team"]),
            ("**/base", &["base", "a/base", "a/b/base"], &["a/base/b", "abase", "a/bases"]),
            ("a/**/b/**/c", &["a/b/c", "a/x/b/b/y/c"], &["a/c", "a/b", "a/b/c/d"]),
            ("v*", &["v", "v1", "v1.2"], &["1.v", "w1"]),
            ("*-rc*", &["1-rc", "1-rc2", "-rc-rc"], &["1.2", "1-r"]),
            ("a*b*c/d", &["abc/d", "axbbxc/d"], &["ac/d", "abc", "abc/d/d"]),
            ("App_1", &["App_1"], &["app_1"]),
        ];
        for (pattern, good, bad) in cases {
            let parsed: Pattern = pattern.parse().unwrap();
            for name in good {
                assert!(parsed.matches(name), "{pattern} is {name}");
            }
            for name in bad {
                assert!(!parsed.matches(name), "{pattern} is not {name}");
            }
        }
    }

    #[test]
    fn many_stars_take_no_longer_than_few() {
        let pattern: Pattern = ["*a"; 60].join("/").replace('/', "").parse().unwrap();
        assert!(!pattern.matches(&"a".repeat(59)));
        let pattern: Pattern = ["**/a"; 60].join("/").parse().unwrap();
        assert!(!pattern.matches(&["a"; 59].join("/")));
        assert!(pattern.matches(&["a"; 60].join("/")));
    }

    #[test]
    fn patterns_that_match_nothing_or_mean_something_else_are_refused() {
        for bad in ["", "/a", "a/", "a//b", "a**", "a/**b", "***", "a b", "a:b", "ä", "a?"] {
            let refusal = bad.parse::<Pattern>().unwrap_err();
            assert!(refusal.contains(": "), "a remedy: {refusal}");
        }
    }

    #[test]
    fn a_prefix_ends_where_a_component_ends() {
        let team: Prefix = "team".parse().unwrap();
        assert!(team.covers("team") && team.covers("team/app/base") && !team.covers("teams/app"));
        assert_eq!(team.rest("team/app/base"), Some("app/base"));
        assert_eq!((team.rest("team"), team.rest("teams/app")), (None, None));
        for good in ["docker.io", "a/b_c", "0"] {
            assert!(good.parse::<Prefix>().is_ok(), "{good}");
        }
        for bad in ["", "/", "team/", "/team", "Team", "te*", "localhost:5000", ".a", "a-"] {
            assert!(bad.parse::<Prefix>().is_err(), "{bad}");
        }
    }
}
