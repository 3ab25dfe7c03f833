//! The log file of a node that no journald listens to: one file and the one before it, so that a
//! box left alone for years does not fill its disk with its own words.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Size at which a new file is begun, in bytes.
const LARGEST: u64 = 4 << 20;

/// A file that is moved to `<name>.1` when it has grown to [`LARGEST`].
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    file: File,
    written: u64,
}

impl LogFile {
    /// Opens the file, to write after what it holds; only its owner may read it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = append(path)?;
        let written = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, written })
    }

    fn turn(&mut self) -> io::Result<()> {
        let mut older = self.path.clone().into_os_string();
        older.push(".1");
        fs::rename(&self.path, older)?;
        self.file = append(&self.path)?;
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.written >= LARGEST {
            // Where it cannot be moved, a large log is better than none; tried again much later.
            let _ = self.turn();
            self.written = 0;
        }
        let written = self.file.write(line)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_full_file_is_put_aside_and_only_one_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leafbox.log");
        let line = vec![b'x'; 1 << 20];
        LogFile::open(&path).unwrap().write_all(&line).unwrap();
        let mut log = LogFile::open(&path).unwrap();
        for _ in 0..13 {
            log.write_all(&line).unwrap();
        }
        let size = |path: &Path| fs::metadata(path).unwrap().len();
        assert_eq!(size(&path), 2 << 20, "what is over after three full files");
        assert_eq!(size(&folder.path().join("leafbox.log.1")), LARGEST);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
