//! The text of a nats-server configuration: blocks, values and quoting, nothing of meaning.

use std::{fmt::Write, net::SocketAddr, path::Path};

/// A block under construction, written straight into the text.
pub(crate) struct Block {
    text: String,
    depth: usize,
}

impl Block {
    pub(crate) fn root() -> Self {
        Self { text: String::new(), depth: 0 }
    }

    pub(crate) fn finish(self) -> String {
        self.text
    }

    pub(crate) fn comment(&mut self, words: &str) {
        self.line(format_args!("# {}", words.replace(['\n', '\r'], " ")));
    }

    pub(crate) fn blank(&mut self) {
        self.text.push('\n');
    }

    /// A quoted string.
    pub(crate) fn text(&mut self, key: &str, value: &str) {
        self.line(format_args!("{key}: {}", quoted(value)));
    }

    pub(crate) fn path(&mut self, key: &str, value: &Path) {
        self.text(key, &value.to_string_lossy());
    }

    /// A bare word: `true`, `full`, `$VARIABLE`.
    pub(crate) fn word(&mut self, key: &str, value: &str) {
        self.line(format_args!("{key}: {value}"));
    }

    pub(crate) fn number(&mut self, key: &str, value: u64) {
        self.line(format_args!("{key}: {value}"));
    }

    pub(crate) fn list(&mut self, key: &str, values: &[impl AsRef<str>]) {
        let values: Vec<String> = values.iter().map(|value| quoted(value.as_ref())).collect();
        self.line(format_args!("{key}: [{}]", values.join(", ")));
    }

    /// An address to listen on. nats-server takes -1 for a port that the system chooses, and 0 for
    /// its default one.
    pub(crate) fn address(&mut self, key: &str, address: SocketAddr) {
        let host = match address.ip() {
            std::net::IpAddr::V4(ip) => ip.to_string(),
            std::net::IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let port = if address.port() == 0 { "-1".to_owned() } else { address.port().to_string() };
        self.text(key, &format!("{host}:{port}"));
    }

    pub(crate) fn block(&mut self, key: &str, fill: impl FnOnce(&mut Self)) {
        self.nested(&format!("{key} {{"), "}", fill);
    }

    /// A list of blocks.
    pub(crate) fn blocks<T>(&mut self, key: &str, items: &[T], mut fill: impl FnMut(&mut Self, &T)) {
        self.nested(&format!("{key}: ["), "]", |list| {
            for item in items {
                list.nested("{", "}", |block| fill(block, item));
            }
        });
    }

    fn nested(&mut self, open: &str, close: &str, fill: impl FnOnce(&mut Self)) {
        self.line(format_args!("{open}"));
        self.depth += 1;
        fill(self);
        self.depth -= 1;
        self.line(format_args!("{close}"));
    }

    fn line(&mut self, content: std::fmt::Arguments<'_>) {
        let indent = self.depth * 2;
        writeln!(self.text, "{:indent$}{content}", "").expect("writing to a string");
    }
}

/// A double-quoted string with the escapes that nats-server's lexer knows.
fn quoted(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for character in value.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_name_holds_cannot_leave_its_quotes() {
        assert_eq!(quoted("a\"b\\c\nd"), r#""a\"b\\c\nd""#);
    }

    #[test]
    fn port_zero_becomes_minus_one() {
        let mut block = Block::root();
        block.address("listen", "[::1]:0".parse().expect("an address"));
        assert_eq!(block.finish(), "listen: \"[::1]:-1\"\n");
    }
}
