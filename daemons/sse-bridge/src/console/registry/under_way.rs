//! What the registry does at the moment: uploads, what travels, and what the collector waits for.

use maud::{Markup, html};

use super::{
    ask::{Announcement, Fetch, Status, Travel, Upload},
    path, short,
};
use crate::console::figures::{at, bytes};

/// Uploads under way; nothing where there are none.
pub(super) fn uploads(uploads: &[Upload]) -> Markup {
    html! {
        @if !uploads.is_empty() {
            h2 #uploads { "Uploads under way" }
            div.scroll tabindex="0" role="region" aria-labelledby="uploads" {
                table aria-labelledby="uploads" {
                    thead { tr { th scope="col" { "Repository" } th.number scope="col" { "Stored" } th scope="col" { "Last bytes" } } }
                    tbody {
                        @for upload in uploads {
                            tr {
                                th scope="row" { (upload.repository) }
                                td.number { (done(upload.offset, upload.size)) }
                                td { (at(upload.touched)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What travels between this node and others.
pub(super) fn travel(travel: &Travel) -> Markup {
    let moved = &travel.travelled;
    html! {
        h2 { "Travel" }
        @if let Some(hub) = &travel.hub {
            p {
                @match (&hub.error, hub.answered) {
                    (Some(error), Some(answered)) => { strong { "✗ The hub does not answer " } "since " (at(answered)) ": " (error) }
                    (Some(error), None) => { strong { "✗ The hub did not answer yet: " } (error) }
                    (None, Some(answered)) => { "✓ The hub answered last " (at(answered)) "." }
                    (None, None) => "The hub was not asked yet.",
                }
            }
        }
        p.quiet {
            "Since the registry started: " (bytes(moved.from_hub)) " from the hub, " (bytes(moved.from_leaves)) " from leaves, "
            (bytes(moved.from_upstreams)) " from other registries, " (bytes(moved.sent)) " sent."
        }
        @if travel.missing > 0 { p.notice { (travel.missing) " blobs of images from elsewhere are not here yet." } }
        @for (digest, why) in &travel.refused {
            p.message.bad { strong { "✗ " (short(digest)) " does not come: " } (why) }
        }
        (announcements(&travel.announcements))
        (fetches(&travel.fetches))
    }
}

fn announcements(waiting: &[Announcement]) -> Markup {
    html! {
        @if waiting.is_empty() { p { "Nothing waits to be at the hub." } } @else {
            div.scroll tabindex="0" role="region" aria-label="On their way to the hub" {
                table {
                    caption { "On their way to the hub" }
                    thead { tr { th scope="col" { "Image" } th scope="col" { "Since" } th.number scope="col" { "Done" } th scope="col" { "State" } } }
                    tbody {
                        @for one in waiting {
                            tr {
                                th scope="row" { a href=(path(&[&one.repository, &one.tag])) { (one.repository) ":" (one.tag) } }
                                td { (at(one.since)) }
                                td.number { (done(one.done, Some(one.total))) }
                                td { @match &one.error { Some(error) => { "waits: " (error) }, None => "on its way" } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn fetches(fetches: &[Fetch]) -> Markup {
    html! {
        @if !fetches.is_empty() {
            div.scroll tabindex="0" role="region" aria-label="Blobs on their way here" {
                table {
                    caption { "Blobs on their way here" }
                    thead {
                        tr {
                            th scope="col" { "Blob" } th scope="col" { "From" } th.number scope="col" { "Done" }
                            th scope="col" { "For" } th scope="col" { "State" }
                        }
                    }
                    tbody {
                        @for fetch in fetches {
                            tr {
                                th scope="row" { (short(&fetch.digest)) }
                                td { (fetch.from) }
                                td.number { (done(fetch.done, fetch.total)) }
                                td { (fetch.repositories.join(", ")) }
                                td {
                                    @match &fetch.error {
                                        _ if fetch.flows => "flows",
                                        Some(error) => { "waits: " (error) },
                                        None => "waits for its turn",
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What the collector did, and what waits for its grace time.
pub(super) fn collector(status: &Status) -> Markup {
    let done = &status.collected;
    html! {
        h2 { "Collector" }
        p {
            (done.passes) @if done.passes == 1 { " pass" } @else { " passes" } " since the registry started, "
            (bytes(done.bytes)) " freed"
            @if done.failures > 0 { ", " strong { (done.failures) " passes failed" } }
            "."
        }
        @match &status.last_collection {
            None => p.quiet { "It passes each hour." },
            Some(last) => {
                p {
                    "The last one: " (at(last.at)) ". " (last.waiting) " unused records wait for their grace time, and with them "
                    (bytes(last.waiting_bytes))
                    @if let Some(next) = last.next { ", the first until " (at(next)) }
                    "."
                }
                @if last.unreadable > 0 {
                    p.notice { (last.unreadable) " records are of another version of leafbox: until all daemons are of one, only tags and uploads go." }
                }
            }
        }
        @if status.audit_dropped > 0 {
            p.message.bad { strong { "✗ " } (status.audit_dropped) " audit events were lost: JetStream did not take them." }
        }
    }
}

fn done(done: u64, of: Option<u64>) -> String {
    match of {
        Some(all) if all > 0 => format!("{} of {}", bytes(done), bytes(all)),
        _ => bytes(done),
    }
}
