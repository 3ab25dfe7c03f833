//! The schemas by name.

use std::fmt;

use regex::RegexBuilder;

use crate::{Rules, Unsupported, vendored::SCHEMAS};

/// What titles begin with.
const PREFIX: &str = "io.nats.";

/// How many candidates an error names.
const CANDIDATES: usize = 8;

/// One of NATS's schemas.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Schema {
    title: &'static str,
    text: &'static str,
}

/// No schema, or more than one, has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownSchema {
    /// None has it.
    #[error("NATS has no schema `{name}`{}", nearest.map(|title| format!(": did you mean `{title}`?")).unwrap_or_default())]
    None {
        /// The name.
        name: String,
        /// The title nearest to it, when one is near.
        nearest: Option<&'static str>,
    },
    /// Several have it in their titles.
    #[error("`{name}` may be {}{}: write more of it", titles.iter().take(CANDIDATES).copied().collect::<Vec<_>>().join(", "), more(titles.len()))]
    Several {
        /// The name.
        name: String,
        /// All titles that have it.
        titles: Vec<&'static str>,
    },
}

fn more(count: usize) -> String {
    if count > CANDIDATES { format!(" or {} others", count - CANDIDATES) } else { String::new() }
}

/// A pattern that is no regular expression.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{pattern}` is not a regular expression")]
pub struct BadPattern {
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    #[source]
    source: regex::Error,
}

impl Schema {
    /// All of them, in the order of their titles.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        SCHEMAS.iter().map(|&(title, text)| Self { title, text })
    }

    /// The schema with exactly this title, such as `io.nats.jetstream.api.v1.stream_create_request`:
    /// what messages say in `type`.
    ///
    /// The `$id` is no name: three schemas have a wrong one.
    pub fn titled(title: &str) -> Option<Self> {
        let index = SCHEMAS.binary_search_by_key(&title, |(title, _)| title).ok()?;
        Self::all().nth(index)
    }

    /// The schema that a person means: by its title, its title without `io.nats.`, the end of it
    /// (`stream_create_request`), its path in jsm.go, or any part that only one title has.
    ///
    /// # Errors
    /// When none or several fit.
    pub fn named(name: &str) -> Result<Self, UnknownSchema> {
        let wanted = name.trim().trim_end_matches(".json").replace('/', ".");
        let exact = [wanted.clone(), format!("{PREFIX}{wanted}")];
        if let Some(schema) = exact.iter().find_map(|title| Self::titled(title)) {
            return Ok(schema);
        }
        let fits: [&dyn Fn(&str) -> bool; 2] =
            [&|title| title.ends_with(&format!(".{wanted}")), &|title| title.contains(&wanted)];
        for fits in fits {
            let mut found = Self::all().filter(|schema| !wanted.is_empty() && fits(schema.title));
            match (found.next(), found.next()) {
                (None, _) => {}
                (Some(schema), None) => return Ok(schema),
                (Some(first), Some(second)) => {
                    let titles = [first, second].into_iter().chain(found).map(Self::title).collect();
                    return Err(UnknownSchema::Several { name: name.to_owned(), titles });
                }
            }
        }
        Err(UnknownSchema::None { name: name.to_owned(), nearest: nearest(&wanted) })
    }

    /// The schemas whose title a regular expression matches anywhere, letters of either case, as
    /// `nats schema search` finds them. An empty one matches all.
    ///
    /// # Errors
    /// When it is no regular expression.
    pub fn search(pattern: &str) -> Result<Vec<Self>, BadPattern> {
        let expression = RegexBuilder::new(pattern)
            .case_insensitive(true)
            .build()
            .map_err(|source| BadPattern { pattern: pattern.to_owned(), source })?;
        Ok(Self::all().filter(|schema| expression.is_match(schema.title)).collect())
    }

    /// Its title, such as `io.nats.server.monitor.v1.varz`.
    pub fn title(self) -> &'static str {
        self.title
    }

    /// The end of its title, such as `varz`: no two have the same.
    pub fn short(self) -> &'static str {
        self.title.rsplit('.').next().unwrap_or(self.title)
    }

    /// The schema itself, byte for byte as jsm.go has it.
    pub fn text(self) -> &'static str {
        self.text
    }

    /// The schema compiled, to check documents with.
    ///
    /// # Errors
    /// When it uses what this crate does not check; never for one of [`Self::all`], which a test
    /// sees to.
    pub fn rules(self) -> Result<Rules, Unsupported> {
        Rules::compile(self.text)
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Schema({})", self.title)
    }
}

/// The title whose end, or all of it, is nearest to a misspelt name.
fn nearest(name: &str) -> Option<&'static str> {
    let likeness = |schema: &Schema| {
        strsim::normalized_damerau_levenshtein(name, schema.short())
            .max(strsim::normalized_damerau_levenshtein(name, schema.title))
    };
    Schema::all()
        .map(|schema| (likeness(&schema), schema.title))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, title)| title)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    const CREATE: &str = "io.nats.jetstream.api.v1.stream_create_request";

    #[test]
    fn there_are_83_titled_as_their_files_and_each_compiles() {
        assert_eq!(Schema::all().len(), 83);
        assert!(SCHEMAS.is_sorted_by_key(|(title, _)| title));
        for schema in Schema::all() {
            let document: Value = serde_json::from_str(schema.text()).unwrap();
            assert_eq!(document["title"], schema.title());
            assert_eq!(document["$schema"], "http://json-schema.org/draft-07/schema#");
            if let Err(error) = schema.rules() {
                panic!("{}: {error}", schema.title());
            }
        }
        let shorts: BTreeSet<_> = Schema::all().map(Schema::short).collect();
        assert_eq!(shorts.len(), 83);
    }

    #[test]
    fn a_schema_is_found_by_its_title_and_by_shorter_names() {
        for name in [
            CREATE,
            "jetstream.api.v1.stream_create_request",
            "jetstream/api/v1/stream_create_request.json",
            "stream_create_request",
            "m_create_req",
        ] {
            assert_eq!(Schema::named(name).unwrap().title(), CREATE, "{name}");
        }
        assert_eq!(Schema::titled(CREATE).unwrap().title(), CREATE);
        assert_eq!(Schema::titled("stream_create_request"), None);
        assert_eq!(Schema::titled("io.nats.server.v1.varz_response"), None);
        assert_eq!(Schema::named("varz").unwrap().short(), "varz");
    }

    #[test]
    fn a_name_of_none_or_of_several_tells_which_there_are() {
        let none = Schema::named("stream_craete_request").unwrap_err().to_string();
        assert!(none.contains(&format!("did you mean `{CREATE}`?")), "{none}");
        assert_eq!(Schema::named("zzz").unwrap_err().to_string(), "NATS has no schema `zzz`");
        assert!(Schema::named("").is_err());
        let several = Schema::named("stream_create").unwrap_err().to_string();
        assert!(several.contains("stream_create_request, io.nats.jetstream.api.v1.stream_create_response"));
        assert!(Schema::named("advisory").unwrap_err().to_string().contains("others: write more of it"));
    }

    #[test]
    fn a_search_is_a_regular_expression_anywhere_in_the_title() {
        let titles = |pattern| Schema::search(pattern).map(|found| found.len());
        assert_eq!(titles(""), Ok(83));
        assert_eq!(titles("stream_(create|update)_request$"), Ok(2));
        assert_eq!(titles("STREAM_CREATE"), Ok(2));
        assert_eq!(titles("micro"), Ok(3));
        assert_eq!(titles("nothing"), Ok(0));
        assert!(titles("(").is_err_and(|error| error.to_string().contains("`(`")));
    }
}
