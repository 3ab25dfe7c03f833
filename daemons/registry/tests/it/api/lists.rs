//! Tags, repositories and referrers: lists in parts.

use registry::parse::next_of;

use crate::{
    client::{Client, INDEX, Manifest},
    site::Site,
};

/// Follows `Link` from a first page to the end, and returns what `of` finds on each.
async fn pages(
    client: &Client,
    first: &str,
    of: impl Fn(&serde_json::Value) -> Vec<String>,
) -> Vec<Vec<String>> {
    let mut path = first.to_owned();
    let mut pages = Vec::new();
    loop {
        let answer = client.get(&path).await.is(200);
        pages.push(of(&answer.json()));
        assert!(pages.len() < 100, "it never ends");
        match answer.header("link").map(|link| next_of(link).expect("a next page").to_owned()) {
            Some(next) => path = next,
            None => return pages,
        }
    }
}

fn strings(value: &serde_json::Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|entry| entry.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn tags_are_listed_in_ascii_order_and_in_pages() {
    let site = Site::start().await;
    let client = site.client();
    let mut tags = ["b", "A", "a", "Z", "1.10", "1.9", "_x", "a-1", "a.1", "a_1"].map(str::to_owned).to_vec();
    for tag in &tags {
        client.push_image("team/app", tag, b"layer").await;
    }
    tags.sort();
    let list = "/v2/team/app/tags/list";
    let answer = client.get(list).await.is(200);
    assert_eq!(answer.json()["name"], "team/app");
    assert_eq!(answer.header("link"), None);
    let of = |json: &serde_json::Value| strings(&json["tags"]);
    assert_eq!(of(&answer.json()), tags);
    for count in [1, 3, 9, 10, 11] {
        let found = pages(&client, &format!("{list}?n={count}"), of).await;
        assert!(found.iter().all(|page| page.len() <= count && !page.is_empty()), "{found:?}");
        assert_eq!(found.concat(), tags, "{count}");
    }
    for (query, expected) in [
        ("last=a", &tags[6..]),
        ("last=1.95", &tags[2..]),
        ("last=%7E", &tags[10..]),
        ("last=%20", &tags[..]),
        ("n=2&last=A", &tags[3..5]),
        ("n=100&last=Z", &tags[4..]),
    ] {
        assert_eq!(of(&client.get(&format!("{list}?{query}")).await.is(200).json()), expected, "{query}");
    }
    let none = client.get(&format!("{list}?n=0")).await.is(200);
    assert_eq!((of(&none.json()).len(), none.header("link")), (0, None));
    for bad in ["-1", "x", "1.5"] {
        client.get(&format!("{list}?n={bad}")).await.fails(400, "UNSUPPORTED");
    }
    client.get("/v2/nothing/tags/list").await.fails(404, "NAME_UNKNOWN");
    client.send("POST", list, &[], b"").await.fails(405, "UNSUPPORTED");
    site.stop().await;
}

#[tokio::test]
async fn a_repository_without_tags_has_an_empty_list() {
    let site = Site::start().await;
    let client = site.client();
    client.push_blob("app", b"hello").await;
    assert_eq!(client.get("/v2/app/tags/list").await.is(200).text(), r#"{"name":"app","tags":[]}"#);
    site.stop().await;
}

#[tokio::test]
async fn repositories_are_listed_in_pages() {
    let site = Site::start().await;
    let client = site.client();
    assert_eq!(client.get("/v2/_catalog").await.is(200).text(), r#"{"repositories":[]}"#);
    let names = ["a", "a/b", "a/b/c", "team/app", "team/app-2", "z"];
    for name in names {
        client.push_blob(name, b"hello").await;
    }
    let of = |json: &serde_json::Value| strings(&json["repositories"]);
    assert_eq!(of(&client.get("/v2/_catalog").await.is(200).json()), names);
    for count in [1, 4, 6] {
        assert_eq!(pages(&client, &format!("/v2/_catalog?n={count}"), of).await.concat(), names);
    }
    assert_eq!(of(&client.get("/v2/_catalog?last=b").await.is(200).json()), names[3..]);
    site.stop().await;
}

#[tokio::test]
async fn referrers_are_listed_filtered_and_in_pages_also_of_what_is_not_there() {
    let site = Site::start().await;
    let client = site.client();
    let subject = Manifest::image(b"layer").digest();
    let path = format!("/v2/app/referrers/{subject}");
    let empty = client.get(&path).await.is(200);
    assert_eq!(empty.header("content-type"), Some(INDEX));
    let expected = serde_json::json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [] });
    assert_eq!(empty.json(), expected);
    client.get("/v2/app/referrers/sha256:1").await.fails(400, "DIGEST_INVALID");
    client.get("/v2/app/referrers/latest").await.fails(400, "DIGEST_INVALID");

    client.push_blob("app", b"{}").await;
    let mut of_type = [Vec::new(), Vec::new()];
    for number in 0..7 {
        let kind = number % 2;
        let artifact_type = ["application/spdx+json", "application/vnd.example.signature"][kind];
        let manifest = Manifest::referrer(&subject, artifact_type, number);
        let headers = [("Content-Type", manifest.media_type.as_str())];
        let put = format!("/v2/app/manifests/{}", manifest.digest());
        let answer = client.send("PUT", &put, &headers, &manifest.bytes).await.is(201);
        assert_eq!(answer.header("oci-subject"), Some(&*subject));
        of_type[kind].push(manifest.digest());
    }
    let mut all = of_type.concat();
    all.sort();
    of_type.iter_mut().for_each(|digests| digests.sort());
    let of = |json: &serde_json::Value| {
        let manifests = json["manifests"].as_array().unwrap().iter();
        manifests.map(|manifest| manifest["digest"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let answer = client.get(&path).await.is(200);
    assert_eq!(of(&answer.json()), all);
    assert_eq!(answer.header("oci-filters-applied"), None);
    let first = &answer.json()["manifests"][0];
    assert!(first["annotations"]["number"].is_string() && first["size"].is_u64(), "{first}");
    assert_eq!(first["mediaType"], crate::client::IMAGE);
    // Escaped as it should be, and as many clients leave it.
    for filter in ["application/spdx%2Bjson", "application/spdx+json"] {
        let answer = client.get(&format!("{path}?artifactType={filter}")).await.is(200);
        assert_eq!(of(&answer.json()), of_type[0]);
        assert_eq!(answer.header("oci-filters-applied"), Some("artifactType"));
        for count in [1, 2, 4] {
            let first = format!("{path}?artifactType={filter}&n={count}");
            let found = pages(&client, &first, of).await;
            assert!(found.iter().all(|page| page.len() <= count), "{found:?}");
            assert_eq!(found.concat(), of_type[0], "{count}");
        }
    }
    let none = client.get(&format!("{path}?artifactType=text/plain")).await.is(200);
    assert_eq!(of(&none.json()).len(), 0);
    client.delete(&format!("/v2/app/manifests/{}", all[0])).await.is(202);
    assert_eq!(of(&client.get(&path).await.is(200).json()), all[1..]);
    site.stop().await;
}

#[tokio::test]
async fn referrers_with_long_annotations_are_listed_with_all_of_them_on_pages_of_a_bearable_size() {
    let site = Site::start().await;
    let client = site.client();
    client.push_blob("app", b"{}").await;
    let subject = Manifest::image(b"layer").digest();
    let mut digests = Vec::new();
    for number in 0..4 {
        let mut value: serde_json::Value =
            serde_json::from_slice(&Manifest::referrer(&subject, "text/plain", number).bytes).unwrap();
        value["annotations"]["long"] = "x".repeat(1_400_000).into();
        let manifest = Manifest::of(crate::client::IMAGE, &value);
        digests.push(client.push_manifest("app", &manifest.digest(), &manifest).await);
    }
    digests.sort();
    let of = |json: &serde_json::Value| {
        let manifests = json["manifests"].as_array().unwrap().iter();
        let digest = |manifest: &serde_json::Value| {
            assert_eq!(manifest["annotations"]["long"].as_str().unwrap().len(), 1_400_000);
            manifest["digest"].as_str().unwrap().to_owned()
        };
        manifests.map(digest).collect::<Vec<_>>()
    };
    let found = pages(&client, &format!("/v2/app/referrers/{subject}"), of).await;
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(found.concat(), digests);
    site.stop().await;
}
