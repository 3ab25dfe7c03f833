//! `/objects`.

use async_nats::{Client, jetstream::object_store};
use data_encoding::BASE64URL;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

use super::Box;
use crate::servers::fleet::{Answer, Session};

const FILES: &str = "/objects/SHOP/files";

/// Stores an object as clients do (ADR-20), in chunks of 10 bytes.
async fn store(client: &Client, name: &str, content: &[u8]) {
    let nuid = format!("N{}", name.len());
    for chunk in content.chunks(10) {
        let chunk = chunk.to_vec().into();
        client.request(format!("$O.files.C.{nuid}"), chunk).await.unwrap();
    }
    let described = json!({
        "name": name, "bucket": "files", "nuid": nuid, "size": content.len(), "chunks": content.len().div_ceil(10),
        "digest": format!("SHA-256={}", BASE64URL.encode(&Sha256::digest(content))), "of_tomorrow": [1],
    });
    let subject = format!("$O.files.M.{}", BASE64URL.encode(name.as_bytes()));
    client.request(subject, described.to_string().into()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_listed_described_downloaded_and_deleted() {
    let own = Box::start().await;
    let client = own.node.client("shop").await;
    let bucket = json!({
        "name": "OBJ_files", "subjects": ["$O.files.C.>", "$O.files.M.>"], "allow_rollup_hdrs": true, "discard": "new",
    });
    client.request("$JS.API.STREAM.CREATE.OBJ_files", bucket.to_string().into()).await.unwrap();
    let content = b"<html>not to be run</html> and some more of it";
    store(&client, "docs/a page.html", content).await;
    store(&client, "b", b"other").await;

    let list = own.see(&own.viewer, "/objects").await;
    assert!(list.contains(&format!("href=\"{FILES}\"")), "{list}");
    let list = own.see(&own.viewer, FILES).await;
    let link = format!("{FILES}/of/docs%2Fa%20page.html");
    assert!(list.contains(&link) && list.contains("46 B"), "{list}");
    let page = own.see(&own.viewer, &link).await;
    assert!(page.contains("of_tomorrow") && !page.contains("Delete the object"), "{page}");
    let file = own.console.get(&format!("{link}/file"), Some(&own.viewer)).await;
    assert_eq!((file.status, file.text.as_bytes()), (200, &content[..]));
    assert_eq!(
        (file.header("content-type"), file.header("content-length")),
        ("application/octet-stream", "46")
    );
    assert!(
        file.header("content-disposition").starts_with("attachment; filename=\"a_page.html\""),
        "{file:?}"
    );

    let delete = format!("{FILES}/delete");
    let form = [("name", "docs/a page.html"), ("confirm", "docs/a page.html")];
    own.refused(&own.viewer, &delete, &form, 403).await;
    own.refused(&own.operator, &delete, &[form[0], ("confirm", "b")], 422).await;
    let forged = own.console.ask("POST", &delete, Some(&own.admin), "", "name=b&confirm=b").await;
    assert_eq!((forged.status, forged.code().as_str()), (403, "cross_site"));
    let page = own.act(&own.operator, &delete, &form).await;
    assert!(page.contains("docs/a page.html is deleted") && !page.contains(&link), "{page}");
    assert_eq!(own.console.get(&link, Some(&own.viewer)).await.status, 404);
    let other = own.console.get(&format!("{FILES}/of/b/file"), Some(&own.viewer)).await;
    assert_eq!(other.text, "other");
    own.console.stop().await;
}

/// A file that was cut or changed must not look whole.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_not_what_its_digest_says_is_not_downloaded_whole() {
    let own = Box::start().await;
    let client = own.node.client("shop").await;
    let bucket = json!({ "name": "OBJ_files", "subjects": ["$O.files.C.>", "$O.files.M.>"] });
    client.request("$JS.API.STREAM.CREATE.OBJ_files", bucket.to_string().into()).await.unwrap();
    let described = json!({
        "name": "x", "nuid": "N", "size": 5, "chunks": 1, "digest": "SHA-256=AAAA",
    });
    client.request("$O.files.C.N", "wrong".into()).await.unwrap();
    client.request("$O.files.M.eA==", described.to_string().into()).await.unwrap();
    let file = own.console.get(&format!("{FILES}/of/x/file"), Some(&own.viewer)).await;
    assert_eq!((file.header("content-length"), file.text.as_str()), ("5", ""), "{file:?}");
    own.console.stop().await;
}

/// Sends a form with a file, as browsers do.
async fn upload(own: &Box, session: &Session, fields: &[(&str, &str)], file: (&str, &str)) -> Answer {
    let mut body = String::new();
    for (name, value) in fields {
        body += &format!("--cut\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    }
    body += &format!(
        "--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{}\"\r\nContent-Type: text/plain\r\n\r\n{}\r\n--cut--\r\n",
        file.0, file.1
    );
    let headers = "sec-fetch-site: same-origin\r\ncontent-type: multipart/form-data; boundary=cut\r\n";
    own.console.ask("POST", &format!("{FILES}/upload"), Some(session), headers, &body).await
}

async fn get(bucket: &object_store::ObjectStore, name: &str) -> String {
    let mut content = String::new();
    // It compares the digest at the end.
    bucket.get(name).await.unwrap().read_to_string(&mut content).await.unwrap();
    content
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_uploaded_is_read_and_verified_by_other_clients() {
    let own = Box::start().await;
    let config = object_store::Config { bucket: "files".to_owned(), ..Default::default() };
    let bucket = own.jetstream().await.create_object_store(config).await.unwrap();
    let chunks = async || {
        let info = own.jetstream().await.get_stream("OBJ_files").await.unwrap().cached_info().state.messages;
        usize::try_from(info).unwrap()
    };
    let page = own.see(&own.operator, FILES).await;
    assert!(page.contains("multipart/form-data") && page.contains("nats object put files FILE"), "{page}");
    assert!(!own.see(&own.viewer, FILES).await.contains("multipart"), "nothing is offered to a viewer");

    let large = "0123456789abcdef".repeat(20_000);
    let answer =
        upload(&own, &own.operator, &[("name", ""), ("description", "a <b>")], ("large.txt", &large)).await;
    assert_eq!(answer.status, 303, "{answer:?}");
    let page = own.see(&own.operator, answer.header("location")).await;
    assert!(page.contains("large.txt is stored, 312.5 KiB") && page.contains("a &lt;b&gt;"), "{page}");
    assert_eq!(get(&bucket, "large.txt").await, large);
    // Three chunks and the description.
    assert_eq!(chunks().await, 4);
    let told = own.console.site.told("object-stored").await;
    assert_eq!(told.detail.as_deref(), Some("SHOP/files/large.txt: 320000 bytes"));

    // What has the name already is replaced where that is said, and its chunks go.
    let again = upload(&own, &own.operator, &[("name", "large.txt")], ("x", "small")).await;
    assert!(again.status == 400 && again.text.contains("tick the box"), "{again:?}");
    assert_eq!(get(&bucket, "large.txt").await, large);
    let form = [("name", "large.txt"), ("replace", "true")];
    assert_eq!(upload(&own, &own.operator, &form, ("x", "small")).await.status, 303);
    assert_eq!((get(&bucket, "large.txt").await.as_str(), chunks().await), ("small", 2));
    assert_eq!(upload(&own, &own.operator, &[("name", "leer")], ("x", "")).await.status, 303);
    assert_eq!(get(&bucket, "leer").await, "");
    // Of one that was deleted the name is free.
    bucket.delete("leer").await.unwrap();
    assert_eq!(upload(&own, &own.operator, &[("name", "leer")], ("x", "not any more")).await.status, 303);
    own.console.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_refused_or_cut_leaves_nothing() {
    let own = Box::start().await;
    let config =
        object_store::Config { bucket: "files".to_owned(), max_bytes: 200_000, ..Default::default() };
    own.jetstream().await.create_object_store(config).await.unwrap();
    let messages =
        async || own.jetstream().await.get_stream("OBJ_files").await.unwrap().cached_info().state.messages;
    let refused = upload(&own, &own.viewer, &[("name", "a")], ("a", "b")).await;
    assert!(refused.status == 403 && refused.text.contains("takes the role operator"), "{refused:?}");
    let path = format!("{FILES}/upload");
    let form = "content-type: multipart/form-data; boundary=cut\r\n";
    let forged = own.console.ask("POST", &path, Some(&own.admin), form, "--cut--\r\n").await;
    assert_eq!((forged.status, forged.code().as_str()), (403, "cross_site"));
    for (name, file, status, hint) in [
        ("a\u{7}", "b", 400, "no name of an object"),
        (&*"n".repeat(300), "b", 400, "255 bytes at most"),
        // NATS's own words, after a chunk was stored.
        ("large", &*"x".repeat(400_000), 409, "maximum bytes exceeded"),
    ] {
        let refused = upload(&own, &own.operator, &[("name", name)], ("a", file)).await;
        assert!(refused.status == status && refused.text.contains(hint), "{hint}: {refused:?}");
    }
    assert_eq!(messages().await, 0);
    // A browser that goes away in the middle.
    let length = "content-length: 9000000\r\nsec-fetch-site: same-origin\r\n";
    let begun = format!(
        "--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n{}",
        "y".repeat(150_000)
    );
    let cut = own.console.begin(&path, &own.operator, &format!("{form}{length}"), &begun).await;
    until("a chunk is stored", async || messages().await == 1).await;
    drop(cut);
    until("nothing is left of it", async || messages().await == 0).await;
    own.console.stop().await;
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = std::time::Instant::now();
    while !holds().await {
        assert!(started.elapsed() < crate::server::DEADLINE, "{what}: not in time");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
