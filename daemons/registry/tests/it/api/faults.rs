//! Clients that die or dawdle, and servers that restart, in the middle of things.

use std::time::Duration;

use tokio::{io::AsyncWriteExt, task::JoinSet, time::timeout};

use crate::{
    client::{Client, IMAGE, Manifest, read_answer, sha256},
    harness::{DEADLINE, content},
    site::Site,
};

async fn begin(client: &Client) -> String {
    client.send("POST", "/v2/app/blobs/uploads/", &[], b"").await.is(202).location().to_owned()
}

/// Bytes of an upload that are stored, by what it says itself.
async fn offset(client: &Client, location: &str) -> usize {
    let answer = client.get(location).await.is(204);
    let last: usize = answer.header("range").unwrap().strip_prefix("0-").unwrap().parse().unwrap();
    if last == 0 { 0 } else { last + 1 }
}

/// Sends what is missing, from where the upload is, and ends it.
async fn go_on(client: &Client, location: &str, bytes: &[u8]) -> String {
    let start = offset(client, location).await;
    let range = format!("{start}-{}", bytes.len() - 1);
    client.send("PATCH", location, &[("Content-Range", &range)], &bytes[start..]).await.is(202);
    let digest = sha256(bytes);
    client.send("PUT", &format!("{location}?digest={digest}"), &[], b"").await.is(201);
    assert_eq!(client.get(&format!("/v2/app/blobs/{digest}")).await.is(200).body, bytes);
    digest
}

#[tokio::test]
async fn what_arrived_of_a_client_that_died_is_kept_and_the_upload_goes_on() {
    let site = Site::start().await;
    let client = site.client();
    let bytes = content(1, 5_000_000);
    let location = begin(&client).await;
    let length = bytes.len().to_string();
    let mut stream = client.open("PATCH", &location, &[("Content-Length", &length)]).await;
    stream.write_all(&bytes[..3_500_000]).await.unwrap();
    drop(stream);
    site.until("three chunks are stored", async |client: &Client| {
        match client.get(&location).await {
            // The request of the client that died may still hold it.
            answer if answer.status == 409 => false,
            answer => answer.is(204).header("range").unwrap().len() > 8,
        }
    })
    .await;
    assert!(offset(&client, &location).await <= 3_500_000);
    go_on(&client, &location, &bytes).await;
    site.stop().await;
}

#[tokio::test]
async fn an_upload_goes_on_after_the_registry_and_nats_server_restarted() {
    let mut site = Site::start().await;
    let client = site.client();
    let bytes = content(2, 4_000_000);
    let location = begin(&client).await;
    client.send("PATCH", &location, &[], &bytes[..1_500_000]).await.is(202);
    site.restart().await;
    let client = site.client();
    assert_eq!(offset(&client, &location).await, 1_500_000);
    client
        .send("PATCH", &location, &[("Content-Range", "1500000-2499999")], &bytes[1_500_000..2_500_000])
        .await
        .is(202);
    site.node.kill().await;
    site.node.run().await;
    assert_eq!(offset(&client, &location).await, 2_500_000);
    go_on(&client, &location, &bytes).await;
    site.stop().await;
}

/// A regression test: the memory for chunks went round among those that filled theirs slowly, and a
/// quick upload waited for its turn at each chunk.
#[tokio::test]
async fn uploads_that_crawl_or_stop_do_not_hold_up_one_that_is_quick() {
    let site = Site::start().await;
    let client = site.client();
    let mut slow = JoinSet::new();
    // Each fills a part of a chunk; all together hold more than all the memory that there is.
    for number in 0..80 {
        let location = begin(&client).await;
        let mut stream = client.open("PATCH", &location, &[("Content-Length", "1000000000")]).await;
        stream.write_all(&content(number, 150_000)).await.unwrap();
        slow.spawn(async move {
            while number % 4 > 0 && stream.write_all(&[0; 60_000]).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            // Held open by those that stop.
            read_answer(stream, false).await
        });
    }
    let pushed = timeout(DEADLINE, client.push_blob("app", &content(99, 16_000_000))).await;
    pushed.expect("the quick upload goes through");
    slow.shutdown().await;
    site.stop().await;
}

#[tokio::test]
async fn a_push_waits_for_a_nats_server_that_restarts_in_the_middle() {
    let mut site = Site::start().await;
    let client = site.client();
    let bytes = content(3, 8_000_000);
    let digest = sha256(&bytes);
    let length = bytes.len().to_string();
    let path = format!("/v2/app/blobs/uploads/?digest={digest}");
    let mut stream = client.open("POST", &path, &[("Content-Length", &length)]).await;
    stream.write_all(&bytes[..4_000_000]).await.unwrap();
    site.node.kill().await;
    let rest = bytes[4_000_000..].to_vec();
    let pushing = tokio::spawn(async move {
        stream.write_all(&rest).await.unwrap();
        read_answer(stream, false).await
    });
    site.node.run().await;
    pushing.await.unwrap().is(201);
    assert_eq!(client.get(&format!("/v2/app/blobs/{digest}")).await.is(200).body, bytes);
    site.stop().await;
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_both_were_killed() {
    let mut site = Site::start().await;
    let client = site.client();
    let layer = content(4, 3_000_000);
    let digest = client.push_image("app", "v1", &layer).await;
    site.node.kill().await;
    site.stop_daemon().await;
    site.node.run().await;
    site.run().await;
    site.until("ready", async |client: &Client| client.get("/readyz").await.status == 200).await;
    let client = site.client();
    let answer = client.get("/v2/app/manifests/v1").await.is(200);
    assert_eq!(answer.header("docker-content-digest"), Some(&*digest));
    assert_eq!(client.get(&format!("/v2/app/blobs/{}", sha256(&layer))).await.is(200).body, layer);
    site.stop().await;
}

#[tokio::test]
async fn two_writers_of_one_upload_do_not_mix() {
    let site = Site::start().await;
    let client = site.client();
    let bytes = content(5, 2_000_000);
    let location = begin(&client).await;
    let mut first = client.open("PATCH", &location, &[("Content-Length", "2000000")]).await;
    first.write_all(&bytes[..1_000_000]).await.unwrap();
    site.until("the first has it", async |client: &Client| {
        let answer = client.send("PATCH", &location, &[("Content-Range", "0-4")], b"hello").await;
        match answer.status {
            409 => true,
            // It came before the first one.
            202 => panic!("the second one wrote: {answer:?}"),
            _ => false,
        }
    })
    .await;
    first.write_all(&bytes[1_000_000..]).await.unwrap();
    read_answer(first, false).await.is(202);
    go_on_to_end(&client, &location, &bytes).await;
    site.stop().await;
}

async fn go_on_to_end(client: &Client, location: &str, bytes: &[u8]) {
    let digest = sha256(bytes);
    client.send("PUT", &format!("{location}?digest={digest}"), &[], b"").await.is(201);
    assert_eq!(client.get(&format!("/v2/app/blobs/{digest}")).await.is(200).body, bytes);
}

#[tokio::test]
async fn a_slow_client_is_no_hostile_one() {
    let site = Site::start().await;
    let client = site.client();
    let bytes = content(6, 200_000);
    let digest = sha256(&bytes);
    let path = format!("/v2/app/blobs/uploads/?digest={digest}");
    let mut stream = client.open("POST", &path, &[("Content-Length", "200000")]).await;
    for piece in bytes.chunks(10_000) {
        stream.write_all(piece).await.unwrap();
        stream.flush().await.unwrap();
        // Not to wait for anything, but to be slow.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    read_answer(stream, false).await.is(201);
    site.stop().await;
}

#[tokio::test]
async fn a_quota_is_told_before_and_in_the_middle_of_a_push() {
    let site = Site::with("", "quotas = { team = \"3MiB\" }").await;
    let client = site.client();
    client.push_blob("team/app", &content(7, 1_000_000)).await;
    let bytes = content(8, 4_000_000);
    let digest = sha256(&bytes);
    let path = format!("/v2/team/app/blobs/uploads/?digest={digest}");
    let answer = client.send("POST", &path, &[], &bytes).await.fails(403, "DENIED");
    let (_, message) = answer.error();
    assert!(message.contains("`team`") && message.contains("registry.quotas"), "{message}");
    assert_eq!(answer.json()["errors"][0]["detail"]["quota"], 3 << 20);

    let location =
        client.send("POST", "/v2/team/app/blobs/uploads/", &[], b"").await.is(202).location().to_owned();
    let chunked: Vec<u8> = [format!("{:x}\r\n", bytes.len()).as_bytes(), &bytes, b"\r\n0\r\n\r\n"].concat();
    let answer = client.send("PATCH", &location, &[("Transfer-Encoding", "chunked")], &chunked).await;
    answer.fails(403, "DENIED");
    client.delete(&location).await.is(204);
    // Others are not concerned, and what fits still does.
    client.push_blob("teams", &bytes).await;
    client.push_blob("team/app", &content(9, 1_000_000)).await;
    let used = site.metric("leafbox_registry_quota_used_bytes{namespace=\"team\"}").await;
    assert_eq!(used, 2_000_000);
    site.stop().await;
}

#[tokio::test]
async fn parallel_pulls_and_pushes_of_one_blob_all_succeed() {
    let site = Site::start().await;
    let client = site.client();
    let bytes = content(10, 3_000_000);
    let digest = sha256(&bytes);
    let pushes = (0..20).map(|number| {
        let (client, bytes) = (client.clone(), bytes.clone());
        tokio::spawn(async move { client.push_blob(&format!("app-{number}"), &bytes).await })
    });
    for push in pushes.collect::<Vec<_>>() {
        assert_eq!(push.await.unwrap(), digest);
    }
    site.until_clean(3).await;
    let pulls = (0..200).map(|number| {
        let (client, path) = (client.clone(), format!("/v2/app-{}/blobs/{digest}", number % 20));
        tokio::spawn(async move { client.get(&path).await.is(200).body })
    });
    for pull in pulls.collect::<Vec<_>>() {
        assert_eq!(pull.await.unwrap(), bytes);
    }
    site.stop().await;
}

#[tokio::test]
async fn a_refused_push_reads_its_refusal_though_it_sends_a_large_body() {
    let site = Site::start().await;
    let client = site.anonymous();
    let bytes = content(11, 8_000_000);
    let path = format!("/v2/app/blobs/uploads/?digest={}", sha256(&bytes));
    for _ in 0..5 {
        let answer = client.send("POST", &path, &[], &bytes).await.fails(401, "UNAUTHORIZED");
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.contains("scope=\"repository:app:pull,push\""), "{challenge}");
    }
    let headers = [("Content-Type", IMAGE)];
    let manifest = Manifest::image(b"layer");
    client.send("PUT", "/v2/app/manifests/v1", &headers, &manifest.bytes).await.fails(401, "UNAUTHORIZED");
    client.delete("/v2/app/manifests/v1").await.fails(401, "UNAUTHORIZED");
    client.get("/v2/app/manifests/v1").await.fails(404, "MANIFEST_UNKNOWN");
    client.get("/v2/_catalog").await.is(200);
    site.stop().await;
}
