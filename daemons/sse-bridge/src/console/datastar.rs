//! Datastar's events (1.0): HTML that takes the place of what has its `id`.

use maud::Markup;

use crate::feed::Frame;

/// Writes elements that take the place of those with their ids.
pub(super) fn patch(elements: &Markup, frame: &mut Frame) {
    let html = elements.0.as_str();
    let data: Vec<String> = html.lines().map(|line| format!("elements {line}")).collect();
    frame.event("datastar-patch-elements", &data.join("\n"));
}
