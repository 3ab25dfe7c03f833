//! What arrives is something else than what was asked for: nothing of it is kept.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_nats::HeaderMap;
use bytes::Bytes;
use futures::StreamExt;
use registry::{Key, records::BlobRecord, travel::TravelError};
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use super::site::{Image, Site, fleet, layers};
use crate::harness::{self, content, sha256, uploads_with_chunks};

/// A hub that answers whatever it likes.
async fn liar(
    hub: &Site,
    answer: impl Fn(&str, Value) -> (Value, Bytes) + Send + Sync + 'static,
) -> AbortOnDropHandle<()> {
    let client = hub.client().await;
    let mut requests = client.subscribe("leafbox.registry.hub.*.*").await.unwrap();
    client.flush().await.unwrap();
    let answer = Arc::new(answer);
    AbortOnDropHandle::new(tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            let operation = request.subject.rsplit('.').next().unwrap().to_owned();
            let (head, payload) = answer(&operation, serde_json::from_slice(&request.payload).unwrap());
            let mut headers = HeaderMap::new();
            headers.insert("Leafbox-Travel", head.to_string().as_str());
            client.publish_with_headers(request.reply.unwrap(), headers, payload).await.unwrap();
        }
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_of_another_digest_is_refused_and_its_last_byte_never_given() {
    let fleet = fleet("");
    let mut hub = Site::hub(&fleet).await;
    let leaf = Site::leaf(&fleet, Some(hub.leaf_address())).await;
    hub.close().await;
    let (wanted, other) = (sha256(b"what was wanted"), content(7, 50_000));
    let given = other.clone();
    let _liar = liar(&hub, move |operation, request| match operation {
        "blob" => {
            let offset = usize::try_from(request["offset"].as_u64().unwrap()).unwrap();
            let head = json!({ "v": 1, "offset": offset, "size": given.len(), "last": true });
            (head, given.slice(offset..))
        }
        _ => (json!({ "v": 1, "size": given.len() }), Bytes::new()),
    })
    .await;
    let repository = harness::repository("team/app");
    harness::until("the link is up", async || leaf.travel().size(&repository, &wanted).await.is_ok()).await;

    match leaf.travel().blob(&repository, &wanted).await {
        Err(TravelError::Tampered { digest, .. }) => assert_eq!(digest, wanted),
        Err(error) => panic!("{error}"),
        Ok(following) => {
            let following = following.unwrap();
            let size = following.size;
            let mut stream = following.stream(0..size);
            let mut got = 0;
            let error = loop {
                match stream.next().await.expect("it cannot end well") {
                    Ok(bytes) => got += bytes.len() as u64,
                    Err(error) => break error,
                }
            };
            assert!(matches!(error, TravelError::Tampered { .. }), "{error}");
            assert!(got < size);
        }
    }
    assert!(leaf.storage().blob(&repository, &wanted).await.unwrap().is_none());
    let nothing = async || {
        leaf.storage().index().uploads().is_empty() && uploads_with_chunks(leaf.storage()).await.is_empty()
    };
    harness::until("nothing of it is kept", nothing).await;
    assert_eq!(leaf.travel().status().refused[0].0, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_of_another_digest_is_refused() {
    let fleet = fleet("");
    let mut hub = Site::hub(&fleet).await;
    let leaf = Site::leaf(&fleet, Some(hub.leaf_address())).await;
    hub.close().await;
    let (said, other) = (Image::new(&layers(1, &[10]), None), Image::new(&layers(2, &[10]), None));
    let (named, bytes) = (said.digest.to_string(), other.bytes.clone());
    let _liar = liar(&hub, move |_, _| {
        let head = json!({
            "v": 1, "digest": named, "size": bytes.len(), "last": true,
            "media_type": "application/vnd.oci.image.manifest.v1+json",
        });
        (head, bytes.clone())
    })
    .await;
    for reference in ["v1".to_owned(), said.digest.to_string(), other.digest.to_string()] {
        harness::until("it is refused", async || {
            let answer = leaf.fetch("team/app", &reference).await;
            assert!(!matches!(answer, Ok(true)), "{reference}");
            matches!(answer, Err(TravelError::Tampered { .. }))
        })
        .await;
    }
    assert!(leaf.storage().index().repositories().is_empty());
}

/// A regression test: the fetch ended well, and nobody had the blob.
#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_the_collector_takes_while_it_is_given_to_another_repository_is_fetched_again() {
    let fleet = fleet("");
    let mut hub = Site::hub(&fleet).await;
    let leaf = Site::leaf(&fleet, Some(hub.leaf_address())).await;
    hub.close().await;
    let blob = content(7, 50_000);
    let digest = harness::push(leaf.storage(), &harness::repository("team/app"), &blob).await.unwrap();
    let (collector, marked, given) = (leaf.storage().clone(), sha256(&blob), blob.clone());
    let mark = move || {
        let there = collector.index().blob(&marked).unwrap();
        let dying = BlobRecord { dying: true, ..(*there.record).clone() };
        let key = Key::Blob(marked.clone());
        tokio::task::block_in_place(|| {
            let marking = collector.ledger().update(&key, there.revision, &dying);
            // That it was marked before is as good.
            let _ = tokio::runtime::Handle::current().block_on(marking);
        });
    };
    let is_marked = AtomicBool::new(false);
    let _liar = liar(&hub, move |operation, request| match operation {
        "blob" => {
            let offset = usize::try_from(request["offset"].as_u64().unwrap()).unwrap();
            let head = json!({ "v": 1, "offset": offset, "size": given.len(), "last": true });
            (head, given.slice(offset..))
        }
        _ => {
            if request["repository"] == "other/app" && !is_marked.swap(true, Ordering::SeqCst) {
                mark();
            }
            (json!({ "v": 1, "size": given.len() }), Bytes::new())
        }
    })
    .await;
    let team = harness::repository("third/app");
    harness::until("the link is up", async || leaf.travel().size(&team, &digest).await.is_ok()).await;
    let answer = leaf.get("other/app", &digest).await;
    assert!(!matches!(answer, Ok(None)), "it is neither there nor on its way");
    harness::until("the blob is here", async || {
        leaf.get("other/app", &digest).await.is_ok_and(|got| got.as_ref() == Some(&blob))
    })
    .await;
    let is_live = leaf.storage().index().blob(&digest).is_some_and(|blob| !blob.dying);
    assert!(is_live, "its bytes are new ones");
}

/// A regression test: all that came was put into memory, gigabytes of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_is_longer_as_a_blob_is_refused_at_once() {
    const PIECE: usize = 200_000;
    let fleet = fleet("");
    let mut hub = Site::hub(&fleet).await;
    let leaf = Site::leaf(&fleet, Some(hub.leaf_address())).await;
    hub.close().await;
    let digest = sha256(b"a manifest").to_string();
    let _liar = liar(&hub, move |operation, request| match operation {
        "blob" => {
            let piece = content(1, PIECE.min(usize::try_from(request["length"].as_u64().unwrap()).unwrap()));
            (json!({ "v": 1, "offset": request["offset"], "size": 10_u64 << 30 }), piece)
        }
        _ => (json!({ "v": 1, "digest": digest, "size": 5000 }), Bytes::new()),
    })
    .await;
    harness::until("the link is up", async || {
        let answer = leaf.fetch("team/app", "v1").await;
        matches!(answer, Err(TravelError::Broken { message, .. }) if message.contains("has 5000 bytes"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_of_the_other_side_is_an_error_and_no_hang() {
    let fleet = fleet("");
    let mut hub = Site::hub(&fleet).await;
    let leaf = Site::leaf(&fleet, Some(hub.leaf_address())).await;
    hub.close().await;
    let _liar = liar(&hub, |operation, request| match operation {
        // More than was asked for, from elsewhere in the blob.
        "blob" => (json!({ "v": 1, "offset": 3, "size": 10 }), content(1, 100)),
        "stat" => (json!({ "v": 1 }), Bytes::new()),
        _ => (request, Bytes::new()),
    })
    .await;
    let repository = harness::repository("team/app");
    let wanted = sha256(b"wanted");
    harness::until("the link is up", async || {
        matches!(leaf.travel().size(&repository, &wanted).await, Err(TravelError::Broken { .. }))
    })
    .await;
    let answer = leaf.fetch("team/app", "v1").await;
    assert!(matches!(answer, Err(TravelError::Broken { .. })), "{answer:?}");
    let answer = leaf.get("team/app", &wanted).await;
    assert!(matches!(answer, Err(TravelError::Broken { .. })), "{answer:?}");
}

/// A regression test: as a list of denials, the rights of a link kept a leaf from asking at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_box_hears_nothing_of_other_leaves_which_still_pull() {
    let fleet = fleet("");
    let hub = Site::hub(&fleet).await;
    let stolen = Site::leaf_named("shop-2", &fleet, Some(hub.leaf_address())).await;
    let image = hub.push("team/app", "v1", &layers(1, &[100_000])).await;
    harness::until("its link is up", async || stolen.fetch("team/app", "v1").await.is_ok_and(|here| here))
        .await;
    let thief = stolen.client().await;
    let mut heard = Vec::new();
    for subject in
        [">", "leafbox.registry.>", "leafbox.registry.hub.*.*", "leafbox.registry.hub.shop-1.resolve"]
    {
        heard.push(thief.subscribe(subject).await.unwrap());
        heard.push(thief.queue_subscribe(subject, "registry".into()).await.unwrap());
    }
    heard.push(thief.subscribe("leafbox.registry.leaf.shop-1.blob").await.unwrap());
    heard.push(thief.subscribe("leafbox.registry.leaf.*.*").await.unwrap());
    thief.flush().await.unwrap();
    let mut heard = futures::stream::select_all(heard);

    let leaf = Site::leaf(&fleet, Some(hub.leaf_address())).await;
    leaf.until_fetched("team/app", "v1").await;
    leaf.until_has("team/app", &image).await;
    for _ in 0..50 {
        assert!(!leaf.fetch("team/app", "v2").await.unwrap(), "every request comes to the hub");
    }
    let others = hub.client().await;
    let end = "leafbox.registry.leaf.shop-2.end";
    for subject in ["leafbox.registry.leaf.shop-1.blob", "leafbox.registry.chunk.0", "_REGISTRY.answer", end]
    {
        others.publish(subject, "of others".into()).await.unwrap();
    }
    loop {
        let message = tokio::time::timeout(harness::DEADLINE, heard.next()).await.unwrap().unwrap();
        let subject = message.subject.as_str();
        if subject == end {
            return;
        }
        assert!(!subject.contains("shop-1") && message.payload != "of others", "heard {subject}");
    }
}
