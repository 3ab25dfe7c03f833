//! The registry's HTTP API: OCI distribution specification 1.1 with what its main branch adds, below
//! `/v2/`, and a few routes of this node's own.
//!
//! - Rights come first: who may not do it is refused before anything is looked up.
//! - Bodies stream both ways, and only as fast as the other side takes them; only manifests are held
//!   in memory, within bounds.
//! - A request that writes goes on when its client is gone, so that what arrived is kept and an upload
//!   that was sent to its end becomes a blob.
//! - Locations are paths: right behind any proxy and for any name of this machine.

mod answer;
mod blobs;
mod body;
mod failure;
mod manifests;
mod probes;
mod referrers;
mod tags;
mod uploads;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use async_nats::{Client, connection::State as Connection};
use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Method, Request, header, request},
    response::Response,
};
use runtime::http::Peer;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::{
    access::{Access, Caller, Refused},
    audit::{Audit, Event, What},
    collect::Collector,
    metrics::Metrics,
    parse::{Query, Target},
    storage::Storage,
    travel::Travel,
};
use answer::API_VERSION;
use body::Arriving;
use failure::Failure;

/// How long a request may wait for the registry to start before it is told to come back.
const START_PATIENCE: Duration = Duration::from_secs(5);

/// What requests are answered with, once it is there.
pub struct Parts {
    /// Blobs, manifests and tags.
    pub storage: Storage,
    /// Who may do what.
    pub access: Access,
    /// Where what is not here comes from.
    pub travel: Travel,
    /// Does away with what nothing relies on.
    pub collector: Arc<Collector>,
    /// Takes events of what clients changed.
    pub audit: Audit,
}

/// The service behind the listener. A clone is the same service.
#[derive(Clone)]
pub struct Service(Arc<Inner>);

struct Inner {
    parts: OnceLock<Parts>,
    started: tokio::sync::Notify,
    metrics: Metrics,
    nats: Client,
    large_manifests: Semaphore,
    /// Requests that write: they are not cancelled with their connection.
    writes: TaskTracker,
}

/// A request without its body.
struct Asked {
    method: Method,
    headers: HeaderMap,
    query: Query,
    caller: Caller,
    peer: SocketAddr,
}

impl Asked {
    /// An event of something that the caller did.
    fn event(&self, what: What) -> Event {
        Event { peer: Some(self.peer.ip()), ..Event::new(what, self.caller.name()) }
    }
}

impl Service {
    /// A service that says that it is starting until [`Service::start`]; `nats` tells it whether
    /// nats-server is there.
    pub fn new(nats: Client, metrics: Metrics) -> Self {
        Self(Arc::new(Inner {
            parts: OnceLock::new(),
            started: tokio::sync::Notify::new(),
            metrics,
            nats,
            large_manifests: manifests::room(),
            writes: TaskTracker::new(),
        }))
    }

    /// Answers with these from now on. Only the first call counts.
    pub fn start(&self, parts: Parts) {
        let _ = self.0.parts.set(parts);
        self.0.started.notify_waiters();
    }

    /// All routes. Requests need a [`Peer`] as an extension, which `runtime::http` gives them.
    pub fn router(&self) -> Router {
        Router::new().fallback(serve).with_state(self.clone())
    }

    /// Waits until each request that writes has come to its end; none may come in any more.
    pub async fn finish(&self, deadline: Duration) {
        self.0.writes.close();
        if tokio::time::timeout(deadline, self.0.writes.wait()).await.is_err() {
            tracing::warn!("{} requests that write were cut off", self.0.writes.len());
        }
    }

    /// Whether requests can be answered: the index is filled, and nats-server is connected.
    pub fn is_ready(&self) -> bool {
        self.0.parts.get().is_some() && self.is_connected()
    }

    fn is_connected(&self) -> bool {
        self.0.nats.connection_state() == Connection::Connected
    }

    /// What requests are answered with, if it is there.
    pub(crate) fn parts_now(&self) -> Option<&Parts> {
        self.0.parts.get()
    }

    /// A client need not know that the registry has just been started: it waits a moment.
    async fn parts(&self) -> Result<&Parts, Failure> {
        let wait = async {
            loop {
                let started = self.0.started.notified();
                if let Some(parts) = self.0.parts.get() {
                    return parts;
                }
                started.await;
            }
        };
        tokio::time::timeout(START_PATIENCE, wait).await.map_err(|_| Failure::Starting)
    }
}

async fn serve(State(service): State<Service>, request: Request<Body>) -> Response {
    let began = Instant::now();
    let metrics = service.0.metrics.clone();
    let under_way = metrics.begin();
    let method = method_name(request.method());
    let (route, response) = answer(service, request).await;
    drop(under_way);
    metrics.answered(route, method, response.status().as_u16(), began.elapsed());
    response
}

/// The pattern of the route, and the answer.
async fn answer(service: Service, request: Request<Body>) -> (&'static str, Response) {
    let (head, body) = request.into_parts();
    // Only a test without a connection has none.
    let peer = head.extensions.get::<Peer>().copied();
    let peer = peer.unwrap_or(Peer { address: (Ipv4Addr::UNSPECIFIED, 0).into(), tls: false });
    if !head.uri.path().starts_with("/v2") {
        return probes::answer(&service, peer, &head, body).await;
    }
    let target = match Target::of(head.uri.path()) {
        Ok(target) => target,
        Err(error) => return ("unknown", versioned(Failure::from(error).answer())),
    };
    let pattern = target.pattern();
    let body = Arriving::new(body, service.0.metrics.clone());
    let writes = !matches!(head.method, Method::GET | Method::HEAD);
    let response = if writes {
        let task = service.0.writes.clone().spawn(respond(service, peer, head, target, body));
        task.await.unwrap_or_else(|_| Failure::Lost.answer())
    } else {
        respond(service, peer, head, target, body).await
    };
    (pattern, versioned(response))
}

async fn respond(
    service: Service,
    peer: Peer,
    head: request::Parts,
    target: Target,
    mut body: Arriving,
) -> Response {
    match dispatch(&service, peer, head, &target, &mut body).await {
        Ok(response) => response,
        Err(failure) => {
            body.drain().await;
            failure.answer()
        }
    }
}

async fn dispatch(
    service: &Service,
    peer: Peer,
    head: request::Parts,
    target: &Target,
    body: &mut Arriving,
) -> Result<Response, Failure> {
    let parts = service.parts().await?;
    let request::Parts { method, headers, uri, .. } = head;
    let challenged = |failure, headers: &HeaderMap| match failure {
        Failure::Refused { refused, .. } => {
            let challenge = parts.access.challenge(&refused, headers, peer.tls);
            Failure::Refused { refused, challenge }
        }
        other => other,
    };
    let caller = match parts.access.caller(&headers, peer.address) {
        Ok(caller) => caller,
        Err(refused) => return Err(challenged(asking_for(refused, target, &method).into(), &headers)),
    };
    let query = Query::of(uri.query().unwrap_or_default())?;
    let asked = Asked { method, headers, query, caller, peer: peer.address };
    let result = route(service, parts, &asked, target, body).await;
    if let Err(Failure::Refused { refused, .. }) = &result {
        parts.access.tell(refused, peer.address.ip());
    }
    result.map_err(|failure| challenged(failure, &asked.headers))
}

/// A Bearer token that ended is refused before it is known what for: this says what to ask for.
fn asking_for(refused: Refused, target: &Target, method: &Method) -> Refused {
    use crate::access::{Action, Scopes};
    let scopes = match (target, target.repository()) {
        (Target::Catalog, _) => Scopes::catalog(),
        (Target::Upload(..), Some(repository)) => Scopes::needed(repository, Action::Push),
        (_, Some(repository)) => {
            let action = match *method {
                Method::GET | Method::HEAD => Action::Pull,
                Method::DELETE => Action::Delete,
                _ => Action::Push,
            };
            Scopes::needed(repository, action)
        }
        (_, None) => return refused,
    };
    refused.asking_for(scopes)
}

async fn route(
    service: &Service,
    parts: &Parts,
    asked: &Asked,
    target: &Target,
    body: &mut Arriving,
) -> Result<Response, Failure> {
    let metrics = &service.0.metrics;
    let is = |method: Method| asked.method == method;
    let reads = is(Method::GET) || is(Method::HEAD);
    match target {
        Target::Base if reads => probes::base(asked),
        Target::Catalog if reads => tags::catalog(parts, asked).await,
        Target::Tags(name) if reads => tags::list(parts, asked, name).await,
        Target::Referrers(name, digest) if reads => referrers::list(parts, asked, name, digest).await,
        Target::Base | Target::Catalog | Target::Tags(_) | Target::Referrers(..) => {
            Err(Failure::Method { allow: "GET, HEAD" })
        }
        Target::Manifest(name, reference) => match asked.method {
            Method::GET | Method::HEAD => manifests::read(parts, asked, metrics, name, reference).await,
            Method::PUT => {
                let room = &service.0.large_manifests;
                manifests::write(parts, asked, room, name, reference, body).await
            }
            Method::DELETE => manifests::delete(parts, asked, name, reference).await,
            _ => Err(Failure::Method { allow: "GET, HEAD, PUT, DELETE" }),
        },
        Target::Blob(name, digest) => match asked.method {
            Method::GET | Method::HEAD => blobs::read(parts, asked, metrics, name, digest).await,
            Method::DELETE => blobs::delete(parts, asked, name, digest).await,
            _ => Err(Failure::Method { allow: "GET, HEAD, DELETE" }),
        },
        Target::Uploads(name) if is(Method::POST) => uploads::begin(parts, asked, name, body).await,
        Target::Uploads(_) => Err(Failure::Method { allow: "POST" }),
        Target::Upload(name, id) => {
            let upload = || uploads::Upload::named(parts, asked, name, id);
            match asked.method {
                Method::PATCH => upload()?.append(body).await,
                Method::PUT => upload()?.commit(body).await,
                Method::GET | Method::HEAD => upload()?.status().await,
                Method::DELETE => upload()?.cancel().await,
                _ => Err(Failure::Method { allow: "GET, HEAD, PATCH, PUT, DELETE" }),
            }
        }
    }
}

fn versioned(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    // Blobs hold whatever somebody pushed: no browser is to guess that one is a page.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A label of metrics: no client invents one.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}
