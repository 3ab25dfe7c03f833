//! `GET /streams/{account}/{stream}/messages`: what a stream holds, from a sequence, a time or the end.
//!
//! nats-server finds the next message from a sequence or a time on, of a subject or of all, and none
//! before one. So a page without a filter begins a stretch of sequences before the end or the page after
//! it, as long as holds a page's worth of messages if they lie evenly.

use axum::{
    extract::{Path, Query},
    response::Response,
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Place, follow};
use crate::{
    console::{
        command::command,
        failure::Failure,
        figures::{bytes, moment},
        guard,
        link::{escaped, trail},
        live::live,
        payload::{IN_LIST, headers, payload, summary},
        stored::Stored,
        visit::Visit,
    },
    feed::Pattern,
};

/// Messages on a page.
pub(super) const PAGE: usize = 20;
/// Messages that are looked through for the newest ones, where they lie unevenly.
const MOST_ASKED: usize = 200;

/// Where to begin, as the form sends it: what is empty is not said.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    seq: String,
    subject: String,
    time: String,
}

/// The same, read.
#[derive(Debug, Default, PartialEq)]
struct From {
    sequence: Option<u64>,
    subject: Option<Pattern>,
    time: Option<String>,
}

/// `GET /streams/{account}/{stream}/messages`.
pub(super) async fn show(
    visit: Visit,
    Path((account, stream)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Response {
    let content = async {
        let place = Place::of(&visit, &account, &stream)?;
        let from = From::of(&asked)?;
        let info = place.account.stream(&place.stream).await?;
        let state = State::of(&info);
        let messages = find(&place, &from, &state).await?;
        let content = page(&place, &asked, &from, &state, &messages);
        Ok::<_, Failure>((content, from.reaches_end(&messages)))
    };
    let title = format!("Messages of {stream}");
    match content.await {
        Ok((content, true)) => visit.live_page(&title, &content),
        Ok((content, false)) => visit.page(&title, &content),
        Err(failure) => visit.failed(&title, &failure),
    }
}

/// Where the stream's messages lie.
pub(super) struct State {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) count: u64,
}

impl State {
    pub(super) fn of(info: &Value) -> Self {
        let of = |name: &str| info["state"][name].as_u64().unwrap_or_default();
        Self { first: of("first_seq"), last: of("last_seq"), count: of("messages") }
    }

    /// Sequences that hold a page of messages, if they lie evenly.
    fn stretch(&self) -> u64 {
        let span = u128::from(self.last.saturating_sub(self.first)) + 1;
        let stretch = span * PAGE as u128 / u128::from(self.count.max(1));
        u64::try_from(stretch).unwrap_or(u64::MAX).max(PAGE as u64)
    }
}

impl From {
    fn is_newest(&self) -> bool {
        *self == Self::default()
    }

    /// Whether what was found is all from there on, so that the page goes on with what comes. A sequence
    /// or time that is yet to come is none to go on from.
    fn reaches_end(&self, found: &[Stored]) -> bool {
        let is_yet_to_come = found.is_empty() && (self.sequence.is_some() || self.time.is_some());
        self.is_newest() || (found.len() < PAGE && !is_yet_to_come)
    }

    fn of(asked: &Asked) -> Result<Self, Failure> {
        let sequence = match asked.seq.trim() {
            "" => None,
            text => {
                let read = text
                    .parse()
                    .map_err(|_| Failure::Body(format!("`{text}` is no sequence: write a number")))?;
                Some(read)
            }
        };
        let subject = match asked.subject.trim() {
            "" => None,
            subject => Some(subject.parse::<Pattern>().map_err(guard::Refused::from)?),
        };
        let time = match asked.time.trim() {
            "" => None,
            text => Some(time(text).ok_or_else(|| {
                Failure::Body(format!("`{text}` is no time: write it as 2026-01-31T12:00:00Z"))
            })?),
        };
        Ok(Self { sequence, subject, time })
    }
}

/// A time in RFC 3339. Browsers leave out the zone, and seconds that are 0.
fn time(text: &str) -> Option<String> {
    let with = |end: &str| format!("{text}{end}");
    ["", "Z", ":00Z"].map(with).into_iter().find(|text| OffsetDateTime::parse(text, &Rfc3339).is_ok())
}

async fn find(place: &Place, from: &From, state: &State) -> Result<Vec<Stored>, Failure> {
    let filter = from.subject.as_ref().map_or(">", Pattern::as_str);
    let mut messages = Vec::new();
    if state.count == 0 {
        return Ok(messages);
    }
    let is_end = from.is_newest();
    let most = if is_end { MOST_ASKED } else { PAGE };
    let mut by = match (&from.time, from.sequence) {
        (Some(time), None) => json!({ "start_time": time, "next_by_subj": filter }),
        (_, Some(sequence)) => json!({ "seq": sequence.max(1), "next_by_subj": filter }),
        (None, None) if is_end => {
            let first = state.last.saturating_sub(state.stretch() - 1).max(state.first).max(1);
            json!({ "seq": first, "next_by_subj": filter })
        }
        (None, None) => json!({ "seq": state.first.max(1), "next_by_subj": filter }),
    };
    while messages.len() < most {
        let Some(found) = place.account.message(&place.stream, &by).await? else { break };
        let message = Stored::of(&found);
        by = json!({ "seq": message.sequence + 1, "next_by_subj": filter });
        messages.push(message);
    }
    if is_end {
        messages.drain(..messages.len().saturating_sub(PAGE));
    }
    Ok(messages)
}

fn page(place: &Place, asked: &Asked, from: &From, state: &State, messages: &[Stored]) -> Markup {
    let path = place.path(&["messages"]);
    html! {
        (trail(&[("/streams", "Streams"), (&place.path(&[]), place.stream.as_str())]))
        form method="get" action=(path) {
            fieldset {
                legend { "From where" }
                label for="seq" { "From the sequence" }
                input #seq name="seq" inputmode="numeric" pattern="[0-9]*" value=(asked.seq);
                label for="time" { "From the time (UTC)" }
                input #time name="time" placeholder="2026-01-31T12:00:00Z" value=(asked.time);
                label for="subject" { "Only of the subject" }
                input #subject name="subject" placeholder="orders.>" value=(asked.subject);
                button type="submit" { "Show" }
            }
        }
        @if from.reaches_end(messages) {
            (live(&follow::path(place, asked.subject.trim()), &html! {
                (follow::marks(state, messages))
                (table(place, messages))
                (follow::holds(state))
            }))
        } @else {
            @if messages.is_empty() { p { "There is no message from there on." } } @else { (table(place, messages)) }
            (follow::holds(state))
        }
        (pager(&path, asked, from, state, messages))
        (command(&["stream", "view", place.stream.as_str()]))
    }
}

fn table(place: &Place, messages: &[Stored]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Messages" {
            table {
                caption { "Messages, the oldest first" }
                thead {
                    tr {
                        th.number scope="col" { "Sequence" } th scope="col" { "Stored" }
                        th scope="col" { "Subject" } th.number scope="col" { "Size" } th scope="col" { "Content" }
                    }
                }
                tbody #messages { @for message in messages { (row(place, message)) } }
            }
        }
    }
}

/// A message in the table.
pub(super) fn row(place: &Place, message: &Stored) -> Markup {
    html! {
                        tr id=(format!("message-{}", message.sequence)) {
                            th.number scope="row" {
                                a href=(place.path(&["messages", &message.sequence.to_string()])) { (message.sequence) }
                            }
                            td { (moment(&message.time)) }
                            td { code { (message.subject) } }
                            td.number { (bytes(message.data.len() as u64)) }
                            td {
                                details {
                                    summary { (summary(&message.data)) }
                                    (headers("Headers", message.headers()))
                                    (payload(&message.data, None, IN_LIST))
                                }
                            }
                        }
    }
}

fn pager(path: &str, asked: &Asked, from: &From, state: &State, messages: &[Stored]) -> Markup {
    let subject = escaped(asked.subject.trim());
    let at = |sequence: u64| format!("{path}?seq={sequence}&subject={subject}");
    let first = messages.first().map_or_else(|| from.sequence.unwrap_or(state.last), |first| first.sequence);
    let next = messages.last().map_or(state.last, |last| last.sequence).saturating_add(1);
    html! {
        nav.pager aria-label="Pages of messages" {
            a href=(at(state.first)) { "Oldest" }
            @if first > state.first && from.subject.is_none() {
                a href=(at(first.saturating_sub(state.stretch()).max(state.first))) { "Older" }
            }
            @if next <= state.last { a href=(at(next)) { "Newer" } }
            a href=(path) { "Newest" }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn where_to_begin_is_read_or_its_mistake_is_told() {
        let asked = |seq: &str, subject: &str, time: &str| {
            From::of(&Asked { seq: seq.into(), subject: subject.into(), time: time.into() })
        };
        assert_eq!(asked("", " ", "").unwrap(), From::default());
        let from = asked("7", "a.>", "2026-01-31T12:30").unwrap();
        assert_eq!((from.sequence, from.time.as_deref()), (Some(7), Some("2026-01-31T12:30:00Z")));
        for (seq, subject, time, hint) in
            [("x", "", "", "a number"), ("", "a..b", "", "single dots"), ("", "", "noon", "2026-01-31T12")]
        {
            assert!(asked(seq, subject, time).unwrap_err().to_string().contains(hint), "{hint}");
        }
    }

    #[test]
    fn a_stretch_holds_a_page_where_messages_lie_evenly() {
        let stretch = |first, last, count| State { first, last, count }.stretch();
        assert_eq!(stretch(1, 1000, 1000), 20);
        assert_eq!(stretch(1, 1000, 100), 200);
        assert_eq!(stretch(1, 5, 5), 20);
        assert_eq!(stretch(1, u64::MAX, 1), u64::MAX);
        assert_eq!(stretch(0, 0, 0), 20);
    }
}
