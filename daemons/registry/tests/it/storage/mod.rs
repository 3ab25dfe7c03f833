//! Storage, without HTTP.

mod blobs;
mod crashes;
mod full;
mod index;
mod manifests;
mod parallel;
mod quotas;
mod tags;
mod uploads;
