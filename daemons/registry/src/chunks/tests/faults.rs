//! What is lost on the way, and what cannot be had.

use std::time::Duration;

use futures::StreamExt;
use tokio::time::timeout;

use super::*;
use crate::{
    chunks::{Budget, Lane},
    testing::{DEADLINE, Limits, Server},
};

const LARGE: usize = 60_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_survives_nats_server_killed_halfway() {
    let mut server = Server::start(Limits::default()).await;
    let chunks = server.chunks().await;
    let (upload, body) = (UploadId::random(), body(LARGE));
    let mut writer = chunks.writer(upload, nothing());
    let (before, after) = body.split_at(LARGE / 2);
    for frame in before.chunks(100_000) {
        writer.write(Bytes::copy_from_slice(frame)).await.unwrap();
    }
    assert!(writer.pending() > 0, "chunks are under way when it dies");
    server.kill().await;
    let rest = async {
        for frame in after.chunks(100_000) {
            writer.write(Bytes::copy_from_slice(frame)).await?;
        }
        writer.flush().await
    };
    let (written, ()) = tokio::join!(timeout(DEADLINE, rest), server.run());
    let written = written.unwrap().unwrap();
    assert_eq!((written.offset, written.runs.bytes()), (LARGE as u64, LARGE as u64));
    assert_eq!(written.hasher.digest(), digest(&body));
    assert!(read(&chunks, upload, &written.runs).await.unwrap() == body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_survives_nats_server_killed_halfway() {
    let mut server = Server::start(Limits::default()).await;
    let chunks = server.chunks().await;
    let (upload, body) = (UploadId::random(), body(LARGE));
    let written = store(&chunks, upload, &body).await.unwrap();
    let mut stream = chunks.read(&written.runs, upload, 0..u64::MAX);
    let mut found = Vec::new();
    while found.len() < LARGE / 2 {
        found.extend(stream.next().await.unwrap().unwrap());
    }
    server.kill().await;
    let (rest, ()) = tokio::join!(timeout(DEADLINE, collect(stream)), server.run());
    found.extend(rest.unwrap().unwrap());
    assert!(found == body);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_gives_up_goes_on_from_what_was_acknowledged() {
    let mut server = Server::start(Limits::default()).await;
    let patience = Duration::from_millis(300);
    let chunks = ChunkStore::with_patience(server.connections().await, Budget::default(), patience);
    let (upload, body) = (UploadId::random(), body(LARGE));
    let mut writer = chunks.writer(upload, nothing());
    for frame in body[..LARGE / 2].chunks(100_000) {
        writer.write(Bytes::copy_from_slice(frame)).await.unwrap();
    }
    server.kill().await;
    assert!(matches!(writer.flush().await, Err(ChunkError::Unanswered { .. })));
    assert!(matches!(writer.flush().await, Err(ChunkError::Interrupted)), "it is of no use any more");
    let written = writer.written().clone();
    assert!(written.offset > 0 && written.offset < LARGE as u64 / 2);
    assert_eq!(written.offset, written.runs.bytes());
    drop(writer);

    server.run().await;
    // What the client had queued is sent, or dropped, when it connects again.
    free_again(&chunks).await;
    let chunks = server.chunks().await;
    let rest = Bytes::copy_from_slice(&body[usize::try_from(written.offset).unwrap()..]);
    let mut writer = chunks.writer(upload, written);
    writer.write(rest).await.unwrap();
    let written = writer.flush().await.unwrap();
    assert_eq!(written.hasher.digest(), digest(&body));
    assert!(read(&chunks, upload, &written.runs).await.unwrap() == body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_gives_up_when_nats_server_does_not_come_back() {
    let mut server = Server::start(Limits::default()).await;
    let patience = Duration::from_millis(300);
    let chunks = ChunkStore::with_patience(server.connections().await, Budget::default(), patience);
    let upload = UploadId::random();
    let written = store(&chunks, upload, b"small").await.unwrap();
    server.kill().await;
    let failed = read(&chunks, upload, &written.runs).await;
    assert!(matches!(failed, Err(ChunkError::Unanswered { .. })), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_stream_refuses_and_takes_more_after_a_purge() {
    let server =
        Server::start(Limits { stream: Some(settings::ByteSize::mib(8)), ..Limits::default() }).await;
    let chunks = server.chunks().await;
    let (first, second) = (UploadId::random(), UploadId::random());
    store(&chunks, first, &body(4_000_000)).await.unwrap();
    let refused = store(&chunks, second, &body(8_000_000)).await;
    assert!(matches!(refused, Err(ChunkError::Full { .. })), "{refused:?}");
    assert!(chunks.purge(first).await.unwrap() > 0);
    chunks.purge(second).await.unwrap();
    store(&chunks, second, &body(7_000_000)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn purged_chunks_are_gone_and_never_anothers() {
    let server = Server::start(Limits::default()).await;
    let chunks = server.chunks().await;
    let (upload, other) = (UploadId::random(), UploadId::random());
    let written = store(&chunks, upload, &body(3_000_000)).await.unwrap();
    let is_gone = async || {
        let gone = read(&chunks, upload, &written.runs).await;
        assert!(matches!(gone, Err(ChunkError::Gone { sequence: 1, .. })), "{gone:?}");
    };
    chunks.purge(upload).await.unwrap();
    is_gone().await;
    // Made again, the stream has the same sequences for other chunks, of the same size.
    server.lose_chunks().await;
    server.make_chunks().await;
    store(&chunks, other, &body(3_000_000)).await.unwrap();
    is_gone().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_wrong_about_a_size_is_refused() {
    let server = Server::start(Limits::default()).await;
    let chunks = server.chunks().await;
    let upload = UploadId::random();
    store(&chunks, upload, b"small").await.unwrap();
    let mut runs = Runs::default();
    runs.push(Lane::of(upload, 0), 1, 6);
    let refused = read(&chunks, upload, &runs).await;
    assert!(matches!(refused, Err(ChunkError::Answer { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_stream_it_is_said_so() {
    let server = Server::start(Limits::default()).await;
    server.lose_chunks().await;
    let patience = Duration::from_millis(300);
    let chunks = ChunkStore::with_patience(server.connections().await, Budget::default(), patience);
    let refused = store(&chunks, UploadId::random(), b"small").await;
    assert!(matches!(refused, Err(ChunkError::Unanswered { source: Some(_), .. })), "{refused:?}");
    assert!(matches!(chunks.state().await, Err(ChunkError::Refused { code: 10059, .. })));
}
