//! `POST /v2/<name>/blobs/uploads/?mount=<digest>`.

use crate::{client::sha256, site::Site};

#[tokio::test]
async fn a_blob_is_mounted_with_and_without_a_source() {
    let site = Site::start().await;
    let client = site.client();
    let digest = client.push_blob("source", b"hello").await;
    for (target, from) in [("named", "&from=source"), ("anonymous", ""), ("empty", "&from=")] {
        let path = format!("/v2/{target}/blobs/uploads/?mount={digest}{from}");
        let answer = client.send("POST", &path, &[], b"").await.is(201);
        assert_eq!(answer.location(), format!("/v2/{target}/blobs/{digest}"));
        assert_eq!(answer.header("docker-content-digest"), Some(&*digest));
        assert_eq!(client.get(answer.location()).await.is(200).body, b"hello");
    }
    assert_eq!(site.uploads().await, 0);
    site.stop().await;
}

#[tokio::test]
async fn a_mount_of_what_is_not_there_becomes_an_upload() {
    let site = Site::start().await;
    let client = site.client();
    client.push_blob("source", b"other").await;
    let digest = sha256(b"hello");
    for from in ["&from=source", "&from=nowhere", ""] {
        let path = format!("/v2/target/blobs/uploads/?mount={digest}{from}");
        let location = client.send("POST", &path, &[], b"").await.is(202).location().to_owned();
        client.delete(&location).await.is(204);
    }
    let path = format!("/v2/target/blobs/uploads/?mount={digest}&from=source");
    let location = client.send("POST", &path, &[], b"").await.is(202).location().to_owned();
    client.send("PUT", &format!("{location}?digest={digest}"), &[], b"hello").await.is(201);
    assert_eq!(client.get(&format!("/v2/target/blobs/{digest}")).await.is(200).body, b"hello");
    site.stop().await;
}
