//! What is written is read, however it came.

use proptest::{
    collection::vec,
    prelude::any,
    prop_assert_eq,
    test_runner::{Config, TestRunner},
};

use super::*;
use crate::{
    chunks::{Budget, StreamState},
    testing::{Limits, Server},
};

/// Its length, what makes its bytes, and whether the upload stops after it and goes on later.
type Piece = (usize, u8, bool);

#[test]
fn any_split_of_any_body_is_the_same_bytes_and_digest_and_any_range_reads_the_same() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // Small chunks, so that small bodies have many.
    let server = runtime.block_on(Server::start(Limits { payload: 4096, ..Limits::default() }));
    let chunks = runtime.block_on(server.chunks());
    let mut runner = TestRunner::new(Config { cases: 48, failure_persistence: None, ..Config::default() });
    let pieces = vec((0..20_000_usize, any::<u8>(), any::<bool>()), 0..8);
    let ranges = vec((0.0..1.1_f64, 0.0..1.1_f64), 0..6);
    let property = |(pieces, ranges): (Vec<Piece>, Vec<(f64, f64)>)| {
        let pieces = pieces.into_iter().map(|(length, seed, stops)| {
            (body(length).into_iter().map(|byte| byte ^ seed).collect::<Vec<u8>>(), stops)
        });
        let pieces: Vec<_> = pieces.collect();
        runtime.block_on(async {
            let upload = UploadId::random();
            let mut writer = chunks.writer(upload, nothing());
            for (piece, stops) in &pieces {
                writer.write(piece.clone().into()).await.unwrap();
                if *stops {
                    let Written { offset, runs, hasher } = writer.flush().await.unwrap();
                    let runs = serde_json::from_str(&serde_json::to_string(&runs).unwrap()).unwrap();
                    let hasher = Hasher::resume(Algorithm::Sha256, &hasher.state()).unwrap();
                    writer = chunks.writer(upload, Written { offset, runs, hasher });
                }
            }
            let written = writer.flush().await.unwrap();
            let body: Vec<u8> = pieces.iter().flat_map(|(piece, _)| piece.iter().copied()).collect();
            prop_assert_eq!(written.offset, body.len() as u64);
            prop_assert_eq!(written.runs.bytes(), body.len() as u64);
            prop_assert_eq!(written.hasher.digest(), digest(&body));
            for (start, length) in ranges.into_iter().chain([(0.0, 1.0)]) {
                let part = |part: f64| (part * body.len() as f64) as usize;
                let (start, end) = (part(start), part(start).saturating_add(part(length)));
                let found = chunks.read(&written.runs, upload, start as u64..end as u64);
                let wanted = &body[start.min(body.len())..end.min(body.len())];
                prop_assert_eq!(collect(found).await.unwrap(), wanted);
            }
            Ok(())
        })
    };
    runner.run(&(pieces, ranges), property).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_are_filled_to_the_payload_limit_and_follow_each_other() {
    let server = Server::start(Limits::default()).await;
    let chunks = server.chunks().await;
    let (upload, body) = ("000102030405060708090a0b0c0d0e0e".parse().unwrap(), body(20_000_000));
    let written = store(&chunks, upload, &body).await.unwrap();
    let runs = serde_json::to_string(&written.runs).unwrap();
    assert_eq!(
        runs,
        "[[1,4,1047552],[1,4,1047552,1],[5,4,1047552],[5,4,1047552,1],[9,3,1047552],[12,1,96512]]"
    );
    assert_eq!(written.hasher.digest(), digest(&body));
    assert!(read(&chunks, upload, &written.runs).await.unwrap() == body);
    assert_eq!(chunks.last_stored(upload).await.unwrap().map(|at| at > 1_700_000_000), Some(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_listed_counted_and_purged_one_by_one() {
    let server =
        Server::start(Limits { stream: Some(settings::ByteSize::mib(1024)), ..Limits::default() }).await;
    let chunks = server.chunks().await;
    let empty = StreamState { messages: 0, bytes: 0, limit: Some(1 << 30) };
    assert_eq!(chunks.state().await.unwrap(), empty);
    assert!(chunks.subjects().await.unwrap().is_empty());
    let (large, small, none) = (UploadId::random(), UploadId::random(), UploadId::random());
    store(&chunks, large, &body(3_000_000)).await.unwrap();
    let kept = store(&chunks, small, b"small").await.unwrap();
    assert_eq!(store(&chunks, none, b"").await.unwrap().offset, 0);
    assert_eq!(chunks.subjects().await.unwrap(), [(large, 3), (small, 1)].into());
    assert_eq!(chunks.state().await.unwrap().messages, 4);

    assert_eq!(chunks.purge(large).await.unwrap(), 3);
    assert_eq!(chunks.purge(large).await.unwrap(), 0, "twice is the same as once");
    assert_eq!(chunks.subjects().await.unwrap(), [(small, 1)].into());
    assert_eq!(chunks.last_stored(large).await.unwrap(), None);
    assert_eq!(read(&chunks, small, &kept.runs).await.unwrap(), b"small");
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_uploads_break_runs_and_nothing_else() {
    let server = Server::start(Limits { payload: 64 << 10, ..Limits::default() }).await;
    let chunks = ChunkStore::open(server.connections().await, Budget::new(2 << 20));
    let uploads = (1..=8_usize).map(async |number| {
        let (upload, body) = (UploadId::random(), body(number * 700_000));
        let written = store(&chunks, upload, &body).await.unwrap();
        (upload, body, written)
    });
    for (upload, body, written) in futures::future::join_all(uploads).await {
        assert_eq!(written.hasher.digest(), digest(&body));
        assert!(read(&chunks, upload, &written.runs).await.unwrap() == body);
    }
}
