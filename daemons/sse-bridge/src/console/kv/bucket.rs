//! `GET /kv/{account}/{bucket}`: the keys of a bucket, a page of them at a time.

use std::collections::BTreeSet;

use axum::{
    extract::{Path, Query},
    response::Response,
};
use futures::future::join_all;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::{
    Bucket,
    entry::Entry,
    rows::{Wanted, table},
};
use crate::{
    Role,
    console::{
        buckets,
        command::command,
        failure::Failure,
        figures::{bytes, sentence},
        link::{self, escaped, trail},
        live,
        visit::Visit,
    },
    feed::Pattern,
};

/// Keys on a page: as many filters as its consumer has.
pub(super) const PAGE: usize = 50;
/// Keys that nats-server tells in one answer.
const MOST_TOLD: usize = 100_000;

/// The keys of a page.
#[derive(Debug)]
pub(super) struct Keys {
    /// All that are wanted, on whatever page.
    pub(super) total: usize,
    /// Those of this page, sorted.
    names: Vec<String>,
    /// Whether there are more after these.
    more: bool,
    /// Whether nats-server told all of them.
    is_whole: bool,
    /// What it says of the stream.
    info: Value,
}

impl Keys {
    pub(super) async fn find(bucket: &Bucket, wanted: &Wanted) -> Result<Self, Failure> {
        let prefix = bucket.prefix();
        let request = format!("STREAM.INFO.{}", bucket.name.stream().as_str());
        let mut info =
            bucket.account.read(&request, &json!({ "subjects_filter": format!("{prefix}>") })).await?;
        let subjects = info["state"]["subjects"].take();
        let subjects = subjects.as_object().map(|subjects| subjects.keys()).into_iter().flatten();
        let all: BTreeSet<&str> = subjects.filter_map(|subject| subject.strip_prefix(&prefix)).collect();
        let is_whole = all.len() < MOST_TOLD;
        let fitting: Vec<&str> = all.into_iter().filter(|key| key.contains(&wanted.key)).collect();
        let from = fitting.partition_point(|key| *key <= wanted.after.as_str());
        let names: Vec<String> = fitting[from..].iter().take(PAGE).map(|key| (*key).to_owned()).collect();
        let more = fitting.len() > from + names.len();
        Ok(Self { total: fitting.len(), names, more, is_whole, info })
    }

    /// Whether every key of the bucket is on the page, so that a new one belongs there as well.
    pub(super) fn is_all(&self) -> bool {
        self.info["state"]["num_subjects"].as_u64().unwrap_or_default() == self.names.len() as u64
    }

    /// Their subjects: the bucket as a whole where all of it is on the page.
    pub(super) fn watched(&self, bucket: &Bucket) -> BTreeSet<Pattern> {
        let prefix = bucket.prefix();
        let all = format!("{prefix}>").parse();
        if self.is_all() || self.names.is_empty() {
            return all.into_iter().collect();
        }
        self.names.iter().filter_map(|name| format!("{prefix}{name}").parse().ok()).collect()
    }
}

/// `GET /kv/{account}/{bucket}`.
pub(super) async fn show(
    visit: Visit,
    Path((account, name)): Path<(String, String)>,
    Query(wanted): Query<Wanted>,
) -> Response {
    let content = async {
        let bucket = Bucket::of(&visit, &account, &name)?;
        let keys = Keys::find(&bucket, &wanted).await?;
        let entries = join_all(keys.names.iter().map(|key| bucket.newest(key))).await;
        let entries: Result<Vec<Option<Entry>>, Failure> = entries.into_iter().collect();
        let entries: Vec<Entry> = entries?.into_iter().flatten().collect();
        Ok::<_, Failure>((bucket, keys, entries))
    };
    match content.await {
        Ok((bucket, keys, entries)) => {
            let table = table(&bucket.path(&["keys"]), &keys, &entries);
            let subject = format!("{}>", bucket.prefix()).parse::<Pattern>();
            let may_watch =
                subject.is_ok_and(|all| visit.console.feeds.allows(&visit.caller, &account, &all));
            let content = |keys_shown: &Markup| page(&visit, &bucket, &keys, &wanted, keys_shown);
            if !may_watch {
                return visit.page(&name, &content(&table));
            }
            let path = format!(
                "/live{}?key={}&after={}",
                bucket.path(&[]),
                escaped(&wanted.key),
                escaped(&wanted.after)
            );
            visit.live_page(&name, &content(&live::live(&path, &table)))
        }
        Err(failure) => visit.failed(&name, &failure),
    }
}

fn page(visit: &Visit, bucket: &Bucket, keys: &Keys, wanted: &Wanted, shown: &Markup) -> Markup {
    let name = bucket.name.as_str();
    let (config, state) = (&keys.info["config"], &keys.info["state"]);
    html! {
        (trail(&[("/kv", "Keys and values")]))
        p {
            "In the account " strong { (bucket.account.name) } ". " (buckets::declared(&keys.info))
            @if let Some(description) = config["description"].as_str() { " " (sentence(description)) }
            " It holds " (bytes(state["bytes"].as_u64().unwrap_or_default())) " in the stream "
            a href=(link::path(&["streams", &bucket.account.name, bucket.name.stream().as_str()])) { (bucket.name.stream().as_str()) }
            ", and keeps " (config["max_msgs_per_subject"]) " revisions of a key."
        }
        form.actions method="get" action=(bucket.path(&[])) {
            label { "Key has" input type="search" name="key" value=(wanted.key); }
            button type="submit" { "Filter" }
        }
        @if !keys.is_whole {
            p.notice { "Only the first " (MOST_TOLD) " keys are looked through: nats-server tells no more at once." }
        }
        (shown)
        nav.pager aria-label="Pages of keys" {
            @if !wanted.after.is_empty() {
                a href={ (bucket.path(&[])) "?key=" (escaped(&wanted.key)) } { "First page" }
            }
            @if keys.more {
                @if let Some(last) = keys.names.last() {
                    a href={ (bucket.path(&[])) "?key=" (escaped(&wanted.key)) "&after=" (escaped(last)) } { "Next page" }
                }
            }
        }
        (command(&["kv", "ls", name, "--verbose", "--display-value"]))
        @if visit.may(Role::Operator) && bucket.name.stream().writable().is_ok() {
            h2 { "New key" }
            form method="post" action=(bucket.path(&["put"])) {
                input type="hidden" name="revision" value="0";
                label for="new-key" { "Key" }
                input #new-key name="key" required autocomplete="off" autocapitalize="none" spellcheck="false";
                label for="new-value" { "Value" }
                textarea #new-value name="value" spellcheck="false" {}
                button type="submit" { "Create" }
            }
            (command(&["kv", "create", name, "KEY", "VALUE"]))
        }
    }
}
