//! What must hold of every text that a client, another registry or a record may hold.
//!
//! The test beside it and the libFuzzer target in `daemons/registry/fuzz` run the same checks: the
//! first byte of an input chooses the reader, the rest is what it reads. A reader must not panic; what
//! it accepts must be written as it was read, and keep the promises of its type.

use std::{
    collections::BTreeSet,
    fmt::Debug,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use axum::http::{HeaderMap, HeaderValue, header};
use registry::{
    Bucket, Digest, Key, Reference, Repository, Tag, UploadId,
    access::{Action, Actions, Credentials, Scopes, Secret, TokenRequest},
    chunks::Runs,
    parse::{ContentRange, Query, Target, Wanted, next_link, next_of, wanted},
    records::{AnnounceRecord, BlobRecord, LinkRecord, ManifestRecord, TagRecord, TokenRecord, UploadRecord},
    storage::{Document, annotations_of, is_manifest_type},
};
use runtime::visitor::Visitor;
use serde::{Serialize, de::DeserializeOwned};

type Check = fn(&str);

/// Every reader by name. New ones go to the end, so that kept inputs stay what they are.
pub(crate) const CHECKS: [(&str, Check); 21] = [
    ("repository", repository),
    ("tag", tag),
    ("reference", reference),
    ("digest", digest),
    ("upload", upload),
    ("path", path),
    ("query", query),
    ("range", range),
    ("content-range", content_range),
    ("link", link),
    ("authorization", authorization),
    ("secret", secret),
    ("scope", scope),
    ("token-form", token_form),
    ("host", host),
    ("key", key),
    ("record", record),
    ("runs", runs),
    ("pattern", pattern),
    ("actions", actions),
    ("manifest", manifest),
];

/// Reads an input. Bytes that are no text are read as what a lossy reading makes of them: hyper and
/// serde refuse them before any of these readers.
pub(crate) fn check(input: &[u8]) {
    let Some((first, rest)) = input.split_first() else { return };
    let (_, check) = CHECKS[usize::from(*first) % CHECKS.len()];
    check(&String::from_utf8_lossy(rest));
}

/// What is accepted is written as it was read.
fn same<T: FromStr + ToString>(text: &str) -> Option<T> {
    let value: T = text.parse().ok()?;
    assert_eq!(value.to_string(), text);
    Some(value)
}

/// The specification's grammar by another way than the reader's: a machine that walks the bytes.
fn is_repository(text: &str) -> bool {
    text.len() <= 255
        && text.split('/').all(|part| {
            let mut rest = part;
            loop {
                let word = rest.trim_start_matches(|it: char| it.is_ascii_lowercase() || it.is_ascii_digit());
                if word.len() == rest.len() {
                    return false;
                }
                rest = match word.chars().next() {
                    None => return true,
                    Some('-') => word.trim_start_matches('-'),
                    Some('_') if word.starts_with("__") => &word[2..],
                    Some('_' | '.') => &word[1..],
                    Some(_) => return false,
                };
            }
        })
}

fn repository(text: &str) {
    assert_eq!(text.parse::<Repository>().is_ok(), is_repository(text));
    if let Some(repository) = same::<Repository>(text) {
        let token = repository.token();
        assert!(!token.contains(['.', '*', '>', ' ']));
        assert_eq!(Repository::from_token(&token), Some(repository));
    }
    if let Some(repository) = Repository::from_token(text) {
        assert_eq!(Repository::from_token(&repository.token()), Some(repository));
    }
}

fn tag(text: &str) {
    let word = |it: char| it.is_ascii_alphanumeric() || it == '_';
    let is_tag = (1..=128).contains(&text.len())
        && text.starts_with(word)
        && text.chars().all(|it| word(it) || it == '.' || it == '-');
    assert_eq!(text.parse::<Tag>().is_ok(), is_tag);
    if let Some(tag) = same::<Tag>(text) {
        assert!(!tag.token().contains(['.', '*', '>', ' ']));
        assert_eq!(Tag::from_token(&tag.token()), Some(tag));
    }
}

fn reference(text: &str) {
    match same::<Reference>(text) {
        Some(Reference::Tag(tag)) => assert_eq!(text.parse(), Ok(tag)),
        Some(Reference::Digest(digest)) => assert_eq!(text.parse(), Ok(digest)),
        None => assert!(text.parse::<Tag>().is_err() && text.parse::<Digest>().is_err()),
    }
}

fn digest(text: &str) {
    if let Some(digest) = same::<Digest>(text) {
        assert_eq!(digest.bytes().len(), digest.algorithm().length());
        assert_eq!(Digest::from_token(&digest.token()), Some(digest.clone()));
        assert_eq!(Digest::new(digest.algorithm(), digest.bytes()), Some(digest));
    }
    if let Some(digest) = Digest::from_token(text) {
        assert!(!digest.hex().contains(['.', '/']));
    }
}

fn upload(text: &str) {
    same::<UploadId>(text);
}

fn path(text: &str) {
    let Ok(target) = Target::of(text) else { return };
    if let Some(repository) = target.repository() {
        assert!(is_repository(repository.as_str()));
        // A name is never read from within another one.
        assert!(text.contains('%') || text.starts_with(&format!("/v2/{repository}/")), "{text}");
    }
    let again = match &target {
        Target::Base => "/v2/".to_owned(),
        Target::Catalog => "/v2/_catalog".to_owned(),
        Target::Tags(name) => format!("/v2/{name}/tags/list"),
        Target::Manifest(name, value) => format!("/v2/{name}/manifests/{}", escaped(value)),
        Target::Referrers(name, value) => format!("/v2/{name}/referrers/{}", escaped(value)),
        Target::Blob(name, value) => format!("/v2/{name}/blobs/{}", escaped(value)),
        Target::Uploads(name) => format!("/v2/{name}/blobs/uploads/"),
        Target::Upload(name, value) => format!("/v2/{name}/blobs/uploads/{}", escaped(value)),
    };
    assert_eq!(Target::of(&again), Ok(target), "{again}");
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

fn query(text: &str) {
    let Ok(query) = Query::of(text) else { return };
    for name in ["n", "last", "digest", "tag", "mount", "from", "artifactType"] {
        assert_eq!(query.get(name), query.all(name).next());
    }
    if let Ok(page) = query.page() {
        let (entries, more) = page.cut(0..10);
        assert!(entries.len() <= 10 && entries.len() <= page.count.unwrap_or(10));
        assert!(!more || entries.len() < 10);
        assert!(page.last != Some(""));
    }
}

/// The first three characters choose the size: the range is what is read.
fn range(text: &str) {
    let (size, text) = sized(text);
    match wanted(text, size) {
        Wanted::Part(part) => assert!(part.start < part.end && part.end <= size, "{part:?} of {size}"),
        Wanted::Whole | Wanted::Unsatisfiable => {}
    }
}

fn sized(text: &str) -> (u64, &str) {
    let sizes = [0, 1, 2, 1024, 1 << 40, u64::MAX - 1, u64::MAX];
    let Some(first) = text.chars().next() else { return (0, text) };
    (sizes[first as usize % sizes.len()], &text[first.len_utf8()..])
}

fn content_range(text: &str) {
    if let Ok(range) = ContentRange::of(text) {
        assert!(range.start <= range.end);
        assert_eq!(range.length(), range.end - range.start + 1);
        assert_eq!(ContentRange::of(&format!("{}-{}", range.start, range.end)), Ok(range));
        assert_eq!(ContentRange::of(&format!("bytes {}-{}/*", range.start, range.end)), Ok(range));
    }
}

/// Both what another registry sends and what is written with a client's text.
fn link(text: &str) {
    if let Some(target) = next_of(text) {
        assert!(text.contains(&format!("<{target}>")));
    }
    let written = next_link("/v2/a/tags/list", &[("n", "5"), ("last", text)]);
    assert!(HeaderValue::from_str(&written).is_ok(), "{written}");
    let target = next_of(&written).expect("what is written says where it goes on");
    let (path, parameters) = target.split_once('?').expect("it has parameters");
    assert_eq!(path, "/v2/a/tags/list");
    let parameters = Query::of(parameters).expect("they are escaped");
    assert_eq!((parameters.get("n"), parameters.get("last")), (Some("5"), Some(text)));
}

fn authorization(text: &str) {
    let parsed = Credentials::parse(text);
    match &parsed {
        Ok(Credentials::Basic { user, password }) => {
            assert!(!user.contains(':'));
            assert!(!user.is_empty() || !password.is_empty());
            let encoded = data_encoding::BASE64.encode(format!("{user}:{password}").as_bytes());
            assert_eq!(Credentials::parse(&format!("basic {encoded}")), parsed);
        }
        Ok(Credentials::Bearer(token)) => assert!(!token.is_empty() && token.is_ascii()),
        Ok(Credentials::Refresh(_)) => panic!("no header gives one"),
        Ok(Credentials::None) | Err(_) => {}
    }
    // Neither a name nor a secret may end in a log.
    if let Ok(Credentials::Basic { user, password }) = &parsed
        && user.len() + password.len() > 12
    {
        let shown = format!("{parsed:?}");
        assert!(!shown.contains(password.as_str()) || password.len() < 6, "{shown}");
    }
    let Ok(value) = HeaderValue::from_str(text) else { return };
    let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
    if let Ok(of_header) = Credentials::of(&headers) {
        assert_eq!(parsed, Ok(of_header));
    }
}

fn secret(text: &str) {
    if let Ok(secret) = text.parse::<Secret>() {
        assert_eq!(secret.reveal(), text);
        assert!(!format!("{secret:?}").contains(&text[4..]));
    }
}

fn scope(text: &str) {
    let scopes = Scopes::parse([text]);
    let written = scopes.to_string();
    assert_eq!(Scopes::parse([written.as_str()]), scopes, "{written}");
    assert!(!written.contains(['"', '\\']) && written.is_ascii() && written.len() < 12_000);
    for word in text.split(' ').filter_map(|word| word.split(':').nth(1)) {
        let Ok(repository) = word.parse::<Repository>() else { continue };
        let granted = scopes.on(&repository);
        assert!(granted == Actions::NONE || text.contains(&format!("{repository}:")));
    }
}

fn token_form(text: &str) {
    let of_query = TokenRequest::of_query(text);
    if let Ok(of_form) = TokenRequest::of_form(text.as_bytes()) {
        assert_eq!(of_form.scopes(), of_query.scopes());
        assert!(!text.is_empty());
    }
}

/// Whoever is not this machine is never taken for it, whatever the headers are.
fn host(text: &str) {
    let Ok(value) = HeaderValue::from_str(text) else { return };
    for name in [header::HOST, header::FORWARDED, header::ORIGIN] {
        let headers = HeaderMap::from_iter([(name.clone(), value.clone())]);
        let elsewhere = SocketAddr::from(([192, 0, 2, 1], 5000));
        assert!(!Visitor::of(&headers, elsewhere).is_local);
        let here = Visitor::of(&headers, SocketAddr::from(([127, 0, 0, 1], 5000)));
        if here.is_local {
            assert_eq!(name, header::HOST);
            assert!(names_loopback(text), "{text}");
        }
    }
}

fn names_loopback(host: &str) -> bool {
    let host = host.rsplit('@').next().unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let lower = name.to_ascii_lowercase();
    lower.split('.').next_back() == Some("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

fn key(text: &str) {
    for bucket in [Bucket::Records, Bucket::Tags] {
        if let Some(key) = Key::parse(bucket, text) {
            assert_eq!(key.bucket(), bucket);
            assert_eq!(Key::parse(bucket, &key.to_string()), Some(key.clone()));
            let subject = key.subject();
            assert!(!subject.contains(['*', '>', ' ']) && !subject.contains(".."), "{subject}");
        }
    }
}

fn record(text: &str) {
    stored::<BlobRecord>(text);
    stored::<LinkRecord>(text);
    stored::<ManifestRecord>(text);
    stored::<TagRecord>(text);
    stored::<UploadRecord>(text);
    stored::<TokenRecord>(text);
    stored::<AnnounceRecord>(text);
}

fn stored<T: Serialize + DeserializeOwned + PartialEq + Debug>(text: &str) -> Option<T> {
    let value: T = serde_json::from_str(text).ok()?;
    let written = serde_json::to_string(&value).expect("a record has a JSON form");
    assert_eq!(serde_json::from_str::<T>(&written).expect("what is written is read"), value);
    Some(value)
}

fn runs(text: &str) {
    let Some(runs) = stored::<Runs>(text) else { return };
    let bytes = runs.bytes();
    for range in [0..bytes, 0..0, bytes / 2..bytes, bytes..u64::MAX, 1..u64::MAX] {
        let length = range.end.min(bytes).saturating_sub(range.start);
        let (mut taken, mut chunks) = (0_u64, 0);
        for chunk in runs.chunks(range).take(1000) {
            assert!(chunk.take > 0);
            taken = taken.saturating_add(chunk.take);
            chunks += 1;
        }
        assert!(taken == length || (chunks == 1000 && taken < length), "{taken} of {length}");
    }
}

fn pattern(text: &str) {
    let Some((pattern, name)) = text.split_once(' ') else { return };
    let Ok(pattern) = pattern.parse::<settings::Pattern>() else { return };
    let matches = pattern.matches(name);
    if !pattern.as_str().contains('*') {
        assert_eq!(matches, pattern.as_str() == name);
    }
    if pattern.as_str() == "**" {
        assert!(matches);
    }
    if matches && !pattern.as_str().contains("**") {
        assert_eq!(pattern.as_str().split('/').count(), name.split('/').count());
    }
}

fn actions(text: &str) {
    let actions = Actions::parse(text);
    assert_eq!(Actions::parse(&actions.to_string()), actions);
    let words: BTreeSet<_> = text.split(',').collect();
    for action in [Action::Pull, Action::Push, Action::Delete] {
        assert_eq!(actions.has(action), words.contains(action.name()) || words.contains("*"));
    }
}

/// The media type that it is sent as, a space, and the manifest.
fn manifest(text: &str) {
    let Some((content_type, body)) = text.split_once(' ') else { return };
    let body = body.as_bytes();
    // What one client takes for an image and another for an index is neither (CVE-2021-41190).
    let kinds = ["manifest", "index"].map(|kind| format!("application/vnd.oci.image.{kind}.v1+json"));
    assert!(kinds.iter().any(|kind| Document::of(kind, body).is_err()));
    let Ok(document) = Document::of(content_type, body) else { return };
    assert!(is_manifest_type(&document.media_type));
    assert!(document.blobs.is_empty() || document.manifests.is_empty());
    for mentioned in [&document.blobs, &document.manifests] {
        assert!(mentioned.len() <= 4096);
        assert_eq!(mentioned.iter().collect::<BTreeSet<_>>().len(), mentioned.len(), "one is there twice");
        // Nothing is mentioned that is not in it.
        assert!(mentioned.iter().all(|digest| text.contains('\\') || text.contains(&digest.to_string())));
    }
    assert_eq!(annotations_of(body), document.annotations);
    let sent = format!("{}; charset=utf-8", document.media_type);
    assert_eq!(Document::of(&sent, body).expect("it says the same of itself"), document);
}
