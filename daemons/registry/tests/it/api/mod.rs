//! The HTTP API, row by row of the distribution specification's table of endpoints.

mod blobs;
mod faults;
mod full;
mod lists;
mod manifests;
mod mounts;
mod probes;
mod signatures;
mod tls;
mod uploads;
