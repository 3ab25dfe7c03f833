//! `/topology`: the servers and what is between them, as a picture and as tables.

mod gather;
mod picture;
mod tables;

use std::time::Duration;

use axum::{Extension, Router, extract::State, http::HeaderMap, response::Response, routing::get};
use futures::{StreamExt, stream};
use maud::{Markup, html};
use tokio::time::{Instant, sleep_until};

use super::{Console, command::command, datastar, events, live::live, visit::Visit};
use crate::{Caller, feed::Frame};
use gather::Topology;

/// How often the servers are asked while somebody looks.
const EVERY: Duration = Duration::from_secs(10);
/// After so long without an answer the page says that it is old.
const LATE_MILLIS: u32 = 40_000;

/// The routes.
pub(super) fn router() -> Router<Console> {
    Router::new().route("/topology", get(show)).route("/live/topology", get(go_on))
}

async fn show(visit: Visit) -> Response {
    let topology = Topology::gather(&visit.console.servers).await;
    let content = html! {
        (live("/live/topology", &part(&topology)))
        (command(&["server", "list"]))
        (command(&["server", "request", "leafnodes"]))
    };
    visit.live_page("Topology", &content)
}

async fn go_on(
    State(console): State<Console>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Response {
    let asked = console.clone();
    let again = stream::unfold(Instant::now(), move |at| {
        let console = asked.clone();
        async move {
            sleep_until(at).await;
            let mut frame = Frame::default();
            datastar::patch(&part(&Topology::gather(&console.servers).await), &mut frame);
            Some((frame, Instant::now() + EVERY))
        }
    });
    events::stream(&console, &caller, &headers, again.boxed())
}

/// The fragment `#topology`.
fn part(topology: &Topology) -> Markup {
    html! {
        section #topology data-late=(LATE_MILLIS) {
            p.asof { "Data as of " time datetime=(topology.at) { (topology.at) } }
            @for failed in &topology.failed { p.message.bad { strong { "✗ " } (failed) } }
            (picture::picture(topology))
            (tables::servers(topology))
            (tables::links(topology))
            (tables::copies(topology))
        }
    }
}
