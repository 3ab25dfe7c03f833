//! What systemd is told: ready, stopping, alive. Without systemd each of these does nothing.

use std::{future::Future, pin::pin, time::Duration};

use sd_notify::NotifyState;
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

/// Tells systemd that the service is up.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Tells systemd that the service is stopping, so that it does not count as failed.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Tells systemd what the service is doing, for `systemctl status`.
pub fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

/// Tells systemd's watchdog once that the service lives.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// Has systemd's watchdog act at once: the service is alive, and does its work no more.
pub fn restart_me() {
    tell(&[NotifyState::WatchdogTrigger]);
}

/// Asks systemd to wait longer than its own deadline for a start that goes on: this long from now.
pub fn extend_start(by: Duration) {
    tell(&[NotifyState::ExtendTimeoutUsec(u32::try_from(by.as_micros()).unwrap_or(u32::MAX))]);
}

/// Whether anybody is told: systemd, or another manager that set `NOTIFY_SOCKET`.
pub fn is_listening() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some_and(|path| !path.is_empty())
}

/// How long systemd's watchdog waits for a sign of life from this process; `None` where there is no
/// watchdog.
pub fn watchdog_limit() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// Tells systemd of a service from its start to its end: that it is ready, that it lives for as long as
/// `is_alive` says so, and that it is stopping once `shutdown` is cancelled or `serve` has ended. Gives
/// what `serve` gave, with `shutdown` cancelled.
pub async fn around<T>(
    is_alive: impl Fn() -> bool + Send + 'static,
    shutdown: &CancellationToken,
    serve: impl Future<Output = T>,
) -> T {
    let watchdog = watchdog(is_alive, shutdown.clone());
    ready();
    let mut serve = pin!(serve);
    let ended = tokio::select! {
        ended = &mut serve => Some(ended),
        () = shutdown.cancelled() => None,
    };
    stopping();
    let ended = match ended {
        Some(ended) => ended,
        None => serve.await,
    };
    shutdown.cancel();
    if let Some(watchdog) = watchdog
        && let Err(error) = watchdog.await
    {
        tracing::error!("what tells systemd's watchdog failed: {error}");
    }
    ended
}

/// Tells systemd's watchdog that the service lives, for as long as `alive` says so, until
/// `shutdown`; `None` where there is no watchdog. When `alive` stops saying so, systemd restarts
/// the service.
pub fn watchdog(
    alive: impl Fn() -> bool + Send + 'static,
    shutdown: CancellationToken,
) -> Option<JoinHandle<()>> {
    let limit = watchdog_limit()?;
    Some(tokio::spawn(async move {
        // Half of the limit, as sd_watchdog_enabled(3) advises.
        let mut ticks = interval((limit / 2).max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut was_alive = true;
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            let is_alive = alive();
            if is_alive {
                tell(&[NotifyState::Watchdog]);
            } else if was_alive {
                tracing::error!("not alive: systemd's watchdog will restart this service");
            }
            was_alive = is_alive;
        }
    }))
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("systemd could not be told: {error}");
    }
}
