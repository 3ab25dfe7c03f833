//! How much the bridge gives to whom.

use std::time::Duration;

/// How feeds are served. The defaults are for a small box; each bound is there so that no client and
/// no stream decides how much memory the bridge takes.
#[derive(Clone, Debug)]
pub struct FeedConfig {
    /// How often a client is sent something at least. Proxies give up on silence after 30 s or so.
    pub heartbeat: Duration,
    /// How long a browser waits before it connects again.
    pub retry: Duration,
    /// How long a feed that nobody watches lasts: a page that is loaded again finds it running.
    pub linger: Duration,
    /// How long a request waits for nats-server before its answer begins. A stream that is not there is
    /// told until then as 404; a nats-server that is not there is waited for by the client.
    pub opening: Duration,
    /// Clients at once.
    pub clients: usize,
    /// Clients of one user at once.
    pub clients_per_user: usize,
    /// The newest messages of a log that are kept for those who are behind.
    pub ring_messages: usize,
    /// Their bytes at most.
    pub ring_bytes: usize,
    /// Messages before its first client's that a log begins with, so that those who come back after the
    /// bridge was started again need no replay each.
    pub ring_warm: u64,
    /// Subjects of a state feed at most.
    pub state_subjects: usize,
    /// Their bytes at most.
    pub state_bytes: usize,
    /// Messages that one client is replayed at most.
    pub replay_messages: u64,
    /// Their bytes at most.
    pub replay_bytes: u64,
    /// Replays at once; more wait.
    pub replays: usize,
    /// How often nats-server tells that a consumer is alive: it is made again after two and a half.
    pub idle_heartbeat: Duration,
    /// Who is sent brotli where the client takes it: so many clients at once.
    pub compressed: usize,
    /// The origin that browsers see, such as `https://box.lan`. What comes from another is refused;
    /// without one, what does not come from the host that it is sent to.
    pub origin: Option<String>,
}

impl Default for FeedConfig {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(15),
            retry: Duration::from_secs(2),
            linger: Duration::from_secs(10),
            opening: Duration::from_secs(3),
            clients: 10_000,
            clients_per_user: 100,
            ring_messages: 4096,
            ring_bytes: 4 << 20,
            ring_warm: 512,
            state_subjects: 20_000,
            state_bytes: 16 << 20,
            replay_messages: 100_000,
            replay_bytes: 64 << 20,
            replays: 16,
            idle_heartbeat: Duration::from_secs(2),
            compressed: 32,
            origin: None,
        }
    }
}
