//! One cancellation token for SIGTERM and SIGINT.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit;

/// A token that the first SIGTERM or SIGINT cancels. The second signal ends the process at once.
///
/// Call it once, inside a tokio runtime.
pub fn token() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let first = next().await;
        tracing::info!("stopping: received {first}; a second signal stops at once");
        cancelled.cancel();
        let second = next().await;
        tracing::warn!("received {second} while stopping: ending at once");
        std::process::exit(i32::from(exit::INTERRUPTED));
    });
    Ok(token)
}
