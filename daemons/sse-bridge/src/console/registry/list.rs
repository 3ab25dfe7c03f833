//! `GET /registry`: the repositories, the space that they take, and what is under way.

use std::time::Duration;

use axum::{extract::Query, http::HeaderMap, response::Response};
use futures::future::try_join_all;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};
use settings::builtin::REGISTRY_BLOBS;

use super::{
    ask::{Repositories, Repository, Status, ask, silent, subject},
    path,
    under_way::{collector, travel, uploads},
};
use crate::console::{
    Console,
    command::{command, leafbox},
    events,
    failure::Failure,
    figures::{at, bytes, now},
    guard::StreamName,
    link::escaped,
    live::{again, live},
    visit::Visit,
};
use crate::feed::LEAFBOX;

/// How often it is asked while somebody looks.
const EVERY: Duration = Duration::from_secs(5);
/// After so long without an answer the page says that it is old.
const LATE_MILLIS: u32 = 20_000;

/// Which repositories.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    /// The last one of the page before.
    after: String,
}

/// What the page is made from.
struct Found {
    status: Status,
    repositories: Repositories,
    /// The streams of the bytes; none where one is not to be had.
    streams: Option<Vec<Value>>,
}

/// `GET /registry`.
pub(super) async fn show(visit: Visit, Query(asked): Query<Asked>) -> Response {
    let shown = match find(&visit.console, &asked).await {
        Ok(found) => part(&found),
        Err(failure) => html! { section #registry data-late=(LATE_MILLIS) { (silent(&failure)) } },
    };
    let content = html! {
        (live(&format!("/live/registry?after={}", escaped(&asked.after)), &shown))
        (leafbox(&["registry", "status"]))
        (leafbox(&["registry", "ls"]))
        (command(&["request", &subject(&visit.console), ""]))
    };
    visit.live_page("Registry", &content)
}

/// `GET /live/registry`: the same, again and again.
pub(super) async fn go_on(visit: Visit, Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    let console = visit.console.clone();
    let found = again(EVERY, move || {
        let (console, asked) = (console.clone(), asked.clone());
        async move { find(&console, &asked).await.ok().map(|found| part(&found)) }
    });
    events::stream(&visit.console, &visit.caller, &headers, found)
}

async fn find(console: &Console, asked: &Asked) -> Result<Found, Failure> {
    let mut question = json!({ "repositories": {} });
    if !asked.after.is_empty() {
        question["repositories"]["after"] = asked.after.clone().into();
    }
    let leafbox = console.leafbox()?;
    let streams = REGISTRY_BLOBS.map(|(stream, _)| StreamName::read(LEAFBOX, stream));
    let streams = streams.into_iter().collect::<Result<Vec<_>, _>>()?;
    let streams = try_join_all(streams.iter().map(|stream| leafbox.stream(stream)));
    let (status, repositories, streams) =
        tokio::join!(ask(console, &Value::Null), ask(console, &question), streams);
    let status: Status = status?;
    // Its stores may not be there yet, and an older one lists nothing.
    let repositories = if status.ready { repositories? } else { Repositories::default() };
    Ok(Found { status, repositories, streams: streams.ok() })
}

/// The fragment `#registry`.
fn part(found: &Found) -> Markup {
    let Found { status, repositories, streams } = found;
    html! {
        section #registry data-late=(LATE_MILLIS) {
            p.state data-ok=(status.ready) {
                @if status.ready { "✓ ready" } @else { "✗ waits for its stores" }
            }
            p.asof { "Data as of " time datetime=(now()) { (now()) } }
            dl.facts {
                @for (name, value) in facts(found) { div { dt { (name) } dd { (value) } } }
            }
            h2 #repositories { "Repositories" }
            @if repositories.repositories.is_empty() {
                p { "There is none yet: the first push to one makes it." }
            } @else { (table(&repositories.repositories)) }
            @if repositories.more {
                @if let Some(last) = repositories.repositories.last() {
                    nav.pager aria-label="Pages of repositories" {
                        a href={ "/registry?after=" (escaped(&last.repository)) } { "Next page" }
                    }
                }
            }
            (uploads(&status.uploads))
            @if let Some(moving) = &status.travel { (travel(moving)) }
            (collector(status))
            @if streams.is_none() { p.quiet { "The streams of its bytes cannot be asked for at the moment." } }
        }
    }
}

fn facts(found: &Found) -> impl Iterator<Item = (&'static str, String)> {
    let Found { status, repositories, streams } = found;
    let sum = |part: &str, figure: &str| {
        streams.iter().flatten().map(|stream| stream[part][figure].as_u64()).sum::<Option<u64>>()
    };
    let taken = sum("state", "bytes").filter(|_| streams.is_some());
    let taken = taken.map(|taken| match sum("config", "max_bytes") {
        Some(limit) => format!("{} of {}", bytes(taken), bytes(limit)),
        None => bytes(taken),
    });
    let facts = [
        ("Address", Some(status.address.clone()).filter(|address| !address.is_empty())),
        ("Images", Some(bytes(repositories.bytes))),
        ("Space in JetStream", taken),
        ("Tags", Some(status.tags.to_string())),
        ("Manifests", Some(status.manifests.to_string())),
        ("Blobs", Some(status.blobs.to_string())),
        ("Cache on disk", Some(format!("{} of {}", bytes(status.cache.bytes), bytes(status.cache.limit)))),
        ("leafbox", Some(status.version.clone())),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((name, value?)))
}

fn table(repositories: &[Repository]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-labelledby="repositories" {
            table aria-labelledby="repositories" {
                thead {
                    tr {
                        th scope="col" { "Name" } th.number scope="col" { "Tags" }
                        th.number scope="col" { "Size" } th.number scope="col" { "Of it shared" }
                        th scope="col" { "Changed last" }
                    }
                }
                tbody {
                    @for one in repositories {
                        tr {
                            th scope="row" { a href=(path(&[&one.repository])) { (one.repository) } }
                            td.number { (one.tags) }
                            td.number { (bytes(one.bytes)) }
                            td.number { (bytes(one.shared)) }
                            td { @match one.changed { Some(changed) => (at(changed)), None => span.quiet { "none" } } }
                        }
                    }
                }
            }
        }
    }
}
