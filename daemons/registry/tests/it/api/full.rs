//! A node whose JetStream has no room left.

use registry::collect::Policy;
use settings::ByteSize;

use crate::{
    client::{Client, sha256},
    collect::{at_once, pass},
    harness::{content, until},
    site::Site,
};

const ROOM: ByteSize = ByteSize::mib(48);
const FULL: &str = "leafbox_registry_storage_full";

/// Pushes a blob; its digest, unless there is no room for it.
async fn push(client: &Client, number: u64) -> Option<String> {
    let bytes = content(number, 3_000_000);
    let digest = sha256(&bytes);
    let path = format!("/v2/app/blobs/uploads/?digest={digest}");
    let answer = client.send("POST", &path, &[], &bytes).await;
    if answer.status == 507 {
        answer.fails(507, "UNAVAILABLE");
        return None;
    }
    answer.is(201);
    Some(digest)
}

/// Pushes blobs until there is no room for one, and gives how many there was room for.
async fn fill(client: &Client) -> u64 {
    let mut number = 1;
    while push(client, number).await.is_some() {
        number += 1;
    }
    number - 1
}

/// A regression test: neither DELETE nor `leafbox registry gc` could write what they have to.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_node_deletes_and_takes_pushes_again_when_another_process_has_collected() {
    let site = Site::limited(ROOM, "").await;
    let storage = site.node.storage().await;
    until("complete", async || storage.ballast().is_complete().await.unwrap()).await;
    let client = site.client();
    assert_eq!(site.metric(FULL).await, 0);
    let image = client.push_image("app", "v1", &content(1_000_000, 500_000)).await;
    let upload = client.send("POST", "/v2/app/blobs/uploads/", &[], b"").await.is(202).location().to_owned();
    client.send("PATCH", &upload, &[], &content(2_000_000, 1_100_000)).await.is(202);
    assert!(fill(&client).await > 5);
    assert_eq!(site.metric(FULL).await, 1);

    client.send("PATCH", &upload, &[], &content(2_000_000, 100)).await.fails(507, "UNAVAILABLE");
    client.get("/v2/app/manifests/v1").await.is(200);
    client.delete(&upload).await.is(204);
    client.delete(&format!("/v2/app/manifests/{image}")).await.is(202);
    let report = pass(&storage, Policy { upload_expiry: 0, ..at_once() }).await;
    assert!(report.bytes > 15_000_000, "{report}");
    until("pushed", async || push(&client, 1).await.is_some()).await;
    assert_eq!(site.metric(FULL).await, 0);
    until("complete", async || storage.ballast().is_complete().await.unwrap()).await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_node_collects_at_once() {
    let site = Site::limited(ROOM, "grace = \"0s\"\nupload_expiry = \"0s\"").await;
    let client = site.client();
    client.push_image("app", "v1", &content(1_000_000, 500_000)).await;
    assert!(fill(&client).await > 5);
    until("pushed", async || push(&client, 1).await.is_some()).await;
    assert!(site.metric("leafbox_registry_gc_passes_total").await > 0);
    client.get("/v2/app/manifests/v1").await.is(200);
    site.stop().await;
}
