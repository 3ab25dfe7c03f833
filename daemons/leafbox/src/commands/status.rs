//! `leafbox status`: the node on one screen.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};
use health::Report;
use runtime::{Monitoring, reachable};
use serde::Serialize;
use serde_json::Value;
use settings::{Name, NodeRole, store::Travel};
use stores::{StoreKind, StoreStatus};

use crate::{cli, converge, figures::amount, say, session::Session, table::Table};

/// The answers of nats-server and the health daemon, and the stores.
#[derive(Debug, Serialize)]
struct Status {
    node: String,
    role: NodeRole,
    domain: String,
    leafbox: &'static str,
    varz: Value,
    /// What the health daemon found; nothing when it does not answer.
    health: Option<Report>,
    accounts: Vec<AccountRow>,
    stores: Vec<StoreRow>,
    connections: Vec<Value>,
    /// Accounts whose stores could not be looked at, and why.
    failures: Vec<String>,
}

#[derive(Debug, Serialize)]
struct StoreRow {
    #[serde(flatten)]
    store: StoreStatus,
    travel: Option<Travel>,
    /// Messages of an outbox that the hub has yet to take.
    waiting: Option<u64>,
}

#[derive(Debug, Serialize)]
struct AccountRow {
    name: String,
    connections: usize,
    streams: u64,
    consumers: u64,
    memory: u64,
    storage: u64,
}

/// Prints the status; an error when no node answers.
pub(crate) async fn run(session: &Session, output: cli::Output) -> Result<()> {
    session.require_running()?;
    let status = gather(session).await?;
    if output.json {
        say!("{}", serde_json::to_string_pretty(&status)?);
    } else {
        print(&status);
    }
    Ok(())
}

async fn gather(session: &Session) -> Result<Status> {
    let address = session.addresses.monitoring.context("node.toml turns the monitoring listener off")?;
    let monitoring = Monitoring::new(reachable(address)).within(Duration::from_secs(5));
    let varz: Value =
        monitoring.json("/varz").await.context("nats-server does not answer: is the node running?")?;
    let connz: Value = monitoring.json("/connz?auth=1&limit=65536").await?;
    let jsz: Value = monitoring.json("/jsz?streams=1").await?;
    let names = account_names(session);
    let connections = connections(&connz, &names);
    let (clients, mut failures) = converge::connect_stores(session).await;
    let (stores, failed) = stores::status(&session.settings.fleet, &session.settings.node, &clients).await;
    failures.extend(failed.into_iter().map(|failure| format!("{}: {}", failure.account, failure.error)));
    Ok(Status {
        node: session.settings.node.name.to_string(),
        role: session.settings.node.role,
        domain: session.settings.domain().to_owned(),
        leafbox: env!("CARGO_PKG_VERSION"),
        health: super::health::ask(session).await.ok(),
        accounts: accounts(&jsz, &connections, &names),
        stores: stores.into_iter().map(|store| row(session, store)).collect(),
        connections,
        varz,
        failures,
    })
}

fn row(session: &Session, store: StoreStatus) -> StoreRow {
    let travel = session.settings.fleet.all_accounts().get(&store.account).and_then(|account| {
        let name = store.name.as_str();
        match store.kind {
            StoreKind::Stream => account.streams.get(name)?.travel,
            StoreKind::Kv => account.kv.get(name)?.travel,
            StoreKind::Object => account.objects.get(name)?.travel,
        }
    });
    // What the hub has taken leaves a work queue, so all that is there waits.
    let is_outbox = store.kind == StoreKind::Stream
        && travel == Some(Travel::Up)
        && session.settings.node.role == NodeRole::Leaf;
    let waiting = store.holds.as_ref().filter(|_| is_outbox).map(|holds| holds.messages);
    StoreRow { store, travel, waiting }
}

/// Account names by public key, from the JWTs that this node starts with.
fn account_names(session: &Session) -> BTreeMap<String, Name> {
    let Ok(set) = identity::JwtSet::read_dir(&session.settings.jwts_dir()) else { return BTreeMap::new() };
    set.accounts.into_iter().map(|(name, account)| (account.public_key, name)).collect()
}

fn named(names: &BTreeMap<String, Name>, key: &Value) -> String {
    let key = key.as_str().unwrap_or_default();
    names.get(key).map_or_else(|| key.to_owned(), ToString::to_string)
}

fn connections(connz: &Value, names: &BTreeMap<String, Name>) -> Vec<Value> {
    let listed = connz["connections"].as_array().cloned().unwrap_or_default();
    // Links to and from other servers stand in the same list.
    let listed = listed.into_iter().filter(|connection| connection["kind"].as_str() == Some("Client"));
    let named = |mut connection: Value| {
        let account = named(names, &connection["account"]);
        connection["account"] = account.into();
        // The JWT is public, but long.
        if let Some(fields) = connection.as_object_mut() {
            fields.remove("jwt");
        }
        connection
    };
    listed.map(named).collect()
}

fn accounts(jsz: &Value, connections: &[Value], names: &BTreeMap<String, Name>) -> Vec<AccountRow> {
    let details = jsz["account_details"].as_array().map(Vec::as_slice).unwrap_or_default();
    let row = |(key, name): (&String, &Name)| {
        let detail = details.iter().find(|detail| detail["id"] == key.as_str());
        let number = |field: &str| detail.and_then(|detail| detail[field].as_u64()).unwrap_or(0);
        let streams = detail.and_then(|detail| detail["stream_detail"].as_array()).map_or(0, Vec::len) as u64;
        let consumers = |stream: &Value| stream["state"]["consumer_count"].as_u64().unwrap_or(0);
        AccountRow {
            name: name.to_string(),
            connections: connections.iter().filter(|one| one["account"] == name.as_str()).count(),
            streams,
            consumers: detail
                .and_then(|detail| detail["stream_detail"].as_array())
                .map_or(0, |streams| streams.iter().map(consumers).sum()),
            memory: number("memory"),
            storage: number("storage"),
        }
    };
    let mut rows: Vec<AccountRow> = names.iter().map(row).collect();
    rows.sort_by(|one, two| one.name.cmp(&two.name));
    rows
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

fn print(status: &Status) {
    let varz = &status.varz;
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let role = match status.role {
        NodeRole::Leaf => "leaf",
        NodeRole::Hub => "hub",
    };
    say!("{}  {role}, JetStream domain {}", status.node, status.domain);
    say!(
        "  leafbox {}, nats-server {}, up {}",
        status.leafbox,
        text(&varz["version"]),
        text(&varz["uptime"])
    );
    match &status.health {
        Some(report) if report.ready => say!("  ready     yes"),
        Some(report) => say!("  ready     no: {}", super::health::failing(report).join("; ")),
        None => say!("  ready     unknown: the health daemon does not answer"),
    }
    if let (Some(report), NodeRole::Leaf) = (&status.health, status.role) {
        say!("  uplink    {}", report.uplink.describe());
    }
    let stats = &varz["jetstream"]["stats"];
    let config = &varz["jetstream"]["config"];
    say!(
        "  jetstream {} of {} on disk, {} of {} in memory",
        amount(number(&stats["storage"])),
        amount(number(&config["max_storage"])),
        amount(number(&stats["memory"])),
        amount(number(&config["max_memory"])),
    );
    say!("  clients   {}, {} slow", number(&varz["connections"]), number(&varz["slow_consumers"]));

    let mut table = Table::new(&["ACCOUNT", "CONNECTIONS", "STREAMS", "CONSUMERS", "DISK", "MEMORY"]);
    for row in &status.accounts {
        table.row([
            row.name.clone(),
            row.connections.to_string(),
            row.streams.to_string(),
            row.consumers.to_string(),
            amount(row.storage),
            amount(row.memory),
        ]);
    }
    say!("\nAccounts\n{table}");

    let mut table = Table::new(&["ACCOUNT", "STORE", "KIND", "TRAVEL", "MESSAGES", "BYTES", "LAG"]);
    for row in &status.stores {
        let store = &row.store;
        let holds = store.holds.as_ref();
        table.row([
            store.account.to_string(),
            store.name.clone(),
            store.kind.word().to_owned(),
            row.travel.map_or("", Travel::word).to_owned(),
            holds.map_or("missing: leafbox apply".to_owned(), |holds| holds.messages.to_string()),
            holds.map_or(String::new(), |holds| amount(holds.bytes)),
            lag(row),
        ]);
    }
    say!("Stores\n{table}");

    let mut table = Table::new(&["ACCOUNT", "CLIENT", "FROM", "LANGUAGE", "IN", "OUT", "PENDING", "RTT"]);
    for one in &status.connections {
        let name = one["name"].as_str().or(one["name_tag"].as_str()).unwrap_or("unnamed");
        table.row([
            text(&one["account"]).to_owned(),
            name.to_owned(),
            format!("{}:{}", text(&one["ip"]), one["port"]),
            text(&one["lang"]).to_owned(),
            number(&one["in_msgs"]).to_string(),
            number(&one["out_msgs"]).to_string(),
            amount(number(&one["pending_bytes"])),
            text(&one["rtt"]).to_owned(),
        ]);
    }
    if !table.is_empty() {
        say!("Connections\n{table}");
    }
    for failure in &status.failures {
        say!("! {failure}");
    }
}

/// How far a store's copies are behind: the sum of what is known to be missing, and who is silent.
fn lag(row: &StoreRow) -> String {
    if let Some(waiting) = row.waiting {
        return format!("{waiting} to go up");
    }
    let store = &row.store;
    if store.origins.is_empty() {
        return String::new();
    }
    let behind: u64 = store.origins.iter().map(|origin| origin.lag).sum();
    let silent: Vec<&str> = store
        .origins
        .iter()
        .filter(|origin| origin.is_asleep())
        .map(|origin| origin.domain.as_deref().unwrap_or(&origin.stream))
        .collect();
    if silent.is_empty() { behind.to_string() } else { format!("{behind}, not hearing {}", silent.join(" ")) }
}
