//! How fast the bridge is, and how much memory a client takes.
//!
//! ```text
//! cargo bench -p sse-bridge -- --clients 5000 --rate 50
//! ```
//!
//! It starts nats-server and the bridge in processes of their own, connects clients over loopback that
//! do nothing but look for the time in each event, and publishes at a rate to a stream. Each figure is
//! of one round; rounds follow each other on one bridge. All of it shares this machine's cores: at full
//! load the latency is that of the clients as well.
#![allow(clippy::print_stdout, missing_docs)]

mod clients;
mod process;
mod server;

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use async_nats::jetstream::{self, stream};
use clap::{Parser, Subcommand};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use clients::Clients;
use process::Process;

/// Measures the bridge.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// Clients at once.
    #[arg(long, default_value_t = 1000)]
    clients: usize,
    /// Events published a second; 0 is as fast as they are acknowledged.
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// Events of a round.
    #[arg(long, default_value_t = 1000)]
    events: u64,
    /// Bytes of each payload, at least 40.
    #[arg(long, default_value_t = 120)]
    payload: usize,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// What is watched: the query of `/sse`.
    #[arg(long, default_value = "stream=BENCH")]
    query: String,
    /// Ask for brotli, for all of the clients: what an event costs then, and an encoder. They cannot look
    /// for the time in it.
    #[arg(long)]
    brotli: bool,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// The bridge in a process of its own.
    #[command(hide = true)]
    Serve(server::Serve),
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let runtime =
        |workers| tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    match arguments.part {
        Some(Part::Serve(serve)) => runtime(2)?.block_on(server::serve(serve)),
        None => runtime(1)?.block_on(measure(&arguments)),
    }
}

async fn measure(arguments: &Arguments) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let nats = server::start_nats(folder.path()).await?;
    let url = format!("nats://{}", nats.addresses().client.context("nats-server has no client listener")?);
    let (bridge, address) = Process::start(&url).await?;
    let client = async_nats::connect(&url).await?;
    let jetstream = jetstream::new(client.clone());
    let config = stream::Config {
        name: "BENCH".to_owned(),
        subjects: vec!["bench.>".to_owned()],
        storage: stream::StorageType::Memory,
        ..Default::default()
    };
    jetstream.create_stream(config).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let idle = bridge.resident()?;
    let began = Instant::now();
    let clients = Clients::connect(address, &arguments.query, arguments.clients, arguments.brotli).await?;
    let connected = bridge.resident()?;
    println!(
        "{} clients in {:.2} s; the bridge: {:.1} MiB idle, {:.1} MiB with them: {:.1} kB a client",
        arguments.clients,
        began.elapsed().as_secs_f64(),
        mib(idle),
        mib(connected),
        (connected - idle) as f64 / arguments.clients as f64 / 1000.0,
    );
    for _ in 0..arguments.rounds {
        round(arguments, &jetstream, &bridge, &clients).await?;
    }
    let after = bridge.resident()?;
    println!(
        "resident after the rounds: {:.1} MiB, {:.1} kB a client",
        mib(after),
        (after - idle) as f64 / arguments.clients as f64 / 1000.0
    );
    ensure!(clients.lost() == 0, "{} clients were disconnected", clients.lost());
    Ok(())
}

async fn round(
    arguments: &Arguments,
    jetstream: &jetstream::Context,
    bridge: &Process,
    clients: &Clients,
) -> Result<()> {
    let cpu = bridge.cpu()?;
    clients.forget();
    let began = Instant::now();
    let mut acknowledged = Vec::new();
    for number in 0..arguments.events {
        if arguments.rate > 0 {
            let due = began + Duration::from_secs_f64(number as f64 / f64::from(arguments.rate));
            tokio::time::sleep_until(due.into()).await;
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos();
        let mut payload = format!("{{\"t\":{now},\"fill\":\"");
        payload.extend(std::iter::repeat_n('x', arguments.payload.saturating_sub(payload.len() + 2)));
        payload.push_str("\"}");
        let sent = jetstream.publish("bench.event", payload.into()).await?;
        if arguments.rate == 0 {
            acknowledged.push(sent);
            if acknowledged.len() == 200 {
                for sent in acknowledged.drain(..) {
                    sent.await?;
                }
            }
        }
    }
    let expected = arguments.events * arguments.clients as u64;
    if arguments.brotli {
        clients.quiet().await;
        let used = bridge.cpu()? - cpu;
        println!(
            "brotli: {:.1} bytes an event, bridge {used:.2} CPU s ({:.2} us an event), {:.1} MiB",
            clients.bytes() as f64 / expected as f64,
            used * 1e6 / expected as f64,
            mib(bridge.resident()?),
        );
        return Ok(());
    }
    let (received, last) = clients.wait_for(expected).await;
    let (p50, p99, most) = clients.latencies();
    println!(
        "{received} of {expected} events, {:.0} a second; latency p50 {:.2} ms, p99 {:.2} ms, most {:.2} ms; \
         bridge {:.2} CPU s ({:.2} us an event), {:.1} MiB; {:.0} bytes an event",
        received as f64 / (last - began).as_secs_f64(),
        p50,
        p99,
        most,
        bridge.cpu()? - cpu,
        (bridge.cpu()? - cpu) * 1e6 / received as f64,
        mib(bridge.resident()?),
        clients.bytes() as f64 / received as f64,
    );
    ensure!(received == expected, "{} events were lost", expected - received);
    Ok(())
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
