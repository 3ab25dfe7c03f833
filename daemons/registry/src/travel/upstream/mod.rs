//! An ordinary registry on the internet, from which images are pulled through by HTTPS.

mod client;
mod error;
mod login;

use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use hyper::{
    HeaderMap, Method, Response, StatusCode,
    body::Incoming,
    header::{
        ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, LOCATION, RANGE,
    },
};
use runtime::Credentials;
use tokio::sync::Semaphore;
use url::Url;

pub use error::UpstreamError;

use self::{
    client::{HttpClient, host, whole, without_query},
    login::{Login, Passes},
};
use super::{
    error::TravelError,
    flight::Opened,
    manifest::LONGEST_MANIFEST,
    onward::Onward,
    peer::{KEPT, Resolved},
};
use crate::{Digest, Reference, chunks::Hasher};

/// The manifests that are taken, those of Docker too.
const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.artifact.manifest.v1+json";
/// Registries send a blob to where it is stored, and that once more at most.
const REDIRECTS: usize = 6;
/// What names the content of an answer.
const CONTENT_DIGEST: &str = "docker-content-digest";

/// An ordinary registry.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) prefix: String,
    url: Url,
    client: HttpClient,
    login: Login,
    passes: Passes,
    pub(crate) kept: Arc<Semaphore>,
    pub(crate) onward: Onward,
}

/// Whether the answer to a request may be that there is no such thing.
fn is_missing(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE)
}

impl Upstream {
    /// The registry of `settings`, whose login is a file of `credentials`.
    pub(crate) fn new(
        settings: &settings::fleet::Upstream,
        credentials: &Credentials,
    ) -> Result<Self, UpstreamError> {
        let url = Url::parse(&settings.url).map_err(|error| UpstreamError::Malformed {
            host: settings.url.clone(),
            what: format!("its URL is none: {error}"),
        })?;
        let file = settings.credentials.as_ref().map(|path| path.to_string_lossy().into_owned());
        Ok(Self {
            prefix: settings.prefix.to_string(),
            client: HttpClient::new(&url)?,
            url,
            login: Login { credentials: credentials.clone(), file },
            passes: Passes::default(),
            kept: Arc::new(Semaphore::new(KEPT)),
            onward: Onward::default(),
        })
    }

    /// Which manifest a reference stands for; `None` when it has none. Of the one that is `known`
    /// only the head is asked, which registries do not count against a limit.
    pub(crate) async fn resolve(
        &self,
        name: &str,
        reference: &Reference,
        known: Option<&Digest>,
    ) -> Result<Option<Resolved>, UpstreamError> {
        let path = format!("v2/{name}/manifests/{reference}");
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(ACCEPTED));
        if let Some(known) = known {
            let head = self.send(Method::HEAD, name, &path, headers.clone()).await?;
            let is_same = digest(&head).as_ref() == Some(known);
            if is_same && head.status().is_success() {
                let (media_type, size) = (media_type(&head), length(&head).unwrap_or(0));
                return Ok(Some(Resolved { digest: known.clone(), media_type, size, bytes: None }));
            }
        }
        let answer = self.send(Method::GET, name, &path, headers).await?;
        if is_missing(answer.status()) {
            return Ok(None);
        }
        let answer = self.successful(&path, answer)?;
        let (media_type, said) = (media_type(&answer), digest(&answer));
        let bytes = whole(answer.into_body(), &host(&self.url), LONGEST_MANIFEST).await?;
        let algorithm = match (reference, &said) {
            (Reference::Digest(digest), _) | (_, Some(digest)) => digest.algorithm(),
            _ => crate::Algorithm::default(),
        };
        let mut hasher = Hasher::new(algorithm);
        hasher.update(&bytes);
        let (digest, size) = (hasher.digest(), bytes.len() as u64);
        if said.is_some_and(|said| said != digest) {
            return Err(self.malformed("a manifest whose digest is another one than it says"));
        }
        Ok(Some(Resolved { digest, media_type, size, bytes: Some(bytes.into()) }))
    }

    /// Bytes of a blob; `None` when it has none of that digest.
    pub(crate) async fn stat(&self, name: &str, digest: &Digest) -> Result<Option<u64>, UpstreamError> {
        let path = format!("v2/{name}/blobs/{digest}");
        let answer = self.send(Method::HEAD, name, &path, HeaderMap::new()).await?;
        if is_missing(answer.status()) {
            return Ok(None);
        }
        let answer = self.successful(&path, answer)?;
        length(&answer).map(Some).ok_or_else(|| self.malformed("a blob without Content-Length"))
    }

    /// A blob from `offset` on; `None` when it has none of that digest.
    pub(crate) async fn open(
        &self,
        name: &str,
        digest: &Digest,
        offset: u64,
    ) -> Result<Option<Opened<impl Stream<Item = Result<Bytes, TravelError>> + Send + 'static>>, UpstreamError>
    {
        let path = format!("v2/{name}/blobs/{digest}");
        let mut headers = HeaderMap::new();
        if offset > 0 {
            let range = HeaderValue::from_str(&format!("bytes={offset}-"));
            headers.insert(RANGE, range.map_err(|_| self.malformed("a range that is none"))?);
        }
        let answer = self.send(Method::GET, name, &path, headers).await?;
        if is_missing(answer.status()) {
            return Ok(None);
        }
        let answer = self.successful(&path, answer)?;
        let (size, skip) = match answer.status() {
            StatusCode::PARTIAL_CONTENT => {
                let (start, size) =
                    content_range(&answer).ok_or_else(|| self.malformed("a part without Content-Range"))?;
                if start != offset {
                    return Err(self.malformed("another part than was asked for"));
                }
                (size, 0)
            }
            // It does not know ranges, or does not care: what is here already is passed over.
            _ => (length(&answer).ok_or_else(|| self.malformed("a blob without Content-Length"))?, offset),
        };
        let bytes = client::bytes(answer.into_body(), host(&self.url)).map_err(TravelError::from);
        Ok(Some(Opened { size, bytes: without_first(bytes, skip) }))
    }

    /// Sends a request, logs in when asked to, and goes where the answer leads.
    async fn send(
        &self,
        method: Method,
        name: &str,
        path: &str,
        headers: HeaderMap,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let base = format!("{}/{path}", self.url.as_str().trim_end_matches('/'));
        let first = Url::parse(&base).map_err(|error| self.malformed(&error.to_string()))?;
        let mut url = first.clone();
        let mut pass = self.passes.get(name);
        let mut asked_for_login = false;
        for _ in 0..REDIRECTS {
            let mut headers = headers.clone();
            // Another host is no business of this login: a signed URL refuses a second one even.
            let is_first_host = url.origin() == first.origin();
            if let Some(pass) = pass.as_ref().filter(|_| is_first_host) {
                headers.insert(AUTHORIZATION, pass.clone());
            }
            let answer = self.client.send(method.clone(), &url, headers).await?;
            match answer.status() {
                StatusCode::UNAUTHORIZED if is_first_host && !asked_for_login => {
                    asked_for_login = true;
                    let (client, login) = (&self.client, &self.login);
                    pass = Some(self.passes.answer(client, login, name, &url, answer.headers()).await?);
                }
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    return Err(UpstreamError::Unauthorized { host: host(&url) });
                }
                status if status.is_redirection() => {
                    let to = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok());
                    let to = to.and_then(|to| url.join(to).ok());
                    url = to.ok_or_else(|| self.malformed("a redirection to nowhere"))?;
                }
                _ => return Ok(answer),
            }
        }
        Err(UpstreamError::Redirects { url: without_query(&first) })
    }

    fn successful(
        &self,
        path: &str,
        answer: Response<Incoming>,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        Err(UpstreamError::Status { url: format!("{}{path}", without_query(&self.url)), status })
    }

    fn malformed(&self, what: &str) -> UpstreamError {
        UpstreamError::Malformed { host: host(&self.url), what: what.to_owned() }
    }
}

fn header(answer: &Response<Incoming>, name: impl hyper::header::AsHeaderName) -> Option<&str> {
    answer.headers().get(name)?.to_str().ok()
}

fn digest(answer: &Response<Incoming>) -> Option<Digest> {
    header(answer, CONTENT_DIGEST)?.parse().ok()
}

fn length(answer: &Response<Incoming>) -> Option<u64> {
    header(answer, CONTENT_LENGTH)?.parse().ok()
}

fn media_type(answer: &Response<Incoming>) -> String {
    let text = header(answer, CONTENT_TYPE).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_owned()
}

fn content_range(answer: &Response<Incoming>) -> Option<(u64, u64)> {
    parse_content_range(header(answer, CONTENT_RANGE)?)
}

/// The first byte and the whole size in `bytes 10-19/20`.
fn parse_content_range(text: &str) -> Option<(u64, u64)> {
    let (range, size) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.trim().parse().ok()?, size.trim().parse().ok()?))
}

/// A stream without its first bytes.
fn without_first<E: Send + 'static>(
    bytes: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    mut skip: u64,
) -> impl Stream<Item = Result<Bytes, E>> + Send + 'static {
    bytes.filter_map(move |piece| {
        let piece = piece.map(|mut piece| {
            let passed = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
            skip -= passed as u64;
            piece.split_off(passed)
        });
        std::future::ready(Some(piece).filter(|piece| piece.as_ref().map_or(true, |piece| !piece.is_empty())))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use futures::stream;

    use super::*;

    #[test]
    fn parts_are_told_apart_from_nonsense() {
        assert_eq!(parse_content_range("bytes 10-19/20"), Some((10, 20)));
        for bad in ["", "bytes */20", "bytes 1-2/*", "items 1-2/3", "bytes 1/2"] {
            assert_eq!(parse_content_range(bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn what_is_here_already_is_passed_over() {
        for skip in 0..=7 {
            let pieces =
                ["ab", "", "cde", "fg"].map(|piece| Ok::<_, ()>(Bytes::from_static(piece.as_bytes())));
            let left: Vec<Bytes> = without_first(stream::iter(pieces), skip).try_collect().await.unwrap();
            assert_eq!(left.concat(), &b"abcdefg"[usize::try_from(skip).unwrap()..], "{skip}");
        }
    }
}
