//! Many clients on one thread: each reads what has come and looks for the time in it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Result, ensure};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::mpsc,
    task::LocalSet,
    time::{sleep, timeout},
};

/// What stands before the time in a payload.
const MARK: &[u8] = b"{\"t\":";
/// Digits of nanoseconds since 1970.
const DIGITS: usize = 19;
/// How long nothing may come before the rest counts as lost.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Seen {
    events: AtomicU64,
    bytes: AtomicU64,
    lost: AtomicUsize,
    /// Microseconds, as many as there are events.
    latencies: Mutex<Vec<u32>>,
}

/// What a client says first.
#[derive(Clone)]
pub(crate) struct Opening {
    /// Its request.
    pub(crate) greeting: Vec<u8>,
    /// What it sends once that is answered; nothing where the request is all.
    pub(crate) then: Vec<u8>,
    /// What is at the end of the last answer.
    pub(crate) until: &'static [u8],
}

impl Opening {
    /// A request for events.
    pub(crate) fn of(path: &str, brotli: bool) -> Self {
        let accept = if brotli { "accept-encoding: br\r\n" } else { "" };
        let greeting = format!("GET {path} HTTP/1.1\r\nhost: bench\r\n{accept}\r\n");
        Self { greeting: greeting.into(), then: Vec::new(), until: b"\r\n\r\n" }
    }
}

pub(crate) struct Clients {
    seen: Arc<Seen>,
}

impl Clients {
    /// Connects so many, and returns when each has been answered.
    pub(crate) async fn connect(address: SocketAddr, opening: &Opening, count: usize) -> Result<Self> {
        let seen = Arc::new(Seen::default());
        let (answered, mut answers) = mpsc::unbounded_channel();
        let opening = Arc::new(opening.clone());
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let local = LocalSet::new();
            local.spawn_local(async move {
                for number in 0..count {
                    tokio::task::spawn_local(client(
                        address,
                        Arc::clone(&opening),
                        Arc::clone(&shared),
                        answered.clone(),
                    ));
                    if number % 100 == 99 {
                        sleep(Duration::from_millis(5)).await;
                    }
                }
            });
            if let Ok(runtime) = runtime {
                runtime.block_on(local);
            }
        });
        for number in 0..count {
            let answer = timeout(Duration::from_secs(60), answers.recv()).await;
            ensure!(matches!(answer, Ok(Some(()))), "client {number} was not answered");
        }
        Ok(Self { seen })
    }

    /// Begins to count anew.
    pub(crate) fn forget(&self) {
        self.seen.events.store(0, Ordering::Relaxed);
        self.seen.bytes.store(0, Ordering::Relaxed);
        self.seen.latencies.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Waits until so many events have come, or none for a while; how many did, and when the last one.
    pub(crate) async fn wait_for(&self, expected: u64) -> (u64, Instant) {
        let (mut before, mut last) = (0, Instant::now());
        loop {
            let events = self.seen.events.load(Ordering::Relaxed);
            if events != before {
                (before, last) = (events, Instant::now());
            }
            if events >= expected || last.elapsed() > PATIENCE {
                return (events, last);
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until nothing comes any more.
    pub(crate) async fn quiet(&self) {
        let mut before = u64::MAX;
        while self.bytes() != before {
            before = self.bytes();
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// Milliseconds: half, 99 of 100, and all are within.
    pub(crate) fn latencies(&self) -> (f64, f64, f64) {
        let mut all = self.seen.latencies.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.sort_unstable();
        let at = |part: usize| {
            all.get((all.len() * part / 100).min(all.len().saturating_sub(1)))
                .map_or(0.0, |it| f64::from(*it) / 1000.0)
        };
        (at(50), at(99), at(100))
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.seen.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn lost(&self) -> usize {
        self.seen.lost.load(Ordering::Relaxed)
    }
}

async fn client(
    address: SocketAddr,
    opening: Arc<Opening>,
    seen: Arc<Seen>,
    answered: mpsc::UnboundedSender<()>,
) {
    if follow(address, &opening, &seen, answered).await.is_err() {
        seen.lost.fetch_add(1, Ordering::Relaxed);
    }
}

async fn follow(
    address: SocketAddr,
    opening: &Opening,
    seen: &Seen,
    answered: mpsc::UnboundedSender<()>,
) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(&opening.greeting).await?;
    let mut then = Some(&opening.then).filter(|then| !then.is_empty());
    let mut answered = Some(answered);
    let mut rest = Vec::new();
    loop {
        stream.readable().await?;
        // On the stack for as long as it is needed: a thousand clients have no buffer of their own.
        let mut buffer = [0; 32 << 10];
        let length = match stream.try_read(&mut buffer) {
            Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        seen.bytes.fetch_add(length as u64, Ordering::Relaxed);
        let has = |wanted: &[u8]| buffer[..length].windows(wanted.len()).any(|it| it == wanted);
        if let Some(then) = then.take_if(|_| has(b"\r\n\r\n")) {
            stream.write_all(then).await?;
        }
        if let Some(answered) = answered.take_if(|_| then.is_none() && has(opening.until)) {
            let _ = answered.send(());
        }
        rest.extend_from_slice(&buffer[..length]);
        let used = count(&rest, seen);
        rest.drain(..used);
        if rest.is_empty() {
            rest = Vec::new();
        }
    }
}

/// Counts the events in a text, and says how much of it is done with.
fn count(text: &[u8], seen: &Seen) -> usize {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |it| it.as_nanos());
    let (mut done, mut latencies) = (0, Vec::new());
    while let Some(at) = text[done..].windows(MARK.len()).position(|it| it == MARK) {
        let from = done + at + MARK.len();
        let Some(digits) = text.get(from..from + DIGITS) else { break };
        let sent: u128 =
            std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(now);
        latencies.push(u32::try_from(now.saturating_sub(sent) / 1000).unwrap_or(u32::MAX));
        done = from + DIGITS;
    }
    let count = latencies.len() as u64;
    seen.latencies.lock().unwrap_or_else(PoisonError::into_inner).append(&mut latencies);
    seen.events.fetch_add(count, Ordering::Relaxed);
    if text[done..].windows(MARK.len()).any(|it| it == MARK) {
        done
    } else {
        text.len().saturating_sub(MARK.len()).max(done)
    }
}
