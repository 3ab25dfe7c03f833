//! A TCP relay between a leaf and its hub, which can be cut, by itself after a number of bytes too, and
//! which can swallow everything, as a link that is half open does.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::task::AbortOnDropHandle;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Open,
    Cut,
    /// Nothing comes through, and nobody is told.
    Swallow,
}

pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    target: watch::Sender<Option<SocketAddr>>,
    mode: watch::Sender<Mode>,
    /// Bytes from the hub to the leaf until it is cut.
    left: Arc<AtomicU64>,
    slow: Arc<AtomicBool>,
    _accepting: AbortOnDropHandle<()>,
}

impl Relay {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (target, mode) = (watch::Sender::new(None), watch::Sender::new(Mode::Open));
        let left = Arc::new(AtomicU64::new(u64::MAX));
        let slow = Arc::new(AtomicBool::new(false));
        let link = Link {
            target: target.subscribe(),
            mode: mode.clone(),
            left: Arc::clone(&left),
            slow: Arc::clone(&slow),
        };
        let accepting = AbortOnDropHandle::new(tokio::spawn(accept(listener, link)));
        Self { address, target, mode, left, slow, _accepting: accepting }
    }

    pub(crate) fn lead_to(&self, target: SocketAddr) {
        self.target.send_replace(Some(target));
    }

    /// Cuts by itself when this many more bytes came from the hub.
    pub(crate) fn cut_after(&self, bytes: u64) {
        self.left.store(bytes, Ordering::SeqCst);
    }

    /// From now on 64 KiB take two milliseconds each way, so that what is under way can be seen.
    pub(crate) fn slow_down(&self) {
        self.slow.store(true, Ordering::SeqCst);
    }

    /// Waits until it cut by itself.
    pub(crate) async fn until_cut(&self) {
        let mut mode = self.mode.subscribe();
        let cut = mode.wait_for(|mode| *mode == Mode::Cut);
        tokio::time::timeout(crate::harness::DEADLINE, cut).await.unwrap().unwrap();
    }

    pub(crate) fn swallow(&self) {
        self.mode.send_replace(Mode::Swallow);
    }

    /// Ends every connection, and takes no new one.
    pub(crate) fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }

    pub(crate) fn heal(&self) {
        self.left.store(u64::MAX, Ordering::SeqCst);
        // What was swallowed is gone: a connection that lost bytes cannot go on.
        self.mode.send_replace(Mode::Cut);
        self.mode.send_replace(Mode::Open);
    }
}

#[derive(Clone)]
struct Link {
    target: watch::Receiver<Option<SocketAddr>>,
    mode: watch::Sender<Mode>,
    left: Arc<AtomicU64>,
    slow: Arc<AtomicBool>,
}

async fn accept(listener: TcpListener, link: Link) {
    while let Ok((near, _)) = listener.accept().await {
        let target = *link.target.borrow();
        let mode = *link.mode.borrow();
        match (mode, target) {
            (Mode::Open, Some(target)) => drop(tokio::spawn(carry(near, target, link.clone()))),
            // Held open, and nothing is ever said.
            (Mode::Swallow, _) => {
                let mut mode = link.mode.subscribe();
                tokio::spawn(async move {
                    let _ = mode.wait_for(|mode| *mode != Mode::Swallow).await;
                    drop(near);
                });
            }
            _ => {}
        }
    }
}

async fn carry(near: TcpStream, target: SocketAddr, link: Link) {
    let Ok(far) = TcpStream::connect(target).await else { return };
    let mut mode = link.mode.subscribe();
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    // A heal passes through `Cut` too quickly to be seen: that the mode changed back is what ends it.
    let mut was = *mode.borrow_and_update();
    let over = async {
        while mode.changed().await.is_ok() {
            let now = *mode.borrow_and_update();
            if now == Mode::Cut || (was == Mode::Swallow && now == Mode::Open) {
                return;
            }
            was = now;
        }
    };
    let up = copy(near_read, far_write, &link, false);
    let down = copy(far_read, near_write, &link, true);
    tokio::select! {
        _ = up => {}
        _ = down => {}
        () = over => {}
    }
}

async fn copy(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    link: &Link,
    counts: bool,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        if link.slow.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if *link.mode.borrow() == Mode::Swallow {
            continue;
        }
        if counts {
            let before = link.left.load(Ordering::SeqCst);
            if before != u64::MAX {
                let after = before.saturating_sub(read as u64);
                link.left.store(after, Ordering::SeqCst);
                if after == 0 {
                    link.mode.send_replace(Mode::Cut);
                    return Ok(());
                }
            }
        }
        to.write_all(&buffer[..read]).await?;
    }
}
