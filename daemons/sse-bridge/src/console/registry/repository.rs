//! `GET /registry/{repository}`: its tags.

use axum::{
    extract::{Path, Query},
    response::Response,
};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    ask::{Tag, Tags, origin, silent, tags},
    path, short,
};
use crate::console::{
    command::leafbox,
    failure::Failure,
    figures::{at, bytes},
    jetstream::NatsError,
    link::{escaped, trail},
    visit::Visit,
};

/// Which tags.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    /// The last one of the page before.
    after: String,
}

/// `GET /registry/{repository}`.
pub(super) async fn show(
    visit: Visit,
    Path(repository): Path<String>,
    Query(asked): Query<Asked>,
) -> Response {
    match tags(&visit.console, &repository, &asked.after).await {
        Ok(found) if !found.exists => visit.failed(
            &repository,
            &Failure::Missing(format!("repository {repository} here: the first push makes one")),
        ),
        Ok(found) => visit.page(&repository, &page(&repository, &found)),
        Err(failure @ Failure::Nats(NatsError::Silent { .. })) => visit.page(&repository, &silent(&failure)),
        Err(failure) => visit.failed(&repository, &failure),
    }
}

fn page(repository: &str, found: &Tags) -> Markup {
    html! {
        (trail(&[("/registry", "Registry")]))
        @if found.tags.is_empty() {
            p { "It has no tags; its manifests can be pulled by digest." }
        } @else { (table(repository, &found.tags)) }
        @if found.more {
            @if let Some(last) = found.tags.last() {
                nav.pager aria-label="Pages of tags" {
                    a href={ (path(&[repository])) "?after=" (escaped(&last.tag)) } { "Next page" }
                }
            }
        }
        (leafbox(&["registry", "tags", repository]))
    }
}

fn table(repository: &str, tags: &[Tag]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Tags" {
            table {
                caption { "Tags" }
                thead {
                    tr {
                        th scope="col" { "Tag" } th scope="col" { "Digest" } th.number scope="col" { "Size" }
                        th scope="col" { "Changed" } th scope="col" { "By" } th scope="col" { "From" } th scope="col" { "Hub" }
                    }
                }
                tbody {
                    @for tag in tags {
                        tr {
                            th scope="row" { a href=(path(&[repository, &tag.tag])) { (tag.tag) } }
                            td { (short(&tag.digest)) }
                            td.number { (bytes(tag.bytes)) }
                            td { (at(tag.at)) }
                            td { (tag.by) }
                            td { (origin(&tag.origin)) }
                            td { @if tag.waits_for_hub { span.badge data-warn { "waits for the hub" } } }
                        }
                    }
                }
            }
        }
    }
}
