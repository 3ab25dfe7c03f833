//! An HTTP listener that names who holds its port, gives up on slow clients, and drains.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::PortTaken;

/// How long a client may take to send a request's head, and how long a connection may idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Connections at once; more wait in the kernel's queue.
const MOST_CONNECTIONS: usize = 1024;

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

/// Answers requests until `shutdown`, then lets those under way finish until `drain_deadline` has
/// passed. The head of a request must come within 15 s; a route that reads long bodies sets a
/// deadline of its own.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
    drain_deadline: Duration,
) {
    let graceful = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            _ = connections.join_next(), if !connections.is_empty() => continue,
            accepted = accept(&listener, &slots) => accepted,
        };
        let (stream, slot) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: accepting again at once would spin.
                tracing::warn!("a connection could not be accepted: {error}");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let router = router.clone();
        let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
            let router = router.clone();
            async move { Ok::<_, Infallible>(infallible(router.oneshot(request.map(Body::new)).await)) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            // What a client does wrong on its own connection is no news.
            let _ = connection.await;
            drop(slot);
        });
    }
    drop(listener);
    if timeout(drain_deadline, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were cut off: they did not end within {drain_deadline:?}");
    }
    connections.shutdown().await;
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, slot))
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
