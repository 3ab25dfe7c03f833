//! What the container registries of all nodes hold, keep and exchange.

use std::{collections::BTreeMap, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    repositories::{Pattern, Prefix},
    units::{ByteSize, Span},
};

/// The container registries: one at each leaf, and one at the hub.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Registry {
    /// Bytes that the blobs of one registry may take on each node; as many as the node has for
    /// JetStream when left out.
    pub max_bytes: Option<ByteSize>,
    /// How long a blob is kept that no manifest mentions.
    pub grace: Span,
    /// How long an upload is kept to which nothing is added.
    pub upload_expiry: Span,
    /// Bytes by namespace, the first components of repositories. The longest that fits counts.
    pub quotas: BTreeMap<Prefix, ByteSize>,
    /// Which repositories travel between the leaves and the hub.
    pub travel: RegistryTravel,
    /// How many tags are kept; all when empty.
    pub retain: Vec<Retain>,
    /// Other registries that images are pulled through from.
    pub upstreams: Vec<Upstream>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            max_bytes: None,
            grace: Span::days(1),
            upload_expiry: Span::days(1),
            quotas: BTreeMap::new(),
            travel: RegistryTravel::default(),
            retain: Vec::new(),
            upstreams: Vec::new(),
        }
    }
}

impl Registry {
    /// The namespace that a repository counts in, and its bytes.
    pub fn quota_of(&self, repository: &str) -> Option<(&Prefix, ByteSize)> {
        let fitting = self.quotas.iter().filter(|(prefix, _)| prefix.covers(repository));
        fitting.max_by_key(|(prefix, _)| prefix.as_str().len()).map(|(prefix, bytes)| (prefix, *bytes))
    }

    /// The upstream that has a repository, and how the repository is called there. The longest
    /// prefix that fits counts.
    pub fn upstream_of<'r>(&self, repository: &'r str) -> Option<(&Upstream, &'r str)> {
        let fitting =
            self.upstreams.iter().filter_map(|upstream| Some((upstream, upstream.prefix.rest(repository)?)));
        fitting.max_by_key(|(upstream, _)| upstream.prefix.as_str().len())
    }
}

/// Which repositories travel between the leaves and the hub.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RegistryTravel {
    /// Repositories that leaves may pull through from the hub.
    pub down: Vec<Pattern>,
    /// Repositories whose tags, pushed at a leaf, come to the hub by themselves.
    pub up: Vec<Pattern>,
}

impl Default for RegistryTravel {
    fn default() -> Self {
        Self { down: vec![Pattern::all()], up: Vec::new() }
    }
}

/// A rule by which old tags go. What no rule speaks of is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retain {
    /// In each repository of this pattern,
    pub repositories: Pattern,
    /// of the tags of this pattern, all when left out,
    #[serde(default = "Pattern::all")]
    pub tags: Pattern,
    /// so many are kept, those that changed last. It must be said: the others are deleted.
    #[serde(default)]
    pub newest: u32,
}

/// Another registry that images are pulled through from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// The first components of the repositories that it has: with `docker.io`,
    /// `docker.io/library/alpine` here is `library/alpine` there.
    pub prefix: Prefix,
    /// Where it answers, such as `"https://registry-1.docker.io"`.
    pub url: String,
    /// A file with `user:password`: absolute, or the name of one in the credentials directory. It
    /// asks without a login when left out.
    #[serde(default)]
    pub credentials: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn registry() -> Registry {
        toml::from_str(
            r#"
            quotas = { team = "10GiB", "team/ci" = "2GiB" }
            upstreams = [
              { prefix = "docker.io", url = "https://registry-1.docker.io" },
              { prefix = "docker.io/team", url = "https://registry.example.net" },
            ]
            "#,
        )
        .unwrap()
    }

    #[test]
    fn the_longest_prefix_counts() {
        let registry = registry();
        let quota = |repository| registry.quota_of(repository).map(|(_, bytes)| bytes);
        assert_eq!(quota("team/app"), Some(ByteSize::gib(10)));
        assert_eq!(quota("team/ci/app"), Some(ByteSize::gib(2)));
        assert_eq!(quota("team/cia"), Some(ByteSize::gib(10)));
        assert_eq!(quota("teams/app"), None);
        let at = |repository| registry.upstream_of(repository).map(|(upstream, name)| (&*upstream.url, name));
        assert_eq!(at("docker.io/library/alpine"), Some(("https://registry-1.docker.io", "library/alpine")));
        assert_eq!(at("docker.io/team/app"), Some(("https://registry.example.net", "app")));
        assert_eq!(at("docker.io"), None, "there is no repository without a name");
        assert_eq!(at("team/app"), None);
    }
}
