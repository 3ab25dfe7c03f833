//! The web console of this node.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Certificate;
use crate::units::Listen;

/// The web console, with Server-Sent Events and the API that it uses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Console {
    /// Where it answers browsers.
    pub listen: Listen,
    /// What browsers come to, such as `"https://shop-1.lan:8080"`; `http://localhost` with the port of
    /// `listen` when left out. Passkeys are bound to its host, so that with another host all users
    /// have to be let in anew.
    pub origin: Option<String>,
    /// TLS of `listen`; it speaks plainly when left out.
    pub tls: Option<Certificate>,
}

impl Default for Console {
    fn default() -> Self {
        Self { listen: Listen::loopback(8080), origin: None, tls: None }
    }
}
