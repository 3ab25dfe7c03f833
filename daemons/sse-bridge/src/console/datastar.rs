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

/// Writes elements that become the last children of the one with this id.
pub(super) fn append(id: &str, elements: &Markup, frame: &mut Frame) {
    write(vec![format!("selector #{id}"), "mode append".to_owned()], elements, frame);
}

/// Has all go away that this selects, if it selects something.
pub(super) fn remove_all(selector: &str, frame: &mut Frame) {
    frame.event("datastar-patch-elements", &format!("selector {selector}\nmode remove"));
}

/// Has the element with this id go away.
pub(super) fn remove(id: &str, frame: &mut Frame) {
    remove_all(&format!("#{id}"), frame);
}

fn write(mut data: Vec<String>, elements: &Markup, frame: &mut Frame) {
    // A bare CR ends a line of an event as well: what is after it would be no part of the elements.
    let text = elements.0.replace("\r\n", "\n");
    data.extend(text.split(['\r', '\n']).map(|line| format!("elements {line}")));
    frame.event("datastar-patch-elements", &data.join("\n"));
}

#[cfg(test)]
mod tests {
    use maud::html;

    use super::*;

    #[test]
    fn every_line_of_the_elements_says_that_it_is_one() {
        let mut frame = Frame::default();
        patch(&html! { pre #a { "x\ry\r\nz\n" } }, &mut frame);
        let text = String::from_utf8_lossy(&frame.bytes()).into_owned();
        let data = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect::<Vec<_>>();
        assert_eq!(data.len(), 4, "{text}");
        assert!(data.iter().all(|line| line.starts_with("elements ")), "{text}");
    }
}
