//! The part of a URL behind its question mark.

use percent_encoding::percent_decode_str;

/// The parameters of a query, decoded, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

/// A query that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadQuery {
    /// Its escapes are no UTF-8.
    #[error("the query is not UTF-8 once its percent escapes are read")]
    Encoding,
    /// `n` is no number.
    #[error("`n` is the number of entries wanted, 0 or more, and not `{0}`")]
    Count(String),
}

impl Query {
    /// Reads a query, without its question mark.
    ///
    /// A `+` stays one: media types hold them (`artifactType=application/spdx+json`), not every client
    /// escapes them, and no parameter here has a space.
    ///
    /// # Errors
    /// When the escapes give no UTF-8.
    pub fn of(text: &str) -> Result<Self, BadQuery> {
        let decode =
            |text| Ok(percent_decode_str(text).decode_utf8().map_err(|_| BadQuery::Encoding)?.into());
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.map(|(name, value)| Ok((decode(name)?, decode(value)?))).collect::<Result<_, _>>().map(Self)
    }

    /// The first value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// All values of a parameter, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// Which part of a list is wanted.
    ///
    /// # Errors
    /// When `n` is no number.
    pub fn page(&self) -> Result<Page<'_>, BadQuery> {
        let count = match self.get("n").filter(|text| !text.is_empty()) {
            None => None,
            Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                // More than fits is more than there is.
                Some(text.parse().unwrap_or(usize::MAX))
            }
            Some(text) => return Err(BadQuery::Count(text.to_owned())),
        };
        Ok(Page { count, last: self.get("last").filter(|last| !last.is_empty()) })
    }
}

/// A part of a sorted list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page<'a> {
    /// Entries at most; all when left out.
    pub count: Option<usize>,
    /// Only what sorts after this, which need not be an entry.
    pub last: Option<&'a str>,
}

impl Page<'_> {
    /// The entries wanted of those that sort after `last`, and whether more follow.
    pub fn cut<T>(self, after: impl Iterator<Item = T>) -> (Vec<T>, bool) {
        let Some(count) = self.count else { return (after.collect(), false) };
        let mut after = after;
        let entries: Vec<T> = after.by_ref().take(count).collect();
        // `n=0` asks for nothing, and must not be told to go on from there.
        let more = count > 0 && after.next().is_some();
        (entries, more)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn parameters_are_decoded_and_may_repeat() {
        let query = Query::of("digest=sha256%3Aab&tag=a&tag=b%2D1&empty&&x=1=2&t=a/b+json").unwrap();
        assert_eq!(query.get("digest"), Some("sha256:ab"));
        assert_eq!(query.all("tag").collect::<Vec<_>>(), ["a", "b-1"]);
        assert_eq!(query.get("empty"), Some(""));
        assert_eq!(query.get("x"), Some("1=2"));
        assert_eq!(query.get("t"), Some("a/b+json"));
        assert_eq!(query.get("none"), None);
        assert_eq!(Query::of("").unwrap(), Query::default());
        assert_eq!(Query::of("a=%ff"), Err(BadQuery::Encoding));
        assert_eq!(Query::of("a=%zz").unwrap().get("a"), Some("%zz"));
    }

    #[test]
    fn a_page_is_a_count_and_where_the_one_before_ended() {
        let page = |text: &str| {
            Query::of(text).unwrap().page().map(|page| (page.count, page.last.map(str::to_owned)))
        };
        assert_eq!(page(""), Ok((None, None)));
        assert_eq!(page("n=&last="), Ok((None, None)));
        assert_eq!(page("n=0&last=b"), Ok((Some(0), Some("b".to_owned()))));
        assert_eq!(page("n=99999999999999999999999"), Ok((Some(usize::MAX), None)));
        for bad in ["-1", "1.5", "+1", "ten", "1 "] {
            assert_eq!(page(&format!("n={bad}")), Err(BadQuery::Count(bad.to_owned())));
        }
    }

    #[test]
    fn a_page_tells_whether_more_follow() {
        let cut = |count| Page { count, last: None }.cut(0..3);
        assert_eq!(cut(None), (vec![0, 1, 2], false));
        assert_eq!(cut(Some(0)), (vec![], false));
        assert_eq!(cut(Some(2)), (vec![0, 1], true));
        assert_eq!(cut(Some(3)), (vec![0, 1, 2], false));
        assert_eq!(cut(Some(usize::MAX)), (vec![0, 1, 2], false));
    }
}
