//! A declared account as claims: limits, roles, exports and imports, without keys or signatures.

use settings::{
    Account, ByteSize,
    fleet::{Export, Import, ResponseKind, Role},
};

use crate::claims::{
    ExportClaim, Limits, Other, Permission, Permissions, Response, RevocationList, UNLIMITED,
};

/// The limits of an account. What is not declared is unlimited: nodes differ in what they have,
/// and each limits itself.
pub(crate) fn limits(account: &Account) -> Limits {
    let (limits, jetstream) = (&account.limits, &account.jetstream);
    let mut claims = Limits {
        subs: count(limits.subscriptions),
        data: bytes(limits.data),
        payload: bytes(limits.payload),
        imports: count(limits.imports),
        exports: count(limits.exports),
        wildcards: true,
        conn: count(limits.connections),
        leaf: count(limits.leaf_connections),
        ..Limits::default()
    };
    if jetstream.enabled {
        claims.mem_storage = bytes(jetstream.memory);
        claims.disk_storage = bytes(jetstream.storage);
        claims.streams = count(jetstream.streams);
        claims.consumer = count(jetstream.consumers);
        claims.max_ack_pending = jetstream.max_ack_pending.map_or(0, i64::from);
        claims.mem_max_stream_bytes = jetstream.max_memory_stream.map_or(0, in_bytes);
        claims.disk_max_stream_bytes = jetstream.max_storage_stream.map_or(0, in_bytes);
        claims.max_bytes_required = jetstream.max_bytes_required;
    }
    claims
}

fn count(declared: Option<u32>) -> i64 {
    declared.map_or(UNLIMITED, i64::from)
}

fn bytes(declared: Option<ByteSize>) -> i64 {
    declared.map_or(UNLIMITED, in_bytes)
}

fn in_bytes(size: ByteSize) -> i64 {
    i64::try_from(size.bytes()).unwrap_or(i64::MAX)
}

/// The permissions of a role. Nothing declared is nothing allowed, whereas NATS takes an empty
/// list as everything: so it becomes a denial of all, which leaves replies as declared.
pub(crate) fn permissions(role: &Role) -> Permissions {
    let texts = |subjects: &[settings::Subject]| subjects.iter().map(ToString::to_string).collect::<Vec<_>>();
    let permission = |allow: &[settings::Subject], deny: &[settings::Subject]| {
        if allow.is_empty() {
            Permission { allow: Vec::new(), deny: vec![">".into()] }
        } else {
            Permission { allow: texts(allow), deny: texts(deny) }
        }
    };
    Permissions {
        publish: permission(&role.publish, &role.publish_deny),
        subscribe: permission(&role.subscribe, &role.subscribe_deny),
        response: role
            .responses
            .as_ref()
            .map(|responses| Response { max: i64::from(responses.max), ttl: responses.expires.nanos() }),
        subs: UNLIMITED,
        data: UNLIMITED,
        payload: UNLIMITED,
        other: Other::new(),
    }
}

/// An export. Where it names importers, each needs an activation.
pub(crate) fn export(export: &Export) -> ExportClaim {
    use settings::fleet::ExportKind;
    let response_type = match (export.kind, export.response) {
        (ExportKind::Stream, _) | (_, ResponseKind::Singleton) => "",
        (ExportKind::Service, ResponseKind::Stream) => "Stream",
        (ExportKind::Service, ResponseKind::Chunked) => "Chunked",
    };
    ExportClaim {
        name: String::new(),
        subject: export.subject.to_string(),
        kind: export.kind,
        token_req: !export.to.is_empty(),
        revocations: RevocationList::new(),
        response_type: response_type.into(),
        description: export.description.clone().unwrap_or_default(),
        other: Other::new(),
    }
}

/// Whether an export lets an import be made.
pub(crate) fn covers(export: &Export, import: &Import) -> bool {
    export.kind == import.kind && export.subject.covers(&import.subject)
}
