//! A TCP proxy that can be cut and healed, between a leaf and its hub.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
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
    _accept: AbortOnDropHandle<()>,
}

impl Proxy {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { target: None, link: CancellationToken::new() }));
        let accept: JoinHandle<()> = tokio::spawn(accept(listener, Arc::clone(&state)));
        Self { address, state, _accept: AbortOnDropHandle::new(accept) }
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

    /// Breaks every connection and refuses new ones.
    pub(crate) fn cut(&self) {
        let mut state = self.state.lock().unwrap();
        state.target = None;
        state.link.cancel();
    }
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((mut near, _)) = listener.accept().await {
        let (target, link) = {
            let state = state.lock().unwrap();
            (state.target, state.link.clone())
        };
        let Some(target) = target else { continue };
        tokio::spawn(link.run_until_cancelled_owned(async move {
            if let Ok(mut far) = TcpStream::connect(target).await {
                let _ = copy_bidirectional(&mut near, &mut far).await;
            }
        }));
    }
}
