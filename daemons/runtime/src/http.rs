//! An HTTP listener that names who holds its port, gives up on slow clients, and drains. It speaks
//! TLS where it is given a certificate, and HTTP/2 where it is told to. Streams of events cost it next to
//! nothing (`takeover`).

use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use axum::{Router, body::Body};
use futures::FutureExt;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::{
    PortTaken, ServerTls,
    stall::Stall,
    takeover::{self, Aside},
};

/// How long a client may take to send a request's head, and how long a connection may idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a client may take none of an answer before it is given up.
const WRITE_STALL: Duration = Duration::from_secs(60);
/// How often the other side of an HTTP/2 connection is asked whether it is there.
const PING: Duration = Duration::from_secs(20);
/// What a client of HTTP/2 sends first (RFC 9113, 3.4), as far as nothing else begins like it.
const PREFACE: &[u8; 3] = b"PRI";

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process listens there.
    #[error(transparent)]
    Taken(#[from] PortTaken),
    /// The system refused for another reason.
    #[error("{address} cannot be listened on: {source}; set `{key}` to an address of this machine")]
    Refused {
        /// The address.
        address: SocketAddr,
        /// The setting that moves the listener.
        key: String,
        /// What failed.
        #[source]
        source: io::Error,
    },
}

/// Listens on `address`, where port 0 lets the system choose; `key` is the setting that moves it.
pub async fn bind(address: SocketAddr, key: &str) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => PortTaken::look_up(address, Some(key.to_owned())).into(),
        _ => BindError::Refused { address, key: key.to_owned(), source },
    })
}

/// Whose request it is: an extension of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where the connection comes from.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// A listener, and how it is served.
#[derive(Debug)]
pub struct Server {
    /// Where requests come in.
    pub listener: TcpListener,
    /// The certificate to show; plain HTTP without one.
    pub tls: Option<ServerTls>,
    /// How long requests under way may take after shutdown.
    pub drain_deadline: Duration,
    /// What it speaks, and to how many.
    pub serving: Serving,
}

/// What a listener speaks, and to how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serving {
    /// Connections at once; more wait in the kernel's queue.
    pub connections: usize,
    /// Whether HTTP/2 is spoken beside HTTP/1.1: by ALPN over TLS, and in the clear with who begins so.
    pub http2: bool,
    /// Bytes of an answer that are taken from its maker before the client took them; hyper's own
    /// default when left out. 8 KiB at least.
    pub answer_buffer: Option<usize>,
}

impl Default for Serving {
    fn default() -> Self {
        Self { connections: 1024, http2: false, answer_buffer: None }
    }
}

/// Serves plain HTTP, as [`Server::serve`] does.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
    drain_deadline: Duration,
) {
    Server { listener, tls: None, drain_deadline, serving: Serving::default() }.serve(router, shutdown).await;
}

impl Server {
    /// Answers requests until `shutdown`, then lets those under way finish until the deadline has
    /// passed. The head of a request must come within 15 s, and a client that takes nothing of its
    /// answer for 60 s is given up; a route that reads long bodies sets a deadline of its own. Each
    /// request has its [`Peer`] as an extension.
    pub async fn serve(self, router: Router, shutdown: CancellationToken) {
        let Self { listener, tls, drain_deadline, serving } = self;
        let graceful = GracefulShutdown::new();
        let slots = Arc::new(Semaphore::new(serving.connections));
        let mut connections = tokio::task::JoinSet::new();
        let acceptor = tls.as_ref().map(|tls| tls.acceptor(serving.http2));
        if let Some(tls) = tls {
            connections.spawn(tls.watch(shutdown.clone()));
        }
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                _ = connections.join_next(), if !connections.is_empty() => continue,
                accepted = accept(&listener, &slots) => accepted,
            };
            let (stream, address, slot) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, most likely: accepting again at once would spin.
                    tracing::warn!("a connection could not be accepted: {error}");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let router = router.clone();
            let watcher = graceful.watcher();
            let stopping = shutdown.clone();
            let acceptor = acceptor.clone();
            connections.spawn(async move {
                // What a client does wrong on its own connection is no news.
                match acceptor {
                    None => {
                        let peer = Peer { address, tls: false };
                        let http2 = if serving.http2 {
                            timeout(HEAD_TIMEOUT, begins_with_http2(&stream)).await.ok()
                        } else {
                            Some(false)
                        };
                        let stream = Stall::new(stream, WRITE_STALL);
                        match http2 {
                            Some(true) => {
                                Box::pin(answer_http2(stream, router, peer, watcher, serving)).await
                            }
                            Some(false) => answer(stream, router, peer, (watcher, stopping), serving).await,
                            None => {}
                        }
                    }
                    Some(acceptor) => {
                        let stream = Stall::new(stream, WRITE_STALL);
                        // Out of line: a connection in the clear takes no room for a handshake.
                        let ending = (watcher, stopping);
                        Box::pin(answer_tls(stream, acceptor, router, address, ending, serving)).await;
                    }
                }
                drop(slot);
            });
        }
        drop(listener);
        if timeout(drain_deadline, graceful.shutdown()).await.is_err() {
            tracing::warn!("requests were cut off: they did not end within {drain_deadline:?}");
        }
        connections.shutdown().await;
    }
}

/// Answers what comes over one connection of TLS.
async fn answer_tls(
    stream: Stall<TcpStream>,
    acceptor: TlsAcceptor,
    router: Router,
    address: SocketAddr,
    (watcher, stopping): (Watcher, CancellationToken),
    serving: Serving,
) {
    let accepted = Box::pin(timeout(HEAD_TIMEOUT, acceptor.accept(stream))).await;
    let Ok(Ok(stream)) = accepted else { return };
    let peer = Peer { address, tls: true };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        Box::pin(answer_http2(stream, router, peer, watcher, serving)).await;
    } else {
        answer(stream, router, peer, (watcher, stopping), serving).await;
    }
}

/// Whether a client begins as one of HTTP/2 does. What it sent stays unread.
async fn begins_with_http2(stream: &TcpStream) -> bool {
    let mut first = [0; PREFACE.len()];
    loop {
        match stream.peek(&mut first).await {
            Ok(0) | Err(_) => return false,
            Ok(length) if first[..length] != PREFACE[..length] => return false,
            Ok(length) if length == PREFACE.len() => return true,
            // One or two bytes came by themselves, and a socket with something to read is always ready.
            Ok(_) => sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Answers what comes over one connection of HTTP/1.1. Whoever drains waits for the watcher's end.
async fn answer<S>(
    stream: S,
    router: Router,
    peer: Peer,
    (watcher, stopping): (Watcher, CancellationToken),
    serving: Serving,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    if let Some((stream, events)) = answer_by_hyper(stream, router, peer, stopping, serving).await {
        takeover::send(stream, events).await;
    }
    drop(watcher);
}

/// The same up to the body of an answer that is a stream of events.
async fn answer_by_hyper<S>(
    stream: S,
    router: Router,
    peer: Peer,
    stopping: CancellationToken,
    serving: Serving,
) -> Option<(S, Body)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    if let Some(bytes) = serving.answer_buffer {
        builder.max_buf_size(bytes);
    }
    let aside = Aside::default();
    let io = TokioIo::new(aside.watching(stream));
    let mut connection = builder.serve_connection(io, service(router, peer, Some(aside.clone())));
    let mut stopped = pin!(stopping.cancelled().fuse());
    let events = poll_fn(|context| {
        if stopped.as_mut().poll(context).is_ready() {
            Pin::new(&mut connection).graceful_shutdown();
        }
        match Pin::new(&mut connection).poll(context) {
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => aside.taken().map_or(Poll::Pending, |body| Poll::Ready(Some(body))),
        }
    });
    let events = events.await?;
    Some((connection.into_parts().io.into_inner().into_inner(), events))
}

/// Answers what comes over one connection of HTTP/2.
async fn answer_http2<S>(stream: S, router: Router, peer: Peer, watcher: Watcher, serving: Serving)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).keep_alive_interval(PING).keep_alive_timeout(PING);
    if let Some(bytes) = serving.answer_buffer {
        builder.max_send_buf_size(bytes);
    }
    let connection = builder.serve_connection(TokioIo::new(stream), service(router, peer, None));
    let _ = watcher.watch(connection).await;
}

fn service(
    router: Router,
    peer: Peer,
    aside: Option<Aside>,
) -> impl hyper::service::Service<
    hyper::Request<Incoming>,
    Response = axum::response::Response,
    Error = Infallible,
    Future: Send + 'static,
> + Send {
    hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        let router = router.clone();
        request.extensions_mut().insert(peer);
        let aside = aside.clone().filter(|_| takeover::may_be_taken(&request));
        async move {
            let response = infallible(router.oneshot(request.map(Body::new)).await);
            Ok::<_, Infallible>(match aside {
                Some(aside) => aside.put(response),
                None => response,
            })
        }
    })
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    // Headers and the last part of a body go out at once, not when the client acknowledges.
    let _ = stream.set_nodelay(true);
    Ok((stream, address, slot))
}

fn infallible<T>(result: Result<T, Infallible>) -> T {
    match result {
        Ok(value) => value,
        Err(never) => match never {},
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::Notify,
    };

    use super::*;

    async fn ask(address: SocketAddr) -> io::Result<String> {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn a_taken_port_is_named_with_its_holder() {
        let first = bind("127.0.0.1:0".parse().unwrap(), "health.listen").await.unwrap();
        let text = bind(first.local_addr().unwrap(), "health.listen").await.unwrap_err().to_string();
        assert!(text.contains("is taken by") && text.contains("set `health.listen`"), "{text}");
    }

    #[tokio::test]
    async fn a_request_under_way_is_answered_after_shutdown_and_a_new_one_is_not_taken() {
        let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (entering, leaving) = (Arc::clone(&entered), Arc::clone(&leave));
        let slow = async move || {
            entering.notify_one();
            leaving.notified().await;
            "finished"
        };
        let listener = bind("127.0.0.1:0".parse().unwrap(), "test").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let router = Router::new().route("/", get(slow));
        let server = tokio::spawn(serve(listener, router, shutdown.clone(), Duration::from_secs(30)));
        let client = tokio::spawn(ask(address));
        entered.notified().await;
        shutdown.cancel();
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        leave.notify_one();
        assert!(client.await.unwrap().unwrap().ends_with("finished"));
        server.await.unwrap();
    }

    #[tokio::test]
    async fn a_request_that_never_ends_is_cut_off_at_the_deadline() {
        let entered = Arc::new(Notify::new());
        let entering = Arc::clone(&entered);
        let endless = async move || {
            entering.notify_one();
            std::future::pending::<()>().await;
        };
        let listener = bind("127.0.0.1:0".parse().unwrap(), "test").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let router = Router::new().route("/", get(endless));
        let server = tokio::spawn(serve(listener, router, shutdown.clone(), Duration::from_millis(10)));
        let client = tokio::spawn(ask(address));
        entered.notified().await;
        shutdown.cancel();
        server.await.unwrap();
        assert!(!client.await.unwrap().unwrap_or_default().contains("200 OK"));
    }
}
