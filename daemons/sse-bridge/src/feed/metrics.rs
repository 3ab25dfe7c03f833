//! What the bridge counts, as Prometheus reads it (text format 0.0.4). No client makes a series.

use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// The counters of one bridge. A clone counts in the same place.
#[derive(Clone, Debug, Default)]
pub(super) struct Metrics(Arc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    messages: AtomicU64,
    events: AtomicU64,
    bytes: AtomicU64,
    slow: AtomicU64,
    refused: AtomicU64,
    replays: AtomicU64,
    replayed: AtomicU64,
    gaps: AtomicU64,
    restarts: AtomicU64,
}

/// What is there at the moment, besides what was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Now {
    pub(super) clients: usize,
    pub(super) feeds: usize,
    /// Messages that nats-server has and has not sent, of the feed that is furthest behind.
    pub(super) lag: u64,
}

macro_rules! counters {
    ($($name:ident: $field:ident),* $(,)?) => {
        $(pub(super) fn $name(&self, count: u64) {
            self.0.$field.fetch_add(count, Ordering::Relaxed);
        })*
    };
}

impl Metrics {
    counters! {
        received: messages,
        sent: events,
        sent_bytes: bytes,
        dropped_slow: slow,
        refused: refused,
        replay: replays,
        replayed: replayed,
        gap: gaps,
        restarted: restarts,
    }

    pub(super) fn text(&self, now: Now) -> String {
        let counted = &*self.0;
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut text = String::new();
        for (name, kind, help, value) in [
            ("clients", "gauge", "Clients that watch.", now.clients as u64),
            ("feeds", "gauge", "Subscriptions and consumers that clients share.", now.feeds as u64),
            ("lag_messages", "gauge", "Messages that nats-server has and the slowest feed has not.", now.lag),
            ("messages_total", "counter", "Messages that came from nats-server.", load(&counted.messages)),
            ("events_total", "counter", "Messages that clients were sent.", load(&counted.events)),
            ("sent_bytes_total", "counter", "Bytes that clients were sent.", load(&counted.bytes)),
            (
                "slow_clients_total",
                "counter",
                "Clients disconnected since they were slow.",
                load(&counted.slow),
            ),
            ("refused_total", "counter", "Requests refused.", load(&counted.refused)),
            (
                "replays_total",
                "counter",
                "Clients that were behind the memory of a feed.",
                load(&counted.replays),
            ),
            (
                "replayed_messages_total",
                "counter",
                "Messages that were read for one client.",
                load(&counted.replayed),
            ),
            ("gaps_total", "counter", "Gaps that clients were told of.", load(&counted.gaps)),
            ("feed_restarts_total", "counter", "Consumers that were made again.", load(&counted.restarts)),
        ] {
            let _ = writeln!(text, "# HELP leafbox_sse_{name} {help}");
            let _ = writeln!(text, "# TYPE leafbox_sse_{name} {kind}");
            let _ = writeln!(text, "leafbox_sse_{name} {value}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_told() {
        let metrics = Metrics::default();
        metrics.sent(3);
        metrics.clone().sent(2);
        let text = metrics.text(Now { clients: 7, ..Now::default() });
        assert!(text.contains("\nleafbox_sse_events_total 5\n"), "{text}");
        assert!(text.contains("\nleafbox_sse_clients 7\n"), "{text}");
    }
}
