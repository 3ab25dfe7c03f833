//! Changes that nats-server cannot make in place, or that would delete data.
//!
//! Each is refused with the reason and with the commands that do it by hand.

use serde::Serialize;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    api::{StreamInfo, StreamState},
    desired::DesiredStore,
    diff::{FieldChange, is_absent},
    wire::Config,
};

/// Why a change is not made, and how to make it by hand.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Refusal {
    /// What stands against it.
    pub reason: String,
    /// Commands of the `nats` command line, and what to type after them.
    pub by_hand: Vec<String>,
}

/// The refusal of a stream's changes, when one of them cannot be made without losing data.
pub(crate) fn of_stream(
    store: &DesiredStore,
    held: &StreamInfo,
    changes: &[FieldChange],
    most_of_one_subject: Option<u64>,
) -> Option<Refusal> {
    let stream = &store.stream;
    if promotes_into_gathering(changes, &store.config) {
        return Some(Refusal {
            reason: "a mirror cannot become a stream that gathers: it would gather again what it holds"
                .into(),
            by_hand: replace_stream(stream, true),
        });
    }
    let replaced = changes.iter().find_map(|change| impossible(change, &held.state)).map(|replaced| {
        Refusal { reason: replaced.reason, by_hand: replace_stream(stream, replaced.is_copy) }
    });
    replaced.or_else(|| {
        changes.iter().find_map(|change| {
            let reason = evicts(change, &held.state, most_of_one_subject)?;
            Some(Refusal { reason, by_hand: evict(stream, change) })
        })
    })
}

struct Replaced {
    reason: String,
    /// Its content can be had again from its origin.
    is_copy: bool,
}

/// What nats-server refuses to change in a stream, whatever it holds.
fn impossible(change: &FieldChange, state: &StreamState) -> Option<Replaced> {
    let FieldChange { field, from, to } = change;
    let owned = |reason: &str| Some(Replaced { reason: reason.to_owned(), is_copy: false });
    let cleared = is_absent(Some(to)) && !is_absent(Some(from));
    match field.as_str() {
        "storage" => owned(&format!(
            "storage cannot change from {from} to {to} in place: the stream would have to be made anew"
        )),
        "retention" if *from == "workqueue" || *to == "workqueue" => owned(&format!(
            "retention cannot change from {from} to {to}: nats-server turns no stream into a work queue or back"
        )),
        "retention" if *to == "interest" && state.messages > 0 => {
            owned("retention \"interest\" would delete every message that no consumer waits for")
        }
        "mirror" if is_absent(Some(from)) => {
            owned("a stream cannot become a mirror: its messages would have to go")
        }
        "mirror" if !is_absent(Some(to)) => {
            Some(Replaced { reason: "what a mirror copies cannot change".into(), is_copy: true })
        }
        "deny_delete" | "deny_purge" if cleared => {
            owned(&format!("{field} is for good: nats-server never lifts it"))
        }
        "allow_msg_ttl" if cleared => owned("message age limits cannot be switched off once on"),
        "sealed" if cleared => owned("a sealed stream stays sealed"),
        _ => None,
    }
}

/// What would make nats-server drop messages that the stream holds.
fn evicts(change: &FieldChange, state: &StreamState, most_of_one_subject: Option<u64>) -> Option<String> {
    let to = change.to.as_i64().filter(|limit| *limit > 0)?;
    let limit = to.unsigned_abs();
    match change.field.as_str() {
        "max_msgs" if state.messages > limit => {
            Some(format!("max_msgs {limit} would delete messages: the stream holds {}", state.messages))
        }
        "max_bytes" if state.bytes > limit => {
            Some(format!("max_bytes {limit} would delete messages: the stream holds {} bytes", state.bytes))
        }
        "max_msgs_per_subject" => most_of_one_subject.filter(|most| *most > limit).map(|most| {
            format!(
                "max_msgs_per_subject {limit} would delete messages: the stream holds {most} of one subject"
            )
        }),
        "max_age" if state.messages > 0 => {
            let first = OffsetDateTime::parse(&state.first_ts, &Rfc3339).ok()?;
            let age = OffsetDateTime::now_utc() - first;
            (age > Duration::nanoseconds(to)).then(|| {
                format!(
                    "max_age {} would delete messages: the oldest is {} old",
                    span(Duration::nanoseconds(to)),
                    span(age)
                )
            })
        }
        _ => None,
    }
}

/// The refusal of a consumer's changes, when one of them needs a new consumer.
pub(crate) fn of_consumer(stream: &str, consumer: &str, changes: &[FieldChange]) -> Option<Refusal> {
    const FIXED: [&str; 10] = [
        "deliver_policy",
        "opt_start_seq",
        "opt_start_time",
        "ack_policy",
        "replay_policy",
        "mem_storage",
        "max_waiting",
        "flow_control",
        "idle_heartbeat",
        "name",
    ];
    let between_pull_and_push = |change: &FieldChange| {
        change.field == "deliver_subject" && is_absent(Some(&change.from)) != is_absent(Some(&change.to))
    };
    let change = changes
        .iter()
        .find(|change| FIXED.contains(&change.field.as_str()) || between_pull_and_push(change))?;
    Some(Refusal {
        reason: format!(
            "{} cannot change from {} to {} in place: the consumer would forget which messages were acknowledged",
            change.field, change.from, change.to
        ),
        by_hand: vec![
            format!("nats consumer info {stream} {consumer}   # note the ack floor"),
            format!("nats consumer rm {stream} {consumer} -f"),
            "leafbox apply   # starts from the beginning: declare `deliver = \"by_start_sequence\"` to go on"
                .into(),
        ],
    })
}

fn replace_stream(stream: &str, is_copy: bool) -> Vec<String> {
    if is_copy {
        return vec![
            format!("nats stream rm {stream} -f   # a copy: its origin keeps the messages"),
            "leafbox apply".into(),
        ];
    }
    vec![
        format!("nats stream backup {stream} ./{stream}.backup"),
        format!("nats stream info {stream}   # compare the number of messages with the backup's"),
        format!("nats stream rm {stream} -f   # deletes all of them here"),
        "leafbox apply".into(),
        format!(
            "# put the messages back by publishing them again; `nats stream restore` would bring back the old configuration of {stream}"
        ),
    ]
}

fn evict(stream: &str, change: &FieldChange) -> Vec<String> {
    let flag = match change.field.as_str() {
        "max_msgs" => format!("--max-msgs={}", change.to),
        "max_bytes" => format!("--max-bytes={}", change.to),
        "max_msgs_per_subject" => format!("--max-msgs-per-subject={}", change.to),
        _ => format!(
            "--max-age={}",
            change.to.as_i64().map(Duration::nanoseconds).map(span).unwrap_or_default()
        ),
    };
    vec![
        format!("nats stream backup {stream} ./{stream}.backup"),
        format!("nats stream edit {stream} {flag} -f   # deletes what does not fit"),
        "leafbox apply".into(),
    ]
}

fn span(duration: Duration) -> String {
    let seconds = duration.whole_seconds();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        _ => format!("{}h", seconds / 3600),
    }
}

/// The refusal for a store that cannot be built as declared.
pub(crate) fn of_problem(problem: &str) -> Refusal {
    Refusal { reason: problem.to_owned(), by_hand: Vec::new() }
}

/// The refusal for a stream of another fleet.
pub(crate) fn of_other_owner(stream: &str, owner: &str) -> Refusal {
    Refusal {
        reason: format!("the stream `{stream}` belongs to the fleet `{owner}`"),
        by_hand: vec![format!(
            "nats stream edit {stream} --metadata leafbox.owner=   # gives it up, then apply adopts it"
        )],
    }
}

/// The refusal for a stream whose leader does not answer.
pub(crate) fn of_silence(stream: &str) -> Refusal {
    Refusal {
        reason: format!(
            "the stream `{stream}` exists and its leader does not answer: nothing is known about it until a majority of its servers is up"
        ),
        by_hand: vec!["nats server report jetstream".into()],
    }
}

fn promotes_into_gathering(changes: &[FieldChange], wanted: &Config) -> bool {
    let promoted = changes.iter().any(|change| {
        change.field == "mirror" && !is_absent(Some(&change.from)) && is_absent(Some(&change.to))
    });
    promoted && !is_absent(wanted.get("sources"))
}
