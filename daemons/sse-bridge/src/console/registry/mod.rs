//! `/registry`: the images of this node, as its registry tells of them.
//!
//! The registry is asked on its own subject; its records, which have the hashes of tokens among them, are
//! read by no page ([`guard`](super::guard)). Changes of a tag are events in a bucket that all may see.

mod ask;
mod list;
mod repository;
mod tag;
mod under_way;

use axum::{Router, routing::get};
use maud::{Markup, html};

use super::{Console, link};

/// The pages of the registry.
pub(super) fn router() -> Router<Console> {
    Router::new()
        .route("/registry", get(list::show))
        .route("/live/registry", get(list::go_on))
        .route("/registry/{repository}", get(repository::show))
        .route("/registry/{repository}/{tag}", get(tag::show))
}

/// The path of a repository, or of a tag of it.
fn path(below: &[&str]) -> String {
    let mut segments = vec!["registry"];
    segments.extend(below);
    link::path(&segments)
}

/// Enough of a digest to tell it from others; all of it for who points at it.
fn short(digest: &str) -> Markup {
    let length = digest.find(':').map_or(12, |colon| colon + 13);
    html! { code title=(digest) { (digest.get(..length).unwrap_or(digest)) } }
}
