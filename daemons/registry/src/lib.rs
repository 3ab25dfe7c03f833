//! A container registry whose only storage is JetStream: it serves with the uplink cut.

pub mod access;
pub mod audit;
pub mod cache;
pub mod chunks;
pub mod collect;
pub mod connections;
pub mod digest;
pub mod index;
pub mod key;
pub mod names;
pub mod parse;
pub mod records;
pub mod storage;
pub mod travel;

pub use connections::RegistryConnections;
pub use digest::{Algorithm, Digest};
pub use index::Index;
pub use key::{Bucket, Key};
pub use names::{Reference, Repository, Tag, UploadId};
pub use storage::{Storage, StorageError};
pub use travel::Travel;
