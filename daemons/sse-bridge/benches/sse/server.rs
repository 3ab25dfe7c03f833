//! What is measured: a nats-server, and the bridge on it.

use std::{fs, io::Read, path::Path, time::Duration};

use anyhow::Result;
use axum::{Extension, Router};
use runtime::http::{Server, Serving};
use sse_bridge::{
    Caller, Role, SessionId,
    feed::{Accounts, FeedConfig, Feeds, LEAFBOX, Policy, Rule, router},
};
use supervisor::{Launch, LogSink, NatsServer, testing::nats_server_binary};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// The nats-server.
    nats: String,
}

/// Serves until the other end of its input is closed.
pub(crate) async fn serve(serve: Serve) -> Result<()> {
    let client = async_nats::connect(&serve.nats).await?;
    let policy = Policy::standard().and(Rule {
        from: Role::Viewer,
        account: LEAFBOX.to_owned(),
        subjects: "bench.>".parse()?,
    });
    let config = FeedConfig {
        clients: 100_000,
        clients_per_user: 100_000,
        compressed: 100_000,
        ..FeedConfig::default()
    };
    let shutdown = CancellationToken::new();
    let feeds = Feeds::new(config, Accounts::new(client, None), policy, shutdown.clone());
    let caller = Caller {
        name: "bench".into(),
        role: Role::Admin,
        session: SessionId("bench".into()),
        ended: CancellationToken::new(),
    };
    let router: Router = router(feeds).layer(Extension(caller));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let serving = Serving { connections: 100_000, http2: true, answer_buffer: Some(16 << 10) };
    let server = Server { listener, tls: None, drain_deadline: Duration::from_secs(1), serving };
    let served = tokio::spawn(server.serve(router, shutdown.clone()));
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    shutdown.cancel();
    served.await?;
    Ok(())
}

pub(crate) async fn start_nats(folder: &Path) -> Result<NatsServer> {
    let config = folder.join("nats-server.conf");
    let text = format!(
        "listen: \"127.0.0.1:-1\"\nhttp: \"127.0.0.1:-1\"\nserver_name: bench\njetstream {{ store_dir: \"{}\" }}\n\
         websocket {{ listen: \"127.0.0.1:-1\", no_tls: true }}\n",
        folder.join("jetstream").display()
    );
    fs::write(&config, text)?;
    let launch = Launch {
        binary: nats_server_binary().await,
        config,
        store: None,
        environment: Vec::new(),
        run_dir: folder.join("run"),
        log: LogSink::Tracing { server: "bench".to_owned() },
        ready_timeout: Duration::from_secs(30),
        routes: false,
        keys: Vec::new(),
    };
    Ok(NatsServer::start(&launch).await?)
}
