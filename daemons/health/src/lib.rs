//! Says whether this node is well: to whoever asks over HTTP, and to the fleet by a heartbeat.
//!
//! - `GET /healthz`: this daemon is alive.
//! - `GET /readyz`: the node can be used. The uplink is reported, and never makes a leaf unready.
//! - `leafbox.node.<node>.heartbeat` and the key `<node>` of the bucket `leafbox_nodes`: the
//!   [`Report`], every `health.heartbeat`.
//!
//! It waits for NATS and lives on without it; a heartbeat that cannot be sent is dropped, as the
//! next one says more. Absent on purpose: any action. It only tells.

mod applied;
mod checks;
mod config;
mod heartbeat;
mod observer;
mod report;
mod routes;
mod uplink;

use std::{sync::Arc, time::Duration};

use async_nats::Client;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use applied::{Applied, AppliedError};
pub use checks::Check;
pub use config::Config;
pub use report::{JetStreamUse, Report};
pub use runtime::Pulse;
pub use uplink::{Uplink, UplinkState};

use observer::Observer;

/// How long a request under way may take after shutdown.
const DRAIN: Duration = Duration::from_secs(5);

/// The name by which it registers as a NATS micro service.
pub const SERVICE: &str = "leafbox-health";

/// Answers on `listener` and sends heartbeats until `shutdown`.
///
/// `nats` is a client of the `LEAFBOX` account, which need not be connected yet.
pub async fn run(
    config: Config,
    listener: TcpListener,
    nats: Client,
    shutdown: CancellationToken,
) -> Result<(), runtime::micro::MicroError> {
    let micro = runtime::micro::Micro {
        name: SERVICE,
        version: env!("CARGO_PKG_VERSION"),
        description: "readiness and heartbeat of a leafbox node",
        node: config.node.as_str(),
    };
    let service = runtime::micro::register(&nats, &micro).await?;
    let observer = Arc::new(Observer::new(config, nats));
    let routes = routes::router(Arc::clone(&observer));
    tokio::join!(
        runtime::http::serve(listener, routes, shutdown.clone(), DRAIN),
        heartbeat::beat(&observer, shutdown),
    );
    if let Err(error) = service.stop().await {
        tracing::debug!("{SERVICE} could not be taken off the list of services: {error}");
    }
    Ok(())
}
