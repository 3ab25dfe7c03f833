//! The bytes of blobs, as messages of two streams, the [`Lane`]s.
//!
//! A [`Writer`] fills chunks to what one message may carry and keeps several unacknowledged; a read
//! asks for chunks by their sequence, a few ahead of its consumer. One [`Budget`] bounds the memory of
//! them all. Nothing here knows what a blob is: the records do.
//!
//! Long reads are sent by a consumer, and go on with single gets when it falters.
//!
//! Deliberately absent: deduplication by message id (a chunk that is stored twice is harmless, since
//! [`Runs`] list what was acknowledged).

mod answers;
mod budget;
mod error;
mod flow;
mod hasher;
mod lane;
mod line;
mod pool;
mod reader;
mod room;
mod runs;
mod store;
mod writer;

pub(crate) use answers::is_jetstream_full;
pub use budget::Budget;
pub use error::{ChunkError, Limit};
pub use hasher::Hasher;
pub use lane::Lane;
pub use pool::{Buffer, Permit, Pool};
pub use room::Room;
pub use runs::{Chunk, Run, Runs};
pub(crate) use store::LARGEST_CHUNK;
pub use store::{ChunkConnections, ChunkStore, StreamState};
pub use writer::{Tee, Writer, Written};

#[cfg(test)]
mod tests;
