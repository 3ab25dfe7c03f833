//! What a request asks for, read strictly: a mistake is told, not guessed around.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use percent_encoding::percent_decode_str;

use super::{
    position::{BadPosition, LastEventId},
    subject::{BadSubject, Pattern},
};

/// Subjects in one request.
pub const MOST_SUBJECTS: usize = 16;
/// Streams in one request.
pub const MOST_STREAMS: usize = 8;
/// The longest stretch of time that `since` takes: ten years.
const LONGEST_SINCE: Duration = Duration::from_secs(10 * 366 * 86_400);
const KNOWN: &str = "subject, stream, kind, since, account, lastEventId";

/// How a client watches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Every message in order; a client that is too slow is disconnected and resumes.
    #[default]
    Log,
    /// The latest of each subject; a client that is slow skips what was overtaken.
    State,
}

/// Where a log begins for a client that does not resume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Since {
    /// With the next message.
    #[default]
    Now,
    /// With the newest so many messages.
    Messages(u64),
    /// With what was stored within so long.
    Within(Duration),
    /// With the oldest message that the stream has.
    All,
}

/// What a request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The account; the bridge's own when left out.
    pub account: Option<Arc<str>>,
    /// Subjects: of the streams, or of core NATS where no stream is named.
    pub subjects: BTreeSet<Pattern>,
    /// Streams, each once.
    pub streams: BTreeSet<Arc<str>>,
    /// How to watch.
    pub kind: Kind,
    /// Where to begin.
    pub since: Since,
    /// Where the client was, if the query says so: the header goes before it.
    pub last_event_id: Option<LastEventId>,
    /// `Accept-Encoding`, which is no part of the query.
    pub accept_encoding: Option<Box<str>>,
}

/// A query that is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadQuery {
    /// Its escapes are no UTF-8.
    #[error("the query is not UTF-8 once its percent escapes are read")]
    Encoding,
    /// A parameter that is not known.
    #[error("`{0}` is no parameter here: there are {KNOWN}")]
    Unknown(String),
    /// A parameter that is there twice.
    #[error("`{0}` is there twice: only subject and stream may be")]
    Twice(&'static str),
    /// A subject that is none.
    #[error("subject: {0}")]
    Subject(#[from] BadSubject),
    /// A stream's name that is none.
    #[error("stream: `{0}` is no stream's name: it has 1 to 255 characters and none of . * > / \\ and space")]
    Stream(String),
    /// An account's name that is none.
    #[error("account: `{0}` is no account's name: it has 1 to 255 characters and no space")]
    Account(String),
    /// `kind` is neither.
    #[error("kind: `{0}` is neither log (every message) nor state (the latest of each subject)")]
    Kind(String),
    /// `since` is nothing that it could be.
    #[error(
        "since: `{0}` is no number of messages such as 100, no time such as 90s, 15m, 12h or 7d, and not all"
    )]
    Since(String),
    /// `since` where it means nothing.
    #[error(
        "since is for kind=log with a stream: nothing else keeps what was before; leave it out, or name a stream"
    )]
    SinceOfNothing,
    /// There is nothing to watch.
    #[error("say what to watch: subject=orders.> or stream=ORDERS")]
    Nothing,
    /// Too many of them.
    #[error("{what} is there more than {most} times: use wildcards, or a second connection")]
    TooMany {
        /// Which parameter.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
    /// `lastEventId` is no position.
    #[error("lastEventId: {0}")]
    LastEventId(#[from] BadPosition),
}

impl Asked {
    /// Reads a query, without its question mark. A `+` stays one.
    ///
    /// # Errors
    /// With the first mistake, and what would be right.
    pub fn of(query: &str) -> Result<Self, BadQuery> {
        let (mut asked, mut kind, mut since) = (Self::default(), None, None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text| percent_decode_str(text).decode_utf8().map_err(|_| BadQuery::Encoding);
            let (name, value) = (decode(name)?, decode(value)?);
            match name.as_ref() {
                "subject" => drop(asked.subjects.insert(value.parse()?)),
                "stream" => drop(asked.streams.insert(stream(&value)?)),
                "kind" => once("kind", &mut kind, read_kind(&value)?)?,
                "since" => once("since", &mut since, read_since(&value)?)?,
                "account" => once("account", &mut asked.account, account(&value)?)?,
                "lastEventId" => once("lastEventId", &mut asked.last_event_id, value.parse()?)?,
                _ => return Err(BadQuery::Unknown(told(&name))),
            }
            for (what, count, most) in [
                ("subject", asked.subjects.len(), MOST_SUBJECTS),
                ("stream", asked.streams.len(), MOST_STREAMS),
            ] {
                if count > most {
                    return Err(BadQuery::TooMany { what, most });
                }
            }
        }
        asked.kind = kind.unwrap_or_default();
        if since.is_some() && (asked.kind == Kind::State || asked.streams.is_empty()) {
            return Err(BadQuery::SinceOfNothing);
        }
        asked.since = since.unwrap_or_default();
        if asked.subjects.is_empty() && asked.streams.is_empty() {
            return Err(BadQuery::Nothing);
        }
        Ok(asked)
    }
}

fn once<T>(name: &'static str, slot: &mut Option<T>, value: T) -> Result<(), BadQuery> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(BadQuery::Twice(name)),
    }
}

fn stream(text: &str) -> Result<Arc<str>, BadQuery> {
    let bad = |it: char| it.is_whitespace() || it.is_control() || ".*>/\\".contains(it);
    if text.is_empty() || text.len() > 255 || text.contains(bad) {
        return Err(BadQuery::Stream(told(text)));
    }
    Ok(text.into())
}

fn account(text: &str) -> Result<Arc<str>, BadQuery> {
    if text.is_empty() || text.len() > 255 || text.contains(|it: char| it.is_whitespace() || it.is_control())
    {
        return Err(BadQuery::Account(told(text)));
    }
    Ok(text.into())
}

fn read_kind(text: &str) -> Result<Kind, BadQuery> {
    match text {
        "log" => Ok(Kind::Log),
        "state" => Ok(Kind::State),
        _ => Err(BadQuery::Kind(told(text))),
    }
}

fn read_since(text: &str) -> Result<Since, BadQuery> {
    let bad = || BadQuery::Since(told(text));
    if text == "all" {
        return Ok(Since::All);
    }
    let digits = text.len() - text.trim_start_matches(|it: char| it.is_ascii_digit()).len();
    let number: u64 = text[..digits].parse().map_err(|_| bad())?;
    let seconds = match &text[digits..] {
        "" => return Ok(Since::Messages(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(bad()),
    };
    let within = Duration::from_secs(number.checked_mul(seconds).ok_or_else(bad)?);
    if within > LONGEST_SINCE { Err(bad()) } else { Ok(Since::Within(within)) }
}

/// What fits in an answer.
fn told(text: &str) -> String {
    text.chars().take(100).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_asked_for_is_read() {
        let asked =
            Asked::of("subject=a.%3E&subject=b.*&stream=EVENTS&since=15m&lastEventId=EVENTS:1:2").unwrap();
        assert_eq!(asked.subjects.iter().map(Pattern::as_str).collect::<Vec<_>>(), ["a.>", "b.*"]);
        assert_eq!(asked.streams.iter().map(|it| &**it).collect::<Vec<_>>(), ["EVENTS"]);
        assert_eq!((asked.kind, asked.since), (Kind::Log, Since::Within(Duration::from_secs(900))));
        assert_eq!(asked.last_event_id.unwrap().to_string(), "EVENTS:1:2");
        assert_eq!(Asked::of("&subject=a&kind=state&&account=SYS").unwrap().kind, Kind::State);
        assert_eq!(Asked::of("stream=S&since=all").unwrap().since, Since::All);
        assert_eq!(Asked::of("stream=S&since=20").unwrap().since, Since::Messages(20));
    }

    #[test]
    fn each_mistake_says_what_is_right() {
        let many = "subject=a&".to_owned() + &(0..17).map(|it| format!("subject=s{it}&")).collect::<String>();
        for (query, hint) in [
            ("", "subject=orders.>"),
            ("kind=log", "subject=orders.>"),
            ("subject=a&topic=b", "there are subject, stream"),
            ("subject=a..b", "single dots"),
            ("subject=", "1 to 256 bytes"),
            ("stream=a.b", "none of ."),
            ("subject=a&kind=both", "neither log"),
            ("subject=a&kind=log&kind=log", "twice"),
            ("stream=S&since=5x", "such as 100"),
            ("stream=S&since=99999999999999999d", "such as 100"),
            ("stream=S&since=", "such as 100"),
            ("subject=a&since=5", "name a stream"),
            ("stream=S&kind=state&since=5", "kind=log"),
            ("subject=%ff", "UTF-8"),
            ("stream=S&lastEventId=x", "stream:incarnation:sequence"),
            (&many, "more than 16"),
        ] {
            let text = Asked::of(query).unwrap_err().to_string();
            assert!(text.contains(hint), "{query}: {text}");
        }
    }

    proptest! {
        /// No query panics, and no mistake makes an answer that is as long as the query.
        #[test]
        fn any_query_is_read_or_refused_shortly(
            query in "\\PC{0,400}|((subject|stream|kind|since|account|lastEventId|x)=[a-z0-9.*>%:,]{0,20}&?){0,24}"
        ) {
            match Asked::of(&query) {
                Ok(asked) => {
                    prop_assert!(!asked.subjects.is_empty() || !asked.streams.is_empty());
                    prop_assert!(asked.subjects.len() <= MOST_SUBJECTS && asked.streams.len() <= MOST_STREAMS);
                    prop_assert!(asked.since == Since::Now || asked.kind == Kind::Log);
                }
                Err(error) => prop_assert!(error.to_string().len() < 2000),
            }
        }
    }
}
