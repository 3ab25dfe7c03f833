#![allow(clippy::unwrap_used)]

use std::fs;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use tempfile::TempDir;

use super::*;
use crate::{UploadId, chunks::Hasher};

const MEBIBYTE: u64 = 1 << 20;

struct Blob {
    bytes: Bytes,
    digest: Digest,
}

fn blob(seed: u8, length: usize) -> Blob {
    let bytes: Vec<u8> = (0..length).map(|at| (at ^ (at >> 7)) as u8 ^ seed).collect();
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(&bytes);
    Blob { bytes: bytes.into(), digest: hasher.digest() }
}

async fn admit(cache: &Cache, blob: &Blob) -> bool {
    let Some(mut admission) = cache.admit(&blob.digest, blob.bytes.len() as u64) else { return false };
    for frame in blob.bytes.chunks(100_000) {
        admission.write(blob.bytes.slice_ref(frame)).await;
    }
    admission.finish().await
}

async fn read(cached: &Cached, range: std::ops::Range<u64>) -> std::io::Result<Vec<u8>> {
    cached.read(range).try_fold(Vec::new(), async |all, bytes| Ok([all, bytes.to_vec()].concat())).await
}

/// Files in it, at any depth, by name.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path.file_name().unwrap().to_str().unwrap().to_owned()),
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn what_was_admitted_is_served_whole_and_in_ranges() {
    let folder = TempDir::new().unwrap();
    let cache = Cache::open(folder.path(), 10 * MEBIBYTE);
    for length in [0, 1, 300_000, 3_000_000] {
        let blob = blob(0, length);
        assert!(cache.get(&blob.digest).is_none());
        assert!(admit(&cache, &blob).await);
        let cached = cache.get(&blob.digest).unwrap();
        let size = blob.bytes.len() as u64;
        assert_eq!(cached.size(), size);
        for range in [0..size, 0..u64::MAX, size / 3..size / 2, size..size + 1, 1..1] {
            let wanted = size.min(range.start) as usize..size.min(range.end) as usize;
            assert!(read(&cached, range).await.unwrap() == blob.bytes[wanted]);
        }
    }
    let usage = cache.usage();
    assert_eq!((usage.files, usage.hits, usage.misses), (4, 4, 4));
}

#[tokio::test]
async fn other_bytes_than_the_digest_says_are_never_cached() {
    let folder = TempDir::new().unwrap();
    let cache = Cache::open(folder.path(), 10 * MEBIBYTE);
    let blob = blob(0, 300_000);
    let admission = || cache.admit(&blob.digest, 300_000).unwrap();
    let short = blob.bytes.slice(1..);
    let long = Bytes::from([&blob.bytes[..], b"more"].concat());
    let wrong = Bytes::from([&blob.bytes[1..], b"x"].concat());
    for bytes in [short, long, wrong] {
        let mut admission = admission();
        admission.write(bytes).await;
        assert!(!admission.finish().await);
        assert!(cache.get(&blob.digest).is_none());
    }
    drop(admission());
    let mut dropped = admission();
    dropped.write(blob.bytes.clone()).await;
    drop(dropped);
    // The last one's thread may still write.
    let deadline = std::time::Instant::now() + crate::testing::DEADLINE;
    while !files(folder.path()).is_empty() || cache.usage().bytes > 0 {
        assert!(std::time::Instant::now() < deadline, "{:?} {:?}", files(folder.path()), cache.usage());
        tokio::task::yield_now().await;
    }
    assert!(admit(&cache, &blob).await, "nothing stands in the way of the right bytes");
}

#[tokio::test]
async fn one_of_many_admissions_of_a_blob_is_enough() {
    let folder = TempDir::new().unwrap();
    let cache = Cache::open(folder.path(), 10 * MEBIBYTE);
    let blob = blob(0, 300_000);
    let admitted = futures::future::join_all((0..10).map(|_| admit(&cache, &blob))).await;
    assert_eq!(admitted.iter().filter(|admitted| **admitted).count(), 1);
    assert_eq!(files(folder.path()), [blob.digest.hex()]);
    assert!(cache.admit(&blob.digest, 300_000).is_none());
}

#[tokio::test]
async fn the_least_recently_used_goes_and_its_readers_read_on() {
    let folder = TempDir::new().unwrap();
    let cache = Cache::open(folder.path(), 3 * MEBIBYTE);
    let blobs = [blob(1, 1 << 20), blob(2, 1 << 20), blob(3, 1 << 20), blob(4, 1 << 20)];
    for blob in &blobs[..3] {
        assert!(admit(&cache, blob).await);
    }
    let oldest = cache.get(&blobs[0].digest).unwrap();
    let evicted = cache.get(&blobs[1].digest).unwrap();
    cache.get(&blobs[2].digest).unwrap();
    cache.get(&blobs[0].digest).unwrap();
    let mut under_way = evicted.read(0..MEBIBYTE);
    let first = under_way.next().await.unwrap().unwrap();
    assert!(admit(&cache, &blobs[3]).await);
    assert!(cache.get(&blobs[1].digest).is_none());
    assert_eq!(files(folder.path()).len(), 3);
    assert!(cache.usage().bytes <= 3 * MEBIBYTE);
    let rest: Vec<Bytes> = under_way.try_collect().await.unwrap();
    assert!([&first[..], &rest.concat()].concat() == blobs[1].bytes);
    assert!(read(&oldest, 0..MEBIBYTE).await.unwrap() == blobs[0].bytes);
    assert!(cache.admit(&blob(5, 1).digest, 4 * MEBIBYTE).is_none(), "larger than the cache");
}

#[tokio::test]
async fn a_restart_keeps_what_is_whole_in_the_order_of_use() {
    let folder = TempDir::new().unwrap();
    let (old, used, new) = (blob(1, 1 << 20), blob(2, 1 << 20), blob(3, 1 << 20));
    let cache = Cache::open(folder.path(), 4 * MEBIBYTE);
    for blob in [&old, &used, &new] {
        assert!(admit(&cache, blob).await);
    }
    let mut unfinished = cache.admit(&blob(4, 1).digest, 1).unwrap();
    unfinished.write(Bytes::from_static(b"x")).await;
    // Not dropped: as a daemon that is killed.
    std::mem::forget((cache, unfinished));
    for (blob, hours) in [(&old, 3), (&used, 1), (&new, 2)] {
        let file = fs::File::open(path(folder.path(), &blob.digest)).unwrap();
        file.set_modified(SystemTime::now() - std::time::Duration::from_secs(hours * 3600)).unwrap();
    }
    fs::write(folder.path().join("sha256/not a digest"), b"").unwrap();
    fs::create_dir(folder.path().join("sha512/folder")).unwrap();

    let cache = Cache::open(folder.path(), 3 * MEBIBYTE);
    assert_eq!(files(folder.path()).len(), 3, "neither strangers nor what is unfinished");
    assert!(!folder.path().join("sha512/folder").exists());
    drop(cache);
    let smaller = Cache::open(folder.path(), 2 * MEBIBYTE);
    assert!(smaller.get(&old.digest).is_none());
    assert!(read(&smaller.get(&used.digest).unwrap(), 0..MEBIBYTE).await.unwrap() == used.bytes);
    assert!(smaller.get(&new.digest).is_some());
    assert_eq!(files(folder.path()).len(), 2);
}

#[tokio::test]
async fn a_use_is_remembered_across_restarts() {
    let folder = TempDir::new().unwrap();
    let (first, second) = (blob(1, 1 << 20), blob(2, 1 << 20));
    let cache = Cache::open(folder.path(), 2 * MEBIBYTE);
    for blob in [&first, &second] {
        assert!(admit(&cache, blob).await);
        let file = fs::File::open(path(folder.path(), &blob.digest)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }
    cache.get(&first.digest).unwrap();
    drop(cache);
    let smaller = Cache::open(folder.path(), MEBIBYTE);
    assert!(smaller.get(&first.digest).is_some());
    assert!(smaller.get(&second.digest).is_none());
}

#[tokio::test]
async fn a_file_that_is_lost_or_cut_is_not_cached_and_may_be_again() {
    let folder = TempDir::new().unwrap();
    let cache = Cache::open(folder.path(), 10 * MEBIBYTE);
    let blob = blob(0, 300_000);
    let path = path(folder.path(), &blob.digest);
    let spoils: [&dyn Fn(); 2] = [&|| fs::remove_file(&path).unwrap(), &|| {
        fs::File::options().write(true).open(&path).unwrap().set_len(5).unwrap()
    }];
    for spoil in spoils {
        assert!(admit(&cache, &blob).await);
        spoil();
        assert!(cache.get(&blob.digest).is_none());
        assert_eq!(cache.usage().bytes, 0);
        assert!(files(folder.path()).is_empty());
    }
    assert!(admit(&cache, &blob).await);
    let cached = cache.get(&blob.digest).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_len(5).unwrap();
    assert!(read(&cached, 0..300_000).await.is_err(), "cut while it is read: the chunks have the rest");
}

#[tokio::test]
async fn what_was_deleted_is_forgotten() {
    let folder = TempDir::new().unwrap();
    let cache = Cache::open(folder.path(), 10 * MEBIBYTE);
    let blob = blob(0, 1000);
    assert!(admit(&cache, &blob).await);
    cache.remove(&blob.digest);
    cache.remove(&blob.digest);
    assert!(cache.get(&blob.digest).is_none());
    assert!(files(folder.path()).is_empty());
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_no_cache() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    let blob = blob(0, 1000);
    for cache in [Cache::open(&file, MEBIBYTE), Cache::open(folder.path(), 0), Cache::none()] {
        assert!(cache.get(&blob.digest).is_none());
        assert!(!admit(&cache, &blob).await);
        assert_eq!(cache.usage(), CacheUse::default());
    }
}

#[tokio::test]
async fn a_folder_that_is_taken_away_fails_nobody() {
    let folder = TempDir::new().unwrap();
    let cache = Cache::open(folder.path(), MEBIBYTE);
    fs::remove_dir_all(folder.path()).unwrap();
    let blob = blob(0, 1000);
    assert!(!admit(&cache, &blob).await);
    assert_eq!(cache.usage().bytes, 0);
}

#[tokio::test]
async fn reads_that_find_no_memory_go_on_in_small_pieces() {
    let folder = TempDir::new().unwrap();
    let cache = Cache::open(folder.path(), 10 * MEBIBYTE);
    let blob = blob(0, 1 << 20);
    assert!(admit(&cache, &blob).await);
    let cached = cache.get(&blob.digest).unwrap();
    let mut stopped = Vec::new();
    for _ in 0..40 {
        let mut stream = cached.read(0..MEBIBYTE);
        stopped.push((stream.next().await.unwrap().unwrap(), stream));
    }
    assert!(stopped.last().unwrap().0.len() < stopped[0].0.len());
    for (first, stream) in stopped {
        let rest: Vec<Bytes> = stream.try_collect().await.unwrap();
        assert!([&first[..], &rest.concat()].concat() == blob.bytes);
    }
}

/// Pushes a blob in two parts, as a client that sends a `PATCH` twice does.
fn copy(cache: &Cache, blob: &Blob) -> UploadId {
    let upload = UploadId::random();
    let (first, second) = blob.bytes.split_at(blob.bytes.len() / 2);
    cache.copy(upload, 0).unwrap()(first);
    cache.copy(upload, first.len() as u64).unwrap()(second);
    upload
}

fn copied(cache: &Cache, blob: &Blob) -> UploadId {
    let upload = copy(cache, blob);
    assert!(cache.get(&blob.digest).is_none(), "nothing is said of its digest yet");
    cache.copied(upload, &blob.digest, blob.bytes.len() as u64);
    upload
}

#[tokio::test(start_paused = true)]
async fn a_copy_is_served_for_a_while_and_leaves_nothing_behind() {
    let folder = TempDir::new().unwrap();
    let cache = Cache::open(folder.path(), 10 * MEBIBYTE);
    let (blob, unfinished) = (blob(0, 1_000_000), blob(1, 1_000_000));
    copied(&cache, &blob);
    copy(&cache, &unfinished);
    let cached = cache.get(&blob.digest).unwrap();
    assert!(!cached.is_flushed());
    assert!(read(&cached, 10..900_000).await.unwrap() == blob.bytes[10..900_000]);
    assert_eq!(files(folder.path()).len(), 2);
    while !files(folder.path()).is_empty() {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    assert!(cache.get(&blob.digest).is_none());
    assert!(read(&cached, 0..1_000_000).await.unwrap() == blob.bytes, "who reads reads on");
    assert_eq!(cache.usage().bytes, 0);
    copied(&cache, &blob);
    assert!(cache.get(&blob.digest).is_some(), "a later one is looked after as well");
}

#[tokio::test]
async fn a_copy_that_is_to_stay_is_there_after_a_start_and_others_are_not() {
    let folder = TempDir::new().unwrap();
    let (stays, goes) = (blob(0, 300_000), blob(1, 300_000));
    let cache = Cache::open(folder.path(), 10 * MEBIBYTE);
    copied(&cache, &stays);
    copied(&cache, &goes);
    cache.keep(&stays.digest);
    cache.keep(&stays.digest);
    let deadline = std::time::Instant::now() + crate::testing::DEADLINE;
    while !cache.get(&stays.digest).unwrap().is_flushed() {
        assert!(std::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    let cache = Cache::open(folder.path(), 10 * MEBIBYTE);
    assert!(cache.get(&stays.digest).unwrap().is_flushed());
    assert!(cache.get(&goes.digest).is_none());
    assert_eq!(files(folder.path()), [stays.digest.hex()]);
}

#[tokio::test]
async fn copies_take_room_that_is_free_and_the_oldest_goes_first() {
    let folder = TempDir::new().unwrap();
    let cache = Cache::open(folder.path(), 3 * MEBIBYTE);
    let blobs = [blob(1, 900_000), blob(2, 900_000), blob(3, 900_000), blob(4, 900_000), blob(5, 900_000)];
    assert!(admit(&cache, &blobs[0]).await);
    copied(&cache, &blobs[1]);
    copied(&cache, &blobs[2]);
    copied(&cache, &blobs[3]);
    let here = |cache: &Cache| blobs.iter().map(|blob| cache.get(&blob.digest).is_some()).collect::<Vec<_>>();
    assert_eq!(here(&cache), [true, false, true, true, false]);
    assert!(admit(&cache, &blobs[4]).await, "what is hot has the room that copies have");
    assert_eq!(here(&cache), [true, false, false, true, true]);
    assert!(cache.usage().bytes <= 3 * MEBIBYTE);
    let large = blob(6, 4_000_000);
    let upload = copy_of_what_fits(&cache, &large);
    cache.copied(upload, &large.digest, 4_000_000);
    assert!(cache.get(&large.digest).is_none() && cache.get(&blobs[0].digest).is_some());
}

/// Half of it, and no more once there is no room.
fn copy_of_what_fits(cache: &Cache, blob: &Blob) -> UploadId {
    let upload = UploadId::random();
    let tee = cache.copy(upload, 0).unwrap();
    blob.bytes.chunks(1_000_000).for_each(|part| tee(part));
    upload
}

#[tokio::test]
async fn a_copy_of_other_bytes_than_the_upload_has_is_none() {
    let folder = TempDir::new().unwrap();
    let cache = Cache::open(folder.path(), 10 * MEBIBYTE);
    let blob = blob(0, 300_000);
    let size = blob.bytes.len() as u64;
    // What was written and not acknowledged is sent again.
    let upload = copy(&cache, &blob);
    assert!(cache.copy(upload, size / 2).is_none());
    cache.copied(upload, &blob.digest, size);
    assert!(cache.get(&blob.digest).is_none());
    // A part is missing.
    let upload = copy(&cache, &blob);
    cache.copied(upload, &blob.digest, size + 1);
    assert!(cache.get(&blob.digest).is_none());
    // The upload was begun before this daemon was.
    assert!(cache.copy(UploadId::random(), 1).is_none());
    // It was given up, or the blob deleted.
    cache.uncopied(copy(&cache, &blob));
    copied(&cache, &blob);
    cache.remove(&blob.digest);
    assert!(cache.get(&blob.digest).is_none());
    assert!(files(folder.path()).is_empty(), "{:?}", files(folder.path()));
    assert_eq!(cache.usage().bytes, 0);
}
