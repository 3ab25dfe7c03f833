//! `/v2/<name>/blobs/uploads/…`: each way to push a blob, and each way to fail.

use crate::{
    client::{Client, sha256, sha512},
    harness::content,
    site::Site,
};

async fn begin(client: &Client, query: &str) -> String {
    let answer = client.send("POST", &format!("/v2/team/app/blobs/uploads/{query}"), &[], b"").await.is(202);
    assert_eq!(answer.header("range"), Some("0-0"));
    assert!(answer.header("oci-chunk-min-length").unwrap().parse::<u64>().unwrap() > 0);
    let location = answer.location().to_owned();
    assert!(location.starts_with("/v2/team/app/blobs/uploads/"), "{location}");
    assert!(location.ends_with(answer.header("docker-upload-uuid").unwrap()));
    location
}

async fn holds(client: &Client, digest: &str, bytes: &[u8]) {
    assert_eq!(client.get(&format!("/v2/team/app/blobs/{digest}")).await.is(200).body, bytes);
}

async fn chunk(client: &Client, location: &str, bytes: &[u8], start: usize, end: usize) {
    let range = format!("{start}-{}", end - 1);
    let answer =
        client.send("PATCH", location, &[("Content-Range", &range)], &bytes[start..end]).await.is(202);
    assert_eq!(answer.header("range"), Some(&*format!("0-{}", end - 1)));
    assert_eq!(answer.location(), location);
}

#[tokio::test]
async fn every_way_to_push_stores_the_same_bytes() {
    let site = Site::start().await;
    let client = site.client();
    for (seed, digest_of) in [(1, sha256 as fn(&[u8]) -> String), (2, sha512)] {
        let bytes = |case: u64| content(seed * 10 + case, 1_200_000);
        let created = |answer: crate::client::Answer, digest: &str| {
            let answer = answer.is(201);
            assert_eq!(answer.location(), format!("/v2/team/app/blobs/{digest}"));
            assert_eq!(answer.header("docker-content-digest"), Some(digest));
        };

        let all = bytes(0);
        let digest = digest_of(&all);
        let path = format!("/v2/team/app/blobs/uploads/?digest={}", digest.replace(':', "%3A"));
        created(client.send("POST", &path, &[], &all).await, &digest);
        holds(&client, &digest, &all).await;

        let all = bytes(1);
        let digest = digest_of(&all);
        let location = begin(&client, "").await;
        created(client.send("PUT", &format!("{location}?digest={digest}"), &[], &all).await, &digest);
        holds(&client, &digest, &all).await;

        // The algorithm may be told at the beginning, or only at the end.
        let algorithm = digest.split(':').next().unwrap();
        for (case, query) in [(2, String::new()), (3, format!("?digest-algorithm={algorithm}"))] {
            let all = bytes(case);
            let digest = digest_of(&all);
            let location = begin(&client, &query).await;
            chunk(&client, &location, &all, 0, 500_000).await;
            chunk(&client, &location, &all, 500_000, 1_100_000).await;
            chunk(&client, &location, &all, 1_100_000, 1_200_000).await;
            created(client.send("PUT", &format!("{location}?digest={digest}"), &[], b"").await, &digest);
            holds(&client, &digest, &all).await;
        }

        let all = bytes(4);
        let digest = digest_of(&all);
        let location = begin(&client, "").await;
        chunk(&client, &location, &all, 0, 500_000).await;
        let range = [("Content-Range", "500000-1199999")];
        let put = format!("{location}?digest={digest}");
        created(client.send("PUT", &put, &range, &all[500_000..]).await, &digest);
        holds(&client, &digest, &all).await;

        // As docker does it: a stream without a length, then an empty PUT.
        let all = bytes(5);
        let digest = digest_of(&all);
        let location = begin(&client, "").await;
        let mut chunked = Vec::new();
        for piece in all.chunks(70_000) {
            chunked.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            chunked.extend_from_slice(piece);
            chunked.extend_from_slice(b"\r\n");
        }
        chunked.extend_from_slice(b"0\r\n\r\n");
        let answer =
            client.send("PATCH", &location, &[("Transfer-Encoding", "chunked")], &chunked).await.is(202);
        assert_eq!(answer.header("range"), Some("0-1199999"));
        created(client.send("PUT", &format!("{location}?digest={digest}"), &[], b"").await, &digest);
        holds(&client, &digest, &all).await;
    }
    // The upload records go a moment after the answer.
    site.until("without uploads", async |_: &Client| site.uploads().await == 0).await;
    site.stop().await;
}

#[tokio::test]
async fn a_chunk_out_of_order_is_refused_with_the_place_to_go_on_at() {
    let site = Site::start().await;
    let client = site.client();
    let all = content(3, 300_000);
    let digest = sha256(&all);
    let location = begin(&client, "").await;
    let out_of_order = async |method: &str, path: &str, start: usize, stored: &str| {
        let range = format!("{start}-{}", start + 99_999);
        let body = &all[start..start + 100_000];
        let answer = client.send(method, path, &[("Content-Range", &range)], body).await;
        let answer = answer.fails(416, "BLOB_UPLOAD_INVALID");
        assert_eq!(answer.header("range"), Some(stored));
        assert_eq!(answer.location(), location);
    };
    out_of_order("PATCH", &location, 100_000, "0-0").await;
    chunk(&client, &location, &all, 0, 100_000).await;
    out_of_order("PATCH", &location, 0, "0-99999").await;
    out_of_order("PATCH", &location, 200_000, "0-99999").await;
    let put = format!("{location}?digest={digest}");
    out_of_order("PUT", &put, 200_000, "0-99999").await;
    for method in ["GET", "HEAD"] {
        let answer = client.send(method, &location, &[], b"").await.is(204);
        assert_eq!((answer.header("range"), answer.location()), (Some("0-99999"), &*location));
    }
    chunk(&client, &location, &all, 100_000, 200_000).await;
    client.send("PUT", &put, &[("Content-Range", "200000-299999")], &all[200_000..]).await.is(201);
    holds(&client, &digest, &all).await;
    client.get(&location).await.fails(404, "BLOB_UPLOAD_UNKNOWN");
    site.stop().await;
}

#[tokio::test]
async fn bytes_of_another_digest_are_refused_and_nothing_of_them_is_kept() {
    let site = Site::start().await;
    let client = site.client();
    let bytes = content(4, 1_100_000);
    for digest in [sha256(b"others"), sha512(b"others")] {
        let path = format!("/v2/team/app/blobs/uploads/?digest={digest}");
        let answer = client.send("POST", &path, &[], &bytes).await.fails(400, "DIGEST_INVALID");
        assert_eq!(answer.json()["errors"][0]["detail"]["expected"], digest.as_str());

        let location = begin(&client, "").await;
        let put = format!("{location}?digest={digest}");
        client.send("PUT", &put, &[], &bytes).await.fails(400, "DIGEST_INVALID");
        client.get(&location).await.fails(404, "BLOB_UPLOAD_UNKNOWN");

        let location = begin(&client, "").await;
        chunk(&client, &location, &bytes, 0, bytes.len()).await;
        client
            .send("PUT", &format!("{location}?digest={digest}"), &[], b"")
            .await
            .fails(400, "DIGEST_INVALID");
        client.head(&format!("/v2/team/app/blobs/{digest}")).await.is(404);
    }
    client.head(&format!("/v2/team/app/blobs/{}", sha256(&bytes))).await.is(404);
    site.until_clean(0).await;
    site.stop().await;
}

#[tokio::test]
async fn a_cancelled_upload_is_gone_with_its_chunks() {
    let site = Site::start().await;
    let client = site.client();
    let location = begin(&client, "").await;
    chunk(&client, &location, &content(5, 1_100_000), 0, 1_100_000).await;
    assert!(site.chunks().await > 0);
    client.delete(&location).await.is(204);
    for method in ["GET", "PATCH", "DELETE"] {
        client.send(method, &location, &[], b"").await.fails(404, "BLOB_UPLOAD_UNKNOWN");
    }
    site.until_clean(0).await;
    site.stop().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_words() {
    let site = Site::start().await;
    let client = site.client();
    let post = async |query: &str| {
        client.send("POST", &format!("/v2/team/app/blobs/uploads/{query}"), &[], b"").await
    };
    post("?digest-algorithm=md5").await.fails(400, "UNSUPPORTED");
    post("?digest=md5:00").await.fails(400, "DIGEST_INVALID");
    post("?mount=nothing").await.fails(400, "DIGEST_INVALID");
    post(&format!("?mount={}&from=Bad", sha256(b"a"))).await.fails(400, "NAME_INVALID");
    client.get("/v2/team/app/blobs/uploads/").await.fails(405, "UNSUPPORTED");

    let location = begin(&client, "").await;
    client.send("PUT", &location, &[], b"").await.fails(400, "DIGEST_INVALID");
    client.send("PUT", &format!("{location}?digest=sha256:1"), &[], b"").await.fails(400, "DIGEST_INVALID");
    let patch =
        async |range: &str| client.send("PATCH", &location, &[("Content-Range", range)], b"hello").await;
    for bad in ["hello", "4-0", "0-", "-4"] {
        patch(bad).await.fails(400, "BLOB_UPLOAD_INVALID");
    }
    patch("0-9").await.fails(400, "SIZE_INVALID");
    // Without a length of its own the body is held against the range.
    let chunked = [("Content-Range", "0-9"), ("Transfer-Encoding", "chunked")];
    let answer = client.send("PATCH", &location, &chunked, b"5\r\nhello\r\n0\r\n\r\n").await;
    answer.fails(400, "SIZE_INVALID");
    let answer = client.send("PATCH", &location, &chunked, b"b\r\nhello world\r\n0\r\n\r\n").await;
    assert!(answer.status == 400 || answer.status == 416, "{answer:?}");

    for unknown in ["0123", "00000000000000000000000000000000", "ZZ"] {
        let path = format!("/v2/team/app/blobs/uploads/{unknown}");
        for method in ["GET", "PATCH", "DELETE"] {
            client.send(method, &path, &[], b"").await.fails(404, "BLOB_UPLOAD_UNKNOWN");
        }
        let put = format!("{path}?digest={}", sha256(b""));
        client.send("PUT", &put, &[], b"").await.fails(404, "BLOB_UPLOAD_UNKNOWN");
    }
    // An upload belongs to its repository.
    let elsewhere = location.replace("/team/app/", "/team/other/");
    client.get(&elsewhere).await.fails(404, "BLOB_UPLOAD_UNKNOWN");
    site.stop().await;
}
