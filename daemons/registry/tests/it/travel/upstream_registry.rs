//! A registry on the internet as they are: it wants a token, and sends blobs from elsewhere.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use futures::stream;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::site::Image;
use crate::harness::sha256;

#[derive(Default)]
struct Content {
    /// By tag and by digest, with the media type.
    manifests: HashMap<String, (String, Bytes)>,
    blobs: HashMap<String, Bytes>,
    /// After so many bytes, a blob breaks off, once.
    breaks_after: Option<usize>,
    /// `user:password` in base64, when it wants one for a token.
    login: Option<&'static str>,
    requests: Vec<String>,
    tokens: usize,
}

pub(crate) struct UpstreamRegistry {
    pub(crate) address: SocketAddr,
    content: Arc<Mutex<Content>>,
    _serving: [AbortOnDropHandle<()>; 2],
}

#[derive(Clone)]
struct Server {
    content: Arc<Mutex<Content>>,
    address: SocketAddr,
    storage: SocketAddr,
}

impl UpstreamRegistry {
    pub(crate) async fn start() -> Self {
        let content = Arc::new(Mutex::new(Content::default()));
        let (listener, storage) = (listen().await, listen().await);
        let address = listener.local_addr().unwrap();
        let server =
            Server { content: Arc::clone(&content), address, storage: storage.local_addr().unwrap() };
        let registry = Router::new()
            .route("/token", get(token))
            .route("/v2/{*path}", get(registry))
            .with_state(server.clone());
        let storage_router = Router::new().route("/signed/{digest}", get(stored)).with_state(server);
        let serving = [(listener, registry), (storage, storage_router)].map(|(listener, router)| {
            AbortOnDropHandle::new(tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }))
        });
        Self { address, content, _serving: serving }
    }

    pub(crate) fn put(&self, tag: &str, image: &Image) {
        self.put_manifest(tag, image);
        let mut content = self.content.lock().unwrap();
        for blob in &image.blobs {
            content.blobs.insert(sha256(blob).to_string(), blob.clone());
        }
    }

    /// An image whose blobs are lost.
    pub(crate) fn put_manifest(&self, tag: &str, image: &Image) {
        let mut content = self.content.lock().unwrap();
        let media_type = "application/vnd.oci.image.manifest.v1+json".to_owned();
        for key in [tag.to_owned(), image.digest.to_string()] {
            content.manifests.insert(key, (media_type.clone(), image.bytes.clone()));
        }
    }

    pub(crate) fn break_after(&self, bytes: usize) {
        self.content.lock().unwrap().breaks_after = Some(bytes);
    }

    pub(crate) fn want_login(&self, login: &'static str) {
        self.content.lock().unwrap().login = Some(login);
    }

    /// What it was asked for since the last time: the method, the last part of the path, and the range.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.content.lock().unwrap().requests)
    }

    pub(crate) fn tokens(&self) -> usize {
        self.content.lock().unwrap().tokens
    }
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn token(
    State(server): State<Server>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let mut content = server.content.lock().unwrap();
    let login = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
    if login.as_deref() != content.login.map(|login| format!("Basic {login}")).as_deref() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    assert_eq!(query["service"], "upstream");
    content.tokens += 1;
    format!("{{\"token\":\"{}\",\"expires_in\":300}}", query["scope"]).into_response()
}

async fn registry(
    State(server): State<Server>,
    Path(path): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let (name, kind) =
        path.rsplit_once('/').and_then(|(rest, last)| Some((rest.rsplit_once('/')?, last))).unwrap();
    let ((name, kind), reference) = (name, kind);
    let scope = format!("repository:{name}:pull");
    let pass = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap());
    if pass != Some(&format!("Bearer {scope}")) {
        let challenge = format!(
            "Bearer realm=\"http://{}/token\",service=\"upstream\",scope=\"{scope}\"",
            server.address
        );
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response();
    }
    let mut content = server.content.lock().unwrap();
    let range = headers.get(header::RANGE).map_or("", |range| range.to_str().unwrap());
    content.requests.push(format!("{method} {reference} {range}").trim_end().to_owned());
    match kind {
        "manifests" => match content.manifests.get(reference) {
            Some((media_type, bytes)) => {
                let named = [
                    ("content-type", media_type.clone()),
                    ("docker-content-digest", sha256(bytes).to_string()),
                ];
                (named, bytes.clone()).into_response()
            }
            None => StatusCode::NOT_FOUND.into_response(),
        },
        _ if content.blobs.contains_key(reference) => {
            let location = format!("http://{}/signed/{reference}?signature=secret", server.storage);
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)]).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Where blobs are: it takes no login but the signature in the URL.
async fn stored(State(server): State<Server>, Path(digest): Path<String>, headers: HeaderMap) -> Response {
    if headers.contains_key(header::AUTHORIZATION) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let mut content = server.content.lock().unwrap();
    let blob = content.blobs[&digest].clone();
    let start = headers.get(header::RANGE).map_or(0, |range| {
        range.to_str().unwrap().strip_prefix("bytes=").unwrap().trim_end_matches('-').parse().unwrap()
    });
    let rest = blob.slice(start..);
    let mut answer = Response::builder().header(header::CONTENT_LENGTH, rest.len());
    if start > 0 {
        let range = format!("bytes {start}-{}/{}", blob.len() - 1, blob.len());
        answer = answer.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, range);
    }
    let body = match content.breaks_after.take_if(|after| *after < rest.len()) {
        Some(after) => {
            let pieces = [Ok(rest.slice(..after)), Err(std::io::Error::other("the network"))];
            Body::from_stream(stream::iter(pieces))
        }
        None => Body::from(rest),
    };
    answer.body(body).unwrap()
}
