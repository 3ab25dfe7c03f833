//! The path of a key in one of the two files, as it is written in messages:
//! `accounts.SHOP.exports[1].subject`.

use std::fmt;

/// One step of a [`KeyPath`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Into a table.
    Key(String),
    /// Into an array.
    Index(usize),
}

/// Where a value stands in a file; the empty path is the file itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPath(Vec<Step>);

impl KeyPath {
    /// The path of the keys given, from the top of the file.
    pub fn of<const COUNT: usize>(keys: [&str; COUNT]) -> Self {
        Self(keys.into_iter().map(|key| Step::Key(key.to_owned())).collect())
    }

    /// This path and one key more.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.step(Step::Key(key.to_owned()))
    }

    /// This path and one array index more.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.step(Step::Index(index))
    }

    fn step(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }

    /// The steps from the top of the file.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether this path is `other` or leads through it.
    pub fn starts_with(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// The part of the file that a mistake here spoils for every other check: one account, or one
    /// top-level key.
    pub(crate) fn area(&self) -> Self {
        let length = if self.0.first() == Some(&Step::Key("accounts".into())) { 2 } else { 1 };
        Self(self.0.iter().take(length).cloned().collect())
    }

    pub(crate) fn joined(&self, steps: impl IntoIterator<Item = Step>) -> Self {
        Self(self.0.iter().cloned().chain(steps).collect())
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(formatter, "[{index}]")?,
                Step::Key(key) => {
                    if place > 0 {
                        formatter.write_str(".")?;
                    }
                    let bare =
                        |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-');
                    if !key.is_empty() && key.chars().all(bare) {
                        formatter.write_str(key)?;
                    } else {
                        write!(formatter, "\"{}\"", key.escape_debug())?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_like_toml() {
        let path = KeyPath::of(["accounts", "a b"]).key("exports").index(1).key("subject");
        assert_eq!(path.to_string(), "accounts.\"a b\".exports[1].subject");
        assert_eq!(path.area(), KeyPath::of(["accounts", "a b"]));
        assert!(path.starts_with(&path.area()) && !path.area().starts_with(&path));
    }
}
