#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;

#[test]
fn secrets_have_no_name_here_and_what_leafbox_keeps_is_read_only() {
    for account in ["LEAFBOX", "SHOP"] {
        for secret in ["KV_leafbox_users", "KV_leafbox_registry"] {
            assert_eq!(StreamName::read(account, secret), Err(Refused::Secret(secret.into())));
        }
        assert!(BucketName::kv(account, "leafbox_users").is_err());
        assert!(BucketName::objects(account, "leafbox_users").is_ok(), "another stream");
    }
    for own in ["LEAFBOX_AUDIT", "LEAFBOX_BLOBS", "KV_leafbox_nodes"] {
        let stream = StreamName::read("LEAFBOX", own).unwrap();
        assert_eq!(stream.writable(), Err(Refused::Own(own.into())));
        assert!(StreamName::read("SHOP", own).unwrap().writable().is_ok(), "a name like any other there");
    }
    assert!(StreamName::read("LEAFBOX", "ORDERS").unwrap().writable().is_ok());
}

#[test]
fn a_name_is_one_token_and_a_key_is_a_subject() {
    for bad in ["", "a.b", "a b", "*", ">", "a/b", "x\n", &"a".repeat(256)] {
        assert!(StreamName::read("SHOP", bad).is_err(), "{bad}");
        assert!(consumer(bad).is_err(), "{bad}");
    }
    for good in ["a", "a.b", "blob/x=1", "-_"] {
        assert_eq!(key(good), Ok(good));
    }
    for bad in ["", ".a", "a.", "a..b", "a*", ">", "a b", "ä", "$KV"] {
        assert!(key(bad).is_err(), "{bad}");
    }
}

#[test]
fn nothing_is_published_that_nats_or_leafbox_acts_upon() {
    for good in ["orders.new", "a", "$SRV.PING", "leafboxes.x", "größe.1"] {
        assert_eq!(Published::read(good).unwrap().as_str(), good);
    }
    for bad in [
        "$SYS.REQ.SERVER.PING",
        "$JS.API.STREAM.DELETE.ORDERS",
        "$JS.hub.API.STREAM.DELETE.ORDERS",
        "$JS.ACK.x",
        "$KV.prices.a",
        "$O.files.C.x",
        "$MQTT.msgs",
        "$SRV",
        "_INBOX.abc",
        "_R_.x",
        "leafbox.registry.chunk.x",
        "leafbox.audit.a.b",
        "orders.*",
        ">",
        "a..b",
        "",
        "a b",
    ] {
        assert!(Published::read(bad).is_err(), "{bad}");
    }
}

#[test]
fn no_stream_copies_secrets_or_records_what_others_ask_and_answer() {
    let of = |more: serde_json::Value| {
        let mut config = json!({ "name": "COPY" });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        stream_config("LEAFBOX", &config)
    };
    for good in [
        json!({ "subjects": ["orders.>", "a"] }),
        json!({ "mirror": { "name": "ORDERS", "external": { "api": "$JS.hub.API" } } }),
        json!({ "sources": [{ "name": "A" }, { "name": "B", "subject_transforms": [{ "src": "a.*", "dest": "b.$1" }] }] }),
        json!({ "subject_transform": { "src": "a.*", "dest": "b.{{wildcard(1)}}" } }),
        json!({ "republish": { "src": ">", "dest": "copies.>" } }),
        json!({ "mirror": null, "sources": null, "subjects": null }),
    ] {
        assert!(of(good.clone()).is_ok(), "{good}");
    }
    for bad in [
        json!({ "mirror": { "name": "KV_leafbox_users" } }),
        json!({ "sources": [{ "name": "A" }, { "name": "KV_leafbox_registry" }] }),
        json!({ "mirror": { "name": "A", "external": { "api": "$JS.hub.API", "deliver": "$KV.leafbox_users" } } }),
        json!({ "sources": [{ "name": "A", "consumer": { "name": "c", "deliver_subject": "$JS.API.STREAM.DELETE.B" } }] }),
        json!({ "sources": [{ "name": "A", "subject_transforms": [{ "src": ">", "dest": "$KV.leafbox_users.>" }] }] }),
        json!({ "subjects": [">"] }),
        json!({ "subjects": ["*.>"] }),
        json!({ "subjects": ["_INBOX.>"] }),
        json!({ "subjects": ["$JS.API.>"] }),
        json!({ "subjects": ["$KV.leafbox_users.>"] }),
        json!({ "subjects": ["$KV.*.a"] }),
        json!({ "subject_transform": { "src": "a.*", "dest": "$KV.leafbox_users.$1" } }),
        json!({ "subject_transform": { "src": "a.*", "dest": "{{wildcard(1)}}.x" } }),
        json!({ "republish": { "src": ">", "dest": "$JS.API.STREAM.PURGE.A" } }),
        json!({ "republish": { "src": "*.*", "dest": "$1.$2" } }),
        json!({ "republish": { "src": ">", "dest": ">" } }),
        json!({ "republish": { "src": "*", "dest": "a{{wildcard(1)}}" } }),
    ] {
        assert!(of(bad.clone()).is_err(), "{bad}");
    }
    assert!(stream_config("SHOP", &json!({ "name": "KV_prices", "subjects": ["$KV.prices.>"] })).is_ok());
    assert!(stream_config("SHOP", &json!({ "name": "KV_prices", "subjects": ["$KV.others.>"] })).is_err());
    assert!(stream_config("SHOP", &json!({ "subjects": ["a"] })).is_err(), "no name");
}

#[test]
fn a_consumer_delivers_nowhere_that_is_acted_upon() {
    assert!(consumer_config(&json!({})).is_ok());
    assert!(consumer_config(&json!({ "deliver_subject": "work.orders" })).is_ok());
    for bad in ["$KV.leafbox_users.user.a", "$JS.API.STREAM.DELETE.A", "_INBOX.x", "leafbox.x", ">"] {
        assert!(consumer_config(&json!({ "deliver_subject": bad })).is_err(), "{bad}");
    }
}
