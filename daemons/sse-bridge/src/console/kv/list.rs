//! `GET /kv`: all buckets of keys and values.

use axum::response::Response;
use maud::{Markup, html};

use crate::console::{
    buckets::{self, Found},
    command::command,
    figures::{bytes, moment},
    link,
    visit::Visit,
};

/// `GET /kv`.
pub(super) async fn show(visit: Visit) -> Response {
    let (found, troubles) = buckets::find(&visit, "KV_").await;
    let content = html! { (troubles) (table(&found)) (command(&["kv", "ls"])) };
    visit.page("Keys and values", &content)
}

fn table(found: &[Found]) -> Markup {
    html! {
        @if found.is_empty() { p { "There is no bucket of keys and values." } } @else {
            div.scroll tabindex="0" role="region" aria-label="Buckets" {
                table {
                    caption { "Buckets of all accounts" }
                    thead {
                        tr {
                            th scope="col" { "Bucket" } th scope="col" { "Account" }
                            th.number scope="col" { "Keys" } th.number scope="col" { "Bytes" }
                            th.number scope="col" { "History" } th scope="col" { "Changed last" }
                            th scope="col" { "Declared" }
                        }
                    }
                    tbody {
                        @for Found { account, bucket, info } in found {
                            tr {
                                th scope="row" { a href=(link::path(&["kv", account, bucket])) { (bucket) } }
                                td { (account) }
                                td.number { (info["state"]["num_subjects"].as_u64().unwrap_or_default()) }
                                td.number { (bytes(info["state"]["bytes"].as_u64().unwrap_or_default())) }
                                td.number { (info["config"]["max_msgs_per_subject"]) }
                                td { (moment(info["state"]["last_ts"].as_str().unwrap_or_default())) }
                                td { (buckets::declared(info)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
