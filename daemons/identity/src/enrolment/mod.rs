//! How a new box comes into a fleet: it makes its own keys, and only public ones travel.
//!
//! A box sends a [`Request`], the operator sends an [`Answer`], both as text blocks that survive a
//! serial console and a mail. Nothing secret is in either. A request needs no signature: whoever
//! approves it compares its [`Fingerprint`] with the one that the box shows. An answer needs none of
//! its own: every JWT in it is signed, and lists the keys of the box that it is for.

mod answer;
mod armor;
pub mod places;
mod request;
mod wire;

pub use answer::{Answer, AnswerError};
pub use armor::{ArmorError, Block, is_end};
pub use places::Places;
pub use request::{Fingerprint, Request, RequestError};
