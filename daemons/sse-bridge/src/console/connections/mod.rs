//! `/connections`: who is connected to the servers, what comes and goes, and the end of a connection.

mod gather;
mod one;
mod query;
mod table;

use std::time::Duration;

use axum::{
    Extension, Router,
    extract::{RawQuery, State},
    http::HeaderMap,
    response::Response,
    routing::{get, post},
};
use futures::{Stream, StreamExt, stream};
use maud::{Markup, html};
use tokio::time::{Instant, sleep_until};

use super::{
    Console, datastar,
    events::{self, Sought},
    journal::Kind,
    live::live,
    visit::Visit,
};
use crate::{Caller, Role, feed::Frame};
use gather::Connections;
use query::View;

/// How often the servers are asked while somebody looks.
const EVERY: Duration = Duration::from_secs(5);

/// The routes.
pub(super) fn router() -> Router<Console> {
    Router::new()
        .route("/connections", get(show))
        .route("/live/connections", get(go_on))
        .route("/connections/{server}/{cid}", get(one::show))
        .route("/connections/{server}/{cid}/kick", post(one::kick))
}

async fn show(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let view = View::of(query.as_deref().unwrap_or_default());
    let console = &visit.console;
    let connections = Connections::gather(&console.servers, &view).await;
    let content = html! {
        (query::form(&view, &connections))
        (live(
            &events::live_path("/live/connections", &view.query()),
            &html! {
                (table::table(&connections, &view))
                (table::commands(&view, &console.servers.account_key(&view.account)))
                h2 { "Coming and going" }
                (events::shown(&console.journal, &sought(&view).wanted()))
            },
        ))
        @if !visit.may(Role::Operator) { p.quiet { "Ending a connection takes the role operator." } }
    };
    visit.live_page("Connections", &content)
}

async fn go_on(
    State(console): State<Console>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = query.unwrap_or_default();
    let view = View::of(&query);
    let after = events::after(&query, &headers);
    let coming = events::follow(console.journal.clone(), sought(&view).wanted(), after);
    let both = stream::select(coming, tables(console.clone(), view));
    events::stream(&console, &caller, &headers, both)
}

/// The table again and again: at once, so that who resumes sees what is so, and then every few seconds.
fn tables(console: Console, view: View) -> impl Stream<Item = Frame> + Send + 'static {
    stream::unfold(Instant::now(), move |at| {
        let (console, view) = (console.clone(), view.clone());
        async move {
            sleep_until(at).await;
            let table = table::table(&Connections::gather(&console.servers, &view).await, &view);
            Some((frame(&table), Instant::now() + EVERY))
        }
    })
    .boxed()
}

fn frame(elements: &Markup) -> Frame {
    let mut frame = Frame::default();
    datastar::patch(elements, &mut frame);
    frame
}

/// What comes and goes, of those who are looked for.
fn sought(view: &View) -> Sought {
    Sought {
        kinds: vec![Kind::Connect, Kind::Disconnect, Kind::AuthError],
        account: view.account.clone(),
        text: view.text.clone(),
    }
}
