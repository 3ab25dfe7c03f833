//! What a client shows of itself in the header `Authorization`.

use std::fmt;

use axum::http::{HeaderMap, header::AUTHORIZATION};
use data_encoding::{BASE64, BASE64_NOPAD};

/// Longer ones are none of ours: a Bearer token has 8 KiB at most.
const LONGEST: usize = 12 * 1024;

/// What the header holds, not yet checked.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Nothing.
    None,
    /// A user name with a password (RFC 7617).
    Basic {
        /// The user name.
        user: String,
        /// The password.
        password: String,
    },
    /// A token of `GET /token` (RFC 6750).
    Bearer(String),
    /// The password alone, which only a form of `POST /token` holds, as its `refresh_token`.
    Refresh(String),
}

impl Credentials {
    /// Reads the header. An empty user name with an empty password is nothing: clients that are not
    /// logged in send that, the conformance suite among them.
    pub fn of(headers: &HeaderMap) -> Result<Self, BadAuthorization> {
        let mut all = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = all.next() else { return Ok(Self::None) };
        if all.next().is_some() || value.len() > LONGEST {
            return Err(BadAuthorization);
        }
        Self::parse(value.to_str().map_err(|_| BadAuthorization)?)
    }

    /// Reads the header's value.
    pub fn parse(value: &str) -> Result<Self, BadAuthorization> {
        let (scheme, rest) = value.split_once(' ').ok_or(BadAuthorization)?;
        let rest = rest.trim_matches(' ');
        if scheme.eq_ignore_ascii_case("bearer") {
            let is_token = !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic());
            return is_token.then(|| Self::Bearer(rest.to_owned())).ok_or(BadAuthorization);
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(BadAuthorization);
        }
        let bytes = BASE64.decode(rest.as_bytes()).or_else(|_| BASE64_NOPAD.decode(rest.as_bytes()));
        let pair = String::from_utf8(bytes.map_err(|_| BadAuthorization)?).map_err(|_| BadAuthorization)?;
        let (user, password) = pair.split_once(':').ok_or(BadAuthorization)?;
        Ok(Self::login(user, password))
    }

    /// A user name with a password.
    pub fn login(user: &str, password: &str) -> Self {
        if user.is_empty() && password.is_empty() {
            return Self::None;
        }
        Self::Basic { user: user.to_owned(), password: password.to_owned() }
    }
}

/// Never what is secret in it: it would end in a log.
impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => formatter.write_str("None"),
            Self::Basic { .. } => formatter.write_str("Basic(…)"),
            Self::Bearer(_) => formatter.write_str("Bearer(…)"),
            Self::Refresh(_) => formatter.write_str("Refresh(…)"),
        }
    }
}

/// The header cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the header `Authorization` is neither `Basic` with base64 of `name:token` nor `Bearer` with a token"
)]
pub struct BadAuthorization;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use axum::http::HeaderValue;

    use super::*;

    fn of(values: &[&str]) -> Option<Credentials> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        Credentials::of(&headers).ok()
    }

    #[test]
    fn basic_and_bearer_are_read_in_the_spellings_that_clients_use() {
        let login = || Some(Credentials::login("ci", "se:cret"));
        assert_eq!(of(&["Basic Y2k6c2U6Y3JldA=="]), login());
        assert_eq!(of(&["basic  Y2k6c2U6Y3JldA"]), login());
        assert_eq!(of(&["bearer a.b"]), Some(Credentials::Bearer("a.b".into())));
        assert_eq!(of(&[]), Some(Credentials::None));
        assert_eq!(of(&["Basic Og=="]), Some(Credentials::None));
    }

    #[test]
    fn what_is_neither_is_refused() {
        let long = format!("Bearer {}", "a".repeat(LONGEST));
        for bad in [
            "",
            "Basic",
            "Basic ",
            "Basic !",
            "Basic Y2k=",
            "Basic /zo=",
            "Bearer ",
            "Bearer a b",
            "Digest a",
            &long,
        ] {
            assert_eq!(of(&[bad]), None, "{bad}");
        }
        assert_eq!(of(&["Bearer a", "Bearer a"]), None);
    }
}
