//! Storage, without HTTP.

mod blobs;
mod clustered;
mod crashes;
mod damage;
mod full;
mod index;
mod manifests;
mod parallel;
mod quotas;
mod tags;
mod uploads;
