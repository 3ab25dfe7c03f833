//! `GET /registry/{repository}/{tag}`: what a tag stands for, what it stood for, and how it is pulled.

use axum::{extract::Path, response::Response};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};
use settings::builtin::REGISTRY_TAGS;

use super::{
    ask::{Status, Tag, Tags, ask, origin, silent},
    path, short,
};
use crate::{
    console::{
        command::{command, leafbox},
        failure::Failure,
        figures::{at, bytes},
        jetstream::NatsError,
        kv,
        link::trail,
        visit::Visit,
    },
    feed::LEAFBOX,
};

/// A change of a tag, as the bucket has it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Change {
    /// None says that it was deleted.
    digest: Option<String>,
    at: u64,
    by: String,
    origin: Value,
}

/// `GET /registry/{repository}/{tag}`.
pub(super) async fn show(visit: Visit, Path((repository, tag)): Path<(String, String)>) -> Response {
    let title = format!("{repository}:{tag}");
    let content = async {
        let question = json!({ "tag": { "repository": repository, "tag": tag } });
        let (found, status) =
            tokio::join!(ask::<Tags>(&visit.console, &question), ask::<Status>(&visit.console, &Value::Null));
        let found = found?.tags.into_iter().next();
        let found = found.ok_or_else(|| Failure::Missing(format!("tag {tag} of {repository} here")))?;
        let history = kv::values(&visit, LEAFBOX, REGISTRY_TAGS, &found.key).await?;
        let changes: Vec<Change> =
            history.iter().filter_map(|value| serde_json::from_slice(value).ok()).collect();
        Ok::<_, Failure>(page(&repository, &found, &status?.address, &changes))
    };
    match content.await {
        Err(failure @ Failure::Nats(NatsError::Silent { .. })) => visit.page(&title, &silent(&failure)),
        content => visit.answer(&title, content),
    }
}

fn page(repository: &str, tag: &Tag, address: &str, changes: &[Change]) -> Markup {
    let name = format!("{repository}:{}", tag.tag);
    let from = if address.is_empty() { "REGISTRY" } else { address };
    html! {
        (trail(&[("/registry", "Registry"), (&path(&[repository]), repository)]))
        dl {
            dt { "Digest" } dd { code { (tag.digest) } }
            dt { "Media type" } dd { (tag.media_type) }
            dt { "Size" } dd { (bytes(tag.bytes)) }
            dt { "Changed" } dd { (at(tag.at)) " by " (tag.by) }
            dt { "From" } dd { (origin(&tag.origin)) }
            @if tag.waits_for_hub { dt { "Hub" } dd { span.badge data-warn { "waits for the hub" } } }
        }
        h2 { "Pull it" }
        pre tabindex="0" aria-label="Command" { code { "docker pull " (from) "/" (name) } }
        p.quiet { "From another machine, by the name that the registry's certificate has." }
        h2 #changes { "Changes" }
        div.scroll tabindex="0" role="region" aria-labelledby="changes" {
            table aria-labelledby="changes" {
                thead { tr { th scope="col" { "When" } th scope="col" { "What" } th scope="col" { "By" } th scope="col" { "From" } } }
                tbody {
                    @for change in changes {
                        tr {
                            th scope="row" { (at(change.at)) }
                            td { @match &change.digest { Some(digest) => (short(digest)), None => span.badge { "deleted" } } }
                            td { (change.by) }
                            td { @if change.digest.is_some() { (origin(&change.origin)) } }
                        }
                    }
                }
            }
        }
        p.quiet { "The last 64 at most." }
        (leafbox(&["registry", "inspect", &name]))
        (command(&["kv", "history", REGISTRY_TAGS, &tag.key]))
        h2 { "Delete it" }
        p { "The registry deletes a tag on the machine itself, where it tells first what of the image stays:" }
        pre tabindex="0" aria-label="Command that deletes" { code { "leafbox registry rm " (name) } }
    }
}
