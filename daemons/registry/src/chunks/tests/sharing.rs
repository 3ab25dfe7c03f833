//! Slow transfers beside others, with little memory.

use std::time::Duration;

use futures::StreamExt;
use tokio::time::timeout;

use super::*;
use crate::{
    chunks::Budget,
    testing::{DEADLINE, Limits, Server},
};

const LENGTH: usize = 10_000_000;
/// Room for two chunks of a writer, one of a reader.
const LITTLE: usize = 4 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_stop_do_not_hold_up_others_and_may_go_on() {
    let server = Server::start(Limits::default()).await;
    let chunks = ChunkStore::open(server.connections().await, Budget::new(LITTLE));
    let (upload, body) = (UploadId::random(), body(LENGTH));
    let written = store(&chunks, upload, &body).await.unwrap();
    let mut stopped = Vec::new();
    for _ in 0..20 {
        let mut stream = chunks.read(&written.runs, upload, 0..u64::MAX);
        let first = timeout(DEADLINE, stream.next()).await.unwrap().unwrap().unwrap();
        stopped.push((first, stream));
    }
    let found = timeout(DEADLINE, read(&chunks, upload, &written.runs)).await.unwrap();
    assert!(found.unwrap() == body);
    for (first, stream) in stopped {
        let rest = timeout(DEADLINE, collect(stream)).await.unwrap().unwrap();
        assert!([first.to_vec(), rest].concat() == body);
    }
    free_again(&chunks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_that_stop_are_relieved_of_their_room_and_may_go_on() {
    let server = Server::start(Limits::default()).await;
    let chunks = ChunkStore::open(server.connections().await, Budget::new(LITTLE));
    let body = body(LENGTH);
    let stopped = (0..2).map(async |_| {
        let (upload, mut writer) = (UploadId::random(), chunks.writer(UploadId::random(), nothing()));
        let _ = upload;
        writer.write(Bytes::copy_from_slice(&body[..200_000])).await.unwrap();
        writer
    });
    let mut stopped = futures::future::join_all(stopped).await;
    let upload = UploadId::random();
    let mut other = std::pin::pin!(store(&chunks, upload, &body));
    let written = timeout(DEADLINE, async {
        loop {
            tokio::select! {
                written = &mut other => return written.unwrap(),
                // As what appends to an upload does while no bytes come.
                () = tokio::time::sleep(Duration::from_millis(100)) => {
                    for writer in &mut stopped {
                        writer.relieve().await.unwrap();
                    }
                }
            }
        }
    });
    assert_eq!(written.await.unwrap().hasher.digest(), digest(&body));
    for mut writer in stopped {
        writer.write(Bytes::copy_from_slice(&body[200_000..])).await.unwrap();
        assert_eq!(writer.flush().await.unwrap().hasher.digest(), digest(&body));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_feed_writers_with_little_memory() {
    let server = Server::start(Limits::default()).await;
    let chunks = ChunkStore::open(server.connections().await, Budget::new(LITTLE));
    let (upload, body) = (UploadId::random(), body(LENGTH));
    let written = store(&chunks, upload, &body).await.unwrap();
    let copies = (0..6).map(async |_| {
        let mut stream = chunks.read(&written.runs, upload, 0..u64::MAX);
        let mut writer = chunks.writer(UploadId::random(), nothing());
        while let Some(bytes) = stream.next().await {
            writer.write(bytes.unwrap()).await.unwrap();
        }
        writer.flush().await.unwrap().hasher.digest()
    });
    let copies = timeout(DEADLINE, futures::future::join_all(copies)).await.unwrap();
    assert!(copies.iter().all(|copy| *copy == digest(&body)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dropped_halfway_gives_its_memory_back() {
    let server = Server::start(Limits::default()).await;
    let chunks = server.chunks().await;
    let (upload, body) = (UploadId::random(), body(LENGTH));
    let written = store(&chunks, upload, &body).await.unwrap();
    let mut stream = chunks.read(&written.runs, upload, 0..u64::MAX);
    drop(stream.next().await);
    let mut writer = chunks.writer(UploadId::random(), nothing());
    writer.write(body.into()).await.unwrap();
    drop((stream, writer));
    free_again(&chunks).await;
}
