//! `GET /objects`: all buckets of objects.

use axum::response::Response;
use maud::html;

use crate::console::{
    buckets::{self, Found},
    command::command,
    figures::{bytes, moment},
    link,
    visit::Visit,
};

/// `GET /objects`.
pub(super) async fn show(visit: Visit) -> Response {
    let (found, troubles) = buckets::find(&visit, "OBJ_").await;
    let content = html! {
        (troubles)
        @if found.is_empty() { p { "There is no bucket of objects." } } @else {
            div.scroll tabindex="0" role="region" aria-label="Buckets" {
                table {
                    caption { "Buckets of all accounts" }
                    thead {
                        tr {
                            th scope="col" { "Bucket" } th scope="col" { "Account" }
                            th.number scope="col" { "Bytes" } th scope="col" { "Changed last" }
                            th scope="col" { "Declared" }
                        }
                    }
                    tbody {
                        @for Found { account, bucket, info } in &found {
                            tr {
                                th scope="row" { a href=(link::path(&["objects", account, bucket])) { (bucket) } }
                                td { (account) }
                                td.number { (bytes(info["state"]["bytes"].as_u64().unwrap_or_default())) }
                                td { (moment(info["state"]["last_ts"].as_str().unwrap_or_default())) }
                                td { (buckets::declared(info)) }
                            }
                        }
                    }
                }
            }
        }
        (command(&["object", "ls"]))
    };
    visit.page("Objects", &content)
}
