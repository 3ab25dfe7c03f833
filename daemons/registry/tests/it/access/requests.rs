//! The rules at the door of a whole daemon, over HTTP.

use async_nats::jetstream;
use registry::audit::{Event, What};
use settings::builtin::AUDIT_STREAM;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{basic, login, new};
use crate::{
    client::{Answer, Client, Manifest, read_answer, sha256},
    harness::until,
    site::Site,
};

impl Site {
    /// A client with a new token, which the daemon knows.
    async fn client_with(&self, name: &str, patterns: &[&str], actions: &str) -> Client {
        let storage = self.node.storage().await;
        let (audit, _) = registry::audit::channel(&self.nats().await, "shop-1");
        let minted = registry::access::mint(&storage, &audit, "command", new(name, patterns, actions)).await;
        let client = Client { address: self.address, authorization: Some(login(&minted.unwrap())) };
        until("the daemon knows the token", async || client.get("/v2/").await.status == 200).await;
        client
    }
}

/// A parameter of the one challenge.
fn challenge<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let [challenge] = answer.all("www-authenticate")[..] else { panic!("not one challenge: {answer:?}") };
    let parameters = challenge.strip_prefix("Bearer ").expect("docker takes Bearer alone");
    let (_, rest) = parameters.split_once(&format!("{name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

/// Does as the challenge says, with these credentials.
async fn answered(client: &Client, answer: &Answer) -> Client {
    let realm = challenge(answer, "realm").unwrap();
    let path = realm.strip_prefix(&format!("http://{}", client.address)).expect("a realm at this registry");
    let (service, scope) =
        (challenge(answer, "service").unwrap(), challenge(answer, "scope").unwrap_or_default());
    let scope = scope.replace(' ', "%20");
    let token = client.get(&format!("{path}?service={service}&scope={scope}")).await.is(200).json();
    Client { authorization: Some(format!("Bearer {}", token["token"].as_str().unwrap())), ..client.clone() }
}

/// Each request that reads, writes or deletes, by what it needs.
fn requests(name: &str, digest: &str) -> Vec<(&'static str, &'static str, String)> {
    let path = |rest: &str| format!("/v2/{name}/{rest}");
    let upload = path("blobs/uploads/0123456789abcdef0123456789abcdef");
    vec![
        ("pull", "GET", path("tags/list")),
        ("pull", "GET", path("manifests/v1")),
        ("pull", "HEAD", path(&format!("manifests/{digest}"))),
        ("pull", "GET", path(&format!("blobs/{digest}"))),
        ("pull", "HEAD", path(&format!("blobs/{digest}"))),
        ("pull", "GET", path(&format!("referrers/{digest}"))),
        ("push", "POST", path("blobs/uploads/")),
        ("push", "POST", path(&format!("blobs/uploads/?digest={digest}"))),
        ("push", "POST", path(&format!("blobs/uploads/?mount={digest}"))),
        ("push", "PATCH", upload.clone()),
        ("push", "PUT", format!("{upload}?digest={digest}")),
        ("push", "GET", upload.clone()),
        ("push", "DELETE", upload),
        ("push", "PUT", path("manifests/v1")),
        ("delete", "DELETE", path("manifests/v1")),
        ("delete", "DELETE", path(&format!("manifests/{digest}"))),
        ("delete", "DELETE", path(&format!("blobs/{digest}"))),
    ]
}

#[tokio::test]
async fn every_request_needs_its_right_whether_its_object_is_there_or_not() {
    let site = Site::with("anonymous = \"none\"", "").await;
    let digest = site.client().push_image("team/app", "v1", b"layer").await;
    let holders = [
        ("pull", site.client_with("reader", &["team/*"], "pull").await),
        ("push", site.client_with("writer", &["team/*"], "push").await),
        ("delete", site.client_with("cleaner", &["team/*"], "delete").await),
    ];
    let outsider = site.client_with("outsider", &["other/**"], "*").await;
    let nobody = site.anonymous();
    for name in ["team/app", "team/nothing"] {
        for (needed, method, path) in requests(name, &digest) {
            let what = format!("{method} {path}");
            for (right, client) in &holders {
                let allowed = *right == needed;
                // Only refusals: what is allowed may also delete what the next one asks for.
                if !allowed {
                    let answer = client.send(method, &path, &[], b"").await;
                    assert_eq!(answer.status, 403, "{right}: {what}");
                    assert!(answer.all("www-authenticate").is_empty(), "{what}");
                }
            }
            assert_eq!(outsider.send(method, &path, &[], b"").await.status, 403, "{what}");
            let answer = nobody.send(method, &path, &[], b"").await;
            assert_eq!(answer.status, 401, "{what}");
            let scope = challenge(&answer, "scope").unwrap();
            assert!(
                scope.starts_with(&format!("repository:{name}:")) && scope.contains(needed),
                "{scope}: {what}"
            );
        }
    }
    // With the right, each of them comes to its object.
    for (needed, method, path) in requests("team/app", &digest) {
        let (_, client) = holders.iter().find(|(right, _)| *right == needed).unwrap();
        let status = client.send(method, &path, &[], b"").await.status;
        assert!(![401, 403, 429, 500].contains(&status), "{method} {path}: {status}");
    }
    site.stop().await;
}

#[tokio::test]
async fn a_push_logs_in_by_the_challenge_as_docker_does() {
    let site = Site::start().await;
    let ci = site.client_with("ci", &["team/*"], "pull,push").await;
    let nobody = site.anonymous();
    // docker, skopeo and crane ask first whether they have to log in at all.
    let asked = nobody.get("/v2/").await.is(401);
    assert_eq!((challenge(&asked, "scope"), challenge(&asked, "error")), (None, None));
    assert_eq!(asked.error().0, "UNAUTHORIZED");
    ci.get("/v2/").await.is(200);
    answered(&ci, &asked).await.get("/v2/").await.is(200);
    // Anonymous clients get a token that pulls.
    let anonymous = answered(&nobody, &asked).await;
    anonymous.get("/v2/").await.is(200);

    let start = "/v2/team/app/blobs/uploads/";
    let refused = nobody.send("POST", start, &[], b"").await.is(401);
    assert_eq!(challenge(&refused, "scope"), Some("repository:team/app:pull,push"));
    let refused = answered(&nobody, &refused).await.send("POST", start, &[], b"").await.is(401);
    assert_eq!(challenge(&refused, "error"), None, "nobody is told to ask again for what he does not get");
    let bearer = answered(&ci, &refused).await;
    bearer.push_image("team/app", "v1", b"layer").await;
    nobody.get("/v2/team/app/manifests/v1").await.is(200);

    // A token for less says what is missing; another one is got by it.
    let refused = nobody.get("/v2/").await;
    let small = answered(&ci, &refused).await;
    let refused = small.send("POST", start, &[], b"").await.is(401);
    assert_eq!(challenge(&refused, "error"), Some("insufficient_scope"));
    answered(&ci, &refused).await.send("POST", start, &[], b"").await.is(202);
    // Where no token helps, none is asked for.
    bearer.send("POST", "/v2/other/blobs/uploads/", &[], b"").await.fails(403, "DENIED");
    ci.send("DELETE", "/v2/team/app/manifests/v1", &[], b"").await.fails(403, "DENIED");
    site.stop().await;
}

#[tokio::test]
async fn only_a_program_of_this_machine_that_asks_for_itself_is_anonymous() {
    let site = Site::with("anonymous = \"push\"", "").await;
    let nobody = site.anonymous();
    nobody.push_image("app", "v1", b"layer").await;
    nobody.get("/v2/app/manifests/v1").await.is(200);
    nobody.delete("/v2/app/manifests/v1").await.fails(401, "UNAUTHORIZED");
    let path = "/v2/app/manifests/v1";
    for header in [
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Real-IP", "192.0.2.1"),
        ("Forwarded", "for=192.0.2.1"),
        ("Origin", "https://example.org"),
    ] {
        nobody.send("GET", path, &[header], b"").await.fails(401, "UNAUTHORIZED");
        site.client().send("GET", path, &[header], b"").await.is(200);
    }
    // The name of a page that was made to point here.
    for (host, expected) in [("example.org", 401), ("localhost", 200)] {
        let mut stream = TcpStream::connect(site.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        read_answer(stream, false).await.is(expected);
    }
    site.stop().await;
}

#[tokio::test]
async fn a_mount_from_what_may_not_be_pulled_is_an_upload() {
    let site = Site::start().await;
    let digest = site.client().push_blob("private/base", b"secret").await;
    let stranger = site.client_with("stranger", &["team/*"], "pull,push").await;
    let member = site.client_with("member", &["team/*", "private/*"], "pull,push").await;
    for from in ["&from=private/base", ""] {
        let path = format!("/v2/team/app/blobs/uploads/?mount={digest}{from}");
        stranger.send("POST", &path, &[], b"").await.is(202);
        stranger.get(&format!("/v2/team/app/blobs/{digest}")).await.is(404);
    }
    let path = format!("/v2/team/app/blobs/uploads/?mount={digest}&from=private/base");
    // A Bearer token is for the repositories that it was asked for, whatever its owner may.
    let unnamed = "/v2/team/app/blobs/uploads/";
    let refused = site.anonymous().send("POST", unnamed, &[], b"").await.is(401);
    let narrow = answered(&member, &refused).await;
    narrow.send("POST", &path, &[], b"").await.is(202);
    narrow.get(&format!("/v2/team/app/blobs/{digest}")).await.is(404);
    // So the challenge of a mount names its source, too.
    let refused = site.anonymous().send("POST", &path, &[], b"").await.is(401);
    let scope = "repository:private/base:pull repository:team/app:pull,push";
    assert_eq!(challenge(&refused, "scope"), Some(scope));
    answered(&member, &refused).await.send("POST", &path, &[], b"").await.is(201);
    stranger.get(&format!("/v2/team/app/blobs/{digest}")).await.is(200);
    site.stop().await;
}

#[tokio::test]
async fn the_catalog_shows_what_its_reader_may_pull() {
    let site = Site::with("anonymous = \"none\"", "").await;
    for name in ["team/a", "team/b", "other"] {
        site.client().push_blob(name, b"hello").await;
    }
    let team = site.client_with("team", &["team/*"], "pull").await;
    let writer = site.client_with("writer", &["**"], "push").await;
    let shown =
        async |client: &Client| client.get("/v2/_catalog").await.is(200).json()["repositories"].to_string();
    assert_eq!(shown(&site.client()).await, r#"["other","team/a","team/b"]"#);
    assert_eq!(shown(&team).await, r#"["team/a","team/b"]"#);
    assert_eq!(shown(&writer).await, "[]");
    let refused = site.anonymous().get("/v2/_catalog").await.is(401);
    assert_eq!(challenge(&refused, "scope"), Some("registry:catalog:*"));
    assert_eq!(shown(&answered(&team, &refused).await).await, r#"["team/a","team/b"]"#);
    site.stop().await;
}

#[tokio::test]
async fn too_many_failures_are_told_with_the_time_to_wait() {
    let site = Site::start().await;
    let wrong = Client { authorization: Some(basic("test", "hunter2")), ..site.anonymous() };
    for _ in 0..10 {
        let answer = wrong.get("/v2/").await.fails(401, "UNAUTHORIZED");
        assert!(answer.error().1.contains("begin with `lbr_`"), "{answer:?}");
    }
    for path in ["/v2/", "/v2/app/tags/list", "/token"] {
        let answer = wrong.get(path).await.fails(429, "TOOMANYREQUESTS");
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait));
    }
    site.client().get("/v2/").await.is(429);
    site.anonymous().get("/healthz").await.is(200);
    site.stop().await;
}

#[tokio::test]
async fn a_token_that_may_not_push_or_delete_is_told_of_and_no_crowd_of_it() {
    let site = Site::start().await;
    let reader = site.client_with("reader", &["team/*"], "pull").await;
    let path = "/v2/team/app/manifests/v1";
    reader.get("/v2/other/manifests/v1").await.fails(403, "DENIED");
    site.anonymous().delete(path).await.is(401);
    reader.send("PUT", path, &[], b"{}").await.fails(403, "DENIED");
    for _ in 0..100 {
        reader.delete(path).await.fails(403, "DENIED");
    }
    let refused = async || {
        let events = site.audited().await.into_iter();
        events.filter(|event| event.what == What::Refused).collect::<Vec<Event>>()
    };
    until("sixty are told", async || refused().await.len() == 60).await;
    let (push, delete) = (&refused().await[0], &refused().await[1]);
    for (event, action) in [(push, "push"), (delete, "delete")] {
        assert_eq!((event.who.as_str(), event.peer), ("reader", Some("127.0.0.1".parse().unwrap())));
        assert_eq!(event.about.repository.as_ref().unwrap().as_str(), "team/app");
        let detail = event.detail.as_ref().unwrap();
        assert!(detail.contains(&format!("may not {action} in `team/app`")), "{detail}");
    }
    site.stop().await;
}

#[tokio::test]
async fn what_clients_change_is_in_the_audit_stream_with_who_and_from_where() {
    let mut site = Site::start().await;
    let context = jetstream::new(site.nats().await);
    let mut stream = context.get_stream(AUDIT_STREAM).await.unwrap();
    let ci = site.client_with("ci", &["**"], "*").await;
    let digest = ci.push_image("team/app", "v1", b"layer").await;
    let manifest = Manifest::image(b"layer");
    ci.push_manifest("team/app", &manifest.digest(), &manifest).await;
    let layer = sha256(b"layer");
    ci.send("POST", &format!("/v2/next/blobs/uploads/?mount={layer}&from=team/app"), &[], b"").await.is(201);
    ci.delete("/v2/team/app/manifests/v1").await.is(202);
    ci.delete(&format!("/v2/next/blobs/{layer}")).await.is(202);
    // What was refused, or only read, is no change.
    site.anonymous().delete(&format!("/v2/team/app/manifests/{digest}")).await.is(401);
    ci.get(&format!("/v2/team/app/manifests/{digest}")).await.is(200);
    // The daemon ends when all is stored.
    site.stop_daemon().await;

    let mut events = Vec::new();
    for sequence in 1..=stream.info().await.unwrap().state.last_sequence {
        let message = stream.get_raw_message(sequence).await.unwrap();
        let event: Event = serde_json::from_slice(&message.payload).unwrap();
        // The new token was tried until the daemon knew it.
        if event.what == What::LoginFailed {
            continue;
        }
        assert!(message.subject.starts_with("leafbox.audit.shop-1.registry."), "{}", message.subject);
        assert_eq!((event.who.as_str(), event.peer), ("ci", Some("127.0.0.1".parse().unwrap())));
        let repository = event.about.repository.unwrap().to_string();
        events.push((
            event.what,
            repository,
            event.about.reference,
            event.about.digest.map(|digest| digest.to_string()),
        ));
    }
    let of_team = |what, tag: Option<&str>, digest: Option<&str>| {
        (what, "team/app".to_owned(), tag.map(str::to_owned), digest.map(str::to_owned))
    };
    let of_next = |what| (what, "next".to_owned(), None, Some(layer.clone()));
    assert_eq!(events.len(), 5, "{events:?}");
    assert_eq!(events[0], of_team(What::Pushed, Some("v1"), Some(&digest)));
    assert_eq!((events[1].0, &events[1].3), (What::Pushed, &Some(digest)));
    assert_eq!(events[2], of_next(What::Mounted));
    assert_eq!((events[3].0, events[3].1.as_str()), (What::Deleted, "team/app"));
    assert_eq!(events[3].2.as_deref(), Some("v1"));
    assert_eq!(events[4], of_next(What::Deleted));
}
