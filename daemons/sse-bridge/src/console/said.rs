//! What a screen reader is told of what comes by itself: how much, and not too often.

use maud::{Markup, html};
use tokio::time::{Duration, Instant};

use super::datastar;
use crate::feed::Frame;

/// How often it is told at most.
const SAYS: Duration = Duration::from_secs(10);

/// What came since it was told last.
#[derive(Debug)]
pub(super) struct Said {
    id: &'static str,
    /// Of one, such as `event`.
    word: &'static str,
    unsaid: usize,
    at: Instant,
}

impl Said {
    /// Nothing yet.
    pub(super) fn new(id: &'static str, word: &'static str) -> Self {
        Self { id, word, unsaid: 0, at: Instant::now() }
    }

    /// The page's part before anything came. It must be there for what comes into it to be read out.
    pub(super) fn part(&self) -> Markup {
        self.markup(0)
    }

    /// That more came.
    pub(super) fn add(&mut self, count: usize) {
        self.unsaid += count;
    }

    /// Writes how much, where that is not told too often.
    pub(super) fn tell(&mut self, frame: &mut Frame) {
        if self.unsaid > 0 && self.at.elapsed() >= SAYS {
            datastar::patch(&self.markup(self.unsaid), frame);
            (self.unsaid, self.at) = (0, Instant::now());
        }
    }

    fn markup(&self, count: usize) -> Markup {
        html! {
            p id=(self.id) .unseen aria-live="polite" {
                @match count { 0 => {}, 1 => { "One more " (self.word) }, _ => { (count) " more " (self.word) "s" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_screen_reader_is_told_of_all_that_came_and_not_for_each() {
        let mut said = Said::new("said", "event");
        assert!(said.part().into_string().contains("aria-live"));
        let told = |said: &mut Said| {
            let mut frame = Frame::default();
            said.tell(&mut frame);
            String::from_utf8(frame.bytes().to_vec()).unwrap()
        };
        said.add(2);
        assert_eq!(told(&mut said), "");
        tokio::time::advance(SAYS).await;
        said.add(1);
        assert!(told(&mut said).contains("3 more events"));
        said.add(1);
        assert_eq!(told(&mut said), "");
        tokio::time::advance(SAYS).await;
        assert!(told(&mut said).contains("One more event<"));
    }
}
