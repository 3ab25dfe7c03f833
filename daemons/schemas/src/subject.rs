//! Subjects matched with wildcards.

/// Whether a subject matches a pattern, in which `*` is one token and a last `>` one or more.
pub(crate) fn matches(subject: &str, pattern: &str) -> bool {
    let mut tokens = subject.split('.');
    for wanted in pattern.split('.') {
        match (wanted, tokens.next()) {
            (_, None | Some("")) => return false,
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (wanted, Some(token)) if wanted == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_tokens() {
        assert!(matches("$SYS.ACCOUNT.ABC.CONNECT", "$SYS.ACCOUNT.*.CONNECT"));
        assert!(matches("a.b.c", "a.>"));
        assert!(!matches("a", "a.>"));
        assert!(!matches("a.b", "a.b.*"));
        assert!(!matches("a.b.c", "a.b"));
        assert!(!matches("a..c", "a.*.c"));
    }
}
