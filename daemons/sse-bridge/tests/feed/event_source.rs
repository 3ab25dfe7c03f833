//! A client as plain as an EventSource: it reads bytes off a socket and remembers the last id.

use std::{collections::VecDeque, net::SocketAddr};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

use crate::site::DEADLINE;

/// An event as it is dispatched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
    pub(crate) id: String,
}

impl Event {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {}", self.data))
    }

    /// The payload of a raw event that is text or JSON.
    pub(crate) fn payload(&self) -> String {
        let json = self.json();
        assert_eq!(self.name, "message", "{self:?}");
        json.get("text").map_or_else(|| json["data"].to_string(), |text| text.as_str().unwrap().to_owned())
    }
}

/// A request that was answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    stream: BufReader<TcpStream>,
}

pub(crate) struct Request<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) query: &'a str,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl<'a> Request<'a> {
    pub(crate) fn new(address: SocketAddr, query: &'a str) -> Self {
        Self { address, query, headers: vec![("x-user", "ann:admin".to_owned())] }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) async fn send(&self) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let headers: String =
            self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("GET /sse?{} HTTP/1.1\r\nhost: {}\r\n{headers}\r\n", self.query, self.address);
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            timeout(DEADLINE, stream.read_line(&mut line)).await.unwrap().unwrap();
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let status = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines[1..].iter().map(|line| line.split_once(": ").unwrap());
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Answer { status, headers, stream }
    }

    /// Sends it, and expects events.
    pub(crate) async fn events(&self) -> EventSource {
        let answer = self.send().await;
        if answer.status != 200 {
            panic!("{}", answer.json().await);
        }
        EventSource {
            stream: answer.stream,
            text: String::new(),
            ready: VecDeque::new(),
            id: String::new(),
            comments: 0,
        }
    }

    /// Sends it, and expects to be refused so.
    pub(crate) async fn refused(&self, status: u16, code: &str) -> String {
        let answer = self.send().await;
        assert_eq!(answer.status, status);
        let json = answer.json().await;
        assert_eq!(json["error"]["code"], code, "{json}");
        json["error"]["message"].as_str().unwrap().to_owned()
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub(crate) async fn json(mut self) -> Value {
        let mut body = vec![0; self.header("content-length").unwrap().parse().unwrap()];
        self.stream.read_exact(&mut body).await.unwrap();
        serde_json::from_slice(&body).unwrap()
    }
}

pub(crate) async fn watch(address: SocketAddr, query: &str) -> EventSource {
    Request::new(address, query).events().await
}

pub(crate) struct EventSource {
    stream: BufReader<TcpStream>,
    text: String,
    ready: VecDeque<Event>,
    /// The last event id, which is also set by a block without data.
    pub(crate) id: String,
    pub(crate) comments: usize,
}

impl EventSource {
    /// The next event; none when the server has closed.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if !timeout(DEADLINE, self.read()).await.expect("nothing came") {
                return None;
            }
        }
    }

    /// The next event, which is a message.
    pub(crate) async fn message(&mut self) -> Event {
        let event = self.next().await.expect("the server closed");
        assert_eq!(event.name, "message", "{event:?}");
        event
    }

    pub(crate) async fn payload(&mut self) -> String {
        self.message().await.payload()
    }

    /// Waits for a comment.
    pub(crate) async fn comment(&mut self) {
        let before = self.comments;
        while self.comments == before {
            assert!(timeout(DEADLINE, self.read()).await.expect("nothing came"), "the server closed");
        }
    }

    /// Waits until the id is known, which is sent before any event.
    pub(crate) async fn id(&mut self) -> String {
        while self.id.is_empty() {
            assert!(timeout(DEADLINE, self.read()).await.expect("nothing came"), "the server closed");
        }
        self.id.clone()
    }

    /// Reads one chunk; false at the end, however it came.
    async fn read(&mut self) -> bool {
        let mut size = String::new();
        match self.stream.read_line(&mut size).await {
            Ok(0) | Err(_) => return false,
            Ok(_) => {}
        }
        let Ok(size) = usize::from_str_radix(size.trim_end(), 16) else { return false };
        let mut chunk = vec![0; size + 2];
        if size == 0 || self.stream.read_exact(&mut chunk).await.is_err() {
            return false;
        }
        self.text.push_str(std::str::from_utf8(&chunk[..size]).unwrap());
        while let Some(end) = self.text.find("\n\n") {
            let block: String = self.text.drain(..end + 2).collect();
            self.dispatch(&block);
        }
        true
    }

    /// WHATWG HTML, 9.2.6.
    fn dispatch(&mut self, block: &str) {
        let (mut name, mut data) = ("message".to_owned(), Vec::new());
        for line in block.lines().filter(|line| !line.is_empty()) {
            match line.split_once(": ").unwrap_or((line, "")) {
                ("id", id) => self.id = id.to_owned(),
                ("event", event) => name = event.to_owned(),
                ("data", line) => data.push(line.to_owned()),
                ("retry", milliseconds) => drop(milliseconds.parse::<u64>().unwrap()),
                (":", _) => self.comments += 1,
                _ => panic!("no line of an event: {line}"),
            }
        }
        if !data.is_empty() {
            self.ready.push_back(Event { name, data: data.join("\n"), id: self.id.clone() });
        }
    }
}
