//! Who writes a travelling store, and what must not cross the leaf link because of it.
//!
//! Both `stores` (streams, mirrors, sources) and `nats-conf` (deny lists of a leaf's remotes) stand
//! on these rules, so that a message is captured exactly once.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    builtin::REGISTRY_INBOX,
    fleet::{Account, Fleet, HUB_DOMAIN, Import, LEAFBOX_ACCOUNT, SYSTEM_ACCOUNT},
    names::{Name, Subject},
    node::{Node, NodeRole},
    store::{On, Stream, Travel},
};

/// The subject token that stands for the writing node where `travel = "both"`.
pub const WRITER_TOKEN: &str = "{node}";

/// The JetStream domain of a node, which is also its writer token: the leaf's name, or `hub`, the
/// hub being one writer however many nodes it has.
pub fn domain(node: &Node) -> &str {
    match node.role {
        NodeRole::Leaf => &node.name,
        NodeRole::Hub => HUB_DOMAIN,
    }
}

/// Every writer of a `both` store: the hub and the declared leaves.
pub fn writers(fleet: &Fleet) -> impl Iterator<Item = &str> {
    std::iter::once(HUB_DOMAIN).chain(fleet.nodes.leaves.iter().map(Name::as_str))
}

/// A subject of a `both` store with the writer in place of [`WRITER_TOKEN`].
pub fn for_writer(subject: &str, writer: &str) -> String {
    let tokens: Vec<&str> =
        subject.split('.').map(|token| if token == WRITER_TOKEN { writer } else { token }).collect();
    tokens.join(".")
}

/// Whether a store that does not travel exists on nodes of this role.
pub fn exists_on(on: On, role: NodeRole) -> bool {
    match on {
        On::Everywhere => true,
        On::Leaves => role == NodeRole::Leaf,
        On::Hub => role == NodeRole::Hub,
    }
}

/// The subjects that a stream captures on the node whose domain is `writer`.
pub fn stream_subjects(name: &str, stream: &Stream, role: NodeRole, writer: &str) -> Vec<String> {
    let declared = || match (&stream.mirror, stream.subjects.is_empty(), stream.sources.is_empty()) {
        (Some(_), _, _) => Vec::new(),
        // nats-server captures the stream's own name when nothing else is said.
        (None, true, true) => vec![name.to_owned()],
        _ => stream.subjects.clone(),
    };
    match (stream.travel, role) {
        (None, _) if exists_on(stream.on, role) => declared(),
        (Some(Travel::Up), NodeRole::Leaf) | (Some(Travel::Down), NodeRole::Hub) => declared(),
        (Some(Travel::Both), _) => declared().iter().map(|subject| for_writer(subject, writer)).collect(),
        (None | Some(Travel::Up | Travel::Down), _) => Vec::new(),
    }
}

/// The subjects that a bucket captures: `spaces` are its subject spaces, such as `$KV.prices`.
///
/// A bucket that travels up can be written on the hub too; what the hub writes stays there.
pub fn bucket_subjects(
    spaces: &[String],
    travel: Option<Travel>,
    on: On,
    role: NodeRole,
    writer: &str,
) -> Vec<String> {
    let writable = match travel {
        None => exists_on(on, role),
        Some(Travel::Up | Travel::Both) => true,
        Some(Travel::Down) => role == NodeRole::Hub,
    };
    let key = if travel == Some(Travel::Both) { format!(".{writer}.>") } else { ".>".to_owned() };
    spaces.iter().filter(|_| writable).map(|space| format!("{space}{key}")).collect()
}

/// The subject space of a key-value bucket.
pub fn kv_spaces(bucket: &str) -> [String; 1] {
    [format!("$KV.{bucket}")]
}

/// The subject spaces of an object bucket: chunks, then metadata.
pub fn object_spaces(bucket: &str) -> [String; 2] {
    [format!("$O.{bucket}.C"), format!("$O.{bucket}.M")]
}

/// What must not cross a leaf's link to the hub in one account, as `deny_exports` and
/// `deny_imports` of its remote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Denies {
    /// Not from the leaf to the hub.
    pub exports: Vec<Subject>,
    /// Not from the hub to the leaf.
    pub imports: Vec<Subject>,
}

/// The deny lists of a leaf's remotes, by account; empty for a hub node.
///
/// - What the leaf captures crosses in neither direction: another node would capture it a second
///   time, and what the hub needs of it travels with the store. Denying imports alone would not do:
///   nats-server applies a denied import to exports as well from the moment that anybody subscribes
///   to a wider subject such as `>` (`loadMsgDenyFilterIfNeeded` in its client.go), so the hub
///   would hear a leaf live until then and never after. Who wants to listen live at the hub
///   declares `republish`.
/// - Deliveries of push consumers, republished messages and imported subjects stay on the side
///   where they arise: the other side has its own, and would get everything twice.
/// - Answers to the registry's reads of its own streams stay where they are read, too.
///
/// What travel itself needs (`$JS.<domain>.API`, deliveries, acknowledgements, flow control) is
/// never among them, nor are writes to what only the hub captures.
pub fn link_denies(fleet: &Fleet, node: &Node) -> BTreeMap<Name, Denies> {
    if node.role == NodeRole::Hub {
        return BTreeMap::new();
    }
    let accounts = fleet.all_accounts().into_iter().filter(|(name, _)| name.as_str() != SYSTEM_ACCOUNT);
    let denies = accounts.map(|(name, account)| {
        let own = (name.as_str() == LEAFBOX_ACCOUNT).then(registry_inbox);
        let denies = account_denies(&account, &node.name, own);
        (name, denies)
    });
    denies.collect()
}

fn registry_inbox() -> Subject {
    format!("{REGISTRY_INBOX}.>").parse().expect("a built-in subject is valid")
}

fn account_denies(account: &Account, leaf: &str, own: Option<Subject>) -> Denies {
    let denied: BTreeSet<Subject> =
        captured(account, leaf).into_iter().chain(one_sided(account, leaf)).chain(own).collect();
    let denied: Vec<Subject> = denied.into_iter().collect();
    Denies { exports: denied.clone(), imports: denied }
}

/// Every subject that the stores of an account capture on a leaf.
fn captured(account: &Account, leaf: &str) -> Vec<Subject> {
    let (role, writer) = (NodeRole::Leaf, leaf);
    let streams =
        account.streams.iter().flat_map(|(name, stream)| stream_subjects(name, stream, role, writer));
    let kv = account
        .kv
        .iter()
        .flat_map(|(name, kv)| bucket_subjects(&kv_spaces(name), kv.travel, kv.on, role, writer));
    let objects = account.objects.iter().flat_map(|(name, bucket)| {
        bucket_subjects(&object_spaces(name), bucket.travel, bucket.on, role, writer)
    });
    // A subject that does not parse is an error of `check`, told there.
    streams.chain(kv).chain(objects).filter_map(|subject| subject.parse().ok()).collect()
}

/// Deliveries, republished and imported subjects that arise on the leaf.
fn one_sided(account: &Account, leaf: &str) -> Vec<Subject> {
    let here = account.streams.values().filter(|stream| match stream.travel {
        None => exists_on(stream.on, NodeRole::Leaf),
        Some(_) => true,
    });
    let republished = |destination: &str| {
        let tokens: Vec<&str> =
            destination.split('.').map(|token| if token.contains("{{") { "*" } else { token }).collect();
        for_writer(&tokens.join("."), leaf).parse().ok()
    };
    let deliveries = here
        .clone()
        .filter(|stream| stream.travel != Some(Travel::Up))
        .flat_map(|stream| stream.consumers.values().filter_map(|consumer| consumer.deliver_subject.clone()));
    let from_streams = here.filter_map(|stream| republished(&stream.republish.as_ref()?.destination));
    let buckets = account.kv.values().filter(|kv| kv.travel.is_some() || exists_on(kv.on, NodeRole::Leaf));
    let from_buckets = buckets.filter_map(|kv| republished(&kv.republish.as_ref()?.destination));
    let imports = account.imports.iter().map(local_subject);
    deliveries.chain(from_streams).chain(from_buckets).chain(imports).collect()
}

fn local_subject(import: &Import) -> Subject {
    import.local.clone().unwrap_or_else(|| import.subject.clone())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn fleet() -> Fleet {
        toml::from_str(
            r#"
            name = "shops"
            nodes = { hub = ["hub-1"], leaves = ["shop-1", "shop-2"] }
            [accounts.SHOP.streams.SALES]
            subjects = ["sales.>"]
            travel = "up"
            [accounts.SHOP.streams.PRICES]
            subjects = ["prices.>"]
            travel = "down"
            consumers = { till = { deliver_subject = "till.prices" } }
            [accounts.SHOP.streams.RECORDS]
            subjects = ["records.{node}.>"]
            travel = "both"
            [accounts.SHOP.streams.LOCAL]
            subjects = ["local.*"]
            republish = { source = "local.*", destination = "live.{{wildcard(1)}}" }
            [accounts.SHOP.kv.stock]
            travel = "up"
            [accounts.SHOP.kv.settings]
            travel = "down"
            [accounts.SHOP.objects.photos]
            travel = "down"
            "#,
        )
        .unwrap()
    }

    fn leaf() -> Node {
        toml::from_str("name = \"shop-1\"").unwrap()
    }

    fn texts(subjects: &[Subject]) -> Vec<&str> {
        subjects.iter().map(Subject::as_str).collect()
    }

    #[test]
    fn what_the_leaf_captures_or_has_of_its_own_crosses_in_neither_direction() {
        let denies = link_denies(&fleet(), &leaf());
        let shop = &denies["SHOP"];
        assert_eq!(
            texts(&shop.imports),
            ["$KV.stock.>", "live.*", "local.*", "records.shop-1.>", "sales.>", "till.prices"]
        );
        assert_eq!(shop.exports, shop.imports);
        for own in ["leafbox.audit.>", "leafbox.registry.chunk.*", "$KV.leafbox_tags.>", "_REGISTRY.>"] {
            assert!(texts(&denies["LEAFBOX"].exports).contains(&own), "{own}");
        }
    }

    #[test]
    fn writes_to_what_only_the_hub_captures_go_through() {
        let denies = link_denies(&fleet(), &leaf());
        for written in ["prices.apple", "$KV.settings.theme", "$O.photos.C.x", "records.shop-2.a"] {
            assert!(denies["SHOP"].exports.iter().all(|subject| !subject.overlaps(written)), "{written}");
        }
    }

    #[test]
    fn nothing_that_travel_needs_is_denied_and_the_hub_has_no_lists() {
        let denies = link_denies(&fleet(), &leaf());
        for needed in [
            "$JS.hub.API.STREAM.INFO.X",
            "$JS.S.a",
            "$JS.FC.a.b.c",
            "$JS.ACK.a",
            "_INBOX.a",
            "leafbox.registry.hub.shop-1.blob",
        ] {
            let denied = denies.values().flat_map(|deny| deny.imports.iter().chain(&deny.exports));
            assert!(denied.clone().all(|subject| !subject.overlaps(needed)), "{needed}");
        }
        let hub: Node = toml::from_str("name = \"hub-1\"\nrole = \"hub\"").unwrap();
        assert!(link_denies(&fleet(), &hub).is_empty());
    }

    #[test]
    fn writers_replace_whole_tokens_only() {
        assert_eq!(for_writer("records.{node}.>", "shop-1"), "records.shop-1.>");
        assert_eq!(for_writer("records.x{node}", "shop-1"), "records.x{node}");
    }
}
