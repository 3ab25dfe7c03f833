//! A client that sends exactly what a test says, right or wrong, and reads one answer.

use std::net::SocketAddr;

use sha2::{Digest as _, Sha256, Sha512};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::harness::DEADLINE;

#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    pub(crate) authorization: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).into_iter().next()
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let found = self.headers.iter().filter(|(given, _)| given.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn location(&self) -> &str {
        self.header("location").expect("a location")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The code and message of an error's body, which has the form that the specification asks for.
    pub(crate) fn error(&self) -> (String, String) {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        let json = self.json();
        let error = &json["errors"][0];
        let word = |key: &str| error[key].as_str().unwrap_or_else(|| panic!("no {key} in {json}")).to_owned();
        let (code, message) = (word("code"), word("message"));
        assert!(code.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'), "{code}");
        assert!(!message.is_empty());
        (code, message)
    }

    /// Checks the status, with all there is to see when it is another.
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?} {}", self.headers, self.text());
        self
    }

    /// Checks the status and the error's code.
    #[track_caller]
    pub(crate) fn fails(self, status: u16, code: &str) -> Self {
        let this = self.is(status);
        assert_eq!(this.error().0, code, "{}", this.text());
        this
    }
}

impl Client {
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"").await
    }

    pub(crate) async fn head(&self, path: &str) -> Answer {
        self.send("HEAD", path, &[], b"").await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], b"").await
    }

    /// Sends a request with its `Content-Length`, and reads the answer to its end.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let length = body.len().to_string();
        let mut headers = headers.to_vec();
        if !matches!(method, "GET" | "HEAD") && !headers.iter().any(|(name, _)| *name == "Transfer-Encoding")
        {
            headers.push(("Content-Length", &length));
        }
        let mut stream = self.open(method, path, &headers).await;
        // The registry may answer before it has read all.
        let _ = stream.write_all(body).await;
        read_answer(stream, method == "HEAD").await
    }

    /// Sends the head of a request, and leaves the body to the test.
    pub(crate) async fn open(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(&self.request(method, path, headers)).await.unwrap();
        stream
    }

    pub(crate) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address);
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(authorization) = &self.authorization {
            text.push_str(&format!("Authorization: {authorization}\r\n"));
        }
        text.push_str("\r\n");
        text.into_bytes()
    }

    /// Pushes a blob in one request, and returns its digest.
    pub(crate) async fn push_blob(&self, repository: &str, bytes: &[u8]) -> String {
        let digest = sha256(bytes);
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        self.send("POST", &path, &[], bytes).await.is(201);
        digest
    }

    /// Pushes a manifest, and returns its digest.
    pub(crate) async fn push_manifest(
        &self,
        repository: &str,
        reference: &str,
        manifest: &Manifest,
    ) -> String {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let headers = [("Content-Type", manifest.media_type.as_str())];
        let answer = self.send("PUT", &path, &headers, &manifest.bytes).await.is(201);
        answer.header("docker-content-digest").unwrap().to_owned()
    }

    /// Pushes a small image with one layer of these bytes.
    pub(crate) async fn push_image(&self, repository: &str, reference: &str, layer: &[u8]) -> String {
        self.push_blob(repository, b"{}").await;
        self.push_blob(repository, layer).await;
        self.push_manifest(repository, reference, &Manifest::image(layer)).await
    }
}

/// Reads a whole answer from a stream.
pub(crate) async fn read_answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, is_head: bool) -> Answer {
    let mut bytes = Vec::new();
    let read = timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.expect("an answer in time");
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no answer but {:?} ({read:?})", String::from_utf8_lossy(&bytes)));
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_owned(), value.trim().to_owned())
    });
    let answer = Answer { status, headers: headers.collect(), body: bytes[end + 4..].to_vec() };
    assert_eq!(answer.header("transfer-encoding"), None, "every answer tells its length");
    let length = answer.header("content-length").map(|length| length.parse::<usize>().unwrap());
    match length {
        Some(length) if !is_head && status != 304 => {
            assert_eq!(answer.body.len(), length, "the body is cut short")
        }
        _ => assert!(answer.body.is_empty(), "{answer:?}"),
    }
    answer
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

pub(crate) fn sha512(bytes: &[u8]) -> String {
    format!("sha512:{}", hex(&Sha512::digest(bytes)))
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

pub(crate) struct Manifest {
    pub(crate) media_type: String,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

impl Manifest {
    pub(crate) fn of(media_type: &str, value: &serde_json::Value) -> Self {
        Self { media_type: media_type.to_owned(), bytes: serde_json::to_vec(value).unwrap() }
    }

    /// An image with the configuration `{}` and one layer.
    pub(crate) fn image(layer: &[u8]) -> Self {
        Self::of(IMAGE, &image(layer))
    }

    /// An artifact of a type that refers to a manifest.
    pub(crate) fn referrer(subject: &str, artifact_type: &str, number: usize) -> Self {
        let mut value = image(b"{}");
        value["artifactType"] = artifact_type.into();
        value["subject"] = serde_json::json!({ "mediaType": IMAGE, "digest": subject, "size": 2 });
        value["annotations"] = serde_json::json!({ "number": number.to_string() });
        Self::of(IMAGE, &value)
    }

    pub(crate) fn digest(&self) -> String {
        sha256(&self.bytes)
    }
}

pub(crate) fn image(layer: &[u8]) -> serde_json::Value {
    serde_json::json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha256(b"{}"), "size": 2
        },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": sha256(layer),
            "size": layer.len(),
        }],
    })
}
