//! One connection: what it subscribes to, and its end.

use axum::{
    extract::{Path, Request},
    response::Response,
};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::{gather::Row, table::state};
use crate::{
    Role,
    audit::What,
    console::{
        accounts,
        command::command,
        failure::Failure,
        figures::{bytes, moment},
        form::Inputs,
        journal::redact,
        servers::{ConnInfo, Endpoint, Heard},
        told::Message,
        visit::{Operator, Visit},
    },
};

/// Subscriptions on the page.
const MOST: usize = 1000;
/// CONNZ of connections that are there and that have ended.
const ALL: u8 = 2;

/// `GET /connections/{server}/{cid}`.
pub(super) async fn show(visit: Visit, Path((server, cid)): Path<(String, String)>) -> Response {
    let title = format!("Connection {}", cid.chars().take(20).collect::<String>());
    match One::find(&visit, &server, &cid).await {
        Ok(one) => visit.page(&one.title(), &one.content(&visit)),
        Err(failure) => visit.failed(&title, &failure),
    }
}

/// `POST /connections/{server}/{cid}/kick`.
pub(super) async fn kick(
    Operator(visit): Operator,
    Path((server, cid)): Path<(String, String)>,
    request: Request,
) -> Response {
    let ended = async {
        let inputs = Inputs::of(request).await?;
        let one = One::find(&visit, &server, &cid).await?;
        let info = &one.row.info;
        // The number is as good as the name: clients need not have one, and many have the same.
        if info.name.is_empty() || inputs.confirms(&info.name).is_err() {
            inputs.confirms(&info.cid.to_string())?;
        }
        visit.console.servers.kick(&one.row.server.id, info.cid).await?;
        let told =
            format!("{}, cid {} of {} at {}", info.name, info.cid, one.row.account, one.row.server.name);
        visit.tell(What::ConnectionKicked, told);
        let text = format!(
            "{} was ended. Most clients connect again by themselves: who is to stay away loses its creds.",
            one.title()
        );
        Ok(("/connections".to_owned(), Message::done(text)))
    };
    visit.acted("The connection was not ended", ended.await)
}

struct One {
    row: Row,
    /// As nats-server tells it, but for the JWT.
    json: Value,
}

impl One {
    async fn find(visit: &Visit, server: &str, cid: &str) -> Result<Self, Failure> {
        let missing =
            || Failure::Missing(format!("connection `{cid}` at {server}: /connections has those that are"));
        let number: u64 = cid.parse().map_err(|_| missing())?;
        let servers = &visit.console.servers;
        let id = servers.find(server).await?;
        let options = json!({ "auth": true, "subscriptions_detail": true, "cid": number, "state": ALL });
        let mut said: Value = servers.read(&id, Endpoint::Connz, &options).await?;
        let mut json = said.pointer_mut("/connections/0").map(Value::take).ok_or_else(missing)?;
        let info: ConnInfo = serde_json::from_value(json.clone()).map_err(|_| missing())?;
        redact(&mut json);
        let name = servers.heard().await?.into_iter().find(|heard| heard.id == id);
        let server = name.unwrap_or(Heard { name: id.clone(), id });
        let account = servers.account_name(&info.account).await;
        Ok(Self { row: Row { server, account, info }, json })
    }

    fn title(&self) -> String {
        match self.row.info.name.as_str() {
            "" => format!("Connection {}", self.row.info.cid),
            name => format!("Connection {} “{name}”", self.row.info.cid),
        }
    }

    fn content(&self, visit: &Visit) -> Markup {
        let Self { row, json } = self;
        let (info, cid) = (&row.info, row.info.cid.to_string());
        html! {
            dl {
                dt { "State" } dd { (state(row)) }
                dt { "Account" } dd { (row.account) }
                dt { "User" }
                dd {
                    (row.user())
                    @if let Some(at) = accounts::revoking(&row.account, &info.authorized_user).filter(|_| visit.may(Role::Admin)) {
                        " " a href=(at) { "Revoke it" }
                    }
                }
                dt { "Server" } dd { (row.server.name) }
                dt { "Address" } dd { (info.ip) ":" (info.port) }
                dt { "Kind" } dd { (info.kind) " " (info.protocol) }
                dt { "Since" } dd { (moment(&info.start)) }
                dt { "Round trip" } dd { (info.rtt) }
                dt { "In" } dd { (info.in_msgs) " messages, " (bytes(info.in_bytes)) }
                dt { "Out" } dd { (info.out_msgs) " messages, " (bytes(info.out_bytes)) }
                dt { "Pending" } dd { (bytes(info.pending_bytes)) }
            }
            h2 { "Subscriptions" }
            (subscriptions(json))
            details {
                summary { "As nats-server tells it, without its JWT" }
                pre tabindex="0" aria-label="The connection as JSON" { code { (serde_json::to_string_pretty(json).unwrap_or_default()) } }
            }
            (command(&["server", "request", "connections", "--name", &row.server.name, "--subscriptions", "--filter-cid", &cid.to_string()]))
            @if visit.may(Role::Operator) && info.stop.is_none() {
                @if visit.console.servers.is_leaf(&row.server.id) {
                    p { "It can be ended on the console of " (row.server.name) ": a leaf takes no orders from the hub." }
                } @else { (self.end()) }
            }
        }
    }

    fn end(&self) -> Markup {
        let Row { server, info, .. } = &self.row;
        let name = if info.name.is_empty() { String::new() } else { format!("“{}” or ", info.name) };
        html! {
            h2 { "End it" }
            form method="post" action=(format!("/connections/{}/{}/kick", server.id, info.cid)) {
                p { "nats-server closes the connection. Most clients connect again by themselves." }
                label { "To confirm, type " (name) (info.cid) " "
                    input name="confirm" required autocomplete="off" spellcheck="false";
                }
                " " button.danger { "End the connection" }
            }
            (command(&["server", "request", "kick", &info.cid.to_string(), &server.id]))
        }
    }
}

fn subscriptions(json: &Value) -> Markup {
    let all = json
        .get("subscriptions_list_detail")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let text = |subscription: &Value, field: &str| match subscription.get(field) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    html! {
        table {
            caption {
                (all.len()) @if all.len() > MOST { ", of which " (MOST) " are shown; /api/connz has all" }
            }
            thead { tr { th scope="col" { "Subject" } th scope="col" { "Queue group" } th.number scope="col" { "Messages" } } }
            tbody {
                @for subscription in all.iter().take(MOST) {
                    tr {
                        th scope="row" { code { (text(subscription, "subject")) } }
                        td { (text(subscription, "qgroup")) }
                        td.number { (text(subscription, "msgs")) }
                    }
                }
                @if all.is_empty() { tr { td colspan="3" { "None." } } }
            }
        }
    }
}
