//! Which schema a message has.

use serde_json::Value;

use crate::{Schema, subject::matches};

/// A message's schema, and the part of the message that it describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The schema.
    pub schema: Schema,
    /// What of the message.
    pub part: Part,
}

/// What of a message a schema describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// Its `data`: the rest is the envelope of a server's reply.
    Data,
}

impl Part {
    /// That part of a message; `None` when it is not there.
    pub fn of(self, message: &Value) -> Option<&Value> {
        match self {
            Self::Whole => Some(message),
            Self::Data => message.get("data"),
        }
    }
}

/// Events whose subject tells their schema also where they carry no `type`.
const EVENTS: [(&str, &str); 6] = [
    ("$SYS.ACCOUNT.*.CONNECT", "io.nats.server.advisory.v1.client_connect"),
    ("$SYS.ACCOUNT.*.DISCONNECT", "io.nats.server.advisory.v1.client_disconnect"),
    ("$SYS.SERVER.*.CLIENT.AUTH.ERR", "io.nats.server.advisory.v1.client_disconnect"),
    ("$SYS.ACCOUNT.CLIENT.AUTH.ERR", "io.nats.server.advisory.v1.client_disconnect"),
    ("$SYS.ACCOUNT.*.SERVER.CONNS", "io.nats.server.advisory.v1.account_connections"),
    ("$SYS.SERVER.ACCOUNT.*.CONNS", "io.nats.server.advisory.v1.account_connections"),
];

/// Of the servers' monitoring replies only VARZ has a schema.
const MONITORING: [(&str, &str); 1] = [("$SYS.REQ.SERVER.*.VARZ", "io.nats.server.monitor.v1.varz")];

/// What JetStream's API is asked with, after `$JS.API.`; what is not here is asked with nothing, or
/// with something that has no schema.
const REQUESTS: [(&str, &str); 25] = [
    ("CONSUMER.CREATE.*", "consumer_create_request"),
    ("CONSUMER.CREATE.*.>", "consumer_create_request"),
    ("CONSUMER.DURABLE.CREATE.*.*", "consumer_create_request"),
    ("CONSUMER.INFO.*.*", "consumer_info_request"),
    ("CONSUMER.LEADER.STEPDOWN.*.*", "consumer_leader_stepdown_request"),
    ("CONSUMER.LIST.*", "consumer_list_request"),
    ("CONSUMER.MSG.NEXT.*.*", "consumer_getnext_request"),
    ("CONSUMER.NAMES.*", "consumer_names_request"),
    ("CONSUMER.PAUSE.*.*", "consumer_pause_request"),
    ("CONSUMER.RESET.*.*", "consumer_reset_request"),
    ("CONSUMER.UNPIN.*.*", "consumer_unpin_request"),
    ("META.LEADER.STEPDOWN", "meta_leader_stepdown_request"),
    ("SERVER.REMOVE", "meta_server_remove_request"),
    ("STREAM.CREATE.*", "stream_create_request"),
    ("STREAM.INFO.*", "stream_info_request"),
    ("STREAM.LEADER.STEPDOWN.*", "stream_leader_stepdown_request"),
    ("STREAM.LIST", "stream_list_request"),
    ("STREAM.MSG.DELETE.*", "stream_msg_delete_request"),
    ("STREAM.MSG.GET.*", "stream_msg_get_request"),
    ("STREAM.NAMES", "stream_names_request"),
    ("STREAM.PEER.REMOVE.*", "stream_remove_peer_request"),
    ("STREAM.PURGE.*", "stream_purge_request"),
    ("STREAM.RESTORE.*", "stream_restore_request"),
    ("STREAM.SNAPSHOT.*", "stream_snapshot_request"),
    ("STREAM.UPDATE.*", "stream_update_request"),
];

/// The schema of an event or a reply: what its `type` says, else what its subject does. For a reply
/// `subject` is the one of the request, since an inbox tells nothing.
///
/// `None` where NATS has no schema: CONNZ, SUBSZ, ROUTEZ, GATEWAYZ, LEAFZ, JSZ, ACCOUNTZ, HEALTHZ,
/// STATSZ, applications' messages, and types that a newer server has added. Their truth is the Go
/// structs in nats-server's `server/monitor.go` and `server/events.go`.
pub fn of_message(subject: &str, message: &Value) -> Option<Found> {
    let whole = |schema| Found { schema, part: Part::Whole };
    if let Some(title) = message.get("type").or_else(|| message.get("schema")).and_then(Value::as_str)
        && let Some(schema) = Schema::titled(title)
    {
        return Some(whole(schema));
    }
    if let Some(schema) = look_up(subject, &EVENTS) {
        return Some(whole(schema));
    }
    // A request to the same subject has neither of them.
    let envelope = message.get("server").is_some_and(Value::is_object) && message.get("data").is_some();
    let schema = look_up(subject, &MONITORING).filter(|_| envelope)?;
    Some(Found { schema, part: Part::Data })
}

/// The schema of a request to JetStream's API, by its subject: `$JS.API.…`, or `$JS.<domain>.API.…`.
pub fn of_request(subject: &str) -> Option<Schema> {
    let after = subject.strip_prefix("$JS.")?;
    let request = after.strip_prefix("API.").or_else(|| after.split_once('.')?.1.strip_prefix("API."))?;
    let (_, name) = REQUESTS.iter().find(|(pattern, _)| matches(request, pattern))?;
    Schema::titled(&format!("io.nats.jetstream.api.v1.{name}"))
}

fn look_up(subject: &str, known: &[(&str, &str)]) -> Option<Schema> {
    let (_, title) = known.iter().find(|(pattern, _)| matches(subject, pattern))?;
    Schema::titled(title)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn title(subject: &str, message: Value) -> Option<&'static str> {
        of_message(subject, &message).map(|found| found.schema.short())
    }

    #[test]
    fn a_type_says_it_and_else_the_subject() {
        let advisory = json!({ "type": "io.nats.jetstream.advisory.v1.nak" });
        assert_eq!(title("$JS.EVENT.ADVISORY.CONSUMER.MSG_NAKED.S.C", advisory.clone()), Some("nak"));
        assert_eq!(title("anything", advisory), Some("nak"));
        assert_eq!(
            title("anything", json!({ "schema": "io.nats.micro.v1.ping_response" })),
            Some("ping_response")
        );
        assert_eq!(title("$SYS.ACCOUNT.A.CONNECT", json!({})), Some("client_connect"));
        assert_eq!(title("$SYS.ACCOUNT.A.DISCONNECT", json!({})), Some("client_disconnect"));
        assert_eq!(title("$SYS.SERVER.N.CLIENT.AUTH.ERR", json!({})), Some("client_disconnect"));
        assert_eq!(title("$SYS.ACCOUNT.A.SERVER.CONNS", json!({})), Some("account_connections"));
    }

    #[test]
    fn what_nats_has_no_schema_for_has_none() {
        let reply = json!({ "server": {}, "data": {} });
        for kind in ["CONNZ", "SUBSZ", "ROUTEZ", "GATEWAYZ", "LEAFZ", "JSZ", "ACCOUNTZ", "HEALTHZ", "STATSZ"]
        {
            assert_eq!(title(&format!("$SYS.REQ.SERVER.PING.{kind}"), reply.clone()), None, "{kind}");
        }
        assert_eq!(title("orders.new", json!({ "type": "order" })), None);
        assert_eq!(title("orders.new", json!({ "type": "io.nats.jetstream.advisory.v9.new" })), None);
        assert_eq!(title("orders.new", json!([1])), None);
    }

    #[test]
    fn varz_is_the_data_of_a_reply_and_not_of_a_request() {
        let reply = json!({ "server": { "name": "n" }, "data": { "port": 4222 } });
        let found = of_message("$SYS.REQ.SERVER.PING.VARZ", &reply).unwrap();
        assert_eq!((found.schema.short(), found.part), ("varz", Part::Data));
        assert_eq!(found.part.of(&reply), Some(&json!({ "port": 4222 })));
        assert_eq!(title("$SYS.REQ.SERVER.PING.VARZ", json!({ "name": "n" })), None);
        assert_eq!(title("$SYS.REQ.SERVER.PING.VARZ", json!({ "server": {}, "error": {} })), None);
    }

    #[test]
    fn requests_to_jetstream_are_told_by_subject_in_any_domain() {
        let of = |subject| of_request(subject).map(Schema::short);
        assert_eq!(of("$JS.API.STREAM.CREATE.ORDERS"), Some("stream_create_request"));
        assert_eq!(of("$JS.shop-1.API.STREAM.CREATE.ORDERS"), Some("stream_create_request"));
        assert_eq!(of("$JS.API.CONSUMER.CREATE.S.c.a.b.>"), Some("consumer_create_request"));
        assert_eq!(of("$JS.API.CONSUMER.DURABLE.CREATE.S.c"), Some("consumer_create_request"));
        assert_eq!(of("$JS.API.META.LEADER.STEPDOWN"), Some("meta_leader_stepdown_request"));
        assert_eq!(of("$JS.API.INFO"), None);
        assert_eq!(of("$JS.API.STREAM.DELETE.S"), None);
        assert_eq!(of("$JS.EVENT.ADVISORY.API"), None);
        assert_eq!(of("orders.new"), None);
    }

    #[test]
    fn every_schema_that_the_tables_name_is_there_and_every_request_has_a_subject() {
        for (_, title) in EVENTS.iter().chain(&MONITORING) {
            assert!(Schema::titled(title).is_some(), "{title}");
        }
        let told: BTreeSet<&str> = REQUESTS.iter().map(|(_, name)| *name).collect();
        let all: BTreeSet<&str> =
            Schema::all().map(Schema::short).filter(|name| name.ends_with("_request")).collect();
        assert_eq!(told, all);
    }
}
