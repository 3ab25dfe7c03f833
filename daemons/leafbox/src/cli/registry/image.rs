//! How an image is named on the command line.

use std::{fmt, str::FromStr};

use registry::{Digest, Reference, Repository, Tag};

/// A repository here, and which of its images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The repository.
    pub repository: Repository,
    /// A tag or a digest, when one was named.
    pub reference: Option<Reference>,
}

impl FromStr for Image {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => {
                (name, Some(digest.parse::<Digest>().map_err(|error| format!("`{digest}`: {error}"))?))
            }
            None => (text, None),
        };
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (name, None),
        };
        // `localhost:5000/team/app` as docker wants it.
        if let Some((host, rest)) = name.split_once('/')
            && host.contains(':')
        {
            return Err(format!("leave out the host: `{rest}` is the repository of this node's registry"));
        }
        let repository = name.parse::<Repository>().map_err(|error| format!("`{name}`: {error}"))?;
        let tag =
            tag.map(|tag| tag.parse::<Tag>().map_err(|error| format!("`{tag}`: {error}"))).transpose()?;
        // Of both, as scripts pin them, the digest says what is meant.
        let reference = digest.map(Reference::Digest).or(tag.map(Reference::Tag));
        Ok(Self { repository, reference })
    }
}

impl fmt::Display for Image {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reference {
            None => self.repository.fmt(formatter),
            Some(Reference::Tag(tag)) => write!(formatter, "{}:{tag}", self.repository),
            Some(Reference::Digest(digest)) => write!(formatter, "{}@{digest}", self.repository),
        }
    }
}

/// Where an image is, or is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In this node's registry.
    Here(Image),
    /// In the hub's.
    Hub(Image),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once("://") {
            None => Ok(Self::Here(text.parse()?)),
            Some(("hub", image)) => Ok(Self::Hub(image.parse()?)),
            Some((scheme, _)) => Err(format!(
                "`{scheme}://` is not known: `hub://team/app:1.2` is at the hub, `team/app:1.2` in this node's \
                 registry; for other registries use `skopeo copy`"
            )),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(image) => image.fmt(formatter),
            Self::Hub(image) => write!(formatter, "hub://{image}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn images_are_named_as_docker_does_without_the_host() {
        let digest = format!("sha256:{}", "0f".repeat(32));
        let same =
            ["team/app", "team/app:1.4.2", &format!("team/app@{digest}"), "docker.io/library/alpine:3"];
        for text in same {
            assert_eq!(text.parse::<Image>().unwrap().to_string(), text);
        }
        let pinned = format!("team/app:1.4.2@{digest}");
        assert_eq!(pinned.parse::<Image>().unwrap().to_string(), format!("team/app@{digest}"));
        let refused = "localhost:5000/team/app:1".parse::<Image>().unwrap_err();
        assert!(refused.contains("leave out the host: `team/app`"), "{refused}");
        for bad in ["", ":", "a:", ":1", "a@", "a@sha256:1", "A:1", "a b"] {
            assert!(bad.parse::<Image>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_repository_called_hub_is_not_the_hub() {
        assert!(matches!("hub:1.2".parse(), Ok(Place::Here(_))));
        assert!(matches!("hub/app:1.2".parse(), Ok(Place::Here(_))));
        let there: Place = "hub://team/app:1.2".parse().unwrap();
        assert!(matches!(&there, Place::Hub(image) if image.to_string() == "team/app:1.2"));
        assert_eq!(there.to_string(), "hub://team/app:1.2");
        assert!("ftp://team/app".parse::<Place>().unwrap_err().contains("hub://"));
    }
}
