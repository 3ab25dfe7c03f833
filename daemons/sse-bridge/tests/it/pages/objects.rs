//! `/objects`.

use async_nats::Client;
use data_encoding::BASE64URL;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::Box;

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
