//! Signatures as cosign leaves them: as artifacts that refer to the image, and under a tag that is
//! made of its digest.

use serde_json::{Value, json};

use crate::{
    client::{Client, IMAGE, Manifest, sha256},
    site::Site,
};

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const SIMPLE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// A signature's manifest over one blob.
fn signature(config: Value, layer: Value) -> Value {
    json!({ "schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": [layer] })
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": sha256(bytes), "size": bytes.len() })
}

async fn digests(client: &Client, path: &str) -> Vec<String> {
    let json = client.get(path).await.is(200).json();
    let manifests = json["manifests"].as_array().unwrap().iter();
    manifests.map(|manifest| manifest["digest"].as_str().unwrap().to_owned()).collect()
}

/// cosign 3: a bundle that refers to the image, found by its type, gone with a delete of its own.
#[tokio::test]
async fn a_bundle_is_found_by_the_image_that_it_signs_and_read_as_it_was() {
    let site = Site::start().await;
    let client = site.client();
    let image = client.push_image("team/app", "v1", b"layer").await;
    let bundle = br#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","messageSignature":{}}"#;
    client.push_blob("team/app", bundle).await;
    let mut manifest =
        signature(descriptor("application/vnd.oci.empty.v1+json", b"{}"), descriptor(BUNDLE, bundle));
    manifest["artifactType"] = BUNDLE.into();
    manifest["subject"] = json!({ "mediaType": IMAGE, "digest": image, "size": 2 });
    manifest["annotations"] = json!({ "dev.sigstore.bundle.content": "dsse-envelope" });
    let manifest = Manifest::of(IMAGE, &manifest);
    let path = format!("/v2/team/app/manifests/{}", manifest.digest());
    let put = client.send("PUT", &path, &[("Content-Type", IMAGE)], &manifest.bytes).await.is(201);
    // By this cosign knows that it need not keep a list of its own under a tag.
    assert_eq!(put.header("oci-subject"), Some(image.as_str()));

    let referrers = format!("/v2/team/app/referrers/{image}");
    let filter = format!("{referrers}?artifactType={}", BUNDLE.replace('+', "%2B"));
    let listed = client.get(&filter).await.is(200);
    assert_eq!(listed.header("oci-filters-applied"), Some("artifactType"));
    let found = listed.json()["manifests"][0].clone();
    assert_eq!(
        (found["artifactType"].as_str(), found["digest"].as_str()),
        (Some(BUNDLE), Some(&*manifest.digest()))
    );
    assert_eq!(found["annotations"]["dev.sigstore.bundle.content"], "dsse-envelope");
    let read = client.get(&path).await.is(200);
    assert_eq!(read.body, manifest.bytes);
    let blob = read.json()["layers"][0]["digest"].as_str().unwrap().to_owned();
    assert_eq!(client.get(&format!("/v2/team/app/blobs/{blob}")).await.is(200).body, bundle);

    client.delete(&path).await.is(202);
    assert_eq!(digests(&client, &referrers).await, [""; 0]);
    client.get(&format!("/v2/team/app/manifests/{image}")).await.is(200);
    site.stop().await;
}

/// cosign 2 and before: the tag `sha256-….sig`, to which each signature is added as a layer.
#[tokio::test]
async fn signatures_under_a_tag_add_up_and_are_no_referrers() {
    let site = Site::start().await;
    let client = site.client();
    let image = client.push_image("team/app", "v1", b"layer").await;
    let tag = format!("{}.sig", image.replace(':', "-"));
    let path = format!("/v2/team/app/manifests/{tag}");
    client.get(&path).await.fails(404, "MANIFEST_UNKNOWN");
    let mut layers = Vec::new();
    for number in 0..2 {
        let payload = json!({ "critical": { "image": { "docker-manifest-digest": image } }, "by": number });
        let payload = payload.to_string().into_bytes();
        client.push_blob("team/app", &payload).await;
        let mut layer = descriptor(SIMPLE, &payload);
        layer["annotations"] = json!({ "dev.cosignproject.cosign/signature": "MEUCIQ==" });
        layers.push(layer);
        let config = descriptor("application/vnd.oci.image.config.v1+json", b"{}");
        let mut manifest = signature(config, Value::Null);
        manifest["layers"] = layers.clone().into();
        client.push_manifest("team/app", &tag, &Manifest::of(IMAGE, &manifest)).await;
        let read = client.get(&path).await.is(200).json();
        assert_eq!(read["layers"], Value::from(layers.clone()));
    }
    assert_eq!(digests(&client, &format!("/v2/team/app/referrers/{image}")).await, [""; 0]);
    let tags = client.get("/v2/team/app/tags/list").await.is(200).json();
    assert_eq!(tags["tags"], json!([tag, "v1"]));
    site.stop().await;
}
