//! Versions of nats-server, such as `2.15.1` or `2.15.0-RC.2`.

use std::{cmp::Ordering, fmt, str::FromStr};

/// A version of nats-server; a pre-release is older than its release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    numbers: (u32, u32, u32),
    pre_release: Option<String>,
}

impl Version {
    /// The release `major.minor.patch`.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { numbers: (major, minor, patch), pre_release: None }
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_release = other.pre_release.is_some().cmp(&self.pre_release.is_some());
        let by_name = self.pre_release.cmp(&other.pre_release);
        self.numbers.cmp(&other.numbers).then(by_release).then(by_name)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, patch) = self.numbers;
        write!(formatter, "{major}.{minor}.{patch}")?;
        self.pre_release.iter().try_for_each(|name| write!(formatter, "-{name}"))
    }
}

impl FromStr for Version {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let without_build = text.split('+').next().unwrap_or_default();
        let (numbers, pre_release) = match without_build.split_once('-') {
            Some((numbers, name)) => (numbers, Some(name.to_owned())),
            None => (without_build, None),
        };
        let mut parts = numbers.split('.').map(|part| part.parse().map_err(|_| ()));
        let mut next = || parts.next().unwrap_or(Err(()));
        let numbers = (next()?, next()?, next()?);
        if parts.next().is_some() { Err(()) } else { Ok(Self { numbers, pre_release }) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::Version;

    #[test]
    fn versions_are_ordered_as_releases_are() {
        let ordered = ["2.9.25", "2.14.7", "2.15.0-RC.1", "2.15.0-RC.2", "2.15.0", "2.15.1", "3.0.0"];
        let versions: Vec<Version> = ordered.iter().map(|text| text.parse().unwrap()).collect();
        assert!(versions.is_sorted());
        assert_eq!(versions.iter().map(ToString::to_string).collect::<Vec<_>>(), ordered);
    }

    #[test]
    fn what_is_not_a_version_is_refused() {
        for text in ["", "2", "2.15", "2.15.x", "v2.15.1", "2.15.1.4"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }
}
