//! QR codes on a text console, two modules a character.
//!
//! Light modules are drawn and dark ones are the background, since consoles are dark; a terminal
//! that knows colours is told them, so that the code is right on a light one too.

use std::fmt::Write;

use qrcode::{Color, EcLevel, QrCode};

/// Light modules around the code, as the standard wants.
const QUIET: usize = 4;
/// Bright white on black.
const COLOURS: &str = "\x1b[97;40m";
const PLAIN: &str = "\x1b[0m";

/// A code that was drawn.
pub(super) struct Drawn {
    lines: Vec<String>,
    /// Characters of a line.
    pub(super) columns: usize,
}

impl Drawn {
    /// How many lines it takes.
    pub(super) fn rows(&self) -> usize {
        self.lines.len()
    }

    /// The lines to print.
    pub(super) fn text(&self, coloured: bool) -> String {
        let (on, off) = if coloured { (COLOURS, PLAIN) } else { ("", "") };
        self.lines.iter().fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "{on}{line}{off}");
            text
        })
    }
}

/// The code of a text; nothing where no code is large enough.
pub(super) fn draw(text: &str) -> Option<Drawn> {
    // A screen is not smudged, and the block has a checksum: the least redundancy gives the
    // smallest code.
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let width = code.width();
    let side = width + 2 * QUIET;
    let modules = code.to_colors();
    let is_light = |row: usize, column: usize| {
        let inside = |place: usize| place.checked_sub(QUIET).filter(|place| *place < width);
        match inside(row).zip(inside(column)) {
            Some((row, column)) => modules[row * width + column] == Color::Light,
            None => row < side,
        }
    };
    let line = |row: usize| {
        (0..side)
            .map(|column| match (is_light(row, column), is_light(row + 1, column)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            })
            .collect()
    };
    Some(Drawn { lines: (0..side).step_by(2).map(line).collect(), columns: side })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_code_is_square_and_has_its_margin() {
        let drawn = draw("LEAFBOX:ABC").unwrap();
        // 21 modules and 4 on each side.
        assert_eq!((drawn.columns, drawn.rows()), (29, 15));
        for line in drawn.text(false).lines() {
            assert_eq!(line.chars().count(), 29);
            assert!(line.starts_with('█') || line.starts_with('▀'), "{line}");
        }
        assert!(drawn.text(true).lines().all(|line| line.starts_with(COLOURS) && line.ends_with(PLAIN)));
    }

    #[test]
    fn a_text_beyond_the_largest_code_has_none() {
        assert!(draw(&"A".repeat(4_000)).is_some());
        assert!(draw(&"A".repeat(4_400)).is_none());
    }
}
