//! Streams, consumers and buckets.

use settings::File;

use crate::{FLEET, fleet, right};

#[test]
fn subjects_that_meet() {
    fleet(&[
        (
            "[accounts.A.streams.S]\nsubjects = [\"a.>\", \"a.b\"]\n",
            "4  accounts.A.streams.S.subjects[1] = \"a.b\"",
            "`a.b` and `a.>` of the same stream overlap",
            "keep the wider",
        ),
        (
            "[accounts.A.streams.S]\nsubjects = [\"a.>\"]\n[accounts.A.streams.T]\nsubjects = [\"b\", \"a.*\"]\n",
            "6  accounts.A.streams.T.subjects[1] = \"a.*\"",
            "`a.*` overlaps `a.>` of the stream `S`",
            "narrow one",
        ),
        (
            "[accounts.A.streams.S]\nsubjects = [\">\"]\n",
            "4  accounts.A.streams.S.subjects[0] = \">\"",
            "would capture `$JS.>`",
            "\"events.>\"",
        ),
        (
            "[accounts.A.streams.S]\nsubjects = [\"$KV.x.>\"]\n",
            "4  accounts.A.streams.S.subjects[0]",
            "of which buckets are made",
            "under `kv` or `objects`",
        ),
        (
            "[accounts.A.streams.S]\nsubjects = [\"a\"]\nrepublish = { source = \">\", destination = \">\" }\n",
            "5  accounts.A.streams.S.republish.destination",
            "for ever",
            "does not capture",
        ),
        (
            "[accounts.A.streams.S]\nsubjects = [\"a.*\"]\nsubject_transform = { source = \"a.*\", destination = \"b.{{wildcard(2)}}\" }\n",
            "5  accounts.A.streams.S.subject_transform.destination",
            "wildcard 2, and `a.*` has 1",
            "from 1",
        ),
    ]);
    right(
        File::Fleet,
        FLEET,
        &[
            "[accounts.A.streams.S]\nsubjects = [\"a.>\"]\non = \"leaves\"\n[accounts.A.streams.T]\nsubjects = [\"a.>\"]\non = \"hub\"\n",
            "[accounts.A.streams.S]\nsubjects = [\"a.>\"]\n[accounts.B.streams.S]\nsubjects = [\"a.>\"]\n",
            "[accounts.A.streams.S]\nsubjects = [\"$JS.EVENT.ADVISORY.>\", \"$SYS.ACCOUNT.*.CONNECT\"]\n",
            "[accounts.A.streams.S]\nsubjects = [\"a.*\"]\nsubject_transform = { source = \"a.*\", destination = \"b.{{partition(3,1)}}.{{wildcard(1)}}\" }\nrepublish = { source = \">\", destination = \"live.>\" }\n",
        ],
    );
}

#[test]
fn streams_that_nats_would_refuse() {
    fleet(&[
        (
            "[accounts.A.streams.S]\ndiscard_new_per_subject = true\nmax_messages_per_subject = 5\n",
            "4  accounts.A.streams.S.discard_new_per_subject = true",
            "discard = \"new\"",
            "add discard = \"new\"",
        ),
        (
            "[accounts.A.streams.S]\ndiscard_new_per_subject = true\ndiscard = \"new\"\n",
            "4  accounts.A.streams.S.discard_new_per_subject",
            "no limit per subject",
            "add `max_messages_per_subject",
        ),
        (
            "[accounts.A.streams.S]\ndeny_purge = true\nallow_rollup = true\n",
            "5  accounts.A.streams.S.allow_rollup",
            "forbids",
            "remove one",
        ),
        (
            "[accounts.A.streams.S]\nmax_age = \"1m\"\nduplicate_window = \"2m\"\n",
            "5  accounts.A.streams.S.duplicate_window = \"2m\"",
            "longer than messages are kept",
            "\"1m\" or less",
        ),
        (
            "[accounts.A.streams.S]\nmax_bytes = \"0B\"\n",
            "4  accounts.A.streams.S.max_bytes",
            "0 for unlimited",
            "leave the key out",
        ),
        (
            "[accounts.A.streams.S]\nreplicas = 2\n",
            "4  accounts.A.streams.S.replicas = 2",
            "2 copies",
            "1, 3 or 5",
        ),
        (
            "[accounts.A.streams.S]\nreplicas = 3\n",
            "4  accounts.A.streams.S.replicas = 3",
            "the hub has 1 node, too few",
            "leave `replicas` out",
        ),
        (
            "[accounts.A.streams.S]\nreplicas = 3\non = \"leaves\"\n",
            "4  accounts.A.streams.S.replicas = 3",
            "a leaf has one copy",
            "remove `replicas`",
        ),
        (
            "[accounts.A.streams.S]\nstorage = \"memory\"\ncompression = \"s2\"\n",
            "5  accounts.A.streams.S.compression",
            "only files are compressed",
            "remove `compression`",
        ),
        (
            "[accounts.A.streams.S]\nmetadata = { \"leafbox.x\" = \"1\" }\n",
            "4  accounts.A.streams.S.metadata.\"leafbox.x\" = \"1\"",
            "are taken",
            "another name",
        ),
        (
            "[accounts.A.kv.k]\nhistory = 65\n",
            "4  accounts.A.kv.k.history = 65",
            "from 1 to 64",
            "or use a stream",
        ),
        (
            "[accounts.A.kv.k]\nhistory = 0\n",
            "4  accounts.A.kv.k.history = 0",
            "from 1 to 64",
            "or use a stream",
        ),
    ]);
}

#[test]
fn mirrors_and_sources() {
    fleet(&[
        (
            "[accounts.A.streams.O]\n[accounts.A.streams.S]\nsubjects = [\"a\"]\nmirror = { stream = \"O\" }\n",
            "5  accounts.A.streams.S.subjects",
            "cannot stand beside `mirror`",
            "remove `subjects`",
        ),
        (
            "[accounts.A.streams.O]\n[accounts.A.streams.S]\nsources = [{ stream = \"O\" }]\nmirror = { stream = \"O\" }\n",
            "5  accounts.A.streams.S.sources",
            "one origin",
            "remove `sources`",
        ),
        (
            "[accounts.A.streams.ORDERS]\n[accounts.A.streams.S]\nmirror = { stream = \"ORDER\" }\n",
            "5  accounts.A.streams.S.mirror.stream = \"ORDER\"",
            "declares no stream `ORDER`",
            "did you mean `ORDERS`?",
        ),
        (
            "[accounts.A.streams.O]\n[accounts.A.streams.S]\nsources = [{ stream = \"O\", filter = \"a\", transforms = [{ source = \"b\", destination = \"c\" }] }]\n",
            "5  accounts.A.streams.S.sources[0].filter = \"a\"",
            "cannot stand beside `transforms`",
            "remove `filter`",
        ),
        (
            "[accounts.A.streams.S]\nmirror = { stream = \"S\" }\n",
            "4  accounts.A.streams.S.mirror.stream",
            "cannot take from itself",
            "`domain`",
        ),
        (
            "[accounts.A.streams.O]\n[accounts.A.streams.S]\nmirror = { stream = \"O\", start_time = \"yesterday\" }\n",
            "5  accounts.A.streams.S.mirror.start_time = \"yesterday\"",
            "not a time",
            "RFC 3339",
        ),
    ]);
    right(
        File::Fleet,
        FLEET,
        &[
            "[accounts.A.kv.k]\n[accounts.A.streams.S]\nmirror = { stream = \"KV_k\", start_time = \"2026-01-31T08:00:00Z\" }\n[accounts.A.streams.T]\nsources = [{ stream = \"T\", domain = \"l-2\" }]\n",
        ],
    );
}

#[test]
fn stores_that_travel() {
    fleet(&[
        (
            "[accounts.A.streams.O]\n[accounts.A.streams.S]\ntravel = \"up\"\nmirror = { stream = \"O\" }\n",
            "6  accounts.A.streams.S.mirror",
            "cannot stand beside `travel`",
            "remove `mirror` or `travel`",
        ),
        (
            "[accounts.A.streams.S]\nsubjects = [\"a.>\"]\ntravel = \"both\"\n",
            "4  accounts.A.streams.S.subjects[0] = \"a.>\"",
            "holds the token `{node}` once",
            "\"a.{node}.>\"",
        ),
        (
            "[accounts.A.streams.S]\nsubjects = [\"a.{node}\"]\ntravel = \"up\"\n",
            "4  accounts.A.streams.S.subjects[0]",
            "only stands in a stream with travel = \"both\"",
            "add travel = \"both\"",
        ),
        (
            "[accounts.A.streams.S]\nsubjects = [\"a.{node}.>\"]\ntravel = \"both\"\nconsumers.c.filter = [\"a.{node}.b\"]\n",
            "6  accounts.A.streams.S.consumers.c.filter[0]",
            "in the `subjects` of a stream only",
            "write `*`",
        ),
        (
            "[accounts.A.objects.o]\ntravel = \"both\"\n",
            "4  accounts.A.objects.o.travel = \"both\"",
            "objects cannot travel both ways",
            "use two buckets",
        ),
        (
            "[accounts.A.kv.k]\ntravel = \"up\"\non = \"hub\"\n",
            "5  accounts.A.kv.k.on = \"hub\"",
            "is on the hub and on every leaf",
            "remove `on`",
        ),
        (
            "[accounts.A.streams.S]\noutbox = { max_messages = 5 }\n",
            "4  accounts.A.streams.S.outbox",
            "only a stream that travels up",
            "add travel = \"up\"",
        ),
        (
            "[accounts.A.streams.S]\ntravel = \"down\"\nretention = \"workqueue\"\n",
            "5  accounts.A.streams.S.retention",
            "copies on other nodes need every message",
            "retention = \"limits\"",
        ),
        (
            "[accounts.A.streams.S]\ntravel = \"up\"\nstorage = \"memory\"\n",
            "5  accounts.A.streams.S.storage",
            "warning: what waits in memory",
            "storage = \"file\"",
        ),
    ]);
    let alone = crate::check(File::Fleet, "name = \"f\"\n[accounts.A.kv.k]\ntravel = \"up\"\n").to_string();
    assert!(alone.starts_with("fleet.toml:3  accounts.A.kv.k.travel = \"up\"\n  warning: "), "{alone}");
    assert!(alone.contains("stays where it is written") && alone.contains("[nodes]"), "{alone}");
}

#[test]
fn consumers_that_nats_would_refuse() {
    fleet(&[
        (
            "[accounts.A.streams.S.consumers.c]\nstart_sequence = 5\n",
            "4  accounts.A.streams.S.consumers.c.start_sequence = 5",
            "needs deliver = \"by_start_sequence\"",
            "or remove",
        ),
        (
            "[accounts.A.streams.S.consumers.c]\ndeliver = \"by_start_time\"\n",
            "4  accounts.A.streams.S.consumers.c.deliver",
            "needs `start_time`",
            "add `start_time",
        ),
        (
            "[accounts.A.streams.S.consumers.c]\ndeliver = \"last_per_subject\"\n",
            "4  accounts.A.streams.S.consumers.c.deliver",
            "which subjects",
            "add filter",
        ),
        (
            "[accounts.A.streams.S.consumers.c]\nflow_control = true\n",
            "4  accounts.A.streams.S.consumers.c.flow_control",
            "this is a pull consumer",
            "deliver_subject",
        ),
        (
            "[accounts.A.streams.S.consumers.c]\nflow_control = true\ndeliver_subject = \"d\"\n",
            "4  accounts.A.streams.S.consumers.c.flow_control",
            "needs a heartbeat",
            "idle_heartbeat = \"5s\"",
        ),
        (
            "[accounts.A.streams.S.consumers.c]\nmax_batch = 5\ndeliver_subject = \"d\"\n",
            "4  accounts.A.streams.S.consumers.c.max_batch",
            "makes this a push consumer",
            "remove `max_batch`",
        ),
        (
            "[accounts.A.streams.S]\nsubjects = [\"s.>\"]\nconsumers.c.deliver_subject = \"s.d\"\n",
            "5  accounts.A.streams.S.consumers.c.deliver_subject",
            "for ever",
            "does not capture",
        ),
        (
            "[accounts.A.streams.S.consumers.c]\nmax_deliver = 1\nbackoff = [\"1s\", \"2s\"]\n",
            "5  accounts.A.streams.S.consumers.c.backoff",
            "2 waits for 1 deliveries",
            "raise `max_deliver`",
        ),
        (
            "[accounts.A.streams.S.consumers.c]\nreplicas = 3\n",
            "4  accounts.A.streams.S.consumers.c.replicas = 3",
            "no more than its stream",
            "leave `replicas` out",
        ),
        (
            "[accounts.A.streams.S.consumers.c]\nfilter = [\"a.>\", \"a.b\"]\n[accounts.A.streams.S]\nsubjects = [\"a.>\"]\n",
            "4  accounts.A.streams.S.consumers.c.filter[1] = \"a.b\"",
            "overlaps another filter",
            "keep the wider",
        ),
        (
            "[accounts.A.streams.S]\nsubjects = [\"a.>\"]\nconsumers.c.filter = [\"b\"]\n",
            "5  accounts.A.streams.S.consumers.c.filter[0] = \"b\"",
            "warning: the stream captures nothing",
            "a subject of the stream",
        ),
        (
            "[accounts.A.streams.S]\nsubjects = [\"a.>\"]\nretention = \"workqueue\"\nconsumers.c.filter = [\"a.*\"]\nconsumers.d.filter = [\"a.b\"]\n",
            "7  accounts.A.streams.S.consumers.d",
            "`c` and `d` of a work queue want the same messages",
            "do not overlap",
        ),
        (
            "[accounts.A.streams.S]\nretention = \"workqueue\"\nconsumers.c.ack = \"none\"\n",
            "5  accounts.A.streams.S.consumers.c.ack",
            "acknowledged",
            "ack = \"explicit\"",
        ),
        (
            "[accounts.A.streams.S.consumers.c]\nsample_frequency = \"many\"\n",
            "4  accounts.A.streams.S.consumers.c.sample_frequency",
            "not a share",
            "\"10%\"",
        ),
    ]);
}
