//! NATS's own JSON schemas: what a message must look like, and what a form for it asks.
//!
//! The schemas and error codes are those of nats-io/jsm.go, vendored unchanged in `data/` at
//! [`COMMIT`]; `refresh.sh` brings newer ones.
//!
//! - [`Schema`]: found by title or a shorter name, its exact text.
//! - [`Schema::rules`], then [`Rules::check`]: is a document right, and if not, what is wrong where.
//!   What is written is checked [`Mode::Strict`], what is read [`Mode::Tolerant`].
//! - [`of_message`] and [`of_request`]: which schema a message has.
//! - [`Form`]: the fields of a request, and the request from what was typed into them.
//! - [`ApiError`]: what an error code of JetStream's API means.
//!
//! Nothing is kept: a schema is compiled each time [`Schema::rules`] is called, in 0.2 to 5 ms, and
//! all 83 compiled would be 2.3 MiB. Who checks one kind of message often keeps its [`Rules`].
//!
//! The checker is this crate's own. The schemas use fourteen keywords of JSON Schema's draft 7, and
//! a schema with any other is refused when it is compiled, so that a refresh cannot slip one in that
//! is not checked. What no general validator did: see [`Rules::check`].

mod api_error;
mod catalogue;
mod check;
mod corrections;
mod form;
mod message;
mod number;
mod rules;
mod subject;
mod vendored;
mod violation;

pub use api_error::ApiError;
pub use catalogue::{BadPattern, Schema, UnknownSchema};
pub use check::Mode;
pub use form::{Bounds, Condition, Field, Form, Input};
pub use message::{Found, Part, of_message, of_request};
pub use rules::{Rules, Unsupported};
pub use vendored::{COMMIT, DATE};
pub use violation::{Problem, Violation};
