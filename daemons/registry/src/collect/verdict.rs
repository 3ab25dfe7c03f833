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

/// What becomes of a record that has been marked since `idle`.
///
/// Only the collector's own mark counts, since everything that comes to rely on the record removes it.
/// A mark of the future was made by a clock that went wrong, and is made again.
pub(super) fn verdict(needed: bool, idle: Option<Seconds>, now: Seconds, grace: Seconds) -> Verdict {
    match idle {
        None if needed => Verdict::Keep,
        Some(_) if needed => Verdict::Clear,
        Some(since) if since <= now && now - since >= grace => Verdict::Delete,
        Some(since) if since <= now => Verdict::Wait,
        _ => Verdict::Mark,
    }
}

/// Whether the time since `touched` is up; a time of the future was written by a clock that went wrong,
/// and is as good as past.
pub(super) fn is_over(touched: Seconds, now: Seconds, span: Seconds) -> bool {
    touched > now || now - touched >= span
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_goes_when_nothing_has_relied_on_it_for_the_grace_time() {
        let cases = [
            (true, None, Verdict::Keep),
            (true, Some(100), Verdict::Clear),
            (true, Some(0), Verdict::Clear),
            (false, None, Verdict::Mark),
            (false, Some(100), Verdict::Wait),
            (false, Some(91), Verdict::Wait),
            (false, Some(90), Verdict::Delete),
            (false, Some(0), Verdict::Delete),
            (false, Some(101), Verdict::Mark),
        ];
        for (needed, idle, expected) in cases {
            assert_eq!(verdict(needed, idle, 100, 10), expected, "{needed} {idle:?}");
        }
        assert_eq!(verdict(false, Some(100), 100, 0), Verdict::Delete);
        assert_eq!(verdict(false, None, 100, 0), Verdict::Mark, "never without a mark that writers see");
    }

    #[test]
    fn a_clock_that_went_wrong_keeps_nothing_for_ever() {
        assert!(is_over(90, 100, 10) && is_over(500, 100, 10));
        assert!(!is_over(91, 100, 10) && !is_over(100, 100, 1));
    }
}
