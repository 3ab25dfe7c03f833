//! `Link` headers (RFC 8288), by which a list goes on at another address.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All that is not plain in a query's value.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'/').remove(b':');

/// The value of a `Link` header that says where a list goes on: at `path`, relative to this server,
/// with these parameters.
pub fn next_link(path: &str, parameters: &[(&str, &str)]) -> String {
    let query =
        parameters.iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, ESCAPED)));
    format!("<{path}?{}>; rel=\"next\"", query.collect::<Vec<_>>().join("&"))
}

/// Where a list goes on, as the value of a `Link` header says; `None` when it ends here.
pub fn next_of(header: &str) -> Option<&str> {
    let mut rest = header;
    while let Some((_, from)) = rest.split_once('<') {
        let (target, after) = from.split_once('>')?;
        // Up to the next link: a comma inside a parameter's quotes is none of ours.
        let parameters = after.split_once('<').map_or(after, |(parameters, _)| parameters);
        let is_next = parameters.split([';', ',']).any(|parameter| {
            let Some((name, value)) = parameter.split_once('=') else { return false };
            let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
            name.trim().eq_ignore_ascii_case("rel") && relations.any(|it| it.eq_ignore_ascii_case("next"))
        });
        if is_next {
            return Some(target);
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let link = next_link("/v2/team/app/tags/list", &[("n", "2"), ("last", "a&b=c+d%")]);
        assert_eq!(link, "</v2/team/app/tags/list?n=2&last=a%26b%3Dc%2Bd%25>; rel=\"next\"");
        assert_eq!(next_of(&link), Some("/v2/team/app/tags/list?n=2&last=a%26b%3Dc%2Bd%25"));
    }

    #[test]
    fn other_registries_write_it_in_other_ways() {
        for header in [
            "</x>; rel=next",
            "</x>;rel=\"next\"",
            "</first>; rel=\"first\", </x>; title=\"a, b\"; rel=\"next\"",
            "<https://other.test/x>; REL=\"last NEXT\"",
        ] {
            assert!(next_of(header).is_some_and(|target| target.ends_with("/x")), "{header}");
        }
        for none in ["", "</x>", "</x>; rel=\"prev\"", "</x; rel=next", "rel=next", "<", "<>"] {
            assert_eq!(next_of(none), None, "{none}");
        }
    }
}
