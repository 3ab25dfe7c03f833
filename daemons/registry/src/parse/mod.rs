//! What clients write into paths, queries and headers, read without trust. Pure functions: whatever
//! the bytes are, they give a value or an error, and never panic.

mod link;
mod path;
mod query;
mod range;

pub use link::{next_link, next_of};
pub use path::{BadPath, Target};
pub use query::{BadQuery, Page, Query};
pub use range::{BadContentRange, ContentRange, Wanted, wanted};
