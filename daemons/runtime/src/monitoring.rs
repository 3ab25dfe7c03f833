//! Reads nats-server's HTTP monitoring: one small request a connection, with a deadline.
//!
//! HTTP/1.0 on purpose: the answer then ends with the connection and is never chunked.

use std::{io, net::SocketAddr, time::Duration};

use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Larger than any page that leafbox asks for.
const LARGEST_ANSWER: u64 = 16 << 20;

/// The monitoring listener of one nats-server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Monitoring {
    address: SocketAddr,
    deadline: Duration,
}

/// A page of nats-server's monitoring could not be had.
#[derive(Debug, thiserror::Error)]
pub enum MonitoringError {
    /// Nobody answered.
    #[error("nats-server does not answer on its monitoring address {address}: {source}")]
    Unreachable {
        /// The monitoring address.
        address: SocketAddr,
        /// What failed.
        #[source]
        source: io::Error,
    },
    /// nats-server answered something else than the page.
    #[error("nats-server answered {path} on {address} with status {status}: {body}")]
    Refused {
        /// The monitoring address.
        address: SocketAddr,
        /// What was asked for.
        path: String,
        /// The HTTP status.
        status: u16,
        /// The start of the answer.
        body: String,
    },
    /// The page is not the JSON that it should be.
    #[error("nats-server's answer to {path} is not understood: {source}")]
    NotUnderstood {
        /// What was asked for.
        path: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

impl Monitoring {
    /// The monitoring listener at `address`, given five seconds an answer.
    pub const fn new(address: SocketAddr) -> Self {
        Self { address, deadline: Duration::from_secs(5) }
    }

    /// The same listener, given this long an answer.
    pub const fn within(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// The address.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// `/healthz`: everything that the server should hold is there and current.
    pub async fn healthz(&self) -> Result<(), MonitoringError> {
        self.body("/healthz").await.map(drop)
    }

    /// A page such as `/varz`, as the type that it is read into.
    pub async fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T, MonitoringError> {
        let body = self.body(path).await?;
        serde_json::from_slice(&body)
            .map_err(|source| MonitoringError::NotUnderstood { path: path.to_owned(), source })
    }

    /// The status and body of a page, whatever the status is.
    pub async fn get(&self, path: &str) -> Result<(u16, Vec<u8>), MonitoringError> {
        let unreachable = |source| MonitoringError::Unreachable { address: self.address, source };
        let answer = timeout(self.deadline, self.ask(path)).await;
        let answer = answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(unreachable)?;
        let (status, body) = split(&answer)
            .ok_or_else(|| unreachable(io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer")))?;
        Ok((status, body.to_vec()))
    }

    async fn body(&self, path: &str) -> Result<Vec<u8>, MonitoringError> {
        let (status, body) = self.get(path).await?;
        if status == 200 {
            return Ok(body);
        }
        let body = String::from_utf8_lossy(&body).trim().chars().take(300).collect();
        Err(MonitoringError::Refused { address: self.address, path: path.to_owned(), status, body })
    }

    async fn ask(&self, path: &str) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.address).await?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(LARGEST_ANSWER).read_to_end(&mut answer).await?;
        Ok(answer)
    }
}

/// The status and body of an HTTP answer.
fn split(answer: &[u8]) -> Option<(u16, &[u8])> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some((status, &answer[end + 4..]))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn an_answer_is_split_into_status_and_body() {
        assert_eq!(split(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"), Some((200, &b"ok"[..])));
        assert_eq!(split(b"HTTP/1.0 503 Service Unavailable\r\nA: b\r\n\r\n"), Some((503, &b""[..])));
        assert_eq!(split(b"SSH-2.0-OpenSSH\r\n\r\n"), None);
        assert_eq!(split(b""), None);
    }
}
