//! Memory under many transfers at once.

use std::{thread, time::Instant};

use anyhow::{Result, anyhow, ensure};

use crate::{
    measures::{self, Blob},
    peers::{Registry, used},
};

/// MiB that the registry may have at most, whatever is transferred.
const LIMIT: f64 = 96.0;

/// Pushes `transfers` different blobs of `length` bytes at once, then reads them all at once, and tells
/// the most memory that the registry had after each; an error when it was too much.
pub(crate) fn measure(registry: &Registry, transfers: usize, length: usize) -> Result<()> {
    // One buffer for all: each transfer's blob differs in its first bytes only.
    let shared = Blob::new(1, length);
    let seeds: Vec<u64> =
        (0..transfers as u64).map(|turn| u64::from(std::process::id()) << 20 | turn).collect();
    for (what, act) in [
        ("pushes", measures::put as fn(&Registry, &Blob) -> Result<f64>),
        ("reads", measures::get as fn(&Registry, &Blob) -> Result<f64>),
    ] {
        let blobs: Vec<_> = seeds.iter().map(|seed| shared.variant(*seed)).collect();
        let since = Instant::now();
        thread::scope(|scope| {
            let turns: Vec<_> =
                blobs.iter().map(|blob| scope.spawn(move || act(registry, blob).map(drop))).collect();
            turns.into_iter().try_for_each(|turn| turn.join().map_err(|_| anyhow!("a transfer panicked"))?)
        })?;
        let rate = (transfers * (length >> 20)) as f64 / since.elapsed().as_secs_f64();
        let memory = registry.pid().and_then(used);
        let most = memory.map_or(f64::NAN, |used| used.most_resident as f64 / 1048576.0);
        println!(
            "{transfers} {what} of {} MiB at once: {rate:.0} MiB/s, {most:.1} MiB at most",
            length >> 20
        );
        ensure!(most <= LIMIT, "that is more than {LIMIT} MiB");
    }
    Ok(())
}
