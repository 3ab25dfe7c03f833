//! Keeps the in-process daemons running, and drains them in the reverse of their start.

use std::{fmt::Display, future::Future, time::Duration};

use runtime::Backoff;
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A daemon that ran for this long ends for a new reason: the waits start over.
const STABLE: Duration = Duration::from_secs(30);

/// The daemons of one process, in the order of their start.
#[derive(Debug, Default)]
pub struct Daemons {
    running: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    name: &'static str,
    stop: CancellationToken,
    keeper: JoinHandle<()>,
}

impl Daemons {
    /// No daemons yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a daemon. `run` is called again, after a wait that grows, whenever the daemon fails,
    /// panics or ends without being told to. It must drain and return once its token is cancelled.
    pub fn start<R, F, E>(&mut self, name: &'static str, run: R)
    where
        R: FnMut(CancellationToken) -> F + Send + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let stop = CancellationToken::new();
        let keeper = tokio::spawn(keep(name, run, stop.clone()));
        self.running.push(Running { name, stop, keeper });
    }

    /// Stops all, the last started first. Each may drain for as long as the deadline; one that does
    /// not end by then is cut off. Returns the names of those that were.
    pub async fn stop(self, deadline: Duration) -> Vec<&'static str> {
        let mut cut_off = Vec::new();
        for Running { name, stop, mut keeper } in self.running.into_iter().rev() {
            stop.cancel();
            match timeout(deadline, &mut keeper).await {
                Ok(Ok(())) => tracing::debug!(daemon.name = name, "{name} stopped"),
                Ok(Err(error)) => tracing::error!(daemon.name = name, "{name} could not be kept: {error}"),
                Err(_) => {
                    tracing::error!(daemon.name = name, "{name} did not drain within {deadline:?}: cut off");
                    keeper.abort();
                    // Ends as cancelled; what matters is that nothing of it runs any more.
                    let _ = keeper.await;
                    cut_off.push(name);
                }
            }
        }
        cut_off
    }
}

async fn keep<R, F, E>(name: &'static str, mut run: R, stop: CancellationToken)
where
    R: FnMut(CancellationToken) -> F,
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Display + Send + 'static,
{
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    loop {
        let started = Instant::now();
        // A task of its own, so that a panic ends only this run.
        let ended = AbortOnDropHandle::new(tokio::spawn(run(stop.clone()))).await;
        let why = match ended {
            Ok(Ok(())) if stop.is_cancelled() => return,
            Ok(Ok(())) => "it ended without being told to".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(error) if error.is_panic() => format!("it panicked: {}", panic_text(error.into_panic())),
            Err(error) => error.to_string(),
        };
        if started.elapsed() >= STABLE {
            backoff.reset();
        }
        tracing::error!(daemon.name = name, "{name} failed: {why}");
        if stop.run_until_cancelled(tokio::time::sleep(backoff.wait())).await.is_none() {
            return;
        }
        tracing::info!(daemon.name = name, "starting {name} again");
    }
}

fn panic_text(panic: Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast::<String>().ok().map(|text| *text)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    };

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_daemon_that_panics_or_fails_or_ends_is_started_again() {
        let (runs, settled) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let (counted, telling) = (Arc::clone(&runs), Arc::clone(&settled));
        let mut daemons = Daemons::new();
        daemons.start("odd", move |stop| {
            let run = counted.fetch_add(1, Ordering::SeqCst);
            let telling = Arc::clone(&telling);
            async move {
                match run {
                    0 => panic!("on purpose"),
                    1 => Err("failed on purpose"),
                    2 => Ok(()),
                    _ => {
                        telling.notify_one();
                        stop.cancelled().await;
                        Ok(())
                    }
                }
            }
        });
        settled.notified().await;
        assert_eq!(runs.load(Ordering::SeqCst), 4);
        assert!(daemons.stop(Duration::from_secs(1)).await.is_empty());
        assert_eq!(runs.load(Ordering::SeqCst), 4);
    }

    #[tokio::test]
    async fn daemons_drain_in_reverse() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut daemons = Daemons::new();
        for name in ["first", "second", "third"] {
            let order = Arc::clone(&order);
            daemons.start(name, move |stop| {
                let order = Arc::clone(&order);
                async move {
                    stop.cancelled().await;
                    order.lock().unwrap().push(name);
                    Ok::<_, String>(())
                }
            });
        }
        assert!(daemons.stop(Duration::from_secs(30)).await.is_empty());
        assert_eq!(*order.lock().unwrap(), ["third", "second", "first"]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_drain_is_cut_off_and_the_others_are_not() {
        struct Dropped(Arc<AtomicU32>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let (dropped, runs) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let mut daemons = Daemons::new();
        daemons.start("good", |stop| async move {
            stop.cancelled().await;
            Ok::<_, String>(())
        });
        let (held, running) = (Arc::clone(&dropped), Arc::clone(&runs));
        daemons.start("stuck", move |_| {
            let (held, running) = (Dropped(Arc::clone(&held)), Arc::clone(&running));
            async move {
                running.notify_one();
                std::future::pending::<()>().await;
                drop(held);
                Ok::<_, String>(())
            }
        });
        runs.notified().await;
        assert_eq!(daemons.stop(Duration::from_secs(5)).await, ["stuck"]);
        tokio::task::yield_now().await;
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
    }
}
