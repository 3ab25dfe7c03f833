//! A container registry whose only storage is JetStream: it serves with the uplink cut.

pub mod access;
pub mod audit;
pub mod cache;
pub mod catalog;
pub mod chunks;
pub mod collect;
mod config;
pub mod connections;
pub mod digest;
pub mod http;
pub mod index;
pub mod key;
pub mod metrics;
pub mod names;
pub mod parse;
pub mod records;
mod run;
pub mod status;
pub mod storage;
#[cfg(test)]
mod testing;
pub mod travel;

pub use config::Config;
pub use connections::RegistryConnections;
pub use digest::{Algorithm, Digest};
pub use index::Index;
pub use key::{Bucket, Key};
pub use names::{Reference, Repository, Tag, UploadId};
pub use run::{RunError, SERVICE, run, tls};
pub use status::Status;
pub use storage::{Storage, StorageError};
pub use travel::Travel;
