//! What comes at the end of a page of messages, while somebody looks.
//!
//! It is asked for by sequence, again and again, and not delivered: a consumer of its own would be refused
//! by a work queue, and would take messages of others there.

use std::time::Duration;

use axum::{
    extract::{Path, RawQuery},
    http::HeaderMap,
    response::Response,
};
use futures::{Stream, stream};
use maud::{Markup, html};
use serde_json::json;
use tokio::time::{Instant, sleep};
use url::form_urlencoded::parse;

use super::{
    Place,
    messages::{PAGE, State, row},
};
use crate::{
    console::{
        datastar, events, failure::Failure, figures::now, guard, jetstream::NatsError, link::escaped,
        said::Said, stored::Stored, visit::Visit,
    },
    feed::{Frame, Pattern},
};

/// How often it is looked for more.
const EVERY: Duration = Duration::from_millis(400);
/// How often the page hears what the stream holds, though nothing came.
const FRESH: Duration = Duration::from_secs(5);
/// After so long without a word the page says that it is old.
const LATE_MILLIS: u32 = 15_000;
/// Messages that a page comes to have.
const SHOWN: usize = 100;

/// The path of what comes after the page's last message. It is evaluated by the page.
pub(super) fn path(place: &Place, subject: &str) -> String {
    let after = "document.getElementById('messages-at').dataset.at";
    let shown = "document.getElementById('messages').rows.length";
    let path = place.path(&["messages"]);
    format!("/live{path}?subject={}&shown=' + {shown} + '&after=' + {after} + '", escaped(subject))
}

/// What the page knows of where it is, for [`path`], and what is read out.
pub(super) fn marks(state: &State, messages: &[Stored]) -> Markup {
    let at = messages.last().map_or(state.last, |last| last.sequence);
    html! { (position(at)) (reader().part()) }
}

fn position(at: u64) -> Markup {
    html! { span #messages-at data-at=(at) hidden {} }
}

fn reader() -> Said {
    Said::new("messages-said", "message")
}

/// The fragment `#holds`.
pub(super) fn holds(state: &State) -> Markup {
    html! {
        p.asof #holds data-late=(LATE_MILLIS) {
            @match state.count {
                0 => "The stream holds no message.",
                1 => { "The stream holds 1 message, sequence " (state.last) "." }
                _ => { "The stream holds " (state.count) " messages, sequences " (state.first) " to " (state.last) "." }
            }
            " Data as of " time datetime=(now()) { (now()) } "."
        }
    }
}

/// `GET /live/streams/{account}/{stream}/messages`.
pub(super) async fn go_on(
    visit: Visit,
    Path((account, stream)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = query.unwrap_or_default();
    let begun = async {
        let place = Place::of(&visit, &account, &stream)?;
        let asked = |wanted| parse(query.as_bytes()).find(|(name, _)| name == wanted).map(|(_, value)| value);
        let filter = match asked("subject").as_deref().unwrap_or_default() {
            "" => ">".to_owned(),
            subject => subject.parse::<Pattern>().map_err(guard::Refused::from)?.as_str().to_owned(),
        };
        let rows = asked("shown").and_then(|shown| shown.parse().ok()).unwrap_or_default();
        let after = match events::after(&query, &headers) {
            Some(after) => after,
            None => State::of(&place.account.stream(&place.stream).await?).last,
        };
        Ok::<_, Failure>(Following { place, filter, after, rows, said: reader(), fresh: None })
    };
    match begun.await {
        Ok(following) => events::stream(&visit.console, &visit.caller, &headers, following.frames()),
        Err(failure) => visit.failed("Live", &failure),
    }
}

struct Following {
    place: Place,
    filter: String,
    /// The last sequence that was looked at.
    after: u64,
    /// Rows of the page.
    rows: usize,
    said: Said,
    /// When the page heard last what the stream holds.
    fresh: Option<Instant>,
}

impl Following {
    fn frames(self) -> impl Stream<Item = Frame> + Send + 'static {
        stream::unfold(self, |mut following| async move {
            loop {
                // What cannot be asked for is asked for again; the page says by itself that it is old.
                if let Ok(Some(frame)) = following.next().await {
                    return Some((frame, following));
                }
                sleep(EVERY).await;
            }
        })
    }

    /// What there is to tell; nothing where nothing came.
    async fn next(&mut self) -> Result<Option<Frame>, NatsError> {
        let came = self.more().await?;
        let is_fresh = self.fresh.is_some_and(|heard| heard.elapsed() < FRESH);
        if came.is_empty() && is_fresh {
            return Ok(None);
        }
        let state = State::of(&self.place.account.stream(&self.place.stream).await?);
        let (mut rows, mut count) =
            (html! { @for message in &came { (row(&self.place, message)) } }, came.len());
        if state.last < self.after {
            // Nothing of what is shown is there any more.
            rows = remark(state.last, "The stream was made anew: what is above is of the old one.");
            (count, self.after) = (1, 0);
        } else if came.len() == PAGE && state.last - self.after > 4 * PAGE as u64 {
            let to = state.last - PAGE as u64;
            let words = format!(
                "Sequences {} to {to} are passed over: they came faster than they are shown.",
                self.after + 1
            );
            rows = html! { (rows) (remark(to, &words)) };
            (count, self.after) = (count + 1, to);
        }
        let mut frame = Frame::default();
        frame.id(&self.after);
        datastar::patch(&position(self.after), &mut frame);
        if count > 0 {
            datastar::append("messages", &rows, &mut frame);
            self.rows = self.rows.saturating_add(count);
        }
        if self.rows > SHOWN {
            datastar::remove_all(&format!("#messages > tr:nth-last-child(n + {})", SHOWN + 1), &mut frame);
            self.rows = SHOWN;
        }
        datastar::patch(&holds(&state), &mut frame);
        self.fresh = Some(Instant::now());
        self.said.add(came.len());
        self.said.tell(&mut frame);
        Ok(Some(frame))
    }

    async fn more(&mut self) -> Result<Vec<Stored>, NatsError> {
        let mut came = Vec::new();
        while came.len() < PAGE {
            let by = json!({ "seq": self.after + 1, "next_by_subj": self.filter });
            let Some(found) = self.place.account.message(&self.place.stream, &by).await? else { break };
            let message = Stored::of(&found);
            self.after = message.sequence;
            came.push(message);
        }
        Ok(came)
    }
}

/// A row that is no message.
fn remark(at: u64, words: &str) -> Markup {
    html! { tr id=(format!("remark-{at}")) { td colspan="5" { p.quiet { "⚠ " (words) } } } }
}
