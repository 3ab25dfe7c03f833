//! `leafbox registry du`: where the space goes.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use anyhow::Result;
use registry::{
    chunks::Lane,
    collect::{self, Space},
};
use serde::Serialize;

use super::{list::when, storage};
use crate::{
    figures::{amount, count},
    say,
    session::Session,
    table::Table,
};

/// The report of the records and JetStream, and what the files take.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    space: Space,
    /// Bytes on this machine's disk of the streams of chunks; nothing where the files cannot be read.
    disk_bytes: Option<u64>,
    /// Bytes on this machine's disk of the cache.
    cache_bytes: Option<u64>,
    /// What the cache may take.
    cache_limit: u64,
}

pub(super) async fn run(session: &Session, as_json: bool) -> Result<()> {
    let storage = storage::open(session).await?;
    let report = Report {
        space: collect::space(&storage, &session.settings.fleet.registry).await?,
        disk_bytes: chunks_on_disk(&session.data.jetstream()).ok(),
        cache_bytes: on_disk(&session.data.root().join("registry")).ok(),
        cache_limit: session.settings.node.registry.cache.bytes(),
    };
    if as_json {
        say!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report);
    }
    Ok(())
}

/// JetStream keeps a stream below the key of its account, which need not be known: the streams' names are
/// leafbox's own.
fn chunks_on_disk(stores: &Path) -> io::Result<u64> {
    let accounts: Vec<PathBuf> =
        fs::read_dir(stores.join("jetstream"))?.flatten().map(|entry| entry.path()).collect();
    let mut bytes = 0;
    for lane in Lane::ALL {
        let mut folders = accounts.iter().map(|account| account.join("streams").join(lane.stream()));
        let folder = folders.find(|folder| folder.is_dir()).ok_or(io::ErrorKind::NotFound)?;
        bytes += on_disk(&folder)?;
    }
    Ok(bytes)
}

/// Bytes that files take on the disk, which is more than they hold by part of a block each.
fn on_disk(folder: &Path) -> io::Result<u64> {
    const BLOCK: u64 = 512;
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = match entry.metadata() {
            // nats-server and the daemon remove files while they are counted.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        bytes += if metadata.is_dir() { on_disk(&entry.path())? } else { metadata.blocks() * BLOCK };
    }
    Ok(bytes)
}

fn print(report: &Report) {
    let space = &report.space;
    let mut table = Table::new(&["REPOSITORY", "TAGS", "MANIFESTS", "SIZE", "SHARED"]);
    for row in &space.repositories {
        table.row([
            row.repository.to_string(),
            row.tags.to_string(),
            row.manifests.to_string(),
            amount(row.bytes),
            amount(row.shared),
        ]);
    }
    if !table.is_empty() {
        say!("Repositories (what another one has too is shared, and stored once)\n{table}");
    }
    let mut table = Table::new(&["NAMESPACE", "SIZE", "RESERVED", "QUOTA", "USED"]);
    for row in &space.namespaces {
        table.row([
            row.namespace.clone(),
            amount(row.bytes),
            amount(row.reserved),
            row.quota.map_or("none".to_owned(), amount),
            row.quota.map_or(String::new(), |quota| percent(row.bytes + row.reserved, quota)),
        ]);
    }
    if !table.is_empty() {
        say!("Namespaces\n{table}");
    }
    let mut table = Table::new(&["IN ALL", "SIZE", ""]);
    table.row([
        "blobs".into(),
        amount(space.blob_bytes),
        format!("{}, each stored once", count(space.blobs, "blob")),
    ]);
    table.row(["uploads".into(), amount(space.upload_bytes), format!("{} under way", space.uploads)]);
    let limit = space.stream_limit.map(|limit| format!(", of {} (registry.max_bytes)", amount(limit)));
    let streams = Lane::ALL.map(Lane::stream).join(" and ");
    table.row([
        "JetStream".into(),
        amount(space.stream_bytes),
        format!("{} of {streams}{}", count(space.chunks, "message"), limit.unwrap_or_default()),
    ]);
    table.row(match report.disk_bytes {
        Some(bytes) => ["disk".into(), amount(bytes), format!("files of {streams} on this machine")],
        None => {
            ["disk".into(), "?".into(), "its files can be read by nats-server's user and root only".into()]
        }
    });
    table.row([
        "cache".into(),
        report.cache_bytes.map_or("none".to_owned(), amount),
        format!("of {} (registry.cache), may be removed at any time", amount(report.cache_limit)),
    ]);
    say!("{table}");
    let free = &space.collectable;
    say!(
        "`leafbox registry gc` would free {} in JetStream now{}",
        amount(free.bytes + free.upload_bytes),
        match free.next {
            Some(next) => format!(", and {} more from {} on", amount(free.waiting_bytes), when(next)),
            None => String::new(),
        }
    );
    say!("The disk follows minutes later, and not to the byte: nats-server writes a file of 8 MiB anew only");
    say!("when less than half of it is in use.");
}

fn percent(part: u64, whole: u64) -> String {
    if whole == 0 { "full".to_owned() } else { format!("{:.0} %", part as f64 * 100.0 / whole as f64) }
}
