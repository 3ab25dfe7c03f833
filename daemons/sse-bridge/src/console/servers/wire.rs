//! What of the servers' answers the console reads. What else they say, or say otherwise one day, is
//! left out here and shown as it is by `/api/`.

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Deserializer};

use super::AskError;

/// A count. NATS's are 64 bits wide: they are shown as text.
pub(in crate::console) type Count = u64;

/// The envelope of an answer (`ServerAPIResponse`). STATSZ has what it says at `statsz`.
#[derive(Debug, Deserialize)]
pub(in crate::console) struct Reply<T> {
    #[serde(alias = "statsz")]
    data: Option<T>,
    error: Option<Refusal>,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
#[derive(Default)]
pub(super) struct Refusal {
    pub(super) code: u64,
    pub(super) description: String,
}

impl<T> Reply<T> {
    pub(super) fn refused(&self, server: &str) -> Option<AskError> {
        let Refusal { code, description } = self.error.as_ref()?;
        Some(AskError::Refused { server: server.to_owned(), code: *code, description: description.clone() })
    }

    pub(super) fn content(self) -> Option<T> {
        self.data
    }
}

/// Go writes an empty list as `null`.
pub(super) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// CONNZ.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::console) struct Connz {
    pub(in crate::console) total: Count,
    #[serde(deserialize_with = "list")]
    pub(in crate::console) connections: Vec<ConnInfo>,
}

/// A connection. Of its `jwt` the user's name alone is kept, so that no page can show it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::console) struct ConnInfo {
    pub(in crate::console) cid: Count,
    pub(in crate::console) kind: String,
    #[serde(rename = "type")]
    pub(in crate::console) protocol: String,
    pub(in crate::console) ip: String,
    pub(in crate::console) port: u16,
    pub(in crate::console) start: String,
    pub(in crate::console) stop: Option<String>,
    /// Why it ended.
    pub(in crate::console) reason: String,
    pub(in crate::console) rtt: String,
    pub(in crate::console) pending_bytes: Count,
    pub(in crate::console) in_msgs: Count,
    pub(in crate::console) out_msgs: Count,
    pub(in crate::console) in_bytes: Count,
    pub(in crate::console) out_bytes: Count,
    pub(in crate::console) stalls: Count,
    pub(in crate::console) subscriptions: Count,
    pub(in crate::console) name: String,
    pub(in crate::console) authorized_user: String,
    pub(in crate::console) account: String,
    /// The name that the user's JWT gives; servers know the public key alone.
    #[serde(rename = "jwt", deserialize_with = "user_name")]
    pub(in crate::console) user_name: String,
}

fn user_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(name_in_jwt(&String::deserialize(deserializer)?).unwrap_or_default())
}

/// The name that a JWT gives to whom it is about. It is not checked here: the server has let it in.
pub(in crate::console) fn name_in_jwt(jwt: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Claims {
        name: String,
    }
    let claims = BASE64URL_NOPAD.decode(jwt.split('.').nth(1)?.as_bytes()).ok()?;
    serde_json::from_slice::<Claims>(&claims).ok().map(|claims| claims.name)
}

/// STATSZ.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::console) struct Statsz {
    pub(in crate::console) slow_consumers: Count,
}

/// ACCOUNTZ of one account.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Accountz {
    pub(super) account_detail: Option<AccountDetail>,
}

/// What an account is called.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AccountDetail {
    pub(super) name_tag: String,
}

/// Milliseconds of a duration as Go writes it: `1h2m3.5s`, `153.2µs`.
pub(in crate::console) fn millis(text: &str) -> Option<f64> {
    let (mut rest, mut sum) = (text, 0.0);
    while !rest.is_empty() {
        let end = rest.find(|it: char| !it.is_ascii_digit() && it != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let units = &rest[end..];
        let length = units.find(|it: char| it.is_ascii_digit()).unwrap_or(units.len());
        sum += number
            * match &units[..length] {
                "ns" => 1e-6,
                "µs" | "us" => 1e-3,
                "ms" => 1.0,
                "s" => 1e3,
                "m" => 60e3,
                "h" => 3600e3,
                _ => return None,
            };
        rest = &units[length..];
    }
    (!text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn lists_may_be_null_and_what_is_new_does_no_harm() {
        let reply: Reply<Connz> =
            serde_json::from_str(r#"{"server":{"new":1},"data":{"connections":null,"total":0}}"#).unwrap();
        assert!(reply.content().unwrap().connections.is_empty());
        let reply: Reply<Statsz> = serde_json::from_str(r#"{"statsz":{"slow_consumers":7}}"#).unwrap();
        assert_eq!(reply.content().unwrap().slow_consumers, 7);
        let reply: Reply<Statsz> =
            serde_json::from_str(r#"{"error":{"code":400,"description":"no"}}"#).unwrap();
        assert_eq!(reply.refused("hub-1").unwrap().to_string(), "hub-1 says: no (400)");
    }

    #[test]
    fn of_the_jwt_of_a_connection_the_name_alone_is_kept() {
        let jwt = format!("eyJ0eXAi.{}.secret", BASE64URL_NOPAD.encode(br#"{"name":"till","sub":"UABC"}"#));
        let info: ConnInfo =
            serde_json::from_value(serde_json::json!({ "cid": 7, "jwt": jwt, "new": [1] })).unwrap();
        assert_eq!((info.cid, info.user_name.as_str()), (7, "till"));
        assert!(!format!("{info:?}").contains("secret") && !format!("{info:?}").contains("UABC"));
        for none in ["", "redacted", "a.%%%.c", "a.e30.c"] {
            assert_eq!(name_in_jwt(none), None, "{none}");
        }
    }

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, wanted) in [("1h2m3.5s", 3_723_500.0), ("153.5µs", 0.1535), ("2ms", 2.0), ("0s", 0.0)] {
            assert!((millis(text).unwrap() - wanted).abs() < 1e-9, "{text}");
        }
        for text in ["", "ms", "1", "1y", "1.2.3s", "-1s"] {
            assert_eq!(millis(text), None, "{text}");
        }
    }
}
