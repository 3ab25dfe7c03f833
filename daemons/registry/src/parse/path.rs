//! Paths of the API. A repository's name may hold any number of slashes and the API's own words, so
//! that a path is read from its end.

use percent_encoding::percent_decode_str;

use crate::{Repository, names::BadRepository};

/// What a path below `/v2` names. References, digests and upload ids are not yet checked: what a bad
/// one means depends on the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `/v2/`
    Base,
    /// `/v2/_catalog`
    Catalog,
    /// `/v2/<name>/tags/list`
    Tags(Repository),
    /// `/v2/<name>/manifests/<reference>`
    Manifest(Repository, String),
    /// `/v2/<name>/referrers/<digest>`
    Referrers(Repository, String),
    /// `/v2/<name>/blobs/<digest>`
    Blob(Repository, String),
    /// `/v2/<name>/blobs/uploads/`
    Uploads(Repository),
    /// `/v2/<name>/blobs/uploads/<id>`
    Upload(Repository, String),
}

/// A path that names nothing of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// It is of no known shape.
    #[error("there is no such endpoint: see the distribution specification for those of /v2/")]
    Unknown,
    /// Its escapes are no UTF-8.
    #[error("the path is not UTF-8 once its percent escapes are read")]
    Encoding,
    /// The repository's name breaks the grammar.
    #[error(transparent)]
    Name(#[from] BadRepository),
}

impl Target {
    /// Reads the path of a request, as it came.
    ///
    /// Escapes are read first: no name, tag or digest holds a character that has a meaning there.
    ///
    /// # Errors
    /// When it is no path of the API, or the repository's name is none.
    pub fn of(path: &str) -> Result<Self, BadPath> {
        let path = percent_decode_str(path).decode_utf8().map_err(|_| BadPath::Encoding)?;
        let rest = path.strip_prefix("/v2").ok_or(BadPath::Unknown)?;
        match rest {
            "" | "/" => return Ok(Self::Base),
            "/_catalog" => return Ok(Self::Catalog),
            _ => {}
        }
        let rest = rest.strip_prefix('/').ok_or(BadPath::Unknown)?;
        let (rest, last) = rest.rsplit_once('/').ok_or(BadPath::Unknown)?;
        // With nothing before it, the kind's word is in the place of the name.
        let (rest, kind) = rest.rsplit_once('/').ok_or(BadPath::Unknown)?;
        let value = || last.to_owned();
        match kind {
            "tags" if last == "list" => Ok(Self::Tags(rest.parse()?)),
            "manifests" if !last.is_empty() => Ok(Self::Manifest(rest.parse()?, value())),
            "referrers" if !last.is_empty() => Ok(Self::Referrers(rest.parse()?, value())),
            // Some clients leave out the slash at the end.
            "blobs" if last == "uploads" => Ok(Self::Uploads(rest.parse()?)),
            "blobs" if !last.is_empty() => Ok(Self::Blob(rest.parse()?, value())),
            "uploads" => {
                let name = rest.strip_suffix("/blobs").ok_or(BadPath::Unknown)?.parse()?;
                Ok(if last.is_empty() { Self::Uploads(name) } else { Self::Upload(name, value()) })
            }
            _ => Err(BadPath::Unknown),
        }
    }

    /// The repository, where there is one.
    pub fn repository(&self) -> Option<&Repository> {
        match self {
            Self::Base | Self::Catalog => None,
            Self::Tags(repository)
            | Self::Manifest(repository, _)
            | Self::Referrers(repository, _)
            | Self::Blob(repository, _)
            | Self::Uploads(repository)
            | Self::Upload(repository, _) => Some(repository),
        }
    }

    /// The pattern of the path, for logs and metrics: never a name that a client chose.
    pub fn pattern(&self) -> &'static str {
        match self {
            Self::Base => "/v2/",
            Self::Catalog => "/v2/_catalog",
            Self::Tags(_) => "/v2/<name>/tags/list",
            Self::Manifest(..) => "/v2/<name>/manifests/<reference>",
            Self::Referrers(..) => "/v2/<name>/referrers/<digest>",
            Self::Blob(..) => "/v2/<name>/blobs/<digest>",
            Self::Uploads(_) => "/v2/<name>/blobs/uploads/",
            Self::Upload(..) => "/v2/<name>/blobs/uploads/<id>",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn each_endpoint_is_read_whatever_the_name_holds() {
        for name in ["app", "team/app", "a/b/c/d/e", "blobs/uploads", "manifests", "x/tags/list", "v2/blobs"]
        {
            let repository: Repository = name.parse().unwrap();
            let of = |rest: &str| Target::of(&format!("/v2/{name}/{rest}")).unwrap();
            assert_eq!(of("tags/list"), Target::Tags(repository.clone()));
            assert_eq!(of("manifests/v1"), Target::Manifest(repository.clone(), "v1".to_owned()));
            assert_eq!(of("manifests/list"), Target::Manifest(repository.clone(), "list".to_owned()));
            assert_eq!(of("blobs/sha256:0"), Target::Blob(repository.clone(), "sha256:0".to_owned()));
            assert_eq!(of("blobs/sha256%3A0"), Target::Blob(repository.clone(), "sha256:0".to_owned()));
            assert_eq!(of("referrers/x"), Target::Referrers(repository.clone(), "x".to_owned()));
            assert_eq!(of("blobs/uploads/"), Target::Uploads(repository.clone()));
            assert_eq!(of("blobs/uploads"), Target::Uploads(repository.clone()));
            assert_eq!(of("blobs/uploads/1"), Target::Upload(repository.clone(), "1".to_owned()));
            assert_eq!(of("manifests/v1").repository(), Some(&repository));
        }
        assert_eq!(Target::of("/v2"), Ok(Target::Base));
        assert_eq!(Target::of("/v2/"), Ok(Target::Base));
        assert_eq!(Target::of("/v2/_catalog"), Ok(Target::Catalog));
        let escaped = Target::of("/v2/team%2Fapp/manifests/v1").unwrap();
        assert_eq!(escaped.repository().unwrap().as_str(), "team/app");
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for unknown in [
            "",
            "/",
            "/v1/",
            "/v22/a/tags/list",
            "/v2/a",
            "/v2/tags/list",
            "/v2/a/tags",
            "/v2/a/tags/all",
            "/v2/a/manifests/",
            "/v2/a/blobs/",
            "/v2/a/uploads/1",
            "/v2/a/nothing/1",
            "//",
            "/v2//",
        ] {
            assert_eq!(Target::of(unknown), Err(BadPath::Unknown), "{unknown}");
        }
        for bad in ["/v2/A/tags/list", "/v2//manifests/a", "/v2/a//manifests/a", "/v2/../blobs/uploads/"] {
            assert!(matches!(Target::of(bad), Err(BadPath::Name(_))), "{bad}");
        }
        assert_eq!(Target::of("/v2/%ff/tags/list"), Err(BadPath::Encoding));
    }
}
