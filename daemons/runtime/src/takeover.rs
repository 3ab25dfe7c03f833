//! Streams of events over HTTP/1.1, sent without hyper once it has sent the head of the answer.
//!
//! For each connection hyper keeps 16 KiB of buffers for as long as an answer takes, and the answer of a
//! page that is open takes hours. So the body of such an answer is put aside, hyper sends the head and a
//! body that gives nothing, and its state is dropped: what is left is a socket, and chunks (RFC 9112,
//! 7.1). The connection ends with the answer; a browser makes another.

use std::{
    convert::Infallible,
    io::{self, IoSlice, Write},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, Method, Request, StatusCode, Version, header},
    response::Response,
};
use futures::{StreamExt, stream};
use hyper::body::Buf;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// The body of the answer that one connection is about to send.
#[derive(Clone, Default)]
pub(crate) struct Aside(Arc<Shared>);

#[derive(Default)]
struct Shared {
    body: Mutex<Option<Body>>,
    /// Whether hyper has asked for the body, which it does once the head is in its buffer.
    asked: AtomicBool,
    /// Whether the other side has still to take something of what was written.
    owes: AtomicBool,
}

/// Whether an answer to this may be sent in chunks that somebody else makes.
pub(crate) fn may_be_taken<B>(request: &Request<B>) -> bool {
    request.method() == Method::GET && request.version() == Version::HTTP_11
}

impl Aside {
    /// Puts the body aside if it is a stream of events.
    pub(crate) fn put(&self, response: Response) -> Response {
        if response.status() != StatusCode::OK || !are_events(response.headers()) {
            return response;
        }
        let (head, body) = response.into_parts();
        *self.0.body.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
        let shared = Arc::clone(&self.0);
        let nothing = stream::poll_fn(move |_| {
            shared.asked.store(true, Ordering::Relaxed);
            Poll::<Option<Result<Bytes, Infallible>>>::Pending
        });
        Response::from_parts(head, Body::from_stream(nothing))
    }

    /// The body, as soon as the head of the answer has left.
    pub(crate) fn taken(&self) -> Option<Body> {
        if !self.0.asked.load(Ordering::Relaxed) || self.0.owes.load(Ordering::Relaxed) {
            return None;
        }
        self.0.body.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A stream of which it knows whether all that was written has left.
    pub(crate) fn watching<S>(&self, stream: S) -> Watched<S> {
        Watched { stream, aside: self.clone() }
    }
}

fn are_events(headers: &HeaderMap) -> bool {
    let is = |value: &header::HeaderValue| value.as_bytes().starts_with(b"text/event-stream");
    headers.get(header::CONTENT_TYPE).is_some_and(is) && !headers.contains_key(header::CONTENT_LENGTH)
}

/// Sends a body in chunks until it ends, or the other side hangs up.
pub(crate) async fn send<S: AsyncRead + AsyncWrite>(stream: S, body: Body) {
    let (mut read, mut write) = tokio::io::split(stream);
    let gone = async {
        // What comes after the request is of no use; that nothing comes any more is.
        let mut rest = [0; 64];
        while matches!(read.read(&mut rest).await, Ok(1..)) {}
    };
    let sent = async {
        let mut events = body.into_data_stream();
        while let Some(event) = events.next().await {
            let Ok(event) = event else { return Ok(()) };
            // One without length would be the last.
            if !event.is_empty() {
                chunk(&mut write, event).await?;
            }
        }
        write.write_all(b"0\r\n\r\n").await?;
        write.shutdown().await
    };
    tokio::select! {
        () = gone => {}
        _ = sent => {}
    }
}

async fn chunk<W: AsyncWrite + Unpin>(write: &mut W, data: Bytes) -> io::Result<()> {
    let mut head = [0; 18];
    let mut free = &mut head[..];
    write!(free, "{:x}\r\n", data.len())?;
    let length = 18 - free.len();
    let chunk = Buf::chain(&head[..length], data);
    write.write_all_buf(&mut Buf::chain(chunk, &b"\r\n"[..])).await?;
    write.flush().await
}

/// See [`Aside::watching`].
pub(crate) struct Watched<S> {
    stream: S,
    aside: Aside,
}

impl<S> Watched<S> {
    pub(crate) fn into_inner(self) -> S {
        self.stream
    }

    fn note<T>(&self, written: Poll<T>) -> Poll<T> {
        self.aside.0.owes.store(written.is_pending(), Ordering::Relaxed);
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.note(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{net::SocketAddr, time::Duration};

    use axum::{Router, routing::get};
    use tokio::{
        net::{TcpListener, TcpStream},
        sync::mpsc,
        time::timeout,
    };
    use tokio_util::sync::CancellationToken;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(30);
    const GET: &str = "GET / HTTP/1.1\r\nhost: test\r\n\r\n";

    /// A server whose only answer is what comes out of a channel, as a content type.
    async fn serve(
        kind: &'static str,
        shutdown: CancellationToken,
    ) -> (SocketAddr, mpsc::Receiver<mpsc::Sender<Bytes>>, tokio::task::JoinHandle<()>) {
        let (opened, senders) = mpsc::channel(4);
        let answer = async move || {
            let (sender, mut events) = mpsc::channel::<Bytes>(4);
            opened.send(sender).await.unwrap();
            let events = stream::poll_fn(move |context| events.poll_recv(context));
            ([(header::CONTENT_TYPE, kind)], Body::from_stream(events.map(Ok::<_, Infallible>)))
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(answer));
        let served = tokio::spawn(crate::http::serve(listener, router, shutdown, DEADLINE));
        (address, senders, served)
    }

    async fn ask(address: SocketAddr, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    async fn rest(mut stream: TcpStream) -> String {
        let mut text = String::new();
        timeout(DEADLINE, stream.read_to_string(&mut text)).await.unwrap().unwrap();
        text
    }

    #[tokio::test]
    async fn events_come_in_chunks_behind_the_head_and_the_answer_ends() {
        let (address, mut senders, _) = serve("text/event-stream; charset=utf-8", Default::default()).await;
        let stream = ask(address, GET).await;
        let sender = senders.recv().await.unwrap();
        for event in ["data: 1\n\n", "", "data: 22\n\n"] {
            sender.send(event.into()).await.unwrap();
        }
        drop(sender);
        let text = rest(stream).await;
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains("transfer-encoding: chunked"), "{head}");
        assert_eq!(body, "9\r\ndata: 1\n\n\r\na\r\ndata: 22\n\n\r\n0\r\n\r\n");
    }

    /// An answer of another kind, to HTTP/1.0 and to HEAD is hyper's as before.
    #[tokio::test]
    async fn everything_else_is_left_to_hyper() {
        for (kind, request, wanted) in [
            ("text/event-stream", "GET / HTTP/1.0\r\nhost: test\r\n\r\n", "\r\n\r\ndata\n"),
            (
                "text/plain",
                "GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n",
                "\r\n\r\n5\r\ndata\n\r\n0\r\n\r\n",
            ),
            ("text/event-stream", "HEAD / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n", "\r\n\r\n"),
        ] {
            let (address, mut senders, _) = serve(kind, Default::default()).await;
            let stream = ask(address, request).await;
            let sender = senders.recv().await.unwrap();
            // Who asked for the head alone takes nothing.
            let _ = sender.send("data\n".into()).await;
            drop(sender);
            let text = rest(stream).await;
            assert!(text.starts_with("HTTP/1.") && text.ends_with(wanted), "{request}: {text}");
        }
    }

    #[tokio::test]
    async fn a_client_that_hangs_up_ends_its_stream_though_nothing_is_sent() {
        let (address, mut senders, _) = serve("text/event-stream", Default::default()).await;
        let mut stream = ask(address, GET).await;
        let sender = senders.recv().await.unwrap();
        sender.send("data\n\n".into()).await.unwrap();
        let (mut text, mut buffer) = (String::new(), [0; 512]);
        while !text.ends_with("data\n\n\r\n") {
            let length = timeout(DEADLINE, stream.read(&mut buffer)).await.unwrap().unwrap();
            text.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        }
        drop(stream);
        timeout(DEADLINE, sender.closed()).await.unwrap();
    }

    #[tokio::test]
    async fn a_shutdown_waits_for_an_answer_that_ends() {
        let shutdown = CancellationToken::new();
        let (address, mut senders, served) = serve("text/event-stream", shutdown.clone()).await;
        let stream = ask(address, GET).await;
        let sender = senders.recv().await.unwrap();
        shutdown.cancel();
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        sender.send("last\n\n".into()).await.unwrap();
        drop(sender);
        assert!(rest(stream).await.ends_with("6\r\nlast\n\n\r\n0\r\n\r\n"));
        timeout(DEADLINE, served).await.unwrap().unwrap();
    }
}
