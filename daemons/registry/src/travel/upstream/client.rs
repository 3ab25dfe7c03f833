//! HTTP/1.1 requests over TLS, one connection each.
//!
//! No pool: between two images the other side closes idle connections anyway, and a blob takes far
//! longer than a handshake. No proxy: a node that has one goes through its hub.

use std::{fmt::Debug, io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{Stream, stream};
use http_body_util::{BodyExt, Empty};
use hyper::{
    HeaderMap, Method, Request, Response,
    body::Incoming,
    header::{HOST, HeaderValue, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use url::Url;

use super::UpstreamError;

/// Connection and handshake.
const CONNECT: Duration = Duration::from_secs(10);
/// From the request to the head of the answer.
const RESPOND: Duration = Duration::from_secs(20);
/// Between two pieces of a body.
const SILENCE: Duration = Duration::from_secs(20);

trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Sends HTTP requests.
#[derive(Clone)]
pub(crate) struct HttpClient {
    tls: TlsConnector,
    /// The upstream itself is reached without encryption, on this machine.
    is_plain: bool,
}

impl Debug for HttpClient {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("HttpClient")
    }
}

impl HttpClient {
    /// A client for the upstream at a URL. It trusts the authorities of this machine, and where it has none,
    /// those of Mozilla's list.
    pub(crate) fn new(upstream: &Url) -> Result<Self, UpstreamError> {
        let mut roots = RootCertStore::empty();
        let native = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(native.certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(UpstreamError::Tls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls: TlsConnector::from(Arc::new(config)), is_plain: is_plain(upstream) })
    }

    /// Sends a request without a body, and returns when the head of its answer is there.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let host = host(url);
        let connecting = timeout(CONNECT, self.connect(url)).await;
        let connection =
            connecting.map_err(|_| UpstreamError::Silent { host: host.clone(), after: CONNECT })??;
        let broke = |source| UpstreamError::Http { host: host.clone(), source };
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(connection)).await.map_err(broke)?;
        // Ends by itself when the answer was read or dropped.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("a connection to an upstream registry ended: {error}");
            }
        });
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.method_mut() = method;
        *request.headers_mut() = headers;
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let malformed = |what: &str| UpstreamError::Malformed { host: host.clone(), what: what.to_owned() };
        *request.uri_mut() = target.parse().map_err(|_| malformed("an address that is no URL"))?;
        let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let authority =
            HeaderValue::from_str(authority).map_err(|_| malformed("an address without a host"))?;
        request.headers_mut().insert(HOST, authority);
        let agent = concat!("leafbox/", env!("CARGO_PKG_VERSION"));
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(agent));
        let answer = timeout(RESPOND, sender.send_request(request)).await;
        answer
            .map_err(|_| UpstreamError::Silent { host: host.clone(), after: RESPOND })?
            .map_err(|source| UpstreamError::Http { host: host.clone(), source })
    }

    async fn connect(&self, url: &Url) -> Result<Box<dyn Connection>, UpstreamError> {
        let failed = |source| UpstreamError::Connect { host: host(url), source };
        let no_host = || failed(io::Error::new(io::ErrorKind::InvalidInput, "the address has no host"));
        let name = url.host().ok_or_else(no_host)?;
        let port = url.port_or_known_default().ok_or_else(no_host)?;
        // What an upstream on the internet answers must not lead to what only this machine is to reach.
        if url.scheme() != "https" && !(self.is_plain && is_plain(url)) {
            return Err(UpstreamError::NotEncrypted { url: without_query(url) });
        }
        let stream = match name {
            url::Host::Domain(name) => TcpStream::connect((name, port)).await,
            url::Host::Ipv4(address) => TcpStream::connect((address, port)).await,
            url::Host::Ipv6(address) => TcpStream::connect((address, port)).await,
        };
        let stream = stream.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        if url.scheme() != "https" {
            return Ok(Box::new(stream));
        }
        let name = match name {
            url::Host::Domain(name) => ServerName::try_from(name.to_owned()).map_err(|_| no_host())?,
            url::Host::Ipv4(address) => ServerName::from(std::net::IpAddr::from(address)),
            url::Host::Ipv6(address) => ServerName::from(std::net::IpAddr::from(address)),
        };
        Ok(Box::new(self.tls.connect(name, stream).await.map_err(failed)?))
    }
}

/// Whether a URL is one without encryption on this machine.
fn is_plain(url: &Url) -> bool {
    let is_this_machine = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "http" && is_this_machine
}

/// The host and port of a URL, for messages.
pub(crate) fn host(url: &Url) -> String {
    url[url::Position::BeforeHost..url::Position::AfterPort].to_owned()
}

/// A URL for messages: the query of a redirected one holds a signature.
pub(crate) fn without_query(url: &Url) -> String {
    url[..url::Position::AfterPath].to_owned()
}

/// The bytes of a body as they come; silence is an error.
pub(crate) fn bytes(
    body: Incoming,
    host: String,
) -> impl Stream<Item = Result<Bytes, UpstreamError>> + Send + 'static {
    stream::unfold(Some((body, host)), |state| async {
        let (mut body, host) = state?;
        loop {
            match timeout(SILENCE, body.frame()).await {
                Err(_) => return Some((Err(UpstreamError::Silent { host, after: SILENCE }), None)),
                Ok(None) => return None,
                Ok(Some(Err(source))) => return Some((Err(UpstreamError::Http { host, source }), None)),
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        return Some((Ok(data), Some((body, host))));
                    }
                }
            }
        }
    })
}

/// A whole body of at most `most` bytes.
pub(crate) async fn whole(body: Incoming, host: &str, most: usize) -> Result<Vec<u8>, UpstreamError> {
    let mut whole = Vec::new();
    let mut bytes = std::pin::pin!(bytes(body, host.to_owned()));
    while let Some(piece) = futures::StreamExt::next(&mut bytes).await {
        let piece = piece?;
        if whole.len() + piece.len() > most {
            let what = format!("more than {most} bytes");
            return Err(UpstreamError::Malformed { host: host.to_owned(), what });
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// A regression test: a redirection of any upstream could lead to what listens on this machine.
    #[tokio::test]
    async fn only_an_upstream_on_this_machine_leads_to_this_machine_without_encryption() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there: Url = format!("http://{}/secret", listener.local_addr().unwrap()).parse().unwrap();
        for upstream in ["https://registry.example.net", "https://127.0.0.1", "http://registry.example.net"] {
            let client = HttpClient::new(&upstream.parse().unwrap()).unwrap();
            let refused = client.connect(&there).await.err().unwrap();
            assert!(matches!(refused, UpstreamError::NotEncrypted { .. }), "{upstream}: {refused}");
        }
        let client = HttpClient::new(&"http://localhost:5000".parse().unwrap()).unwrap();
        assert!(client.connect(&there).await.is_ok());
        let elsewhere = client.connect(&"http://192.0.2.1/".parse().unwrap()).await.err().unwrap();
        assert!(matches!(elsewhere, UpstreamError::NotEncrypted { .. }), "{elsewhere}");
    }
}
