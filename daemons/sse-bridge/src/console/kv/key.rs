//! `GET /kv/{account}/{bucket}/keys/{key}`: a key, its history, and the form that gives it a value.

use axum::{
    extract::{Path, Query},
    response::Response,
};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    Bucket,
    entry::{Entry, Operation},
};
use crate::{
    Role,
    console::{
        command::command,
        failure::Failure,
        figures::moment,
        form::confirm,
        guard,
        link::trail,
        payload::{ALONE, View, payload, summary},
        visit::Visit,
    },
};

/// Revisions that a bucket keeps at most (ADR-8).
const MOST_REVISIONS: usize = 64;

/// How to show the value.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(rename = "as")]
    view: Option<String>,
}

/// What was typed and not stored, and why.
#[derive(Debug)]
pub(super) struct Again {
    pub(super) value: String,
    pub(super) error: String,
}

/// `GET /kv/{account}/{bucket}/keys/{key}`.
pub(super) async fn show(
    visit: Visit,
    Path((account, bucket, key)): Path<(String, String, String)>,
    Query(asked): Query<Asked>,
) -> Response {
    let content = async {
        let bucket = Bucket::of(&visit, &account, &bucket)?;
        let key = guard::key(&key)?;
        let history = history(&bucket, key).await?;
        if history.is_empty() {
            return Err(Failure::Missing(format!("key {key} in {}", bucket.name.as_str())));
        }
        let view = asked.view.as_deref().and_then(View::named);
        Ok(page(&visit, &bucket, key, &history, view, None))
    };
    visit.answer(&key, content.await)
}

/// The revisions of a key that the bucket still has, the newest first.
pub(super) async fn history(bucket: &Bucket, key: &str) -> Result<Vec<Entry>, Failure> {
    let mut history = Vec::new();
    let mut from = 1;
    while history.len() < MOST_REVISIONS {
        let Some(entry) = bucket.next(key, from).await? else { break };
        from = entry.revision + 1;
        history.push(entry);
    }
    history.reverse();
    Ok(history)
}

/// The page of a key, with what was typed where it was not stored.
pub(super) fn page(
    visit: &Visit,
    bucket: &Bucket,
    key: &str,
    history: &[Entry],
    view: Option<View>,
    again: Option<&Again>,
) -> Markup {
    let newest = history.first();
    html! {
        (trail(&[("/kv", "Keys and values"), (&bucket.path(&[]), bucket.name.as_str())]))
        @if let Some(entry) = newest { (value(bucket, entry, view)) } @else { p { "It has no value yet." } }
        @if visit.may(Role::Operator) && bucket.name.stream().writable().is_ok() {
            (edit(bucket, key, newest, again))
        }
        h2 #history { "History" }
        div.scroll tabindex="0" role="region" aria-labelledby="history" {
            table aria-labelledby="history" {
                thead {
                    tr {
                        th.number scope="col" { "Revision" } th scope="col" { "Changed" }
                        th scope="col" { "What" } th scope="col" { "Value" }
                    }
                }
                tbody {
                    @for entry in history {
                        tr {
                            th.number scope="row" { (entry.revision) }
                            td { (moment(&entry.time)) }
                            td { (entry.operation.words()) }
                            td { @if entry.operation == Operation::Put {
                                details { summary { (summary(&entry.value)) } (payload(&entry.value, None, ALONE)) }
                            } }
                        }
                    }
                }
            }
        }
        (command(&["kv", "history", bucket.name.as_str(), key]))
        @if visit.may(Role::Operator) && bucket.name.stream().writable().is_ok() && newest.is_some() {
            (destruction(bucket, key, newest))
        }
    }
}

fn value(bucket: &Bucket, entry: &Entry, view: Option<View>) -> Markup {
    let own = bucket.path(&["keys", &entry.key]);
    let shown = view.unwrap_or_else(|| View::of(&entry.value));
    html! {
        dl {
            dt { "Revision" } dd { (entry.revision) }
            dt { "Changed" } dd { (moment(&entry.time)) }
        }
        @if entry.operation == Operation::Put {
            nav.pager aria-label="How the value is shown" {
                @for other in View::ALL {
                    a href={ (own) "?as=" (other.name()) } aria-current=[(other == shown).then_some("true")] { "As " (other.name()) }
                }
            }
            (payload(&entry.value, Some(shown), ALONE))
            (command(&["kv", "get", bucket.name.as_str(), &entry.key]))
        } @else {
            p.notice { "It was " (entry.operation.words()) ". A new value brings it back." }
        }
    }
}

fn edit(bucket: &Bucket, key: &str, newest: Option<&Entry>, again: Option<&Again>) -> Markup {
    let revision = newest.map_or(0, |entry| entry.revision);
    let value = newest.filter(|entry| entry.operation == Operation::Put).map(|entry| &entry.value[..]);
    let text = std::str::from_utf8(value.unwrap_or_default());
    html! {
        h2 { "New value" }
        form method="post" action=(bucket.path(&["put"])) {
            input type="hidden" name="key" value=(key);
            input type="hidden" name="revision" value=(revision);
            label for="value" { "Value" }
            @if let Some(again) = again {
                textarea #value name="value" spellcheck="false" aria-invalid="true" aria-describedby="value-error" { "\n" (again.value) }
                p.field-error #value-error { "✗ " (again.error) }
            } @else {
                @if text.is_err() { p.notice { "The value is no text: what is written here replaces it as a whole." } }
                // A browser takes a line break at the beginning away.
                textarea #value name="value" spellcheck="false" { "\n" (text.unwrap_or_default()) }
            }
            p.hint { "It is stored if nobody else changed the key since revision " (revision) "." }
            button type="submit" { "Store" }
        }
        (command(&["kv", "update", bucket.name.as_str(), key, "VALUE", &revision.to_string()]))
    }
}

fn destruction(bucket: &Bucket, key: &str, newest: Option<&Entry>) -> Markup {
    let revision = newest.map_or(0, |entry| entry.revision);
    let forms = [
        ("delete", "del", "Delete", "Its history stays, and it can have a value again."),
        ("purge", "purge", "Purge", "Its history goes with it, and does not come back."),
    ];
    html! {
        h2 { "Destroy" }
        @for (action, word, name, what) in forms {
            details {
                summary { (name) " the key" }
                form.danger method="post" action=(bucket.path(&[action])) {
                    p { (what) }
                    input type="hidden" name="key" value=(key);
                    input type="hidden" name="revision" value=(revision);
                    (confirm(&format!("{action}-confirm"), key))
                    button.danger type="submit" { (name) }
                }
                (command(&["kv", word, bucket.name.as_str(), key]))
            }
        }
    }
}
