//! `GET`, `HEAD` and `DELETE /v2/<name>/blobs/<digest>`.

use crate::{
    client::{sha256, sha512},
    harness::content,
    site::Site,
};

#[tokio::test]
async fn a_blob_is_read_whole_by_head_and_in_part() {
    let site = Site::start().await;
    let client = site.client();
    // More than two chunks, so that ranges cross their borders.
    let bytes = content(1, 2_500_000);
    for digest in [sha256(&bytes), sha512(&bytes)] {
        let upload = format!("/v2/team/app/blobs/uploads/?digest={digest}");
        client.send("POST", &upload, &[], &bytes).await.is(201);
        let path = format!("/v2/team/app/blobs/{digest}");
        let escaped = format!("/v2/team/app/blobs/{}", digest.replace(':', "%3A"));
        for path in [&path, &escaped] {
            let answer = client.get(path).await.is(200);
            assert_eq!(answer.body, bytes);
            for (header, value) in [
                ("docker-content-digest", digest.as_str()),
                ("etag", &format!("\"{digest}\"")),
                ("content-type", "application/octet-stream"),
                ("accept-ranges", "bytes"),
                ("docker-distribution-api-version", "registry/2.0"),
                ("x-content-type-options", "nosniff"),
            ] {
                assert_eq!(answer.header(header), Some(value), "{header}");
            }
        }
        let answer = client.head(&path).await.is(200);
        assert_eq!(answer.header("content-length"), Some("2500000"));
        assert_eq!(answer.header("docker-content-digest"), Some(&*digest));

        let last = bytes.len() - 1;
        for (range, start, end) in [
            ("bytes=0-0".to_owned(), 0, 1),
            ("bytes=500-1499".to_owned(), 500, 1500),
            ("bytes=1047000-2096000".to_owned(), 1_047_000, 2_096_001),
            ("bytes=2499999-".to_owned(), last, bytes.len()),
            ("bytes=-700".to_owned(), bytes.len() - 700, bytes.len()),
            ("bytes=2400000-9999999".to_owned(), 2_400_000, bytes.len()),
        ] {
            let answer = client.send("GET", &path, &[("Range", &range)], b"").await.is(206);
            assert_eq!(answer.body, &bytes[start..end], "{range}");
            let expected = format!("bytes {start}-{}/{}", end - 1, bytes.len());
            assert_eq!(answer.header("content-range"), Some(&*expected));
        }
        for range in ["bytes=2500000-", "bytes=500-0", "bytes=-0"] {
            let answer = client.send("GET", &path, &[("Range", range)], b"").await.fails(416, "SIZE_INVALID");
            assert_eq!(answer.header("content-range"), Some("bytes */2500000"), "{range}");
        }
        let several = client.send("GET", &path, &[("Range", "bytes=0-1,5-6")], b"").await.is(200);
        assert_eq!(several.body.len(), bytes.len());
    }
    site.stop().await;
}

#[tokio::test]
async fn a_client_that_has_the_bytes_is_told_so() {
    let site = Site::start().await;
    let client = site.client();
    let digest = client.push_blob("app", b"hello world").await;
    let path = format!("/v2/app/blobs/{digest}");
    let tag = format!("\"{digest}\"");
    for known in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
        let answer = client.send("GET", &path, &[("If-None-Match", &known)], b"").await.is(304);
        assert_eq!(answer.header("etag"), Some(&*tag));
    }
    client.send("GET", &path, &[("If-None-Match", "\"x\"")], b"").await.is(200);
    let of = async |condition: &str| {
        client.send("GET", &path, &[("Range", "bytes=0-4"), ("If-Range", condition)], b"").await
    };
    assert_eq!(of(&tag).await.is(206).body, b"hello");
    assert_eq!(of("\"other\"").await.is(200).body, b"hello world");
    assert_eq!(of("Wed, 21 Oct 2015 07:28:00 GMT").await.is(200).body, b"hello world");
    site.stop().await;
}

#[tokio::test]
async fn the_empty_blob_is_one() {
    let site = Site::start().await;
    let client = site.client();
    let digest = client.push_blob("app", b"").await;
    let path = format!("/v2/app/blobs/{digest}");
    let answer = client.get(&path).await.is(200);
    assert_eq!((answer.body.len(), answer.header("content-length")), (0, Some("0")));
    client.send("GET", &path, &[("Range", "bytes=0-")], b"").await.fails(416, "SIZE_INVALID");
    client.send("GET", &path, &[("Range", "bytes=-5")], b"").await.is(200);
    site.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_unknown_and_what_is_no_digest_is_invalid() {
    let site = Site::start().await;
    let client = site.client();
    let digest = client.push_blob("app", b"hello").await;
    let missing = sha256(b"another");
    let answer = client.get(&format!("/v2/app/blobs/{missing}")).await.fails(404, "BLOB_UNKNOWN");
    assert_eq!(answer.json()["errors"][0]["detail"]["digest"], missing.as_str());
    client.head(&format!("/v2/app/blobs/{missing}")).await.is(404);
    client.get(&format!("/v2/other/blobs/{digest}")).await.fails(404, "BLOB_UNKNOWN");
    for bad in ["sha256:0f", "md5:00", "hello", "sha256%3A"] {
        client.get(&format!("/v2/app/blobs/{bad}")).await.fails(400, "DIGEST_INVALID");
        client.delete(&format!("/v2/app/blobs/{bad}")).await.fails(400, "DIGEST_INVALID");
    }
    client.get(&format!("/v2/App/blobs/{digest}")).await.fails(400, "NAME_INVALID");
    let answer = client.send("PUT", &format!("/v2/app/blobs/{digest}"), &[], b"").await;
    assert_eq!(answer.fails(405, "UNSUPPORTED").header("allow"), Some("GET, HEAD, DELETE"));
    client.get("/v2/app/nothing/here").await.fails(404, "UNSUPPORTED");
    site.stop().await;
}

#[tokio::test]
async fn a_deleted_blob_is_gone_from_its_repository_at_once_and_from_no_other() {
    let site = Site::start().await;
    let client = site.client();
    let digest = client.push_blob("one", b"hello").await;
    client.push_blob("two", b"hello").await;
    client.delete(&format!("/v2/one/blobs/{digest}")).await.is(202);
    client.get(&format!("/v2/one/blobs/{digest}")).await.fails(404, "BLOB_UNKNOWN");
    client.delete(&format!("/v2/one/blobs/{digest}")).await.fails(404, "BLOB_UNKNOWN");
    assert_eq!(client.get(&format!("/v2/two/blobs/{digest}")).await.is(200).body, b"hello");
    site.stop().await;
}
