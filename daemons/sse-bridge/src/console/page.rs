//! What all pages have around them.

use maud::{DOCTYPE, Markup, html};

use super::{Console, figures};
use crate::Caller;

/// The pages, in the order of the navigation.
const PAGES: &[(&str, &str)] = &[
    ("/", "Overview"),
    ("/streams", "Streams"),
    ("/kv", "Keys and values"),
    ("/objects", "Objects"),
    ("/registry", "Registry"),
    ("/publish", "Publish and subscribe"),
    ("/connections", "Connections"),
    ("/topology", "Topology"),
    ("/events", "Events"),
    ("/accounts", "Accounts"),
    ("/leaves", "Leaves"),
];

/// Whether a page goes on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    /// It shows the moment when it was made.
    Still,
    /// Its live part is kept up to date.
    Live,
}

/// A page at `path`, with `content` as its main part.
pub(super) fn page(
    console: &Console,
    caller: &Caller,
    path: &str,
    title: &str,
    freshness: Freshness,
    content: &Markup,
) -> Markup {
    let now = figures::now();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · " (console.node) " · leafbox" }
                link rel="icon" href="/assets/leaf.svg";
                link rel="stylesheet" href="/assets/console.css";
                script type="module" src="/assets/datastar.js" {}
                script src="/assets/console.js" defer {}
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                @if console.development {
                    p.banner role="note" {
                        strong { "Development: " }
                        "whoever uses this machine is an admin here, without a login."
                    }
                }
                header {
                    p.brand { img src="/assets/leaf.svg" alt="" width="24" height="24"; "leafbox" }
                    nav aria-label="Pages" {
                        ul {
                            @for (at, name) in PAGES.iter().copied() {
                                li { a href=(at) aria-current=[is_at(at, path).then_some("page")] { (name) } }
                            }
                        }
                    }
                    p.caller { (caller.name) ", " (caller.role) }
                }
                main #content tabindex="-1" {
                    h1 { (title) }
                    (content)
                }
                footer {
                    @match freshness {
                        Freshness::Live => p #freshness role="status" data-stale="no" { "Live" },
                        Freshness::Still => p.asof { "Data as of " time datetime=(now) { (now) } ". Load the page again for newer." },
                    }
                }
            }
        }
    }
}

/// Whether `path` is the page at `at`, or below it.
fn is_at(at: &str, path: &str) -> bool {
    path == at || (at != "/" && path.strip_prefix(at).is_some_and(|below| below.starts_with('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_belongs_to_the_entry_that_it_is_below() {
        assert!(is_at("/", "/") && is_at("/kv", "/kv") && is_at("/kv", "/kv/SHOP/prices"));
        assert!(!is_at("/", "/kv") && !is_at("/kv", "/kvs"));
    }
}
