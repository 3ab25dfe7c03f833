//! A TCP proxy that can be cut, healed and slowed down, between a leaf and its hub.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

struct State {
    target: Option<SocketAddr>,
    link: CancellationToken,
}

/// The proxy; refuses connections while it is cut or has no target.
pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    slow: Arc<AtomicBool>,
    _accept: AbortOnDropHandle<()>,
}

impl Proxy {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { target: None, link: CancellationToken::new() }));
        let slow = Arc::new(AtomicBool::new(false));
        let accept: JoinHandle<()> = tokio::spawn(accept(listener, Arc::clone(&state), Arc::clone(&slow)));
        Self { address, state, slow, _accept: AbortOnDropHandle::new(accept) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets connections through to `target`.
    pub(crate) fn heal(&self, target: SocketAddr) {
        let mut state = self.state.lock().unwrap();
        state.target = Some(target);
        state.link = CancellationToken::new();
    }

    /// From now on 64 KiB take ten milliseconds each way, so that what is under way can be seen.
    pub(crate) fn slow_down(&self) {
        self.slow.store(true, Ordering::Relaxed);
    }

    /// Breaks every connection and refuses new ones.
    pub(crate) fn cut(&self) {
        let mut state = self.state.lock().unwrap();
        state.target = None;
        state.link.cancel();
    }
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>, slow: Arc<AtomicBool>) {
    while let Ok((near, _)) = listener.accept().await {
        let (target, link) = {
            let state = state.lock().unwrap();
            (state.target, state.link.clone())
        };
        let Some(target) = target else { continue };
        let slow = Arc::clone(&slow);
        tokio::spawn(link.run_until_cancelled_owned(async move {
            if let Ok(far) = TcpStream::connect(target).await {
                let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
                let _ =
                    tokio::try_join!(carry(near_read, far_write, &slow), carry(far_read, near_write, &slow));
            }
        }));
    }
}

/// Carries one direction to its end, which the other side is told of.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, slow: &AtomicBool) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        if slow.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}
