//! The bytes of blobs, as messages of the stream [`crate::records::CHUNKS_STREAM`].

mod runs;

pub use runs::{Chunk, Run, Runs};
