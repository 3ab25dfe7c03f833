#![allow(clippy::unwrap_used)]

mod faults;
mod flows;
mod sharing;
mod transfers;

use bytes::Bytes;
use futures::{Stream, TryStreamExt};

use super::{ChunkError, ChunkStore, Hasher, Runs, Written};
use crate::{Algorithm, Digest, UploadId, testing::DEADLINE};

/// Bytes that differ from chunk to chunk.
fn body(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at ^ (at >> 7) ^ (at >> 13)) as u8).collect()
}

fn digest(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(bytes);
    hasher.digest()
}

fn nothing() -> Written {
    Written::new(Algorithm::Sha256)
}

/// Stores it in frames, as an HTTP body brings them.
async fn store(chunks: &ChunkStore, upload: UploadId, body: &[u8]) -> Result<Written, ChunkError> {
    let mut writer = chunks.writer(upload, nothing());
    for frame in body.chunks(100_000) {
        writer.write(Bytes::copy_from_slice(frame)).await?;
    }
    writer.flush().await
}

async fn collect(stream: impl Stream<Item = Result<Bytes, ChunkError>>) -> Result<Vec<u8>, ChunkError> {
    let mut stream = std::pin::pin!(stream);
    let mut all = Vec::new();
    while let Some(bytes) = stream.try_next().await? {
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

async fn read(chunks: &ChunkStore, upload: UploadId, runs: &Runs) -> Result<Vec<u8>, ChunkError> {
    collect(chunks.read(runs, upload, 0..u64::MAX)).await
}

/// Waits until no transfer holds memory.
async fn free_again(chunks: &ChunkStore) {
    let all_free = async {
        while chunks.budget().free() < chunks.budget().bytes() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, all_free).await.unwrap();
}
