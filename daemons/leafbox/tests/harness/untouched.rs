//! Shows that a refused command changed nothing and started no nats-server.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Place, Ran};

/// Written by every command that logs: neither is state.
const ALLOWED: [&str; 2] = ["run/leafbox.log", "run/lock"];

/// Every file and folder below a place, with its mode and content.
#[derive(PartialEq, Eq)]
pub(crate) struct Snapshot(BTreeMap<PathBuf, (u32, Option<Vec<u8>>)>);

impl Snapshot {
    pub(crate) fn of(folder: &Path) -> Self {
        let mut found = BTreeMap::new();
        walk(folder, &mut found);
        Self(found)
    }

    /// Asserts that nothing was added, removed or changed since.
    #[track_caller]
    pub(crate) fn assert_still(&self, folder: &Path) {
        let now = Self::of(folder);
        let differs = |path: &&PathBuf| self.0.get(*path) != now.0.get(*path);
        let changed: Vec<_> = self.0.keys().chain(now.0.keys()).filter(differs).collect();
        assert!(changed.is_empty(), "changed: {changed:?}");
    }
}

fn walk(path: &Path, found: &mut BTreeMap<PathBuf, (u32, Option<Vec<u8>>)>) {
    if ALLOWED.iter().any(|allowed| path.ends_with(allowed)) {
        return;
    }
    let metadata = fs::symlink_metadata(path).unwrap();
    let content = metadata.is_file().then(|| fs::read(path).unwrap());
    found.insert(path.to_owned(), (metadata.permissions().mode(), content));
    if metadata.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            walk(&entry.unwrap().path(), found);
        }
    }
}

/// The nats-servers that commands start: the real one behind a script that takes down its process
/// id and arguments.
pub(crate) struct Servers {
    folder: tempfile::TempDir,
}

impl Servers {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let real = supervisor::testing::nats_server_binary_blocking();
        let script = format!(
            "#!/bin/sh\necho \"$$ $*\" >> '{}'\nexec '{}' \"$@\"\n",
            folder.path().join("started").display(),
            real.display()
        );
        let program = folder.path().join("nats-server");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    /// Has a command use the script.
    pub(crate) fn watch(&self, mut command: Command) -> Command {
        command.env("LEAFBOX_NATS_SERVER", self.folder.path().join("nats-server"));
        command
    }

    /// The process ids of those that were given a configuration; a question for the version is
    /// none.
    pub(crate) fn started(&self) -> Vec<u32> {
        let lines = fs::read_to_string(self.folder.path().join("started")).unwrap_or_default();
        let started = lines.lines().filter(|line| line.contains(" -c "));
        started.map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect()
    }
}

impl Place {
    /// Runs a command that must be refused: with this exit code, saying each of these words on
    /// stderr, changing nothing, starting no nats-server.
    #[track_caller]
    pub(crate) fn refuses(&self, arguments: &[&str], code: i32, words: &[&str]) {
        self.refuses_command(self.command(arguments), code, words);
    }

    /// [`Place::refuses`] of a command with an environment of its own.
    #[track_caller]
    pub(crate) fn refuses_command(&self, command: Command, code: i32, words: &[&str]) {
        let before = Snapshot::of(&self.path(""));
        let servers = Servers::new();
        let ran = Ran::of(servers.watch(command).output().unwrap());
        ran.says(code, words);
        assert_eq!(servers.started(), [] as [u32; 0], "nats-server was started");
        before.assert_still(&self.path(""));
    }
}
