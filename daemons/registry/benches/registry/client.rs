//! An HTTP client that costs little, so that what is measured is the registry: one connection, blocking
//! reads into one buffer, no copies of bodies.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::peers::Registry;

/// What a response began with.
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
}

impl Head {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// One kept-alive connection.
pub(crate) struct Client {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
    buffer: Vec<u8>,
}

/// What is sent, and what for.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    /// In parts, so that blobs may share bytes.
    pub(crate) body: &'a [&'a [u8]],
}

impl Client {
    pub(crate) fn connect(registry: &Registry) -> Result<Self> {
        let Registry { name, address, .. } = registry;
        Self::to(*address).with_context(|| format!("{name} at {address} cannot be reached"))
    }

    fn to(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        Ok(Self { address, stream: BufReader::with_capacity(64 * 1024, stream), buffer: vec![0; 1 << 20] })
    }

    /// Sends a request, and gives how the answer begins and its body.
    pub(crate) fn ask(&mut self, request: &Request<'_>) -> io::Result<(Head, Vec<u8>)> {
        let head = self.send(request)?;
        let mut body = Vec::new();
        if request.method != "HEAD" {
            self.body(&head, |part| body.extend_from_slice(part))?;
        }
        Ok((head, body))
    }

    /// Sends a request, and gives the length of the answer's body, which is thrown away.
    pub(crate) fn drain(&mut self, request: &Request<'_>) -> io::Result<(Head, u64)> {
        let head = self.send(request)?;
        let mut length = 0;
        self.body(&head, |part| length += part.len() as u64)?;
        Ok((head, length))
    }

    fn send(&mut self, request: &Request<'_>) -> io::Result<Head> {
        let Request { method, path, headers, body } = request;
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.address);
        for (name, value) in *headers {
            text += &format!("{name}: {value}\r\n");
        }
        if matches!(*method, "POST" | "PUT" | "PATCH") {
            let length: usize = body.iter().map(|part| part.len()).sum();
            text += &format!("Content-Length: {length}\r\n");
        }
        text += "\r\n";
        self.stream.get_mut().write_all(text.as_bytes())?;
        body.iter().try_for_each(|part| self.stream.get_mut().write_all(part))?;
        self.head()
    }

    fn head(&mut self) -> io::Result<Head> {
        let status = self.line()?;
        let status =
            status.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(Head { status, headers })
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    fn body(&mut self, head: &Head, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        if head.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            loop {
                let size = u64::from_str_radix(&self.line()?, 16).map_err(io::Error::other)?;
                self.exactly(size, &mut take)?;
                self.line()?;
                if size == 0 {
                    return Ok(());
                }
            }
        }
        let length = head.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        self.exactly(length, &mut take)
    }

    fn exactly(&mut self, mut left: u64, take: &mut impl FnMut(&[u8])) -> io::Result<()> {
        while left > 0 {
            let most = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = self.stream.read(&mut self.buffer[..most])?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            take(&self.buffer[..read]);
            left -= read as u64;
        }
        Ok(())
    }
}

/// Pushes a blob as clients do: `POST`, then all of it in one `PUT`.
pub(crate) fn put_blob(
    client: &mut Client,
    repository: &str,
    digest: &str,
    bytes: &[&[u8]],
) -> io::Result<()> {
    let post = format!("/v2/{repository}/blobs/uploads/");
    let (head, body) = client.ask(&Request { method: "POST", path: &post, headers: &[], body: &[] })?;
    let location = expect(&head, &body, 202)?.header("location").unwrap_or_default().to_owned();
    // Absolute or relative, with a query or without one.
    let path = match location.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]).to_owned(),
        None => location,
    };
    let path = format!("{path}{}digest={digest}", if path.contains('?') { '&' } else { '?' });
    let headers = [("Content-Type", "application/octet-stream")];
    let (head, body) = client.ask(&Request { method: "PUT", path: &path, headers: &headers, body: bytes })?;
    expect(&head, &body, 201).map(drop)
}

/// Reads a blob, or a range of it, and gives its length.
pub(crate) fn get_blob(
    client: &mut Client,
    repository: &str,
    digest: &str,
    range: Option<(u64, u64)>,
) -> io::Result<u64> {
    let path = format!("/v2/{repository}/blobs/{digest}");
    let range = range.map(|(first, last)| format!("bytes={first}-{last}"));
    let headers: Vec<(&str, &str)> = range.iter().map(|range| ("Range", range.as_str())).collect();
    let (head, length) =
        client.drain(&Request { method: "GET", path: &path, headers: &headers, body: &[] })?;
    expect(&head, b"", if range.is_some() { 206 } else { 200 })?;
    Ok(length)
}

/// Pushes a manifest under a tag.
pub(crate) fn put_manifest(
    client: &mut Client,
    repository: &str,
    tag: &str,
    manifest: &[u8],
) -> io::Result<()> {
    let path = format!("/v2/{repository}/manifests/{tag}");
    let headers = [("Content-Type", "application/vnd.oci.image.manifest.v1+json")];
    let (head, body) =
        client.ask(&Request { method: "PUT", path: &path, headers: &headers, body: &[manifest] })?;
    expect(&head, &body, 201).map(drop)
}

fn expect<'a>(head: &'a Head, body: &[u8], status: u16) -> io::Result<&'a Head> {
    if head.status == status {
        return Ok(head);
    }
    let text = String::from_utf8_lossy(body);
    Err(io::Error::other(format!("expected {status}, got {}: {}", head.status, text.trim())))
}
