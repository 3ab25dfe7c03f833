//! What the error codes of JetStream's API mean.

use std::{borrow::Cow, sync::OnceLock};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::vendored::ERRORS;

/// An error that nats-server answers with, from jsm.go's `server/errors.json`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ApiError {
    /// Its name in nats-server's source, such as `JSStreamNotFoundErr`.
    pub constant: Cow<'static, str>,
    /// The kind of error, as HTTP numbers them: 404.
    pub code: u16,
    /// Which error it is: 10059. No two have the same.
    pub error_code: u16,
    /// What the server says, with `{name}` where it fills something in.
    pub description: Cow<'static, str>,
    /// A remark of NATS's developers; mostly empty.
    pub comment: Cow<'static, str>,
    /// What a user should know; mostly empty.
    pub help: Cow<'static, str>,
    /// Where more is told; mostly empty.
    pub url: Cow<'static, str>,
}

impl ApiError {
    /// All of them, in the order of their codes. The first call reads them: some 20 KiB from then on.
    pub fn all() -> &'static [Self] {
        static ALL: OnceLock<Box<[ApiError]>> = OnceLock::new();
        ALL.get_or_init(|| {
            let mut all: Vec<Self> =
                serde_json::from_str(ERRORS).expect("the test reads the vendored errors.json");
            all.sort_unstable_by_key(|error| error.error_code);
            all.into()
        })
    }

    /// The error with this `err_code`; `None` for what a newer server has added.
    pub fn coded(error_code: u16) -> Option<&'static Self> {
        let all = Self::all();
        all.binary_search_by_key(&error_code, |error| error.error_code).ok().map(|index| &all[index])
    }

    /// The error that a reply of the API reports in `error.err_code`.
    pub fn of_reply(reply: &Value) -> Option<&'static Self> {
        reply.pointer("/error/err_code")?.as_u64().and_then(|code| Self::coded(code.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_224_are_there_by_code() {
        assert_eq!(ApiError::all().len(), 224);
        assert!(ApiError::all().windows(2).all(|pair| pair[0].error_code < pair[1].error_code));
        for error in ApiError::all() {
            assert_eq!(ApiError::coded(error.error_code), Some(error));
        }
        assert_eq!(ApiError::coded(9999), None);
    }

    #[test]
    fn a_reply_with_an_error_is_explained() {
        let reply = json!({ "error": { "code": 404, "err_code": 10059, "description": "stream not found" } });
        let error = ApiError::of_reply(&reply);
        assert_eq!(error.map(|error| &*error.constant), Some("JSStreamNotFoundErr"));
        assert_eq!(error.map(|error| error.code), Some(404));
        assert_eq!(ApiError::of_reply(&json!({ "error": { "code": 400, "err_code": 4_000_000 } })), None);
        assert_eq!(ApiError::of_reply(&json!({ "success": true })), None);
        let help = ApiError::coded(10039).map(|error| &*error.help).unwrap_or_default();
        assert!(help.contains("not enabled"), "{help}");
    }
}
