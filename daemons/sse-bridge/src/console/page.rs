//! What all pages have around them.

use maud::{DOCTYPE, Markup, html};

use super::Console;
use crate::Caller;

/// A page, with `content` as its main part.
pub(super) fn page(console: &Console, caller: &Caller, title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · " (console.node) " · leafbox" }
                link rel="icon" href="data:,";
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
                    p.brand { "leafbox" }
                    nav aria-label="Pages" {
                        ul {
                            li { a href="/" aria-current="page" { "Overview" } }
                        }
                    }
                    p.caller { (caller.name) ", " (caller.role) }
                }
                main #content tabindex="-1" {
                    h1 { (title) }
                    (content)
                }
                footer {
                    p #freshness role="status" data-stale="no" { "Live" }
                }
            }
        }
    }
}
