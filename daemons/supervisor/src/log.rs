//! The log lines of nats-server: read, cleaned of secrets, and passed on.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use tracing::Level;
use zeroize::Zeroizing;

/// How many lines are kept for an error message.
const KEPT: usize = 12;

/// Where the log lines of a nats-server go.
#[derive(Clone)]
pub enum LogSink {
    /// To `tracing`, with the target `nats_server` and this name in the field `server.name`.
    Tracing {
        /// The name of the server.
        server: String,
    },
    /// To a function.
    Function(Arc<dyn Fn(&LogLine) + Send + Sync>),
}

impl fmt::Debug for LogSink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tracing { server } => formatter.debug_struct("Tracing").field("server", server).finish(),
            Self::Function(_) => formatter.write_str("Function"),
        }
    }
}

impl LogSink {
    fn pass_on(&self, line: &LogLine) {
        let text = &line.text;
        match self {
            Self::Function(function) => function(line),
            Self::Tracing { server } => match line.level {
                Level::ERROR => tracing::error!(target: "nats_server", { server.name = server }, "{text}"),
                Level::WARN => tracing::warn!(target: "nats_server", { server.name = server }, "{text}"),
                Level::INFO => tracing::info!(target: "nats_server", { server.name = server }, "{text}"),
                Level::DEBUG => tracing::debug!(target: "nats_server", { server.name = server }, "{text}"),
                Level::TRACE => tracing::trace!(target: "nats_server", { server.name = server }, "{text}"),
            },
        }
    }
}

/// One log line of nats-server, without time and process id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Its level; a fatal error is an error.
    pub level: Level,
    /// The message.
    pub text: String,
}

impl LogLine {
    /// Reads `[pid] date time [LVL] text`. What has another shape comes from outside nats-server's
    /// logger, such as a mistake in the configuration or a Go panic, and is an error.
    fn parse(line: &str) -> Self {
        const LEVELS: [(&str, Level); 6] = [
            (" [INF]", Level::INFO),
            (" [WRN]", Level::WARN),
            (" [ERR]", Level::ERROR),
            (" [FTL]", Level::ERROR),
            (" [DBG]", Level::DEBUG),
            (" [TRC]", Level::TRACE),
        ];
        let found = LEVELS.iter().find_map(|(tag, level)| {
            let (before, text) = line.split_once(tag)?;
            // A line may hold nothing but its level: the server's banner has such.
            let text = text.trim_start();
            before.starts_with('[').then(|| Self { level: calmer(*level, text), text: text.to_owned() })
        });
        found.unwrap_or_else(|| Self { level: Level::ERROR, text: line.to_owned() })
    }
}

/// The level of a line for whoever runs leafbox: what leafbox itself asked for, checks or tells is
/// no warning, and a client that tries what it may not is no error of the node's.
fn calmer(level: Level, text: &str) -> Level {
    const ITS_OWN: [&str; 4] = [
        "Healthcheck failed",
        "Websocket not configured with TLS",
        "Metalayer blocking snapshot",
        "Waiting for routing to be established",
    ];
    if ITS_OWN.iter().any(|start| text.starts_with(start)) {
        return Level::DEBUG;
    }
    let by_a_client =
        ["Publish Violation", "Subscription Violation"].iter().any(|words| text.contains(words));
    // Tried again for ever, and nothing waits for it.
    let of_a_link = text.starts_with("Error trying to connect ");
    if by_a_client || of_a_link { Level::WARN } else { level }
}

/// Cleans lines, passes them on and keeps the last few.
#[derive(Clone)]
pub(crate) struct Journal {
    sink: LogSink,
    secrets: Arc<Vec<Zeroizing<String>>>,
    last: Arc<Mutex<VecDeque<String>>>,
}

impl fmt::Debug for Journal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Journal").field("sink", &self.sink).finish_non_exhaustive()
    }
}

impl Journal {
    pub(crate) fn new(sink: LogSink, secrets: Vec<Zeroizing<String>>) -> Self {
        let secrets = secrets.into_iter().filter(|secret| !secret.is_empty()).collect();
        Self { sink, secrets: Arc::new(secrets), last: Arc::default() }
    }

    /// Takes one raw line in and returns what may be seen of it.
    pub(crate) fn take(&self, raw: &str) -> LogLine {
        let line = LogLine::parse(&self.clean(raw));
        self.sink.pass_on(&line);
        if !line.text.trim().is_empty() {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            last.push_back(line.text.clone());
            if last.len() > KEPT {
                last.pop_front();
            }
        }
        line
    }

    pub(crate) fn last_lines(&self) -> Vec<String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// A refused reload prints the old and new values, JetStream's keys among them.
    fn clean(&self, raw: &str) -> String {
        let line = match raw.split_once(": old=") {
            Some((before, _)) => format!("{before} (values left out)"),
            None => raw.to_owned(),
        };
        if self.secrets.iter().any(|secret| line.contains(secret.as_str())) {
            let head = line.split_once(" [").map_or("", |(head, _)| head);
            return format!("{head} [WRN] a log line of nats-server was left out: it held a secret");
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(secrets: &[&str]) -> Journal {
        let sink = LogSink::Function(Arc::new(|_| {}));
        Journal::new(sink, secrets.iter().map(|secret| Zeroizing::new((*secret).to_owned())).collect())
    }

    #[test]
    fn a_line_is_read_with_its_level() {
        let line = LogLine::parse("[12] 2026/11/21 12:21:56.702413 [WRN] slow [ERR] consumer");
        assert_eq!(line.text, "slow [ERR] consumer");
        assert_eq!(line.level, Level::WARN);
        let line = LogLine::parse("nats-server: a.conf:3:1: Parse error");
        assert_eq!(line.level, Level::ERROR);
        assert_eq!(line.text, "nats-server: a.conf:3:1: Parse error");
    }

    #[test]
    fn a_line_with_a_secret_is_left_out() {
        let journal = journal(&["s3cr3t-key", ""]);
        let line = journal.take("[12] 2026/11/21 12:21:56.7 [ERR] key is s3cr3t-key");
        assert!(line.text.contains("left out"), "{line:?}");
        assert!(!journal.last_lines().concat().contains("s3cr3t"));
        assert_eq!(journal.take("[12] 2026/11/21 12:21:56.7 [INF] hello").text, "hello");
    }

    #[test]
    fn the_values_of_a_refused_reload_are_left_out() {
        let raw = "[1] 2026/11/21 12:21:57.6 [ERR] Failed to reload server configuration: config reload not supported for JetStreamKey: old=abc, new=def";
        let line = journal(&[]).take(raw);
        assert!(line.text.ends_with("JetStreamKey (values left out)"), "{line:?}");
        assert_eq!(line.level, Level::ERROR);
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let journal = journal(&[]);
        for number in 0..100 {
            journal.take(&format!("line {number}"));
        }
        assert_eq!(journal.last_lines().len(), KEPT);
        assert_eq!(journal.last_lines().last().map(String::as_str), Some("line 99"));
    }
}
