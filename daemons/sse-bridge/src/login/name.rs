//! What a user of the console is called.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// Characters of a name.
const LONGEST: usize = 32;

/// A user's name: 1 to 32 of `a` to `z`, `0` to `9`, `-` and `_`, the first one a letter or digit. It
/// is part of a key in the bucket, and of lines in logs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(Arc<str>);

/// A text that is no [`UserName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no user name: write 1 to 32 of a-z, 0-9, `-` and `_`, beginning with a letter or digit")]
pub struct BadUserName(String);

impl UserName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, shared.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for UserName {
    type Err = BadUserName;

    fn from_str(text: &str) -> Result<Self, BadUserName> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let begins = text.bytes().next().is_some_and(fits);
        if begins && text.len() <= LONGEST && text.bytes().all(|byte| fits(byte) || b"-_".contains(&byte)) {
            return Ok(Self(text.into()));
        }
        // Somebody may have pasted a token here.
        Err(BadUserName(text.chars().filter(|character| !character.is_control()).take(LONGEST).collect()))
    }
}

impl TryFrom<String> for UserName {
    type Error = BadUserName;

    fn try_from(text: String) -> Result<Self, BadUserName> {
        text.parse()
    }
}

impl From<UserName> for String {
    fn from(name: UserName) -> Self {
        name.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_name_is_one_token_of_a_key() {
        for name in ["ada", "a", "0", "ada-l_2", &"a".repeat(32)] {
            assert_eq!(name.parse::<UserName>().unwrap().as_str(), name);
        }
        for name in ["", "Ada", "-ada", "a.b", "a b", "a>", "*", "ä", &"a".repeat(33)] {
            name.parse::<UserName>().unwrap_err();
        }
        serde_json::from_str::<UserName>("\"a.b\"").unwrap_err();
    }
}
