//! `/v2/<name>/manifests/<reference>`.

use crate::{
    client::{IMAGE, INDEX, Manifest, image, sha256, sha512},
    site::Site,
};

#[tokio::test]
async fn a_manifest_comes_back_byte_by_byte_with_its_media_type() {
    let site = Site::start().await;
    let client = site.client();
    client.push_blob("team/app", b"{}").await;
    client.push_blob("team/app", b"layer").await;
    let mut manifest = Manifest::image(b"layer");
    // Whatever the client's own way of writing JSON is.
    manifest.bytes.extend_from_slice(b"\n \n");
    let digest = manifest.digest();
    let path = "/v2/team/app/manifests/v1.0";
    let headers = [("Content-Type", "application/vnd.oci.image.manifest.v1+json; charset=utf-8")];
    let answer = client.send("PUT", path, &headers, &manifest.bytes).await.is(201);
    let by_digest = format!("/v2/team/app/manifests/{digest}");
    assert_eq!(answer.location(), by_digest);
    assert_eq!(answer.header("docker-content-digest"), Some(&*digest));
    assert_eq!(answer.header("oci-subject"), None);
    for path in [path, &by_digest, &by_digest.replace(':', "%3a")] {
        // It is never converted.
        for accept in ["application/vnd.docker.distribution.manifest.v1+json", "*/*"] {
            let answer = client.send("GET", path, &[("Accept", accept)], b"").await.is(200);
            assert_eq!(answer.body, manifest.bytes);
            assert_eq!(answer.header("content-type"), Some(IMAGE));
            assert_eq!(answer.header("docker-content-digest"), Some(&*digest));
        }
        let answer = client.head(path).await.is(200);
        assert_eq!(answer.header("content-length"), Some(&*manifest.bytes.len().to_string()));
        assert_eq!(answer.header("content-type"), Some(IMAGE));
        let tag = format!("\"{digest}\"");
        client.send("GET", path, &[("If-None-Match", &tag)], b"").await.is(304);
    }
    site.stop().await;
}

#[tokio::test]
async fn dockers_own_media_types_are_taken_as_they_are() {
    let site = Site::start().await;
    let client = site.client();
    client.push_blob("app", b"{}").await;
    client.push_blob("app", b"layer").await;
    let media_type = "application/vnd.docker.distribution.manifest.v2+json";
    let mut value = image(b"layer");
    value["mediaType"] = media_type.into();
    value["config"]["mediaType"] = "application/vnd.docker.container.image.v1+json".into();
    value["layers"][0]["mediaType"] = "application/vnd.docker.image.rootfs.diff.tar.gzip".into();
    let manifest = Manifest::of(media_type, &value);
    let digest = client.push_manifest("app", "latest", &manifest).await;
    let list_type = "application/vnd.docker.distribution.manifest.list.v2+json";
    let list = serde_json::json!({
        "schemaVersion": 2, "mediaType": list_type, "manifests": [{
            "mediaType": media_type, "digest": digest, "size": manifest.bytes.len(),
            "platform": { "architecture": "amd64", "os": "linux" },
        }],
    });
    client.push_manifest("app", "list", &Manifest::of(list_type, &list)).await;
    assert_eq!(client.get("/v2/app/manifests/latest").await.is(200).header("content-type"), Some(media_type));
    assert_eq!(client.get("/v2/app/manifests/list").await.is(200).header("content-type"), Some(list_type));
    site.stop().await;
}

#[tokio::test]
async fn without_a_content_type_the_manifest_says_what_it_is() {
    let site = Site::start().await;
    let client = site.client();
    client.push_blob("app", b"{}").await;
    client.push_blob("app", b"layer").await;
    let manifest = Manifest::image(b"layer");
    client.send("PUT", "/v2/app/manifests/a", &[], &manifest.bytes).await.is(201);
    assert_eq!(client.head("/v2/app/manifests/a").await.is(200).header("content-type"), Some(IMAGE));
    let mut nameless = image(b"layer");
    nameless.as_object_mut().unwrap().remove("mediaType");
    let bytes = serde_json::to_vec(&nameless).unwrap();
    client.send("PUT", "/v2/app/manifests/a", &[], &bytes).await.fails(400, "MANIFEST_INVALID");
    site.stop().await;
}

#[tokio::test]
async fn one_push_may_set_several_tags() {
    let site = Site::start().await;
    let client = site.client();
    client.push_blob("app", b"{}").await;
    client.push_blob("app", b"layer").await;
    let manifest = Manifest::image(b"layer");
    for digest in [sha256(&manifest.bytes), sha512(&manifest.bytes)] {
        let algorithm = &digest[..6];
        let tags: Vec<String> = (0..10).map(|number| format!("{algorithm}-{number}")).collect();
        let query: Vec<String> = tags.iter().map(|tag| format!("tag={tag}")).collect();
        let path = format!("/v2/app/manifests/{digest}?{}", query.join("&"));
        let answer = client.send("PUT", &path, &[("Content-Type", IMAGE)], &manifest.bytes).await.is(201);
        assert_eq!(answer.all("oci-tag"), tags);
        assert_eq!(answer.header("docker-content-digest"), Some(&*digest));
        for tag in &tags {
            let answer = client.head(&format!("/v2/app/manifests/{tag}")).await.is(200);
            assert_eq!(answer.header("docker-content-digest"), Some(&*digest));
        }
    }
    let digest = manifest.digest();
    let many: Vec<String> = (0..33).map(|number| format!("tag=many-{number}")).collect();
    let path = format!("/v2/app/manifests/{digest}?{}", many.join("&"));
    client
        .send("PUT", &path, &[("Content-Type", IMAGE)], &manifest.bytes)
        .await
        .fails(414, "MANIFEST_INVALID");
    let path = format!("/v2/app/manifests/{digest}?tag=-bad");
    client
        .send("PUT", &path, &[("Content-Type", IMAGE)], &manifest.bytes)
        .await
        .fails(400, "MANIFEST_INVALID");
    client.get("/v2/app/manifests/many-0").await.fails(404, "MANIFEST_UNKNOWN");
    site.stop().await;
}

#[tokio::test]
async fn a_push_that_is_wrong_says_what_is() {
    let site = Site::start().await;
    let client = site.client();
    client.push_blob("app", b"{}").await;
    let manifest = Manifest::image(b"layer");
    let put = async |reference: &str, media_type: &str, bytes: &[u8]| {
        let path = format!("/v2/app/manifests/{reference}");
        client.send("PUT", &path, &[("Content-Type", media_type)], bytes).await
    };
    let answer = put("v1", IMAGE, &manifest.bytes).await.fails(404, "MANIFEST_BLOB_UNKNOWN");
    assert!(answer.error().1.contains(&sha256(b"layer")), "{}", answer.text());
    client.push_blob("app", b"layer").await;
    put(&sha256(b"other"), IMAGE, &manifest.bytes).await.fails(400, "DIGEST_INVALID");
    put("sha256:1", IMAGE, &manifest.bytes).await.fails(400, "DIGEST_INVALID");
    put("-bad", IMAGE, &manifest.bytes).await.fails(400, "MANIFEST_INVALID");
    put("v1", IMAGE, b"{").await.fails(400, "MANIFEST_INVALID");
    put("v1", IMAGE, b"").await.fails(400, "MANIFEST_INVALID");
    client.get("/v2/app/manifests/v1").await.fails(404, "MANIFEST_UNKNOWN");
    client.get("/v2/app/manifests/-bad").await.fails(404, "MANIFEST_UNKNOWN");
    client.get("/v2/app/manifests/sha256:1").await.fails(400, "DIGEST_INVALID");
    client.get("/v2/nothing/manifests/v1").await.fails(404, "MANIFEST_UNKNOWN");
    client.send("POST", "/v2/app/manifests/v1", &[], b"").await.fails(405, "UNSUPPORTED");
    site.stop().await;
}

#[tokio::test]
async fn four_megabytes_are_taken_and_more_are_too_large() {
    let site = Site::start().await;
    let client = site.client();
    client.push_blob("app", b"{}").await;
    client.push_blob("app", b"layer").await;
    let sized = |bytes: usize| {
        let mut value = image(b"layer");
        let filler = bytes - serde_json::to_vec(&value).unwrap().len() - 30;
        value["annotations"] = serde_json::json!({ "filler": "x".repeat(filler) });
        Manifest::of(IMAGE, &value)
    };
    let large = sized(4_000_000);
    let digest = client.push_manifest("app", "large", &large).await;
    assert_eq!(client.get(&format!("/v2/app/manifests/{digest}")).await.is(200).body, large.bytes);
    let larger = sized(8_500_000);
    let headers = [("Content-Type", IMAGE)];
    client.send("PUT", "/v2/app/manifests/larger", &headers, &larger.bytes).await.fails(413, "SIZE_INVALID");
    // Without a length it is found out on the way.
    let chunked: Vec<u8> =
        [format!("{:x}\r\n", larger.bytes.len()).as_bytes(), &larger.bytes, b"\r\n0\r\n\r\n"].concat();
    let headers = [("Content-Type", IMAGE), ("Transfer-Encoding", "chunked")];
    client.send("PUT", "/v2/app/manifests/larger", &headers, &chunked).await.fails(413, "SIZE_INVALID");
    client.get("/v2/app/manifests/larger").await.fails(404, "MANIFEST_UNKNOWN");
    site.stop().await;
}

#[tokio::test]
async fn what_is_deleted_is_gone_at_once() {
    let site = Site::start().await;
    let client = site.client();
    let digest = client.push_image("app", "one", b"layer").await;
    client.push_image("app", "two", b"layer").await;
    let by_digest = format!("/v2/app/manifests/{digest}");
    client.delete("/v2/app/manifests/one").await.is(202);
    client.head("/v2/app/manifests/one").await.is(404);
    client.delete("/v2/app/manifests/one").await.fails(404, "MANIFEST_UNKNOWN");
    client.head(&by_digest).await.is(200);
    client.delete(&by_digest).await.is(202);
    client.head(&by_digest).await.is(404);
    client.get("/v2/app/manifests/two").await.fails(404, "MANIFEST_UNKNOWN");
    client.delete(&by_digest).await.fails(404, "MANIFEST_UNKNOWN");
    client.delete("/v2/app/manifests/sha256:1").await.fails(400, "DIGEST_INVALID");
    let again = client.push_image("app", "one", b"layer").await;
    assert_eq!(again, digest);
    client.get(&by_digest).await.is(200);
    site.stop().await;
}

#[tokio::test]
async fn an_index_need_not_have_all_its_manifests() {
    let site = Site::start().await;
    let client = site.client();
    let here = client.push_image("app", "amd64", b"layer").await;
    let index = serde_json::json!({
        "schemaVersion": 2, "mediaType": INDEX, "manifests": [
            { "mediaType": IMAGE, "digest": here, "size": 400 },
            { "mediaType": IMAGE, "digest": sha256(b"elsewhere"), "size": 400 },
        ],
    });
    let digest = client.push_manifest("app", "latest", &Manifest::of(INDEX, &index)).await;
    let nested = serde_json::json!({
        "schemaVersion": 2, "mediaType": INDEX,
        "manifests": [{ "mediaType": INDEX, "digest": digest, "size": 400 }],
    });
    client.push_manifest("app", "nested", &Manifest::of(INDEX, &nested)).await;
    assert_eq!(client.get("/v2/app/manifests/latest").await.is(200).header("content-type"), Some(INDEX));
    site.stop().await;
}

#[tokio::test]
async fn a_large_manifest_comes_back_whole() {
    let site = Site::start().await;
    let client = site.client();
    let mut value = serde_json::json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [] });
    value["annotations"] = serde_json::json!({ "org.example.notes": "n".repeat(3_000_000) });
    let manifest = Manifest::of(INDEX, &value);
    let digest = client.push_manifest("app", "v1", &manifest).await;
    for reference in ["v1", &digest] {
        let answer = client.get(&format!("/v2/app/manifests/{reference}")).await.is(200);
        assert!(answer.body == manifest.bytes);
        assert_eq!(answer.header("content-length"), Some(&*manifest.bytes.len().to_string()));
        assert_eq!(answer.header("content-type"), Some(INDEX));
    }
    site.stop().await;
}
