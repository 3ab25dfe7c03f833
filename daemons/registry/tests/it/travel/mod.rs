//! Images between a leaf and its hub, over a link that breaks; and from an upstream registry.

mod cutting;
mod distrusting;
mod pulling;
mod pushing_up;
mod refreshing;
mod relay;
mod site;
mod upstream;
mod upstream_registry;
