//! What becomes of one record: the arithmetic of marks and the grace time.

use crate::records::Seconds;

/// What becomes of a link or manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Something relies on it.
    Keep,
    /// Something relies on it again, and it still has the mark.
    Clear,
    /// Nothing relies on it, which is news.
    Mark,
    /// Nothing relies on it, for less than the grace time.
    Wait,
    /// Nothing has relied on it for the grace time.
    Delete,
}

/// How far clocks of nodes that work may differ, and how long a pass may take: it looks at its clock once,
/// while others go on writing times. A time further ahead was written by a clock that was wrong.
const SKEW: Seconds = 6 * 3600;

/// What becomes of a record that has been marked since `idle`.
///
/// Only the collector's own mark counts, since everything that comes to rely on the record removes it.
/// A mark of a clock that was wrong is made again.
pub(super) fn verdict(needed: bool, idle: Option<Seconds>, now: Seconds, grace: Seconds) -> Verdict {
    match idle {
        None if needed => Verdict::Keep,
        Some(_) if needed => Verdict::Clear,
        Some(since) if is_wrong(since, now) => Verdict::Mark,
        Some(since) if now.saturating_sub(since) >= grace => Verdict::Delete,
        Some(_) => Verdict::Wait,
        None => Verdict::Mark,
    }
}

/// Whether the time since `touched` is up; a time of a clock that was wrong is as good as past.
pub(super) fn is_over(touched: Seconds, now: Seconds, span: Seconds) -> bool {
    is_wrong(touched, now) || now.saturating_sub(touched) >= span
}

fn is_wrong(time: Seconds, now: Seconds) -> bool {
    time.saturating_sub(now) > SKEW
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_goes_when_nothing_has_relied_on_it_for_the_grace_time() {
        const NOW: Seconds = 1_000_000;
        let cases = [
            (true, None, Verdict::Keep),
            (true, Some(NOW), Verdict::Clear),
            (true, Some(0), Verdict::Clear),
            (false, None, Verdict::Mark),
            (false, Some(NOW), Verdict::Wait),
            (false, Some(NOW + SKEW), Verdict::Wait),
            (false, Some(NOW - 9), Verdict::Wait),
            (false, Some(NOW - 10), Verdict::Delete),
            (false, Some(0), Verdict::Delete),
            (false, Some(NOW + SKEW + 1), Verdict::Mark),
        ];
        for (needed, idle, expected) in cases {
            assert_eq!(verdict(needed, idle, NOW, 10), expected, "{needed} {idle:?}");
        }
        assert_eq!(verdict(false, Some(NOW), NOW, 0), Verdict::Delete);
        assert_eq!(verdict(false, None, NOW, 0), Verdict::Mark, "never without a mark that writers see");
    }

    /// Uploads that began while a pass was under way were once taken for those of a wrong clock.
    #[test]
    fn what_is_younger_than_the_pass_is_not_over_and_no_wrong_clock_keeps_anything_for_ever() {
        assert!(is_over(90, 100, 10) && !is_over(91, 100, 10));
        assert!(!is_over(101, 100, 10) && !is_over(100 + SKEW, 100, 10));
        assert!(is_over(101 + SKEW, 100, 10));
    }
}
