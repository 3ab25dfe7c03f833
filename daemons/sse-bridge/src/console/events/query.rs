//! Which events a page shows, as its address says.

use axum::http::HeaderMap;
use url::form_urlencoded::{Serializer, parse};

use crate::console::journal::{Kind, Wanted};

/// Bytes of a text that is sought.
const LONGEST: usize = 200;

/// What somebody looks for. What is not understood is left out: addresses are kept and shared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::console) struct Sought {
    pub(in crate::console) kinds: Vec<Kind>,
    pub(in crate::console) account: String,
    pub(in crate::console) text: String,
}

impl Sought {
    /// Reads a query.
    pub(in crate::console) fn of(query: &str) -> Self {
        let mut sought = Self::default();
        for (name, value) in parse(query.as_bytes()).filter(|(_, value)| value.len() <= LONGEST) {
            match &*name {
                "kind" => {
                    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == value);
                    let new = kind.filter(|kind| !sought.kinds.contains(kind));
                    sought.kinds.extend(new);
                }
                "account" => sought.account = value.into_owned(),
                "text" => sought.text = value.into_owned(),
                _ => {}
            }
        }
        sought
    }

    /// The query that says the same: nothing in it needs an escape in HTML or a script.
    pub(in crate::console) fn query(&self) -> String {
        let mut query = Serializer::new(String::new());
        for kind in &self.kinds {
            query.append_pair("kind", kind.name());
        }
        query.append_pair("account", &self.account).append_pair("text", &self.text);
        query.finish()
    }

    pub(in crate::console) fn wanted(&self) -> Wanted {
        Wanted { kinds: self.kinds.clone(), account: self.account.clone(), text: self.text.clone() }
    }
}

/// How far the page was: the header is newer than the address, as Datastar tries an address again.
pub(in crate::console) fn after(query: &str, headers: &HeaderMap) -> Option<u64> {
    let header = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let asked =
        parse(query.as_bytes()).find(|(name, _)| name == "after").map(|(_, value)| value.into_owned());
    header.and_then(|text| text.parse().ok()).or_else(|| asked?.parse().ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_header_goes_before_the_address() {
        let mut headers = HeaderMap::new();
        assert_eq!(after("kind=stream&after=7", &headers), Some(7));
        assert_eq!(after("after=undefined", &headers), None);
        headers.insert("last-event-id", "9".parse().unwrap());
        assert_eq!(after("after=7", &headers), Some(9));
    }

    proptest! {
        /// What an address says comes out of the page's own address again, which is safe in a script.
        #[test]
        fn an_address_says_what_was_sought(account in "\\PC{0,40}", text in "\\PC{0,40}", kind in 0..Kind::ALL.len()) {
            let sought = Sought { kinds: vec![Kind::ALL[kind]], account, text };
            let query = sought.query();
            prop_assert!(query.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"=&%+-_.*".contains(&byte)), "{query}");
            prop_assert_eq!(Sought::of(&query), sought);
        }
    }
}
