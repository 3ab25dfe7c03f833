//! The node on one page: what its health daemon says of it, as it says it.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream;
use axum::{
    Extension,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    Console, datastar,
    figures::{bytes, span},
    live,
    visit::Visit,
};
use crate::{
    Caller,
    feed::{Asked, Encode, Frame, Message},
};

/// The bucket of the last heartbeat of each node.
const NODES: &str = "leafbox_nodes";

/// After so many heartbeats that did not come, the page says that it is old; the slack is for one that
/// is on its way.
const HEARTBEATS_MISSED: u32 = 2;
const SLACK: Duration = Duration::from_secs(2);

/// What of a heartbeat is shown. What an older or newer health daemon says otherwise is left out.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Heartbeat {
    node: String,
    role: String,
    version: String,
    nats_version: Option<String>,
    uptime_seconds: Option<u64>,
    ready: bool,
    checks: Vec<Check>,
    uplink: Uplink,
    jetstream: Option<Used>,
    connections: Option<u64>,
    disk_free: Option<u64>,
    at: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Check {
    name: String,
    ok: bool,
    detail: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Uplink {
    state: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Used {
    storage: u64,
    max_storage: u64,
}

/// `GET /`.
pub(super) async fn show(visit: Visit) -> Response {
    let console = &visit.console;
    let heartbeat = async {
        let context = jetstream::new(console.leafbox().ok()?.client);
        let bucket = context.get_key_value(NODES).await.ok()?;
        let found = bucket.get(console.node.as_str()).await.ok()??;
        serde_json::from_slice::<Heartbeat>(&found).ok()
    };
    let heartbeat = tokio::time::timeout(Duration::from_secs(2), heartbeat).await.ok().flatten();
    let late = console.heartbeat.saturating_mul(HEARTBEATS_MISSED) + SLACK;
    let content = html! {
        div data-late=(late.as_millis()) { (overview(heartbeat.as_ref())) }
    };
    visit.live_page("Overview", &live::live("/live/overview", &content))
}

/// `GET /live/overview`: the page's part that changes, whenever it does.
pub(super) async fn live(
    State(console): State<Console>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Response {
    let query = format!("stream=KV_{NODES}&subject=$KV.{NODES}.{}&kind=state", console.node);
    let mut asked = match Asked::of(&query) {
        Ok(asked) => asked,
        Err(error) => {
            return (axum::http::StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response();
        }
    };
    let accepts = headers.get(axum::http::header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    asked.accept_encoding = accepts.map(Into::into);
    match console.feeds.open(&caller, &asked, Arc::new(Live)).await {
        Ok(response) => response,
        Err(failure) => failure.into_response(),
    }
}

/// Heartbeats as fragments of the page.
struct Live;

impl Encode for Live {
    fn name(&self) -> &'static str {
        "overview"
    }

    fn message(&self, message: &Message, frame: &mut Frame) {
        if let Ok(heartbeat) = serde_json::from_slice::<Heartbeat>(&message.payload) {
            datastar::patch(&overview(Some(&heartbeat)), frame);
        }
    }

    fn notice(&self, _: &crate::feed::Notice, _: &mut Frame) {}

    fn resumes(&self) -> bool {
        false
    }
}

fn overview(heartbeat: Option<&Heartbeat>) -> Markup {
    let Some(heartbeat) = heartbeat else {
        return html! {
            section #overview data-at="" {
                p.notice {
                    strong { "Nothing was heard of this node yet. " }
                    "Its health daemon tells how it is every few seconds. If this stays, look at "
                    code { "leafbox status" } " and " code { "leafbox logs health" } " on the machine."
                }
            }
        };
    };
    let wrong: Vec<&Check> = heartbeat.checks.iter().filter(|check| !check.ok).collect();
    html! {
        section #overview data-at=(heartbeat.at) {
            p.state data-ok=(heartbeat.ready) {
                @if heartbeat.ready { "✓ " (heartbeat.node) " is ready" } @else { "✗ " (heartbeat.node) " is not ready" }
            }
            p.asof { "Data as of " time datetime=(heartbeat.at) { (heartbeat.at) } }
            @if !wrong.is_empty() {
                h2 { "What is wrong" }
                ul.wrong {
                    @for check in wrong { li { strong { (check.name) ": " } (check.detail) } }
                }
            }
            h2 { "Node" }
            dl.facts {
                @for (name, value) in facts(heartbeat) { div { dt { (name) } dd { (value) } } }
            }
            h2 #checks { "Checks" }
            table aria-labelledby="checks" {
                thead { tr { th scope="col" { "Check" } th scope="col" { "State" } th scope="col" { "Detail" } } }
                tbody {
                    @for check in &heartbeat.checks {
                        tr {
                            th scope="row" { (check.name) }
                            td { span.badge data-ok=(check.ok) { @if check.ok { "✓ ok" } @else { "✗ wrong" } } }
                            td { (check.detail) }
                        }
                    }
                }
            }
        }
    }
}

/// What is known of the node, in the order of who asks for it most.
fn facts(heartbeat: &Heartbeat) -> impl Iterator<Item = (&'static str, String)> {
    let nats = heartbeat.nats_version.clone().unwrap_or_else(|| "does not answer".to_owned());
    let used = heartbeat.jetstream.as_ref();
    let facts = [
        ("Uplink", Some(heartbeat.uplink.state.clone())),
        ("JetStream", used.map(|used| format!("{} of {}", bytes(used.storage), bytes(used.max_storage)))),
        ("Disk free", heartbeat.disk_free.map(bytes)),
        ("Connections", heartbeat.connections.map(|connections| connections.to_string())),
        ("Up for", heartbeat.uptime_seconds.map(span)),
        ("Role", Some(heartbeat.role.clone())),
        ("leafbox", Some(heartbeat.version.clone())),
        ("nats-server", Some(nats)),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((name, value?)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_wrong_comes_first_and_nothing_of_a_heartbeat_is_taken_for_html() {
        let heartbeat: Heartbeat = serde_json::from_value(serde_json::json!({
            "node": "shop-1", "ready": false, "at": "2026-11-21T12:00:00Z", "new": [1],
            "checks": [
                { "name": "disk", "ok": false, "detail": "<script>full</script>" },
                { "name": "stores", "ok": true, "detail": "all applied" },
            ],
            "jetstream": { "storage": 1536, "max_storage": 1_u64 << 40 },
        }))
        .unwrap();
        let html = overview(Some(&heartbeat)).into_string();
        assert!(html.contains("✗ shop-1 is not ready") && html.contains("1.5 KiB of 1.0 TiB"), "{html}");
        assert!(html.contains("&lt;script&gt;full") && !html.contains("<script>"), "{html}");
        assert!(html.find("What is wrong").unwrap() < html.find("Checks").unwrap());
        let mut frame = Frame::default();
        datastar::patch(&overview(Some(&heartbeat)), &mut frame);
        assert!(format!("{frame:?}").contains("elements <section id="));
    }
}
