//! The journal on a page: a list whose newest entry is first, and the events that keep it so.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures::{Stream, stream};
use maud::{Markup, html};
use tokio::time::sleep;

use crate::{
    console::{
        datastar, figures,
        journal::{Entry, Journal, Read, Wanted},
        said::Said,
    },
    feed::Frame,
};

/// Entries on a page.
const SHOWN: usize = 200;
/// What happens within so long comes as one event.
const TOGETHER: Duration = Duration::from_millis(250);

/// What is read for a page.
pub(in crate::console) fn shown(journal: &Journal, wanted: &Wanted) -> Markup {
    let Read { entries, at, .. } = journal.read(None, wanted);
    let skipped = entries.len().saturating_sub(SHOWN);
    html! {
        (position(at))
        (reader().part())
        ol #entries.entries aria-label="Events, newest first" {
            @for entry in entries[skipped..].iter().rev() { (one(entry)) }
        }
        p.quiet { "The newest " (SHOWN) " are shown. NATS does not keep these events: the console does, for as long as it runs." }
    }
}

/// The path of the events that go on after what the page has. It is evaluated by the page, so that who
/// resumes says how far it was.
pub(in crate::console) fn live_path(path: &str, query: &str) -> String {
    format!("{path}?{query}&after=' + document.getElementById('entries-at').dataset.at + '")
}

/// The events of a page that has everything up to `after`: those in between first, at once.
pub(in crate::console) fn follow(
    journal: Journal,
    wanted: Wanted,
    after: Option<u64>,
) -> impl Stream<Item = Frame> + Send + 'static {
    let before = journal.read(None, &wanted);
    let after = after.unwrap_or(before.at);
    let shown = before.entries.iter().map(|entry| entry.number).filter(|number| *number <= after).collect();
    let newest = journal.newest();
    let following = Following { journal, wanted, after, shown, said: reader() };
    stream::unfold((following, newest, true), |(mut following, mut newest, first)| async move {
        if !first {
            newest.changed().await.ok()?;
            sleep(TOGETHER).await;
        }
        newest.mark_unchanged();
        let frame = following.frame();
        Some((frame, (following, newest, false)))
    })
}

struct Following {
    journal: Journal,
    wanted: Wanted,
    /// The newest that the page has.
    after: u64,
    /// What the page shows, oldest first.
    shown: VecDeque<u64>,
    said: Said,
}

impl Following {
    fn frame(&mut self) -> Frame {
        let Read { mut entries, lost, at } = self.journal.read(Some(self.after), &self.wanted);
        let mut frame = Frame::default();
        frame.id(&at);
        datastar::patch(&position(at), &mut frame);
        self.after = at;
        self.said.add(entries.len());
        entries.drain(..entries.len().saturating_sub(SHOWN));
        if lost {
            datastar::prepend("entries", &missing(at), &mut frame);
        }
        if entries.is_empty() {
            return frame;
        }
        let elements = html! { @for entry in entries.iter().rev() { (one(entry)) } };
        datastar::prepend("entries", &elements, &mut frame);
        self.shown.extend(entries.iter().map(|entry| entry.number));
        while self.shown.len() > SHOWN {
            if let Some(oldest) = self.shown.pop_front() {
                datastar::remove(&format!("entry-{oldest}"), &mut frame);
            }
        }
        self.said.tell(&mut frame);
        frame
    }
}

fn position(at: u64) -> Markup {
    html! { span #entries-at data-at=(at) hidden {} }
}

fn reader() -> Said {
    Said::new("entries-said", "event")
}

fn missing(at: u64) -> Markup {
    html! {
        li id=(format!("missing-{at}")) {
            p.message.bad { strong { "⚠ " } "Some events are missing here: more came meanwhile than are kept." }
        }
    }
}

fn one(entry: &Arc<Entry>) -> Markup {
    html! {
        li id=(format!("entry-{}", entry.number)) data-kind=(entry.kind.name()) {
            p.entry {
                (figures::moment(&entry.at)) " "
                strong { (entry.kind.title()) } " "
                @if !entry.account.is_empty() { span.quiet { (entry.account) } " " }
                span { (entry.about) }
            }
            @if !entry.subject.is_empty() {
                details data-preserve-attr="open" {
                    summary {
                        @match &entry.schema {
                            Some((title, _)) => (title.rsplit('.').next().unwrap_or(title)),
                            None => "No schema of NATS's",
                        }
                        span.unseen { " of " (entry.about) }
                    }
                    @if let Some((title, description)) = &entry.schema {
                        p { a href=(format!("/schemas/{title}")) { (title) } @if !description.is_empty() { ": " (description) } }
                    }
                    p { "Subject " code { (entry.subject) } }
                    @if !entry.json.is_empty() { pre tabindex="0" aria-label="The event as JSON" { code { (entry.json) } } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use futures::StreamExt;

    use super::*;
    use crate::console::journal::Kind;

    fn add(journal: &Journal, text: &str) {
        journal.add(Entry::of("SHOP", Kind::Connect, "$SYS.ACCOUNT.A.CONNECT", text.to_owned()));
    }

    fn text(frame: Frame) -> String {
        String::from_utf8(frame.bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn who_resumes_gets_what_came_meanwhile_once() {
        let (journal, wanted) = (Journal::new(), Wanted::default());
        add(&journal, "<b>first</b>");
        let page = shown(&journal, &wanted).into_string();
        assert!(page.contains("&lt;b&gt;first") && !page.contains("<b>"), "{page}");
        let at = journal.read(None, &wanted).at;
        add(&journal, "meanwhile");
        let mut events = Box::pin(follow(journal.clone(), wanted.clone(), Some(at)));
        let came = text(events.next().await.unwrap());
        assert!(came.contains("meanwhile") && !came.contains("first"), "{came}");
        assert!(came.starts_with(&format!("id: {}\n", at + 1)), "{came}");
        add(&journal, "later");
        let came = text(events.next().await.unwrap());
        assert!(came.contains("later") && !came.contains("meanwhile"), "{came}");
    }

    #[tokio::test]
    async fn the_list_stays_as_long_as_it_is_and_what_is_lost_is_told() {
        let (journal, wanted) = (Journal::new(), Wanted::default());
        add(&journal, "first");
        let at = journal.read(None, &wanted).at;
        for number in 0..SHOWN {
            add(&journal, &format!("more-{number}"));
        }
        let came = text(Box::pin(follow(journal.clone(), wanted.clone(), Some(at))).next().await.unwrap());
        assert!(came.contains(&format!("selector #entry-{at}\ndata: mode remove")), "{came}");
        assert!(!came.contains("are missing"));
        for number in 0..2 * SHOWN {
            add(&journal, &format!("more-{number}"));
        }
        let came = text(Box::pin(follow(journal, wanted, Some(at))).next().await.unwrap());
        assert!(came.contains("are missing") && came.matches("<li id=\"entry-").count() == SHOWN, "{came}");
    }
}
