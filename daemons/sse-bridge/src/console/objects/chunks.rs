//! The bytes of an object, chunk by chunk: no more of it is in memory than one.

use axum::body::Body;
use bytes::Bytes;
use data_encoding::{BASE64URL, BASE64URL_NOPAD};
use futures::stream::try_unfold;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Bucket, Described};
use crate::console::{failure::Failure, stored::Stored};

/// Why a download ends before its end. The browser shows it as failed: nothing else can be told by then.
#[derive(Debug, thiserror::Error)]
enum Cut {
    #[error(transparent)]
    Chunk(Box<Failure>),
    #[error("a chunk of the object is not there any more")]
    Missing,
    #[error("the object is not what its digest says")]
    Digest,
}

/// Where a download is.
struct Place {
    bucket: Bucket,
    object: Described,
    next: u64,
    left: u64,
    digest: Sha256,
}

/// The bytes of an object as a body.
pub(super) fn body(bucket: Bucket, object: Described) -> Body {
    let left = object.chunks;
    let place = Place { bucket, object, next: 1, left, digest: Sha256::new() };
    Body::from_stream(try_unfold(place, |place| async move {
        let name = place.object.name.clone();
        let chunk = chunk(place).await;
        if let Err(cut) = &chunk {
            tracing::warn!("the download of the object {name} was cut: {cut}");
        }
        chunk
    }))
}

async fn chunk(mut place: Place) -> Result<Option<(Bytes, Place)>, Cut> {
    if place.left == 0 {
        return Ok(None);
    }
    let subject = format!("$O.{}.C.{}", place.bucket.name.as_str(), place.object.nuid);
    let by = json!({ "seq": place.next, "next_by_subj": subject });
    let found = place.bucket.account.message(place.bucket.name.stream(), &by).await;
    let found = found.map_err(|error| Cut::Chunk(Box::new(error.into())))?.ok_or(Cut::Missing)?;
    let stored = Stored::of(&found);
    place.next = stored.sequence + 1;
    place.left -= 1;
    place.digest.update(&stored.data);
    // The last chunk is held back until all is known to be right.
    if place.left == 0 && !is_of(&place.object.digest, &place.digest.clone().finalize()) {
        return Err(Cut::Digest);
    }
    Ok(Some((stored.data.into(), place)))
}

/// Whether a digest is as ADR-20 writes it; an object may have none.
fn is_of(written: &str, digest: &[u8]) -> bool {
    let Some(written) = written.strip_prefix("SHA-256=") else { return true };
    written == BASE64URL.encode(digest) || written == BASE64URL_NOPAD.encode(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_with_and_without_its_padding() {
        let digest = Sha256::digest(b"a");
        let written = "SHA-256=ypeBEsobvcr6wjGzmiPcTaeG7_gUfE5yuYB3ha_uSLs=";
        assert!(is_of(written, &digest) && is_of(written.trim_end_matches('='), &digest));
        assert!(is_of("", &digest) && !is_of(written, &Sha256::digest(b"b")));
    }
}
