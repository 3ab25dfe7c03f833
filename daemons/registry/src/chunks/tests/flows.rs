//! Long reads, which nats-server sends by a consumer.

use async_nats::jetstream;
use futures::StreamExt;
use tokio::time::timeout;

use super::*;
use crate::{
    chunks::Lane,
    testing::{Limits, Server},
};

/// Chunks of a small size, so that a few kilobytes are many.
const CHUNK: usize = 3072;

async fn small_chunks() -> Server {
    Server::start(Limits { payload: 4096, ..Limits::default() }).await
}

async fn consumers(server: &Server) -> usize {
    let jetstream = jetstream::new(server.client().await);
    let mut consumers = 0;
    for lane in Lane::ALL {
        consumers += jetstream.get_stream(lane.stream()).await.unwrap().cached_info().state.consumer_count;
    }
    consumers
}

async fn none_left(server: &Server) {
    let gone = async {
        while consumers(server).await > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, gone).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_read_has_consumers_that_go_with_it_and_a_short_one_has_none() {
    let server = small_chunks().await;
    let (chunks, upload, body) = (server.chunks().await, UploadId::random(), body(200 * CHUNK));
    let written = store(&chunks, upload, &body).await.unwrap();

    let mut stream = chunks.read(&written.runs, upload, 0..u64::MAX);
    let first = stream.next().await.unwrap().unwrap();
    assert_eq!(consumers(&server).await, 2);
    let rest = collect(stream).await.unwrap();
    assert!([&first[..], &rest].concat() == body);
    none_left(&server).await;

    let mut left = chunks.read(&written.runs, upload, 0..u64::MAX);
    left.next().await.unwrap().unwrap();
    assert_eq!(consumers(&server).await, 2);
    drop(left);
    none_left(&server).await;

    let mut short = chunks.read(&written.runs, upload, 0..7 * CHUNK as u64);
    short.next().await.unwrap().unwrap();
    assert_eq!(consumers(&server).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_that_were_stored_twice_are_read_once_and_one_that_is_gone_is_named() {
    let server = small_chunks().await;
    let (chunks, upload, body) = (server.chunks().await, UploadId::random(), body(40 * CHUNK));
    let client = server.client().await;
    let mut runs = Runs::default();
    for (index, chunk) in body.chunks(CHUNK).enumerate() {
        let lane = Lane::of(upload, index);
        // The first one of each two was acknowledged to nobody.
        for counts in [false, true] {
            let subject = lane.subject(upload);
            let answer = client.request(subject, Bytes::copy_from_slice(chunk)).await.unwrap();
            let answer: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
            if counts {
                runs.push(lane, answer["seq"].as_u64().unwrap(), chunk.len() as u64);
            }
        }
    }
    assert!(read(&chunks, upload, &runs).await.unwrap() == body);

    let gone = runs.chunks(30 * CHUNK as u64..u64::MAX).next().unwrap();
    let jetstream = jetstream::new(client);
    jetstream.get_stream(gone.lane.stream()).await.unwrap().delete_message(gone.sequence).await.unwrap();
    let mut stream = chunks.read(&runs, upload, 0..u64::MAX);
    let mut found = Vec::new();
    let error = loop {
        match stream.next().await.unwrap() {
            Ok(bytes) => found.extend(bytes),
            Err(error) => break error,
        }
    };
    assert!(found == body[..30 * CHUNK]);
    assert!(
        matches!(error, ChunkError::Gone { stream, sequence, .. }
        if (stream, sequence) == (gone.lane.stream(), gone.sequence)),
        "{error}"
    );
}
