//! The keys of a page, one row each: the same for the page and for what comes live.

use std::sync::Arc;

use axum::{
    extract::{Path, Query},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use data_encoding::HEXLOWER;
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    Bucket,
    bucket::{Keys, PAGE},
    entry::{Entry, Operation},
};
use crate::{
    console::{datastar, figures::moment, link, payload::summary, visit::Visit},
    feed::{Asked, Encode, Frame, Kind, Message, Notice},
};

/// Which keys a page has.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    /// A part of the key.
    pub(super) key: String,
    /// The last key of the page before.
    pub(super) after: String,
}

/// `GET /live/kv/{account}/{bucket}`: the rows of a page, whenever they change.
pub(super) async fn live(
    visit: Visit,
    Path((account, bucket)): Path<(String, String)>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Response {
    let found = async {
        let bucket = Bucket::of(&visit, &account, &bucket)?;
        let keys = Keys::find(&bucket, &wanted).await?;
        Ok::<_, super::Failure>((bucket, keys))
    };
    let (bucket, keys) = match found.await {
        Ok(found) => found,
        Err(failure) => return visit.failed("Live", &failure),
    };
    let accepts = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let asked = Asked {
        account: Some(Arc::clone(&bucket.account.name)),
        streams: [bucket.name.stream().as_str().into()].into(),
        subjects: keys.watched(&bucket),
        kind: Kind::State,
        accept_encoding: accepts.map(Into::into),
        ..Asked::default()
    };
    let rows = Rows { prefix: bucket.prefix(), base: bucket.path(&["keys"]) };
    match visit.console.feeds.open(&visit.caller, &asked, Arc::new(rows)).await {
        Ok(response) => response,
        Err(failure) => failure.into_response(),
    }
}

/// Entries as rows of the page.
struct Rows {
    prefix: String,
    base: String,
}

impl Encode for Rows {
    fn name(&self) -> &'static str {
        "kv"
    }

    fn message(&self, message: &Message, frame: &mut Frame) {
        if let Some(entry) = Entry::message(&self.prefix, message) {
            datastar::patch(&row(&self.base, &entry), frame);
        }
    }

    fn notice(&self, notice: &Notice, frame: &mut Frame) {
        if let Notice::Removed(removed) = notice
            && let Some(key) = removed.subject.strip_prefix(&self.prefix)
        {
            datastar::patch(&gone(key), frame);
        }
    }

    fn resumes(&self) -> bool {
        false
    }
}

/// A key as a row. `base` is the path of the bucket's keys.
pub(super) fn row(base: &str, entry: &Entry) -> Markup {
    let is_there = entry.operation == Operation::Put;
    html! {
        tr id=(id(&entry.key)) {
            th scope="row" { a href={ (base) "/" (link::escaped(&entry.key)) } { (entry.key) } }
            td { @if is_there { code { (summary(&entry.value)) } } @else { span.badge { (entry.operation.words()) } } }
            td.number { (entry.revision) }
            td { (moment(&entry.time)) }
        }
    }
}

/// A key of which nothing is left.
fn gone(key: &str) -> Markup {
    html! {
        tr id=(id(key)) {
            th scope="row" { (key) }
            td { span.badge { "gone, with its history" } }
            td.number {} td {}
        }
    }
}

fn id(key: &str) -> String {
    format!("key-{}", HEXLOWER.encode(key.as_bytes()))
}

/// The table of a page.
pub(super) fn table(base: &str, keys: &Keys, entries: &[Entry]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Keys" {
            table {
                caption { (keys.total) @if keys.total == 1 { " key" } @else { " keys" } @if keys.total > PAGE { ", " (entries.len()) " on this page" } }
                thead {
                    tr {
                        th scope="col" { "Key" } th scope="col" { "Value" }
                        th.number scope="col" { "Revision" } th scope="col" { "Changed" }
                    }
                }
                tbody data-grows[keys.is_all()] { @for entry in entries { (row(base, entry)) } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_found_by_its_key_and_says_what_was_done() {
        let entry = |operation| Entry {
            key: "a.b/c".to_owned(),
            revision: 18_446_744_073_709_551_615,
            time: "2026-11-22T01:02:03Z".to_owned(),
            operation,
            value: b"<i>1</i>".to_vec(),
        };
        let there = row("/kv/SHOP/prices/keys", &entry(Operation::Put)).into_string();
        assert!(there.starts_with("<tr id=\"key-612e622f63\">"), "{there}");
        assert!(
            there.contains("href=\"/kv/SHOP/prices/keys/a.b%2Fc\"") && there.contains("&lt;i&gt;"),
            "{there}"
        );
        assert!(there.contains("18446744073709551615"), "{there}");
        let deleted = row("/k", &entry(Operation::Delete)).into_string();
        assert!(deleted.contains("deleted") && !deleted.contains("&lt;i&gt;"), "{deleted}");
    }
}
