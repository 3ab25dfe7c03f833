//! How fast the registry is, beside others on the same machine in the same minutes.
//!
//! ```text
//! cargo bench -p registry -- --distribution --peer olareg=127.0.0.1:5005
//! ```
//!
//! It starts nats-server as leafbox does (encrypted store, flushed before each acknowledgement) and
//! leafbox's registry in processes of their own: one with its cache of hot blobs, and one without, whose
//! every read is a first read. Rounds go through all registries in turn, so that what else the machine
//! does meets all of them; each figure is the median of its rounds. Peers are somebody else's processes
//! (`--peer`), but Docker's registry is started here (`--distribution`).
#![allow(clippy::print_stdout, missing_docs)]

mod client;
mod image;
mod measures;
mod memory;
mod peers;
mod server;

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::Result;
use clap::{Parser, Subcommand};

use measures::{Blob, median};
use peers::{Registry, used};

/// Measures leafbox's registry, and others beside it.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// How often each figure is taken; what is told is the median.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// MiB of the one blob.
    #[arg(long, default_value_t = 256)]
    size: usize,
    /// Tags in the repository that is listed.
    #[arg(long, default_value_t = 10_000)]
    tags: usize,
    /// Start Docker's registry (`docker-registry` on PATH) as a peer.
    #[arg(long)]
    distribution: bool,
    /// Another registry that runs and takes pushes without a login, as NAME=ADDRESS.
    #[arg(long = "peer", value_parser = peer)]
    peers: Vec<(String, SocketAddr)>,
    /// Leave the images by skopeo out.
    #[arg(long)]
    no_skopeo: bool,
    /// Measure reads of one blob instead, this many of each kind in turn.
    #[arg(long)]
    reads: Option<usize>,
    /// Measure memory instead: this many transfers of the blob at once, pushes and then pulls.
    #[arg(long)]
    memory: Option<usize>,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// The registry in a process of its own.
    #[command(hide = true)]
    Serve(server::Serve),
}

fn peer(text: &str) -> Result<(String, SocketAddr), String> {
    let (name, address) = text.split_once('=').ok_or("say NAME=ADDRESS")?;
    Ok((name.to_owned(), address.parse().map_err(|error| format!("{address}: {error}"))?))
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(Part::Serve(serve)) = arguments.part {
        // As the daemon's own program does.
        runtime::keep_freed_memory();
        return server::serve(serve);
    }
    let folder = tempfile::tempdir()?;
    let nats = server::Nats::start(&folder.path().join("nats"))?;
    let leafbox =
        |name: &str, cache: &str| Registry::leafbox(name, nats.url(), &folder.path().join(name), cache);
    let cached = leafbox("leafbox", "4GiB")?;
    if let Some(transfers) = arguments.memory {
        return memory::measure(&cached, transfers, arguments.size << 20);
    }
    let idle = cached.pid().and_then(used);
    let first = leafbox("leafbox, not cached", "0B")?;
    let mut others = Vec::new();
    if arguments.distribution {
        let place = folder.path().join("distribution");
        std::fs::create_dir_all(&place)?;
        others.push(Registry::distribution(&place)?);
    }
    others.extend(arguments.peers.iter().map(|(name, address)| Registry::running(name, *address)));

    if let Some(reads) = arguments.reads {
        return measure_reads(&nats, [&cached, &first], &others, reads, arguments.size << 20);
    }
    // Who comes first meets what the round before left the disk to do.
    let in_turn = |round: usize| {
        let all: Vec<&Registry> = [&cached].into_iter().chain(&others).collect();
        (0..all.len()).map(|at| all[(at + round) % all.len()]).collect::<Vec<_>>()
    };
    let mut table = Table::default();
    for round in 0..arguments.rounds {
        let seed = u64::from(std::process::id()) << 20 | round as u64;
        let blob = Blob::new(seed, arguments.size << 20);
        for registry in in_turn(round) {
            let before = registry.pid().and_then(used);
            table.add("PUT, MiB/s", registry, measures::put(registry, &blob)?);
            if let (Some(before), Some(after)) = (before, registry.pid().and_then(used)) {
                table.add("PUT, CPU seconds", registry, after.cpu - before.cpu);
            }
        }
        table.named("range of 1 MiB not cached, ms", "leafbox", measures::range(&first, &blob, 50)?);
        table.named("raw ordered consumer, MiB/s", "nats", nats.read_raw(&blob.digest)?);
        table.add("GET just pushed, MiB/s", &cached, measures::get(&cached, &blob)?);
        table.named("first GET, MiB/s", "leafbox", measures::get(&first, &blob)?);
        for registry in &others {
            let rate = measures::get(registry, &blob)?;
            if round % 2 == 0 {
                let other = blob.variant(seed ^ 0x77);
                table.named("PUT without a cache, MiB/s", "leafbox", measures::put(&first, &other)?);
                let other = blob.variant(seed ^ 0x78);
                table.named("PUT with a cache, MiB/s", "leafbox", measures::put(&cached, &other)?);
            } else {
                let other = blob.variant(seed ^ 0x78);
                table.named("PUT with a cache, MiB/s", "leafbox", measures::put(&cached, &other)?);
                let other = blob.variant(seed ^ 0x77);
                table.named("PUT without a cache, MiB/s", "leafbox", measures::put(&first, &other)?);
            }
            table.add("GET just pushed, MiB/s", registry, rate);
            table.add("first GET, MiB/s", registry, rate);
        }
        // leafbox caches what is read twice.
        measures::get(&cached, &blob)?;
        measures::until_cached(&cached, &blob)?;
        for registry in in_turn(round) {
            table.add("range of 1 MiB, ms", registry, measures::range(registry, &blob, 50)?);
        }
        for registry in in_turn(round) {
            let before = registry.pid().and_then(used);
            table.add("GET, MiB/s", registry, measures::get(registry, &blob)?);
            if let (Some(before), Some(after)) = (before, registry.pid().and_then(used)) {
                table.add("GET, CPU seconds", registry, after.cpu - before.cpu);
            }
        }
        if !arguments.no_skopeo {
            let layout = folder.path().join("layout");
            image::write_layout(&layout, seed ^ 0xABCD, 10, 20_000_000)?;
            for registry in in_turn(round) {
                let (push, pull) = measures::skopeo(registry, &layout, round, &folder.path().join("pulled"))?;
                table.add("skopeo push of 200 MB, s", registry, push);
                table.add("skopeo pull of 200 MB, s", registry, pull);
            }
            std::fs::remove_dir_all(&layout)?;
        }
    }
    for registry in [&cached].into_iter().chain(&others) {
        measures::tag_many(registry, arguments.tags)?;
    }
    for round in 0..arguments.rounds {
        for registry in in_turn(round) {
            let (page, tags) = measures::list_tags(registry)?;
            table.add("page of 1,000 tags, ms", registry, page);
            table.add("tags listed", registry, tags as f64);
        }
    }
    if let Some(idle) = idle {
        table.named("memory when idle, MiB", "leafbox", idle.resident as f64 / 1048576.0);
    }
    for registry in [&cached].into_iter().chain(&others) {
        if let Some(used) = registry.pid().and_then(used) {
            table.add("most memory, MiB", registry, used.most_resident as f64 / 1048576.0);
        }
    }
    table.print(&cached.name);
    Ok(())
}

/// Reads of one blob, which is in nobody's memory but the kernel's.
fn measure_reads(
    nats: &server::Nats,
    [cached, first]: [&Registry; 2],
    others: &[Registry],
    reads: usize,
    length: usize,
) -> Result<()> {
    let blob = Blob::new(u64::from(std::process::id()), length);
    for registry in [cached].into_iter().chain(others) {
        measures::put(registry, &blob)?;
    }
    for _ in 0..2 {
        measures::get(cached, &blob)?;
    }
    measures::until_cached(cached, &blob)?;
    let mut table = Table::default();
    let cpu = || -> f64 {
        [nats.pid(), first.pid()].into_iter().flatten().filter_map(used).map(|used| used.cpu).sum()
    };
    for _ in 0..reads {
        table.named("raw ordered consumer, MiB/s", "nats", nats.read_raw(&blob.digest)?);
        let before = cpu();
        table.named("first GET, MiB/s", &cached.name, measures::get(first, &blob)?);
        table.named("first GET, CPU seconds with nats-server's", &cached.name, cpu() - before);
        table.add("GET, MiB/s", cached, measures::get(cached, &blob)?);
        for registry in others {
            let rate = measures::get(registry, &blob)?;
            table.add("first GET, MiB/s", registry, rate);
            table.add("GET, MiB/s", registry, rate);
        }
    }
    table.print(&cached.name);
    Ok(())
}

/// The figures by what they are of and whose they are, in the order of their first appearance.
#[derive(Default)]
struct Table {
    rows: Vec<String>,
    columns: Vec<String>,
    figures: BTreeMap<(String, String), Vec<f64>>,
}

impl Table {
    fn add(&mut self, row: &str, registry: &Registry, figure: f64) {
        self.named(row, &registry.name, figure);
    }

    fn named(&mut self, row: &str, column: &str, figure: f64) {
        for (list, name) in [(&mut self.rows, row), (&mut self.columns, column)] {
            if !list.iter().any(|known| known == name) {
                list.push(name.to_owned());
            }
        }
        self.figures.entry((row.to_owned(), column.to_owned())).or_default().push(figure);
    }

    /// As Markdown, with leafbox's figure as a multiple of each peer's.
    fn print(mut self, own: &str) {
        println!("| | {} |", self.columns.join(" | "));
        println!("|---|{}", "---|".repeat(self.columns.len()));
        for row in &self.rows {
            let mut figure = |column: &String| {
                self.figures.get_mut(&(row.clone(), column.clone())).map(|figures| median(figures))
            };
            let ours = figure(&own.to_owned());
            let cells = self.columns.iter().map(|column| match (figure(column), ours) {
                (Some(theirs), Some(ours)) if column != own => format!("{theirs:.2} ({:.2}x)", ours / theirs),
                (Some(value), _) => format!("{value:.2}"),
                (None, _) => String::new(),
            });
            println!("| {row} | {} |", cells.collect::<Vec<_>>().join(" | "));
        }
    }
}
