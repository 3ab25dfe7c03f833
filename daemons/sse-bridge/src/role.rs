//! What a user of the console may do.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What a user of the console may do; each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// See everything but secrets.
    Viewer,
    /// Also publish, and change records, streams and consumers.
    Operator,
    /// Also delete what holds data, mint and revoke users, and let boxes in.
    Admin,
}

/// A text that is no [`Role`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no role: write viewer, operator or admin")]
pub struct UnknownRole(String);

impl Role {
    /// From the one that may least to the one that may most.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn each_role_may_more_than_those_before_it_and_is_read_as_written() {
        assert!(Role::ALL.is_sorted());
        for role in Role::ALL {
            assert_eq!(role.to_string().parse::<Role>().unwrap(), role);
        }
        let error = "root".parse::<Role>().unwrap_err();
        assert_eq!(error.to_string(), "`root` is no role: write viewer, operator or admin");
    }
}
