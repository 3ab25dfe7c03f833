//! Datastar's events (1.0): HTML that takes the place of what has its `id`.

use maud::Markup;

use crate::feed::Frame;

/// Writes elements that take the place of those with their ids.
pub(super) fn patch(elements: &Markup, frame: &mut Frame) {
    write(Vec::new(), elements, frame);
}

/// Writes elements that become the first children of the one with this id.
pub(super) fn prepend(id: &str, elements: &Markup, frame: &mut Frame) {
    write(vec![format!("selector #{id}"), "mode prepend".to_owned()], elements, frame);
}

/// Has the element with this id go away.
pub(super) fn remove(id: &str, frame: &mut Frame) {
    frame.event("datastar-patch-elements", &format!("selector #{id}\nmode remove"));
}

fn write(mut data: Vec<String>, elements: &Markup, frame: &mut Frame) {
    data.extend(elements.0.lines().map(|line| format!("elements {line}")));
    frame.event("datastar-patch-elements", &data.join("\n"));
}
