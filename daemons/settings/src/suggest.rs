//! "Did you mean": the word nearest to a misspelt one.

/// The candidate nearest to `word`, when one is near enough to be what was meant.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            (strsim::normalized_damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate)
        })
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate)
}

/// "did you mean `x`?", or else the list of what is allowed after `otherwise`.
pub(crate) fn meant_or_list(word: &str, allowed: &[&str], otherwise: &str) -> String {
    match nearest(word, allowed.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => format!("{otherwise} {}", list(allowed)),
    }
}

/// "`a`, `b`, `c`".
pub(crate) fn list<T: std::ops::Deref<Target = str>>(words: &[T]) -> String {
    words.iter().map(|word| format!("`{}`", &**word)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        assert_eq!(nearest("conections", ["data", "connections", "leaf_connections"]), Some("connections"));
        assert_eq!(nearest("CONNECTIONS", ["connections"]), Some("connections"));
        assert_eq!(nearest("colour", ["connections", "data"]), None);
        assert_eq!(meant_or_list("zzz", &["a", "b"], "write one of"), "write one of `a`, `b`");
    }
}
