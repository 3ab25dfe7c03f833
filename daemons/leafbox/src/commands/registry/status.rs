//! `leafbox registry status`: what the daemon has under way, and what the records tell without it.

use std::time::Duration;

use anyhow::{Context, Result};
use async_nats::{Client, RequestErrorKind};
use registry::{
    Storage, collect,
    records::now,
    status::{self, Status},
    travel,
};
use serde_json::{Value, json};

use super::{image, list::when, storage};
use crate::{
    figures::{amount, count, span},
    say,
    session::Session,
    table::Table,
};

/// A daemon answers in milliseconds, unless it is stuck.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) async fn run(session: &Session, as_json: bool) -> Result<()> {
    let client = storage::connect(session).await?;
    let node = session.settings.node.name.as_str();
    let answer = ask(&client, node).await;
    let storage = storage::open_on(session, client).await?;
    let lease = collect::lease(&storage).await?;
    if as_json {
        let (daemon, error) = match &answer {
            Ok(status) => (serde_json::to_value(status)?, None),
            Err(error) => (Value::Null, Some(format!("{error:#}"))),
        };
        let shown = json!({
            "daemon": daemon,
            "error": error,
            "waiting_for_hub": announcements(&storage),
            "uploads": uploads(&storage),
            "collected": lease.as_ref().and_then(|lease| lease.finished),
        });
        say!("{}", serde_json::to_string_pretty(&shown)?);
        return Ok(());
    }
    match &answer {
        Ok(status) => print_daemon(session, status),
        Err(error) => {
            say!("registry of {node}: {error:#}");
            say!("Images are not served. What the records tell:");
        }
    }
    match lease.as_ref().and_then(|lease| lease.finished) {
        Some(finished) => {
            say!("  collected  {} ({} ago)", when(finished), span(now().saturating_sub(finished)))
        }
        None => say!("  collected  not yet"),
    }
    print_records(&storage, answer.is_ok());
    Ok(())
}

async fn ask(client: &Client, node: &str) -> Result<Status> {
    let question = client.request(status::subject(node), "".into());
    let answer = match tokio::time::timeout(PATIENCE, question).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders => anyhow::bail!(
            "the daemon does not run: `leafbox dev` and `leafbox run` start it, systemd has leafbox-registry.service"
        ),
        Ok(Err(error)) => return Err(error).context("the daemon could not be asked"),
        Err(_) => anyhow::bail!(
            "the daemon does not answer within {}: `leafbox logs` or `journalctl -u leafbox-registry` shows why",
            span(PATIENCE.as_secs())
        ),
    };
    serde_json::from_slice(&answer.payload)
        .context("the daemon's answer is not understood: is it of this version?")
}

fn print_daemon(session: &Session, status: &Status) {
    let address = session.addresses.registry;
    say!(
        "registry of {}, leafbox {}{}",
        status.node,
        status.version,
        address.map_or(String::new(), |address| format!(", on {}", runtime::reachable(address)))
    );
    say!(
        "  ready      {}",
        if status.ready { "yes" } else { "no: it waits for its stores, see `leafbox logs`" }
    );
    say!(
        "  images     {}, {}, {}, {}",
        plural(status.repositories, "repository", "repositories"),
        count(status.tags as u64, "tag"),
        count(status.manifests as u64, "manifest"),
        count(status.blobs as u64, "blob")
    );
    let cache = &status.cache;
    let asked = cache.hits + cache.misses;
    let rate =
        (asked > 0).then(|| format!(", answered {:.0} % of reads", cache.hits as f64 * 100.0 / asked as f64));
    say!("  cache      {} of {}{}", amount(cache.bytes), amount(cache.limit), rate.unwrap_or_default());
    let collected = &status.collected;
    say!(
        "  freed      {} in {}{}, since the daemon started",
        amount(collected.bytes),
        plural(usize::try_from(collected.passes).unwrap_or(usize::MAX), "pass", "passes"),
        if collected.failures > 0 { format!(", {} failed", collected.failures) } else { String::new() }
    );
    if status.audit_dropped > 0 {
        say!("  audit      {} lost: JetStream does not take them", count(status.audit_dropped, "event"));
    }
    if let Some(travel) = &status.travel {
        print_travel(travel);
    }
}

fn print_travel(travel: &travel::Status) {
    if let Some(hub) = &travel.hub {
        let answered =
            hub.answered.map_or("not asked yet".to_owned(), |at| format!("last answered {}", when(at)));
        let error = hub.error.as_ref().map_or(String::new(), |error| format!("; since then: {error}"));
        say!("  hub        {answered}{error}");
    }
    let moved = &travel.travelled;
    say!(
        "  travelled  {} from the hub, {} from leaves, {} from upstreams, {} sent, since the daemon started",
        amount(moved.from_hub),
        amount(moved.from_leaves),
        amount(moved.from_upstreams),
        amount(moved.sent)
    );
    if travel.missing > 0 {
        say!("  missing    {} of images from elsewhere", count(travel.missing as u64, "blob"));
    }
    for (repository, tag) in &travel.renewing {
        say!("  renewing   {repository}:{tag}");
    }
    for one in &travel.gathering {
        say!("  gathering  {}:{} from leaf {}", one.repository, one.tag, one.leaf);
    }
    for (digest, why) in &travel.refused {
        say!("  refused    {}: {why}", image::short(digest));
    }
    if !travel.fetches.is_empty() {
        let mut table = Table::new(&["COMING", "FROM", "DONE", "OF", "FOR", "STATE"]);
        for fetch in &travel.fetches {
            let names: Vec<String> = fetch.repositories.iter().map(ToString::to_string).collect();
            let state = match &fetch.error {
                _ if fetch.flows => "flows".to_owned(),
                Some(error) => format!("waits: {error}"),
                None => "waits for its turn".to_owned(),
            };
            table.row([
                image::short(&fetch.digest),
                fetch.from.clone(),
                amount(fetch.done),
                fetch.total.map_or("?".to_owned(), amount),
                names.join(" "),
                state,
            ]);
        }
        say!("\nBlobs on their way here\n{}", table.to_string().trim_end());
    }
    if !travel.announcements.is_empty() {
        let mut table = Table::new(&["IMAGE", "SINCE", "DONE", "OF", "STATE"]);
        for one in &travel.announcements {
            table.row([
                format!("{}:{}", one.repository, one.tag),
                when(one.since),
                amount(one.done),
                amount(one.total),
                one.error.as_ref().map_or("on its way".to_owned(), |error| format!("waits: {error}")),
            ]);
        }
        say!("\nOn their way to the hub\n{}", table.to_string().trim_end());
    }
}

/// What is under way by the records; the backlog only where no daemon told more of it.
fn print_records(storage: &Storage, told: bool) {
    let mut table = Table::new(&["UPLOAD TO", "BYTES", "LAST BYTES", "WHAT"]);
    let mut uploads = storage.index().uploads();
    uploads.sort_by_key(|(_, upload)| upload.touched);
    for (_, upload) in &uploads {
        let what = match &upload.travels {
            Some(travels) => format!("{} of {}", image::short(&travels.digest), amount(travels.size)),
            None => "pushed by a client".to_owned(),
        };
        table.row([upload.repository.to_string(), amount(upload.offset), when(upload.touched), what]);
    }
    if !table.is_empty() {
        say!("\nUploads under way\n{}", table.to_string().trim_end());
    }
    let waiting = storage.index().announcements();
    if !told && !waiting.is_empty() {
        let mut table = Table::new(&["WAITS FOR THE HUB", "SINCE"]);
        for (repository, tag, record) in waiting {
            table.row([format!("{repository}:{tag}"), when(record.since)]);
        }
        say!("\n{}", table.to_string().trim_end());
    }
}

fn announcements(storage: &Storage) -> Vec<Value> {
    let waiting = storage.index().announcements().into_iter();
    let waiting = waiting.map(|(repository, tag, record)| {
        json!({ "repository": repository, "tag": tag, "digest": record.digest, "since": record.since })
    });
    waiting.collect()
}

fn uploads(storage: &Storage) -> Vec<Value> {
    let uploads = storage.index().uploads().into_iter().map(|(id, upload)| {
        json!({
            "id": id,
            "repository": upload.repository,
            "bytes": upload.offset,
            "size": upload.travels.as_ref().map(|travels| travels.size),
            "touched": upload.touched,
        })
    });
    uploads.collect()
}

fn plural(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
