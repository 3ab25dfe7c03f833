//! nats-server as leafbox runs it, and leafbox's registry in a process of its own.

use std::{fs, path::PathBuf, time::Instant};

use anyhow::{Context, Result, ensure};
use async_nats::jetstream::{self, consumer::pull::OrderedConfig};
use clap::Args;
use futures::StreamExt;
use registry::{Config, Digest, RegistryConnections, chunks::Lane};
use runtime::{ConnectOptions, Credentials};
use settings::{Settings, Sources};
use stores::{Clients, Healthy};
use supervisor::{
    NatsServer,
    testing::{start_in, store_in},
};
use tokio_util::sync::CancellationToken;

/// The store is encrypted and flushed before each acknowledgement: as on every leafbox node.
const CONFIG: &str = r#"
server_name: "bench"
listen: "127.0.0.1:-1"
http: "127.0.0.1:-1"
jetstream {
  store_dir: "jetstream"
  sync_interval: always
  key: "0123456789abcdef0123456789abcdef"
  cipher: aes
}
"#;

/// Chunks that the raw consumer asks for at once: of the client's own 200, nats-server has more on their
/// way than the 64 MiB at which it takes a connection for a slow consumer.
const BATCH: i64 = 32;

/// What the registry's own process is told.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where nats-server is.
    nats: String,
    /// How much of hot blobs the cache holds.
    cache: String,
    /// Where the cache is.
    folder: PathBuf,
}

/// A nats-server with the registry's streams.
pub(crate) struct Nats {
    runtime: tokio::runtime::Runtime,
    server: Option<NatsServer>,
    url: String,
}

impl Nats {
    pub(crate) fn start(folder: &std::path::Path) -> Result<Self> {
        let config = CONFIG.replace("\"jetstream\"", &format!("{:?}", store_in(folder)));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (server, url) = runtime.block_on(async {
            let server = start_in(folder, &config).await;
            let addresses = server.addresses();
            let url = format!("nats://{}", addresses.client.context("a client address")?);
            let monitoring = addresses.monitoring.context("a monitoring address")?;
            let settings = settings(folder, "0B")?;
            let client = async_nats::connect(&url).await?;
            let clients = Clients::from([("LEAFBOX".parse().map_err(anyhow::Error::msg)?, client)]);
            let plan = stores::plan(&settings.fleet, &settings.node, &clients).await;
            let applied = stores::apply(&plan, &clients, Healthy::ask(monitoring).await?).await;
            ensure!(applied.failed.is_empty(), "{applied}");
            anyhow::Ok((server, url))
        })?;
        Ok(Self { runtime, server: Some(server), url })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// nats-server's process.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(NatsServer::pid)
    }

    /// MiB/s of a blob's chunks read by ordered consumers, one after the other, with nothing done to them.
    pub(crate) fn read_raw(&self, digest: &str) -> Result<f64> {
        let digest: Digest = digest.parse()?;
        self.runtime.block_on(async {
            let context = jetstream::new(async_nats::connect(&self.url).await?);
            let records = context.get_key_value(registry::records::RECORDS_BUCKET).await?;
            let record =
                records.get(format!("blob.{}", digest.token())).await?.context("the blob's record")?;
            let record: registry::records::BlobRecord = serde_json::from_slice(&record)?;
            let since = Instant::now();
            for lane in Lane::ALL {
                let runs = record.runs.as_slice().iter().filter(|run| run.lane == lane);
                let mut left: u64 = runs.map(|run| run.count * run.size).sum();
                let stream = context.get_stream(lane.stream()).await?;
                let filter_subject = lane.subject(record.upload);
                let config = OrderedConfig { filter_subject, max_batch: BATCH, ..Default::default() };
                let consumer = stream.create_consumer(config).await?;
                let mut messages = consumer.messages().await?;
                while left > 0 {
                    left -= messages.next().await.context("more chunks")??.payload.len() as u64;
                }
            }
            Ok(record.size as f64 / 1048576.0 / since.elapsed().as_secs_f64())
        })
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            self.runtime.block_on(server.kill());
        }
    }
}

/// The files of a node that anybody on this machine may push to.
fn settings(folder: &std::path::Path, cache: &str) -> Result<Settings> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("fleet.toml"), "name = \"bench\"\n")?;
    let node = format!(
        "name = \"bench\"\n[registry]\nlisten = \"127.0.0.1:0\"\nanonymous = \"push\"\ncache = {cache:?}\n"
    );
    fs::write(folder.join("node.toml"), node)?;
    let sources = Sources::of_process(folder.join("node.toml"), |_| None);
    Ok(settings::load(&sources).map_err(|problems| anyhow::anyhow!("{problems}"))?.settings)
}

/// The registry, until it is killed.
pub(crate) fn serve(serve: Serve) -> Result<()> {
    let settings = settings(&serve.folder, &serve.cache)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let options = ConnectOptions::plain(serve.nats, "bench");
        let connections = RegistryConnections::open(&options).await?;
        let config = Config::new(&settings, Credentials::locate(&settings.data_dir()));
        println!("listening on {address}");
        registry::run(config, listener, connections, CancellationToken::new()).await?;
        anyhow::Ok(())
    })
}
