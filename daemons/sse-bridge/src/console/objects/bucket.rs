//! `GET /objects/{account}/{bucket}`: the objects of a bucket, a page of them at a time.

use axum::{
    extract::{Path, Query},
    response::Response,
};
use data_encoding::BASE64URL;
use futures::future::join_all;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::{Bucket, Described, upload};
use crate::console::{
    command::command,
    failure::Failure,
    figures::{bytes, moment},
    link::{escaped, trail},
    visit::Visit,
};

/// Objects on a page.
const PAGE: usize = 50;

/// Which objects a page has.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    /// A part of the name.
    name: String,
    /// The last object of the page before.
    after: String,
}

/// `GET /objects/{account}/{bucket}`.
pub(super) async fn show(
    visit: Visit,
    Path((account, name)): Path<(String, String)>,
    Query(wanted): Query<Wanted>,
) -> Response {
    let content = async {
        let bucket = Bucket::of(&visit, &account, &name)?;
        let prefix = bucket.described_at();
        let request = format!("STREAM.INFO.{}", bucket.name.stream().as_str());
        let info = bucket.account.read(&request, &json!({ "subjects_filter": format!("{prefix}>") })).await?;
        let subjects = info["state"]["subjects"].as_object().map(|subjects| subjects.keys());
        let names = subjects.into_iter().flatten().filter_map(|subject| {
            let name = BASE64URL.decode(subject.strip_prefix(&prefix)?.as_bytes()).ok()?;
            String::from_utf8(name).ok()
        });
        let mut names: Vec<String> =
            names.filter(|name| name.contains(&wanted.name) && *name > wanted.after).collect();
        names.sort();
        let more = names.len() > PAGE;
        names.truncate(PAGE);
        let subjects: Vec<String> = names.iter().map(|name| bucket.subject(name)).collect();
        let found = join_all(subjects.iter().map(|subject| bucket.at(subject))).await;
        let found: Result<Vec<Option<Described>>, Failure> = found.into_iter().collect();
        let found: Vec<Described> = found?.into_iter().flatten().filter(|found| !found.deleted).collect();
        let last = names.last().filter(|_| more).cloned();
        let upload = upload::form(&visit, &bucket, &info["config"]);
        Ok::<_, Failure>(page(&bucket, &wanted, &found, last.as_deref(), &upload))
    };
    visit.answer(&name, content.await)
}

fn page(
    bucket: &Bucket,
    wanted: &Wanted,
    found: &[Described],
    last: Option<&str>,
    upload: &Markup,
) -> Markup {
    let name = escaped(&wanted.name);
    html! {
        (trail(&[("/objects", "Objects")]))
        p { "In the account " strong { (bucket.account.name) } "." }
        form.actions method="get" action=(bucket.path(&[])) {
            label { "Name has" input type="search" name="name" value=(wanted.name); }
            button type="submit" { "Filter" }
        }
        @if found.is_empty() { p { "There is no object here." } } @else {
            div.scroll tabindex="0" role="region" aria-label="Objects" {
                table {
                    caption { "Objects" }
                    thead {
                        tr {
                            th scope="col" { "Name" } th.number scope="col" { "Size" }
                            th scope="col" { "Changed" } th scope="col" { "Description" }
                        }
                    }
                    tbody {
                        @for object in found {
                            tr {
                                th scope="row" { a href=(bucket.path(&["of", &object.name])) { (object.name) } }
                                td.number { (bytes(object.size)) }
                                td { (moment(&object.written)) }
                                td { (object.description) }
                            }
                        }
                    }
                }
            }
        }
        nav.pager aria-label="Pages of objects" {
            @if !wanted.after.is_empty() { a href={ (bucket.path(&[])) "?name=" (name) } { "First page" } }
            @if let Some(last) = last {
                a href={ (bucket.path(&[])) "?name=" (name) "&after=" (escaped(last)) } { "Next page" }
            }
        }
        (command(&["object", "ls", bucket.name.as_str()]))
        (upload)
    }
}
