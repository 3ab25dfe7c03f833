//! What the registry counts, as Prometheus reads it (text format 0.0.4).
//!
//! Labels come from route patterns and fixed sets only: no client makes a series. What is counted
//! elsewhere (cache, collector, travel) is asked for when somebody reads.

pub(crate) mod sources;

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Upper bounds of the latency histogram, seconds.
const BOUNDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// The counters of one registry. A clone counts in the same place.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Counted>);

#[derive(Default)]
struct Counted {
    requests: Mutex<BTreeMap<Request, u64>>,
    latency: Mutex<BTreeMap<(&'static str, &'static str), Histogram>>,
    received: AtomicU64,
    sent: AtomicU64,
    under_way: AtomicU64,
    sources: RwLock<Vec<Source>>,
}

type Source = Box<dyn Fn() -> Vec<Family> + Send + Sync>;

/// What tells requests apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Request {
    route: &'static str,
    method: &'static str,
    status: u16,
}

#[derive(Default)]
struct Histogram {
    buckets: [u64; BOUNDS.len()],
    count: u64,
    seconds: f64,
}

/// Whether a value only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows while the daemon lives.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// A metric with its values.
#[derive(Clone, Debug)]
pub struct Family {
    /// Its name, with the unit, and `_total` for a counter.
    pub name: &'static str,
    /// Whether it only grows.
    pub kind: Kind,
    /// What it is, in a sentence.
    pub help: &'static str,
    /// Each value with its labels.
    pub values: Vec<(Vec<(&'static str, String)>, f64)>,
}

impl Family {
    /// A metric with one value and no labels.
    pub fn single(name: &'static str, kind: Kind, help: &'static str, value: u64) -> Self {
        Self { name, kind, help, values: vec![(Vec::new(), as_float(value))] }
    }

    /// A metric with a value for each of a label's.
    pub fn labelled(
        name: &'static str,
        kind: Kind,
        help: &'static str,
        label: &'static str,
        values: impl IntoIterator<Item = (String, u64)>,
    ) -> Self {
        let values = values.into_iter().map(|(of, value)| (vec![(label, of)], as_float(value)));
        Self { name, kind, help, values: values.collect() }
    }
}

/// Exact up to 2^53, which is 8 PiB.
#[allow(clippy::cast_precision_loss)]
fn as_float(value: u64) -> f64 {
    value as f64
}

/// Counts a request as under way until it is dropped.
pub struct UnderWay(Metrics);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// Asks for more metrics whenever somebody reads them all. It must answer at once.
    pub fn add_source(&self, source: impl Fn() -> Vec<Family> + Send + Sync + 'static) {
        self.0.sources.write().unwrap_or_else(PoisonError::into_inner).push(Box::new(source));
    }

    pub(crate) fn begin(&self) -> UnderWay {
        self.0.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(self.clone())
    }

    /// Counts a request, and how long it took until its answer began.
    pub(crate) fn answered(&self, route: &'static str, method: &'static str, status: u16, took: Duration) {
        let request = Request { route, method, status };
        *self.0.requests.lock().unwrap_or_else(PoisonError::into_inner).entry(request).or_default() += 1;
        let mut latency = self.0.latency.lock().unwrap_or_else(PoisonError::into_inner);
        let histogram = latency.entry((route, method)).or_default();
        let seconds = took.as_secs_f64();
        for (bucket, bound) in histogram.buckets.iter_mut().zip(BOUNDS) {
            *bucket += u64::from(seconds <= bound);
        }
        histogram.count += 1;
        histogram.seconds += seconds;
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.0.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.0.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// All of them, as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text).expect("a String takes all");
        text
    }

    fn write(&self, text: &mut String) -> fmt::Result {
        let requests = self.0.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let values = requests.into_iter().map(|(request, count)| {
            let labels = vec![
                ("route", request.route.to_owned()),
                ("method", request.method.to_owned()),
                ("status", request.status.to_string()),
            ];
            (labels, as_float(count))
        });
        let families = [
            Family {
                name: "leafbox_registry_requests_total",
                kind: Kind::Counter,
                help: "Requests answered.",
                values: values.collect(),
            },
            Family::single(
                "leafbox_registry_requests_under_way",
                Kind::Gauge,
                "Requests whose answer has not begun.",
                self.0.under_way.load(Ordering::Relaxed),
            ),
            Family::single(
                "leafbox_registry_received_bytes_total",
                Kind::Counter,
                "Bytes of bodies that clients sent.",
                self.0.received.load(Ordering::Relaxed),
            ),
            Family::single(
                "leafbox_registry_sent_bytes_total",
                Kind::Counter,
                "Bytes of blobs and manifests that clients were sent.",
                self.0.sent.load(Ordering::Relaxed),
            ),
        ];
        let sources = self.0.sources.read().unwrap_or_else(PoisonError::into_inner);
        let others = sources.iter().flat_map(|source| source());
        for family in families.into_iter().chain(others) {
            write_family(text, &family)?;
        }
        self.write_latency(text)
    }

    fn write_latency(&self, text: &mut String) -> fmt::Result {
        const NAME: &str = "leafbox_registry_request_seconds";
        writeln!(text, "# HELP {NAME} Time until an answer began, its request's body read before that.")?;
        writeln!(text, "# TYPE {NAME} histogram")?;
        let latency = self.0.latency.lock().unwrap_or_else(PoisonError::into_inner);
        for ((route, method), histogram) in latency.iter() {
            let labels = format!("route=\"{route}\",method=\"{method}\"");
            for (bucket, bound) in histogram.buckets.iter().zip(BOUNDS) {
                writeln!(text, "{NAME}_bucket{{{labels},le=\"{bound}\"}} {bucket}")?;
            }
            writeln!(text, "{NAME}_bucket{{{labels},le=\"+Inf\"}} {}", histogram.count)?;
            writeln!(text, "{NAME}_sum{{{labels}}} {}", histogram.seconds)?;
            writeln!(text, "{NAME}_count{{{labels}}} {}", histogram.count)?;
        }
        Ok(())
    }
}

fn write_family(text: &mut String, family: &Family) -> fmt::Result {
    let kind = match family.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
    };
    writeln!(text, "# HELP {} {}", family.name, family.help)?;
    writeln!(text, "# TYPE {} {kind}", family.name)?;
    for (labels, value) in &family.values {
        text.push_str(family.name);
        if !labels.is_empty() {
            let labels = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
            write!(text, "{{{}}}", labels.collect::<Vec<_>>().join(","))?;
        }
        writeln!(text, " {value}")?;
    }
    Ok(())
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_read_in_prometheus_words() {
        let metrics = Metrics::default();
        for (status, milliseconds) in [(200, 2), (200, 20), (404, 2)] {
            metrics.answered("/v2/", "GET", status, Duration::from_millis(milliseconds));
        }
        metrics.received(5);
        metrics.received(6);
        metrics.sent(7);
        metrics.add_source(|| {
            let quota = [("team/\"a\"".to_owned(), 9)];
            vec![Family::labelled("quota_bytes", Kind::Gauge, "Use.", "namespace", quota)]
        });
        let under_way = metrics.begin();
        let text = metrics.text();
        for line in [
            "leafbox_registry_requests_total{route=\"/v2/\",method=\"GET\",status=\"200\"} 2",
            "leafbox_registry_requests_total{route=\"/v2/\",method=\"GET\",status=\"404\"} 1",
            "leafbox_registry_requests_under_way 1",
            "leafbox_registry_received_bytes_total 11",
            "leafbox_registry_sent_bytes_total 7",
            "# TYPE quota_bytes gauge",
            "quota_bytes{namespace=\"team/\\\"a\\\"\"} 9",
            "leafbox_registry_request_seconds_bucket{route=\"/v2/\",method=\"GET\",le=\"0.001\"} 0",
            "leafbox_registry_request_seconds_bucket{route=\"/v2/\",method=\"GET\",le=\"0.0025\"} 2",
            "leafbox_registry_request_seconds_bucket{route=\"/v2/\",method=\"GET\",le=\"+Inf\"} 3",
            "leafbox_registry_request_seconds_count{route=\"/v2/\",method=\"GET\"} 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        drop(under_way);
        assert!(metrics.text().contains("leafbox_registry_requests_under_way 0\n"));
    }
}
