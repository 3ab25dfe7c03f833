//! Blobs of repositories: mounted, taken away, dying, cached.

use registry::{
    Algorithm, Key,
    cache::Cache,
    records::{BlobRecord, LinkRecord},
    storage::Policy,
};

use crate::harness::{Node, body, collect, content, push, read, repository, sha256, until, until_only};

#[tokio::test]
async fn a_blob_belongs_to_the_repositories_that_it_was_pushed_or_mounted_to() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let (from, to, third) = (repository("a"), repository("b/c"), repository("d"));
    let bytes = content(1, 10_000);
    let digest = push(&storage, &from, &bytes).await.unwrap();
    assert_eq!(storage.blob(&to, &digest).await.unwrap(), None);
    assert!(!storage.mount(&to, &digest, Some(&third)).await.unwrap(), "it is not there");
    assert!(!storage.index().exists(&to));
    assert!(storage.mount(&to, &digest, Some(&from)).await.unwrap());
    assert!(storage.mount(&third, &digest, None).await.unwrap());
    assert!(!storage.mount(&third, &sha256(b"nobody has it"), None).await.unwrap());
    assert_eq!(storage.index().repositories_with(&digest), [from.clone(), to.clone(), third.clone()]);

    assert!(storage.unlink(&from, &digest).await.unwrap());
    assert!(!storage.unlink(&from, &digest).await.unwrap());
    assert_eq!(storage.blob(&from, &digest).await.unwrap(), None);
    assert_eq!(storage.blob(&to, &digest).await.unwrap(), Some(10_000));
    assert_eq!(read(&storage, &digest).await.unwrap(), bytes);
    for repository in [&to, &third] {
        assert!(storage.unlink(repository, &digest).await.unwrap());
    }
    assert!(!storage.index().is_held(&digest));
    assert!(storage.index().blob(&digest).is_some(), "the collector takes it later");
    assert!(!storage.mount(&to, &digest, None).await.unwrap());
}

#[tokio::test]
async fn two_daemons_see_what_the_other_wrote_at_once() {
    let node = Node::start().await;
    let (one, other) = (node.storage().await, node.storage().await);
    let team = repository("team/app");
    for number in 0..20 {
        let bytes = content(number, 100);
        let digest = push(&one, &team, &bytes).await.unwrap();
        assert_eq!(other.blob(&team, &digest).await.unwrap(), Some(100));
        assert!(other.mount(&repository("b"), &digest, Some(&team)).await.unwrap());
        assert_eq!(one.touch_blob(&repository("b"), &digest).await.unwrap(), Some(100));
        assert_eq!(read(&other, &digest).await.unwrap(), bytes);
    }
}

#[tokio::test]
async fn a_dying_blob_is_no_blob_and_a_push_brings_it_back_with_its_own_chunks() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let (team, other) = (repository("team/app"), repository("other"));
    let bytes = content(2, 10_000);
    let digest = push(&storage, &team, &bytes).await.unwrap();
    until_only(&storage, 1).await;
    let key = Key::Blob(digest.clone());
    let blob = storage.index().blob(&digest).unwrap();
    let dying = BlobRecord { dying: true, ..(*blob.record).clone() };
    let marked = storage.ledger().update(&key, blob.revision, &dying).await.unwrap();
    assert!(!storage.mount(&other, &digest, Some(&team)).await.unwrap());
    assert!(storage.index().link(&other, &digest).is_none());

    assert_eq!(push(&storage, &other, &bytes).await.unwrap(), digest);
    let again = storage.index().blob(&digest).unwrap();
    assert!(!again.dying && again.upload != blob.upload);
    // What the collector would do now.
    storage.chunks().purge(blob.upload).await.unwrap();
    assert!(storage.ledger().delete(&key, marked).await.is_err(), "it is not the record that was marked");
    assert_eq!(read(&storage, &digest).await.unwrap(), bytes);
}

#[tokio::test]
async fn a_mark_of_the_collector_goes_when_a_client_relies_on_the_blob() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let bytes = content(3, 100);
    let digest = push(&storage, &team, &bytes).await.unwrap();
    let key = Key::Link(team.clone(), digest.clone());
    for relied in 0..3 {
        let link = storage.index().link(&team, &digest).unwrap();
        let marked = LinkRecord { idle: Some(1), ..(*link.record).clone() };
        let marked = storage.ledger().update(&key, link.revision, &marked).await.unwrap();
        match relied {
            0 => assert_eq!(storage.touch_blob(&team, &digest).await.unwrap(), Some(100)),
            1 => assert!(storage.mount(&team, &digest, None).await.unwrap()),
            _ => assert_eq!(push(&storage, &team, &bytes).await.unwrap(), digest),
        }
        assert_eq!(storage.index().link(&team, &digest).unwrap().idle, None);
        assert!(storage.ledger().delete(&key, marked).await.is_err());
    }
}

#[tokio::test]
async fn what_was_relied_on_long_ago_is_touched_and_what_was_just_now_is_not() {
    let node = Node::start().await;
    let storage = node.storage().await;
    let team = repository("team/app");
    let digest = push(&storage, &team, &content(4, 100)).await.unwrap();
    let before = storage.index().link(&team, &digest).unwrap().revision;
    storage.touch_blob(&team, &digest).await.unwrap();
    assert_eq!(storage.index().link(&team, &digest).unwrap().revision, before);

    let key = Key::Link(team.clone(), digest.clone());
    let old = LinkRecord { size: 100, touched: 1, idle: None };
    storage.ledger().update(&key, before, &old).await.unwrap();
    storage.touch_blob(&team, &digest).await.unwrap();
    assert!(storage.index().link(&team, &digest).unwrap().touched > 1);
    assert_eq!(storage.touch_blob(&team, &sha256(b"not there")).await.unwrap(), None);
}

#[tokio::test]
async fn what_was_just_pushed_is_read_without_nats_server_and_stays_when_it_is_read_twice() {
    let mut node = Node::start().await;
    let folder = node.folder.path().join("cache");
    let storage = node.storage_with(Policy::default(), Cache::open(&folder, 10 << 20)).await;
    let bytes = content(7, 1_500_000);
    let (team, digest) = (repository("a"), sha256(&bytes));
    // As most clients push: bytes in a PATCH, then a PUT without any. Here in two parts.
    let id = storage.begin(&team, Algorithm::Sha256, 0).await.unwrap();
    for (start, part) in [(0, bytes.slice(..700_000)), (700_000, bytes.slice(700_000..))] {
        storage.append(&team, id, Some(start), body(&part)).await.unwrap();
    }
    storage.commit(&team, id, &digest).await.unwrap();
    node.kill().await;
    for _ in 0..2 {
        let stream = storage.read(&digest, 0..1_500_000).await.unwrap();
        assert!(stream.is_cached());
        assert_eq!(collect(stream).await.unwrap(), bytes);
    }
    let file = folder.join("sha256").join(digest.hex());
    until("kept", async || file.exists() && storage.cache().usage().files == 1).await;
    let stream = storage.read(&digest, 10..20).await.unwrap();
    assert_eq!(collect(stream).await.unwrap(), bytes.slice(10..20));
}

#[tokio::test]
async fn a_second_read_fills_the_cache_which_then_answers_without_nats_server() {
    let mut node = Node::start().await;
    let cache = Cache::open(&node.folder.path().join("cache"), 10 << 20);
    let storage = node.storage_with(Policy::default(), cache).await;
    let bytes = content(5, 1_500_000);
    // By another daemon: what was pushed to this one would be here.
    let digest = push(&node.storage().await, &repository("a"), &bytes).await.unwrap();
    for read in ["first", "second"] {
        assert_eq!(storage.cache().usage().bytes, 0, "before the {read}");
        let stream = storage.read(&digest, 0..1_500_000).await.unwrap();
        assert!(!stream.is_cached());
        assert_eq!((stream.length(), collect(stream).await.unwrap()), (1_500_000, bytes.clone()));
    }
    until("cached", async || storage.cache().get(&digest).is_some()).await;
    node.kill().await;
    for range in [0..1_500_000, 17..1_000_000] {
        let again = storage.read(&digest, range.clone()).await.unwrap();
        assert!(again.is_cached());
        let expected = bytes.slice(range.start as usize..range.end as usize);
        assert_eq!(collect(again).await.unwrap(), expected);
    }
    assert_eq!(storage.blob(&repository("a"), &digest).await.unwrap(), Some(1_500_000));
}
