//! How fast the bridge is, and how much memory a client takes; and the same of its peers.
//!
//! ```text
//! cargo bench -p sse-bridge -- --clients 5000 --rate 5 --peer websocket --peer mercure=./mercure
//! ```
//!
//! It starts nats-server and the bridge in processes of their own, connects clients over loopback that
//! do nothing but look for the time in each event, and publishes at a rate to a stream. Rounds follow
//! each other on one bridge, and the table has their medians. For a peer the stream is what it has
//! instead: a core subject for nats-server's websocket, a topic without history for Mercure. All of it shares this machine's cores: at full
//! load the latency is that of the clients as well.
#![allow(clippy::print_stdout, missing_docs)]

mod clients;
mod peer;
mod process;
mod server;

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use async_nats::jetstream::{self, context::PublishAckFuture, stream};
use clap::{Parser, Subcommand};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use clients::{Clients, Opening};
use peer::Peer;
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
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// What is watched: the query of `/sse`.
    #[arg(long, default_value = "stream=BENCH")]
    query: String,
    /// Ask for brotli, for all of the clients: what an event costs then, and an encoder. They cannot look
    /// for the time in it.
    #[arg(long)]
    brotli: bool,
    /// What is measured after the bridge, as often as wanted: `websocket` for nats-server's own, or
    /// `mercure=PROGRAM` for Mercure's hub.
    #[arg(long)]
    peer: Vec<Peer>,
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

/// What one way came to, medians of the rounds.
struct Figures {
    name: &'static str,
    idle: f64,
    /// Bytes, when the clients are connected and after the rounds.
    client: [f64; 2],
    events: f64,
    p50: f64,
    p99: f64,
    /// Microseconds of CPU for an event at a client.
    cpu: f64,
}

/// Who publishes, and what they publish to.
enum Publisher {
    JetStream(jetstream::Context),
    Mercure(peer::Mercure),
    Core(async_nats::Client),
}

impl Publisher {
    /// Publishes; gives what its acknowledgement is waited for by, where that comes later.
    async fn publish(&mut self, payload: String) -> Result<Option<PublishAckFuture>> {
        match self {
            Self::JetStream(jetstream) => {
                return Ok(Some(jetstream.publish("bench.event", payload.into()).await?));
            }
            Self::Mercure(mercure) => mercure.publish(&payload).await?,
            Self::Core(client) => {
                client.publish("bench.event", payload.into()).await?;
                client.flush().await?;
            }
        }
        Ok(None)
    }
}

async fn measure(arguments: &Arguments) -> Result<()> {
    let mut all = vec![measure_one(arguments, None).await?];
    for peer in &arguments.peer {
        all.push(measure_one(arguments, Some(peer)).await?);
    }
    println!(
        "\n| {} clients | events/s | p50 ms | p99 ms | CPU us an event | kB a client | MiB idle |",
        arguments.clients
    );
    println!("|---|---|---|---|---|---|---|");
    for figures in &all {
        let Figures { name, idle, client, events, p50, p99, cpu } = figures;
        println!(
            "| {name} | {events:.0} | {p50:.1} | {p99:.1} | {cpu:.2} | {:.1}, {:.1} after | {idle:.1} |",
            client[0], client[1]
        );
    }
    for figures in &all[1..] {
        let us = &all[0];
        println!(
            "{} to the bridge: events/s x {:.2}, p99 x {:.2}, CPU x {:.2}, memory a client x {:.2}",
            figures.name,
            figures.events / us.events,
            figures.p99 / us.p99,
            figures.cpu / us.cpu,
            figures.client[1] / us.client[1],
        );
    }
    Ok(())
}

async fn measure_one(arguments: &Arguments, peer: Option<&Peer>) -> Result<Figures> {
    let folder = tempfile::tempdir()?;
    let nats = server::start_nats(folder.path()).await?;
    let url = format!("nats://{}", nats.addresses().client.context("nats-server has no client listener")?);
    let client = async_nats::connect(&url).await?;
    let (process, address, opening, mut publisher) = match peer {
        None => {
            let (bridge, address) = Process::start(&url).await?;
            let jetstream = jetstream::new(client);
            let config = stream::Config {
                name: "BENCH".to_owned(),
                subjects: vec!["bench.>".to_owned()],
                storage: stream::StorageType::Memory,
                ..Default::default()
            };
            jetstream.create_stream(config).await?;
            let opening = Opening::of(&format!("/sse?{}", arguments.query), arguments.brotli);
            (bridge, address, opening, Publisher::JetStream(jetstream))
        }
        Some(Peer::Websocket) => {
            let (process, address, opening) = peer::websocket(&nats)?;
            (process, address, opening, Publisher::Core(client))
        }
        Some(Peer::Mercure(program)) => {
            let (mercure, process) = peer::Mercure::start(program, folder.path()).await?;
            let (address, opening) = mercure.opening();
            (process, address, opening, Publisher::Mercure(mercure))
        }
    };
    tokio::time::sleep(Duration::from_millis(500)).await;
    let name = peer.map_or("the bridge", Peer::name);
    let idle = process.resident()?;
    let began = Instant::now();
    let clients = Clients::connect(address, &opening, arguments.clients).await?;
    let of_client = |resident: u64| resident.saturating_sub(idle) as f64 / arguments.clients as f64 / 1000.0;
    let connected = of_client(process.resident()?);
    println!(
        "{name}: {} clients in {:.2} s; {:.1} MiB idle, {connected:.1} kB a client",
        arguments.clients,
        began.elapsed().as_secs_f64(),
        mib(idle),
    );
    let mut rounds = Vec::new();
    for _ in 0..arguments.rounds {
        rounds.push(round(arguments, &mut publisher, &process, &clients).await?);
    }
    let after = of_client(process.resident()?);
    println!("{name}: {after:.1} kB a client after the rounds");
    ensure!(clients.lost() == 0, "{} clients were disconnected", clients.lost());
    let median = |of: usize| {
        let mut all: Vec<f64> = rounds.iter().map(|round| round[of]).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or_default()
    };
    Ok(Figures {
        name,
        idle: mib(idle),
        client: [connected, after],
        events: median(0),
        p50: median(1),
        p99: median(2),
        cpu: median(3),
    })
}

/// Events a second, milliseconds within which half and 99 of 100 came, microseconds of CPU for each.
async fn round(
    arguments: &Arguments,
    publisher: &mut Publisher,
    process: &Process,
    clients: &Clients,
) -> Result<[f64; 4]> {
    let cpu = process.cpu()?;
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
        let sent = publisher.publish(payload).await?;
        if arguments.rate == 0 {
            acknowledged.extend(sent);
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
        let used = process.cpu()? - cpu;
        println!(
            "brotli: {:.1} bytes an event, {used:.2} CPU s ({:.2} us an event), {:.1} MiB",
            clients.bytes() as f64 / expected as f64,
            used * 1e6 / expected as f64,
            mib(process.resident()?),
        );
        return Ok([0.0, 0.0, 0.0, used * 1e6 / expected as f64]);
    }
    let (received, last) = clients.wait_for(expected).await;
    let (p50, p99, most) = clients.latencies();
    let a_second = received as f64 / (last - began).as_secs_f64();
    let of_event = (process.cpu()? - cpu) * 1e6 / received as f64;
    println!(
        "{received} of {expected} events, {a_second:.0} a second; latency p50 {p50:.2} ms, p99 {p99:.2} ms, \
         most {most:.2} ms; {:.2} CPU s ({of_event:.2} us an event), {:.1} MiB; {:.0} bytes an event",
        process.cpu()? - cpu,
        mib(process.resident()?),
        clients.bytes() as f64 / received as f64,
    );
    ensure!(received == expected, "{} events were lost", expected - received);
    Ok([a_second, p50, p99, of_event])
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
