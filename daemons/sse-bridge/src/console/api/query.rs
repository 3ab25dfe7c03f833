//! The query of `/api/…`, read strictly: a mistake is told, not guessed around.

use serde_json::{Map, Value};
use url::form_urlencoded;

use crate::console::servers::{Endpoint, Takes};

/// The longest text that an option takes.
const LONGEST: usize = 256;

/// What is asked for.
#[derive(Debug, PartialEq)]
pub(super) struct Asked {
    pub(super) server: Target,
    /// As nats-server takes them.
    pub(super) options: Value,
}

/// Who is asked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Target {
    /// The server that this node is.
    #[default]
    Own,
    /// Every one.
    All,
    /// The one of this id or name.
    One(String),
}

/// A query that is not understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadQuery {
    /// A parameter that is not known.
    #[error("`{name}` is no option of {endpoint}: there are {known}")]
    Unknown { name: String, endpoint: &'static str, known: String },
    /// A parameter that is there twice.
    #[error("`{0}` is there twice: once is enough")]
    Twice(String),
    /// A value that the option does not take.
    #[error("{name}: `{value}` is not {wanted}")]
    Value { name: &'static str, value: String, wanted: String },
    /// No server has no name.
    #[error("server: write the id or name of a server, or all; leave it out for this node's own")]
    Server,
}

impl Asked {
    /// Reads a query.
    pub(super) fn of(endpoint: Endpoint, query: &str) -> Result<Self, BadQuery> {
        let (mut server, mut options) = (None, Map::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if name == "server" {
                let target = match &*value {
                    "all" => Target::All,
                    "" => return Err(BadQuery::Server),
                    one if one.len() > LONGEST => return Err(BadQuery::Server),
                    one => Target::One(one.to_owned()),
                };
                if server.replace(target).is_some() {
                    return Err(BadQuery::Twice("server".to_owned()));
                }
                continue;
            }
            let known = endpoint.options().iter().find(|(known, _)| *known == name);
            let Some((name, takes)) = known else { return Err(unknown(endpoint, &name)) };
            if options.insert((*name).to_owned(), read(name, *takes, &value)?).is_some() {
                return Err(BadQuery::Twice((*name).to_owned()));
            }
        }
        Ok(Self { server: server.unwrap_or_default(), options: Value::Object(options) })
    }

    /// The option that shows secrets, if one does: `auth` has CONNZ show the JWT of each connection.
    pub(super) fn secret(&self) -> Option<&'static str> {
        (self.options.get("auth") == Some(&Value::Bool(true))).then_some("auth")
    }
}

fn unknown(endpoint: Endpoint, name: &str) -> BadQuery {
    let mut known = vec!["server"];
    known.extend(endpoint.options().iter().map(|(name, _)| *name));
    BadQuery::Unknown {
        name: name.chars().take(40).collect(),
        endpoint: endpoint.name(),
        known: known.join(", "),
    }
}

fn read(name: &'static str, takes: Takes, value: &str) -> Result<Value, BadQuery> {
    let wrong =
        |wanted: String| Err(BadQuery::Value { name, value: value.chars().take(40).collect(), wanted });
    match takes {
        Takes::Flag => match value {
            "true" | "1" | "" => Ok(true.into()),
            "false" | "0" => Ok(false.into()),
            _ => wrong("true or false".to_owned()),
        },
        // NATS's are signed: more would be an error in its words.
        Takes::Number => match value.parse::<u64>() {
            Ok(number) if i64::try_from(number).is_ok() => Ok(number.into()),
            _ => wrong("a whole number from 0".to_owned()),
        },
        Takes::Text if value.len() <= LONGEST => Ok(value.into()),
        Takes::Text => wrong(format!("a text of at most {LONGEST} bytes")),
        Takes::Word(words) if words.contains(&value) => Ok(value.into()),
        Takes::Counted(words) => match words.iter().position(|word| *word == value) {
            Some(number) => Ok(number.into()),
            None => wrong(format!("one of {}", words.join(", "))),
        },
        Takes::Word(words) => wrong(format!("one of {}", words.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn options_become_what_nats_takes() {
        let asked = Asked::of(
            Endpoint::Connz,
            "server=hub-1&sort=rtt&subscriptions=true&limit=10&state=closed&name%3D=1"
                .trim_end_matches("&name%3D=1"),
        );
        let wanted = json!({ "sort": "rtt", "subscriptions": true, "limit": 10, "state": 1 });
        assert_eq!(asked.unwrap(), Asked { server: Target::One("hub-1".to_owned()), options: wanted });
        let asked = Asked::of(Endpoint::Healthz, "js-server-only").unwrap();
        assert_eq!((asked.server, asked.options), (Target::Own, json!({ "js-server-only": true })));
        assert_eq!(Asked::of(Endpoint::Varz, "server=all").unwrap().server, Target::All);
    }

    #[test]
    fn what_nats_does_not_know_is_told() {
        for (endpoint, query, wanted) in [
            (Endpoint::Varz, "limit=1", "`limit` is no option of varz: there are server"),
            (Endpoint::Routez, "subscriptions=perhaps", "subscriptions: `perhaps` is not true or false"),
            (Endpoint::Connz, "limit=-1", "limit: `-1` is not a whole number from 0"),
            (
                Endpoint::Connz,
                "cid=9223372036854775808",
                "cid: `9223372036854775808` is not a whole number from 0",
            ),
            (Endpoint::Connz, "limit=1&limit=2", "`limit` is there twice: once is enough"),
            (Endpoint::Connz, "state=open,closed", "state: `open,closed` is not one of open, closed, all"),
            (
                Endpoint::Idz,
                "server=",
                "server: write the id or name of a server, or all; leave it out for this node's own",
            ),
        ] {
            assert_eq!(Asked::of(endpoint, query).unwrap_err().to_string(), wanted);
        }
    }

    #[test]
    fn what_shows_jwts_is_a_secret() {
        for (query, secret) in
            [("auth=true", true), ("auth=1&user=a", true), ("auth=false", false), ("", false)]
        {
            assert_eq!(Asked::of(Endpoint::Connz, query).unwrap().secret().is_some(), secret, "{query}");
        }
    }

    proptest! {
        /// Nothing but the known options gets to nats-server, whatever a query says.
        #[test]
        fn any_query_is_read_or_refused_shortly(query in "\\PC{0,300}|((auth|limit|acc|server|x)=[a-z0-9%+.]{0,12}&?){0,9}") {
            match Asked::of(Endpoint::Connz, &query) {
                Ok(asked) => {
                    let known = Endpoint::Connz.options();
                    for name in asked.options.as_object().unwrap().keys() {
                        prop_assert!(known.iter().any(|(known, _)| known == name));
                    }
                }
                Err(error) => prop_assert!(error.to_string().len() < 1000),
            }
        }
    }
}
