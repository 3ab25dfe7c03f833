//! Subjects with wildcards as people ask for them.
//!
//! Not [`settings::Subject`], which says what to mend in a file: these are answered to a browser, bounded
//! in length, and cheap to clone.

use std::{fmt, str::FromStr, sync::Arc};

use settings::names::{covers, overlap};

/// The longest subject that is watched, bytes. It also bounds what a request costs to check.
const LONGEST: usize = 256;

/// A subject, whole or with the wildcards `*` and `>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(Arc<str>);

/// A text that is no subject.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSubject {
    /// It is empty or too long.
    #[error("a subject has 1 to {LONGEST} bytes")]
    Length,
    /// It has an empty token.
    #[error("`{0}` has an empty token: write names with single dots between them, such as orders.new")]
    Empty(String),
    /// It has white space or a control character.
    #[error("`{0}` has a space or a control character: a subject has none")]
    Space(String),
    /// A wildcard is not a token of its own, or `>` is not the last.
    #[error("`{0}` has a wildcard inside a token, or `>` before the end: write a.*.c or a.>")]
    Wildcard(String),
}

impl Pattern {
    /// As NATS writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a subject without wildcards is one of these.
    pub fn matches(&self, subject: &str) -> bool {
        covers(&self.0, subject)
    }

    /// Whether each subject that `other` matches is one of these.
    pub fn covers(&self, other: &Self) -> bool {
        covers(&self.0, &other.0)
    }

    /// Whether some subject is matched by both.
    pub fn overlaps(&self, other: &Self) -> bool {
        overlap(&self.0, &other.0)
    }
}

impl FromStr for Pattern {
    type Err = BadSubject;

    fn from_str(text: &str) -> Result<Self, BadSubject> {
        if text.is_empty() || text.len() > LONGEST {
            return Err(BadSubject::Length);
        }
        if text.chars().any(|it| it.is_whitespace() || it.is_control()) {
            return Err(BadSubject::Space(text.escape_debug().to_string()));
        }
        let mut tokens = text.split('.').peekable();
        while let Some(token) = tokens.next() {
            let wild = token.contains(['*', '>']);
            if token.is_empty() {
                return Err(BadSubject::Empty(text.to_owned()));
            }
            if wild && (token.len() > 1 || (token == ">" && tokens.peek().is_some())) {
                return Err(BadSubject::Wildcard(text.to_owned()));
            }
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> Pattern {
        text.parse().unwrap()
    }

    #[test]
    fn a_subject_is_read_or_what_is_wrong_with_it_is_told() {
        for good in ["a", "a.b", "a.*.c", "a.>", ">", "*", "$SYS.ACCOUNT.*.CONNECT", "größe.ä", "$KV.b.k=1"]
        {
            assert_eq!(good.parse::<Pattern>().unwrap().as_str(), good);
        }
        let long = "a".repeat(LONGEST + 1);
        for bad in ["", ".", "a.", ".a", "a..b", "a b", "a\n", "a\u{a0}b", "a.>.b", "a*", "a.b>", ">>", &long]
        {
            assert!(bad.parse::<Pattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns_cover_and_overlap_as_nats_matches() {
        for (outer, inner, covered, overlapping) in [
            ("a.>", "a.b", true, true),
            ("a.>", "a", false, false),
            ("a.>", "a.*", true, true),
            ("a.*", "a.>", false, true),
            ("a.*", "a.b.c", false, false),
            ("*.b", "a.*", false, true),
            (">", "a.b.>", true, true),
            ("a.b", "a.*", false, true),
            ("a.*.c", "a.>", false, true),
            ("a.b", "a.c", false, false),
        ] {
            assert_eq!(pattern(outer).covers(&pattern(inner)), covered, "{outer} covers {inner}");
            assert_eq!(pattern(outer).overlaps(&pattern(inner)), overlapping, "{outer} overlaps {inner}");
            assert_eq!(pattern(inner).overlaps(&pattern(outer)), overlapping, "{inner} overlaps {outer}");
        }
    }

    proptest! {
        /// What one pattern covers, it matches whenever the other does; what both match, they share.
        #[test]
        fn covering_and_overlapping_agree_with_matching(
            one in "([ab*]\\.){0,3}[ab*>]",
            two in "([ab*]\\.){0,3}[ab*>]",
            subject in "([ab]\\.){0,4}[ab]",
        ) {
            let (one, two) = (pattern(&one), pattern(&two));
            let (by_one, by_two) = (one.matches(&subject), two.matches(&subject));
            prop_assert!(!(one.covers(&two) && by_two) || by_one);
            prop_assert!(!(by_one && by_two) || one.overlaps(&two));
        }
    }
}
