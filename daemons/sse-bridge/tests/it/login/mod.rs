//! The login: ceremonies with a software authenticator, over the routes that a browser uses.

pub(crate) mod device;
mod enrolment;
mod entering;
mod pages;
mod passkeys;
mod sessions;
pub(crate) mod site;
