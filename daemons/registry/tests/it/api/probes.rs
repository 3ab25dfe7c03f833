//! Routes of this node's own, and what it tells over NATS.

use registry::{Status, audit::What, status};
use serde_json::json;

use crate::{
    client::{Client, sha256},
    site::Site,
};

#[tokio::test]
async fn it_tells_what_it_counted_to_this_machine_only() {
    let site = Site::start().await;
    let client = site.client();
    client.push_blob("app", b"hello").await;
    client.send("POST", "/v2/app/blobs/uploads/", &[], b"").await.is(202);
    client.get("/v2/A/tags/list").await.is(400);
    let text = client.get("/metrics").await.is(200).text();
    for line in [
        "leafbox_registry_requests_total{route=\"/v2/<name>/blobs/uploads/\",method=\"POST\",status=\"201\"} 1",
        "leafbox_registry_requests_total{route=\"unknown\",method=\"GET\",status=\"400\"} 1",
        "leafbox_registry_received_bytes_total 5",
        "leafbox_registry_uploads_open 1",
        "leafbox_registry_repositories 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    for forwarded in ["Forwarded", "X-Forwarded-For", "Via"] {
        client.send("GET", "/metrics", &[(forwarded, "for=192.0.2.1")], b"").await.is(404);
    }
    site.stop().await;
}

#[tokio::test]
async fn it_is_alive_before_nats_server_is_there_and_ready_after() {
    let mut site = Site::start().await;
    let client = site.client();
    assert_eq!(client.get("/healthz").await.is(200).text(), "ok\n");
    client.get("/readyz").await.is(200);
    client.push_image("app", "v1", b"layer").await;
    site.node.kill().await;
    site.until("not ready", async |client: &Client| client.get("/readyz").await.status == 503).await;
    client.get("/healthz").await.is(200);
    // What is in memory is answered meanwhile.
    client.get("/v2/app/tags/list").await.is(200);
    client.head("/v2/app/manifests/v1").await.is(200);

    site.restart().await;
    let client = site.client();
    client.get("/healthz").await.is(200);
    let text = client.get("/readyz").await.is(503).text();
    assert!(text.contains("FAIL index") && text.contains("FAIL nats"), "{text}");
    let answer = client.get("/v2/app/tags/list").await.fails(503, "UNAVAILABLE");
    assert!(answer.header("retry-after").is_some());
    site.node.run().await;
    site.until("ready", async |client: &Client| client.get("/readyz").await.status == 200).await;
    client.get("/v2/app/manifests/v1").await.is(200);
    site.stop().await;
}

#[tokio::test]
async fn what_clients_change_is_audited() {
    let site = Site::start().await;
    let client = site.client();
    let digest = client.push_image("app", "v1", b"layer").await;
    let layer = sha256(b"layer");
    client.send("POST", &format!("/v2/other/blobs/uploads/?mount={layer}&from=app"), &[], b"").await.is(201);
    client.delete("/v2/app/manifests/v1").await.is(202);
    client.delete(&format!("/v2/app/blobs/{layer}")).await.is(202);
    let expected = [
        (What::Pushed, "app", Some("v1"), Some(&*digest)),
        (What::Mounted, "other", None, Some(&*layer)),
        (What::Deleted, "app", Some("v1"), None),
        (What::Deleted, "app", None, Some(&*layer)),
    ];
    site.until("audited", async |_: &Client| site.audited().await.len() == expected.len()).await;
    for (event, (what, repository, reference, digest)) in site.audited().await.into_iter().zip(expected) {
        assert_eq!((event.what, event.who.as_str()), (what, "test"));
        assert_eq!(event.about.repository.unwrap().as_str(), repository);
        assert_eq!(event.about.reference.as_deref(), reference);
        assert_eq!(event.about.digest.map(|digest| digest.to_string()).as_deref(), digest);
        assert!(event.peer.unwrap().is_loopback());
    }
    site.stop().await;
}

#[tokio::test]
async fn it_is_a_micro_service_that_tells_its_status() {
    let site = Site::start().await;
    let client = site.client();
    client.push_image("app", "v1", b"layer").await;
    client.send("POST", "/v2/app/blobs/uploads/", &[], b"").await.is(202);
    let nats = site.nats().await;
    let answer = nats.request(status::subject("shop-1"), "".into()).await.unwrap();
    let status: Status = serde_json::from_slice(&answer.payload).unwrap();
    assert!(status.ready);
    assert_eq!((status.repositories, status.tags, status.manifests, status.uploads.len()), (1, 1, 1, 1));
    assert_eq!(status.uploads[0].repository.as_str(), "app");
    assert_eq!(status.address, site.client().address.to_string());
    let info = nats.request("$SRV.INFO.leafbox-registry", "".into()).await.unwrap();
    let info: serde_json::Value = serde_json::from_slice(&info.payload).unwrap();
    assert_eq!(info["metadata"]["node"], "shop-1");
    site.stop().await;
}

#[tokio::test]
async fn it_tells_what_it_stores_and_nothing_of_tokens() {
    let site = Site::start().await;
    let client = site.client();
    let digest = client.push_image("team/app", "v1.0", b"layer").await;
    client.push_image("team/app", "v2", b"another layer").await;
    client.push_image("other", "latest", b"layer").await;
    let nats = site.nats().await;
    let ask = async |question: serde_json::Value| {
        let answer = nats.request(status::subject("shop-1"), question.to_string().into()).await.unwrap();
        assert!(!String::from_utf8_lossy(&answer.payload).contains("hash"), "{answer:?}");
        answer
    };
    let read = async |question| -> serde_json::Value {
        serde_json::from_slice(&ask(question).await.payload).unwrap()
    };
    let all = read(json!({ "repositories": {} })).await;
    let names: Vec<&str> = all["repositories"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["repository"].as_str().unwrap())
        .collect();
    assert_eq!((names, &all["more"]), (vec!["other", "team/app"], &json!(false)));
    // What both have counts once.
    assert_eq!(all["bytes"], all["repositories"][1]["bytes"]);
    assert_eq!(all["repositories"][0]["shared"], all["repositories"][0]["bytes"]);
    let after = read(json!({ "repositories": { "after": "other" } })).await;
    assert_eq!(after["repositories"].as_array().unwrap().len(), 1);

    let tags = read(json!({ "tags": { "repository": "team/app" } })).await;
    assert_eq!((&tags["exists"], tags["tags"].as_array().unwrap().len()), (&json!(true), 2));
    let first = &tags["tags"][0];
    assert_eq!(
        (&first["tag"], &first["digest"], &first["by"]),
        (&json!("v1.0"), &json!(digest), &json!("test"))
    );
    assert_eq!(first["key"], "team/app.v1=0");
    assert!(first["bytes"].as_u64().unwrap() > 5, "{first}");
    let one = read(json!({ "tag": { "repository": "team/app", "tag": "v1.0" } })).await;
    assert_eq!(&one["tags"][0], first);
    let none = read(json!({ "tags": { "repository": "nobody" } })).await;
    assert_eq!(none, json!({ "exists": false, "tags": [], "more": false }));
    for bad in [json!({ "tokens": {} }), json!({ "tags": { "repository": "../x" } })] {
        let headers = ask(bad).await.headers.unwrap();
        assert_eq!(headers.get("Nats-Service-Error-Code").unwrap().as_str(), "400");
    }
    site.stop().await;
}
