//! Images of an ordinary registry are pulled through by HTTP, for leaves too.

use std::{fs, os::unix::fs::PermissionsExt};

use futures::StreamExt;
use registry::{
    records::Origin,
    travel::{TravelError, UpstreamError},
};
use serde_json::json;
use settings::Fleet;
use tokio_util::task::AbortOnDropHandle;

use super::{
    pushing_up::ask,
    site::{Image, Site, fleet, layers},
    upstream_registry::UpstreamRegistry,
};
use crate::{
    client,
    harness::{self, content, sha256},
    site::Site as Daemon,
};

fn with_upstream(upstream: &UpstreamRegistry, more: &str) -> Fleet {
    fleet(&format!("upstreams = [{{ prefix = \"docker.io\", url = \"http://{}\"{more} }}]", upstream.address))
}

const HERE: &str = "docker.io/library/alpine";

#[tokio::test(flavor = "multi_thread")]
async fn an_image_comes_through_with_a_token_and_from_where_it_is_stored_and_goes_on_after_a_break() {
    let upstream = UpstreamRegistry::start().await;
    let image = Image::new(&layers(1, &[6_000_000, 1000]), None);
    upstream.put("3.20", &image);
    let hub = Site::hub(&with_upstream(&upstream, "")).await;
    assert!(hub.fetch(HERE, "3.20").await.unwrap());
    let origin = Origin::Upstream("docker.io".to_owned());
    assert_eq!(hub.tagged(HERE, "3.20").unwrap(), (image.digest.clone(), origin));

    let (blob, digest) = (&image.blobs[1], sha256(&image.blobs[1]));
    upstream.break_after(4_000_000);
    assert!(hub.get(HERE, &digest).await.unwrap().unwrap() == *blob);
    let asked = upstream.requests();
    let ranges: Vec<&String> = asked.iter().filter(|asked| asked.contains("bytes=")).collect();
    assert!(
        !ranges.is_empty() && ranges.iter().all(|asked| asked.contains(&digest.to_string())),
        "{asked:?}"
    );
    hub.until_has(HERE, &image).await;
    assert_eq!(upstream.tokens(), 1, "one token for all of a repository");

    assert!(!hub.fetch(HERE, "none").await.unwrap());
    assert!(hub.get(HERE, &sha256(b"none")).await.unwrap().is_none());
    assert!(!hub.fetch("team/app", "v1").await.unwrap(), "no upstream has it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_of_an_upstream_is_looked_at_again_by_its_head() {
    let upstream = UpstreamRegistry::start().await;
    let (old, new) = (Image::new(&layers(1, &[1000]), None), Image::new(&layers(2, &[1000]), None));
    upstream.put("3.20", &old);
    let mut hub = Site::hub(&with_upstream(&upstream, "")).await;
    let (repository, tag) = (harness::repository(HERE), harness::tag("3.20"));
    assert!(hub.fetch(HERE, "3.20").await.unwrap());
    hub.until_has(HERE, &old).await;
    upstream.requests();
    hub.travel().refresh(&repository, &tag);
    hub.travel().refresh(&repository, &tag);
    harness::until("nobody looks any more", async || hub.travel().status().renewing.is_empty()).await;
    assert_eq!(upstream.requests(), ["HEAD 3.20"], "once, and without its bytes");

    upstream.put("3.20", &new);
    // Another daemon does not know when this one looked.
    hub.close().await;
    hub.open().await;
    hub.travel().refresh(&repository, &tag);
    harness::until("the tag has moved", async || hub.tagged(HERE, "3.20").unwrap().0 == new.digest).await;
    assert!(hub.has(HERE, &new));
}

/// A regression test: the first blobs that were missing were looked at again and again.
#[tokio::test(flavor = "multi_thread")]
async fn blobs_that_cannot_come_keep_no_others_waiting() {
    let upstream = UpstreamRegistry::start().await;
    let lost = Image::new(&layers(1, &[100; 80]), None);
    upstream.put_manifest("lost", &lost);
    let whole = Image::new(&layers(2, &[1000]), None);
    upstream.put("whole", &whole);
    let hub = Site::hub(&with_upstream(&upstream, "")).await;
    assert!(hub.fetch("docker.io/a", "lost").await.unwrap());
    let refused = async || hub.travel().status().refused.len() == lost.blobs.len();
    harness::until("each of them was asked for", refused).await;
    assert!(hub.fetch("docker.io/b", "whole").await.unwrap());
    hub.until_has("docker.io/b", &whole).await;
}

/// A regression test: requests that waited for an upstream took all turns, and the hub answered no leaf.
#[tokio::test(flavor = "multi_thread")]
async fn a_hub_whose_upstream_says_nothing_answers_what_it_has() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let _swallowing = AbortOnDropHandle::new(tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tell.send(connection).unwrap();
        }
    }));
    let fleet = fleet(&format!("upstreams = [{{ prefix = \"docker.io\", url = \"http://{address}\" }}]"));
    let hub = Site::hub(&fleet).await;
    let image = hub.push("team/app", "v1", &layers(1, &[1000])).await;
    let client = hub.client().await;
    let mut answers = client.subscribe("answers").await.unwrap();
    let resolve = |repository: &str, reference: String| json!({ "v": 1, "repository": repository, "reference": reference });
    for number in 0..100 {
        let request = resolve(HERE, format!("v{number}")).to_string();
        let subject = "leafbox.registry.hub.shop-1.resolve";
        client.publish_with_reply(subject, "answers", request.into()).await.unwrap();
    }
    let _held = told.recv().await.unwrap();
    let answer = ask(&hub, "shop-1", "resolve", &resolve("team/app", "v1".to_owned())).await;
    assert_eq!(answer["digest"], image.digest.to_string(), "{answer}");
    let mut codes = Vec::new();
    for _ in 0..100 {
        let answer = answers.next().await.unwrap();
        codes.push(answer.headers.unwrap().get("Leafbox-Travel").unwrap().to_string());
    }
    let busy = codes.iter().filter(|code| code.contains("busy")).count();
    assert!((30..40).contains(&busy), "{busy} were told to come later");
    assert!(codes.iter().all(|code| code.contains("busy") || code.contains("wait")), "{codes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_has_the_hub_ask_the_upstream() {
    let upstream = UpstreamRegistry::start().await;
    let image = Image::new(&layers(1, &[5_000_000, 1000]), None);
    upstream.put("3.20", &image);
    let fleet = with_upstream(&upstream, "");
    let hub = Site::hub(&fleet).await;
    let leaf = Site::leaf(&fleet, Some(hub.leaf_address())).await;
    leaf.until_fetched(HERE, "3.20").await;
    for blob in &image.blobs {
        assert!(leaf.get(HERE, &sha256(blob)).await.unwrap().unwrap() == *blob);
    }
    leaf.until_has(HERE, &image).await;
    hub.until_has(HERE, &image).await;
    assert_eq!(leaf.tagged(HERE, "3.20").unwrap().1, Origin::Hub);
    assert!(!leaf.fetch(HERE, "none").await.unwrap());
    assert_eq!(leaf.travel().counters().now().from_upstreams, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_read_from_its_file_and_a_wrong_one_is_told() {
    let upstream = UpstreamRegistry::start().await;
    let image = Image::new(&layers(1, &[1000]), None);
    upstream.put("3.20", &image);
    upstream.want_login("bWU6aHVudGVyMg==");
    let hub = Site::hub(&with_upstream(&upstream, ", credentials = \"docker-io.login\"")).await;
    let refused = async || match hub.fetch(HERE, "3.20").await {
        Err(TravelError::Upstream(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(*refused().await, UpstreamError::Credentials { .. }));
    let keys = hub.folder.path().join("keys");
    fs::create_dir(&keys).unwrap();
    let login = keys.join("docker-io.login");
    let write = |text: &str| {
        fs::write(&login, text).unwrap();
        fs::set_permissions(&login, fs::Permissions::from_mode(0o600)).unwrap();
    };
    write("me:wrong\n");
    let told = refused().await;
    assert!(matches!(*told, UpstreamError::Unauthorized { .. }));
    assert!(!told.to_string().contains("wrong"), "{told}");
    write("me:hunter2\n");
    assert!(hub.fetch(HERE, "3.20").await.unwrap(), "read again without a restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_gone_is_told_and_one_without_encryption_refused() {
    let upstream = UpstreamRegistry::start().await;
    let gone = with_upstream(&upstream, "");
    drop(upstream);
    let hub = Site::hub(&gone).await;
    harness::until("it is gone", async || {
        hub.fetch(HERE, "3.20").await.is_err_and(|error| error.is_unreachable())
    })
    .await;
    let plain = fleet("upstreams = [{ prefix = \"docker.io\", url = \"http://192.0.2.1\" }]");
    let hub = Site::hub(&plain).await;
    let answer = hub.fetch(HERE, "3.20").await;
    let is_refused = |error: &UpstreamError| matches!(error, UpstreamError::NotEncrypted { .. });
    assert!(matches!(&answer, Err(TravelError::Upstream(error)) if is_refused(error)), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_of_leafbox_is_the_upstream_of_another_and_clients_get_what_arrives() {
    let upstream = Daemon::with("anonymous = \"none\"", "").await;
    let layer = content(1, 6_000_000);
    let digest = upstream.client().push_image("team/app", "v1", &layer).await;
    let fleet = format!(
        "upstreams = [{{ prefix = \"other\", url = \"http://{}\", credentials = \"other.login\" }}]",
        upstream.address
    );
    let registry = Daemon::with("", &fleet).await;
    let login = registry.folder().join("keys/other.login");
    fs::write(&login, format!("test:{}", upstream.secret)).unwrap();
    fs::set_permissions(&login, fs::Permissions::from_mode(0o600)).unwrap();
    let client = registry.client();
    let manifest = client.get("/v2/other/team/app/manifests/v1").await.is(200);
    assert_eq!(manifest.header("docker-content-digest"), Some(&*digest));
    let blob = format!("/v2/other/team/app/blobs/{}", client::sha256(&layer));
    let (whole, part) = tokio::join!(
        client.get(&blob),
        client.send("GET", &blob, &[("Range", "bytes=3000000-3000009")], b""),
    );
    assert!(whole.is(200).body == layer);
    assert_eq!(part.is(206).body, layer[3_000_000..3_000_010]);
    client.get("/v2/other/team/app/manifests/none").await.fails(404, "MANIFEST_UNKNOWN");
    client.get("/v2/other/team/none/manifests/v1").await.fails(404, "MANIFEST_UNKNOWN");
    let whole = async |client: &client::Client| client.head(&blob).await.status == 200;
    registry.until("it is kept", whole).await;
    upstream.stop().await;
    assert!(client.get(&blob).await.is(200).body == layer);
    assert_eq!(client.get("/v2/other/team/app/manifests/v1").await.is(200).body, manifest.body);
    let gone = client.get("/v2/other/team/app/manifests/v2").await;
    assert!(gone.fails(404, "MANIFEST_UNKNOWN").error().1.contains("cannot be reached"));
    registry.stop().await;
}
