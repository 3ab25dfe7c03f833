//! A file for each command.

pub(crate) mod apply;
pub(crate) mod auth;
pub(crate) mod check;
pub(crate) mod clean;
pub(crate) mod console;
pub(crate) mod context;
pub(crate) mod dev;
pub(crate) mod enroll;
pub(crate) mod health;
pub(crate) mod init;
pub(crate) mod logs;
pub(crate) mod plan;
pub(crate) mod registry;
pub(crate) mod render;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod service;
pub(crate) mod status;
pub(crate) mod unit;
pub(crate) mod user;
