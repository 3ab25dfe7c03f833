//! Logs: to journald under systemd, to stderr elsewhere, and there to a file too where a node runs
//! in one process.

use std::{
    env, fmt, io,
    io::IsTerminal,
    path::{Path, PathBuf},
    sync::Mutex,
    time::{SystemTime, UNIX_EPOCH},
};

use nix::sys::stat::fstat;
use tracing_subscriber::{
    EnvFilter, Layer,
    fmt::{
        format::Writer,
        time::{FormatTime, SystemTime as FullTime},
    },
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::log_file::LogFile;

/// The environment variable that filters what is logged.
pub const FILTER_VARIABLE: &str = "LEAFBOX_LOG";
/// nats-server tells at length how it starts, and async-nats of each connection, both of which
/// leafbox says itself.
const DEFAULT_FILTER: &str = "info,nats_server=warn,async_nats=error";
/// The file is read when something went wrong, and then nats-server's own words matter.
const DEFAULT_FILE_FILTER: &str = "info,async_nats=error";

/// Where logs go and how they look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// To journald when it reads stderr, else as text.
    #[default]
    Auto,
    /// To journald, with fields.
    Journal,
    /// To stderr, one line each, in colour on a terminal unless `NO_COLOR` is set.
    Text,
}

/// Why logs cannot be written as asked for.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter is not understood.
    #[error("{FILTER_VARIABLE} is not a filter: {0}; write one such as `info` or `info,nats_server=debug`")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The filter is not text.
    #[error("{FILTER_VARIABLE} is not UTF-8; write a filter such as `info` or `info,nats_server=debug`")]
    FilterEncoding,
    /// There is no journald.
    #[error("journald cannot be written to: {0}; choose text logs instead")]
    Journal(#[source] io::Error),
    /// The log file cannot be written.
    #[error("the log file {path} cannot be written: {source}; check the disk and who owns the folder", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What failed.
        #[source]
        source: io::Error,
    },
    /// Logs were set up before.
    #[error("logging was set up already: {0}")]
    Again(#[from] tracing_subscriber::util::TryInitError),
}

/// Sets up logging for the whole process, filtered by `LEAFBOX_LOG`.
pub fn init(format: LogFormat) -> Result<(), LoggingError> {
    set_up(format, None)
}

/// As [`init`], and to a file as well unless journald keeps the logs. The file is appended to, and
/// turned over when it is large. Without `LEAFBOX_LOG` it has nats-server's log in full.
pub fn init_with_file(format: LogFormat, path: &Path) -> Result<(), LoggingError> {
    set_up(format, Some(path))
}

fn set_up(format: LogFormat, path: Option<&Path>) -> Result<(), LoggingError> {
    let registry = tracing_subscriber::registry();
    let journal = match format {
        LogFormat::Auto => journald_reads_stderr(),
        LogFormat::Journal => true,
        LogFormat::Text => false,
    };
    if journal {
        let layer = tracing_journald::layer().map_err(LoggingError::Journal)?;
        let layer = layer.with_field_prefix(None).with_filter(filter(DEFAULT_FILTER)?);
        return Ok(registry.with(layer).try_init()?);
    }
    let terminal = io::stderr().is_terminal();
    let colour = terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let clock = if terminal { Clock::Short } else { Clock::Full };
    let layer = tracing_subscriber::fmt::layer()
        .compact()
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(colour)
        .with_timer(clock)
        .with_filter(filter(DEFAULT_FILTER)?);
    let file_layer = match path {
        None => None,
        Some(path) => {
            let failed = |source| LoggingError::File { path: path.to_owned(), source };
            let file = LogFile::open(path).map_err(failed)?;
            let layer = tracing_subscriber::fmt::layer()
                .compact()
                .with_writer(Mutex::new(file))
                .with_ansi(false)
                .with_timer(Clock::Full);
            Some(layer.with_filter(filter(DEFAULT_FILE_FILTER)?))
        }
    };
    Ok(registry.with(layer).with(file_layer).try_init()?)
}

fn filter(default: &str) -> Result<EnvFilter, LoggingError> {
    match env::var(FILTER_VARIABLE) {
        Ok(text) => Ok(EnvFilter::try_new(text)?),
        Err(env::VarError::NotPresent) => Ok(EnvFilter::new(default)),
        Err(env::VarError::NotUnicode(_)) => Err(LoggingError::FilterEncoding),
    }
}

/// systemd sets `JOURNAL_STREAM` to the device and inode of the stream that it reads. A child that
/// inherits the variable but not the stream must not write to journald.
fn journald_reads_stderr() -> bool {
    let stream = env::var("JOURNAL_STREAM").ok();
    let expected = stream.as_deref().and_then(|stream| stream.split_once(':'));
    let found = fstat(io::stderr()).ok();
    expected.zip(found).is_some_and(|((device, inode), found)| {
        device.parse() == Ok(found.st_dev) && inode.parse() == Ok(found.st_ino)
    })
}

enum Clock {
    /// Hours, minutes and seconds of UTC: who watches a terminal knows the day.
    Short,
    /// RFC 3339.
    Full,
}

impl FormatTime for Clock {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        match self {
            Self::Full => FullTime.format_time(writer),
            Self::Short => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                write!(writer, "{:02}:{:02}:{:02}Z", now / 3600 % 24, now / 60 % 60, now % 60)
            }
        }
    }
}
