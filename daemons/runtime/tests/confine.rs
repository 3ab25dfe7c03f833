//! Landlock on this kernel: a thread that is limited, beside one that is not.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::{
    fs, io,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    thread,
};

use runtime::confine::Reach;

/// What a thread that confined itself finds.
fn confined<T: Send>(reach: Reach, look: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let limited = scope.spawn(|| {
            reach.confine();
            look()
        });
        limited.join().unwrap()
    })
}

fn is_refused<T>(result: io::Result<T>) -> bool {
    result.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

fn connects(address: SocketAddr) -> io::Result<TcpStream> {
    TcpStream::connect(address)
}

/// Whether the kernel limits files, and whether it limits ports: the test says which it could not
/// look at.
fn kernel_limits(folder: &Path, address: SocketAddr) -> (bool, bool) {
    let file = folder.join("probe");
    fs::write(&file, "").unwrap();
    confined(Reach::nothing(), || (is_refused(fs::read(&file)), is_refused(connects(address))))
}

#[test]
fn only_what_was_named_can_be_read_written_and_connected_to() {
    let folder = tempfile::tempdir().unwrap();
    let (read, write, outside) =
        (folder.path().join("read"), folder.path().join("write"), folder.path().join("outside"));
    for place in [&read, &write, &outside] {
        fs::create_dir(place).unwrap();
        fs::write(place.join("file"), "text").unwrap();
    }
    std::os::unix::fs::symlink(outside.join("file"), read.join("link")).unwrap();
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [named, other] = listeners.each_ref().map(|listener| listener.local_addr().unwrap());

    let (files, ports) = kernel_limits(folder.path(), other);
    if !files {
        runtime::testing::skipped("this kernel has no Landlock");
        return;
    }
    let reach = Reach::nothing().read(&read).write(&write).connect(named.port()).read("/no-such-folder");
    confined(reach, || {
        assert_eq!(fs::read_to_string(read.join("file")).unwrap(), "text");
        assert!(is_refused(fs::write(read.join("file"), "other")));
        assert!(is_refused(fs::write(read.join("new"), "other")));
        assert!(is_refused(fs::read(read.join("link"))), "a link leads out");
        assert!(is_refused(fs::read(outside.join("file"))));
        assert!(is_refused(fs::read_dir(folder.path())));
        assert!(is_refused(fs::read("/proc/self/status")));
        runtime::write_whole(&write.join("file"), b"other", 0o600).unwrap();
        fs::remove_file(write.join("file")).unwrap();
        // As the registry's cache does: a file grows in one folder and gets its name in another.
        let draft = write.join("unfinished");
        fs::create_dir(&draft).unwrap();
        fs::write(draft.join("file"), "text").unwrap();
        fs::rename(draft.join("file"), write.join("named")).unwrap();
        fs::remove_dir_all(&draft).unwrap();
        assert!(fs::rename(write.join("named"), outside.join("named")).is_err());
        connects(named).unwrap();
        if ports {
            assert!(is_refused(connects(other)));
            assert!(is_refused(TcpListener::bind("127.0.0.1:0")));
        } else {
            eprintln!("not looked at: this kernel limits no ports");
        }
    });
    connects(other).unwrap();
    assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "text");
}
