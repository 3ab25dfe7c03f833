//! Changes in any order give the same index.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use serde_json::json;

use super::state::State;
use crate::{Algorithm, Bucket, Digest, Key, Repository, UploadId};

fn digest(number: u8) -> Digest {
    Digest::new(Algorithm::Sha256, &[number; 32]).unwrap()
}

fn team() -> Repository {
    "team/app".parse().unwrap()
}

fn link(number: u8) -> Key {
    Key::Link(team(), digest(number))
}

fn link_of(size: u64) -> Vec<u8> {
    json!({ "size": size, "touched": 1 }).to_string().into()
}

fn size(state: &State, number: u8) -> Option<u64> {
    state.repositories.get(&team())?.links.get(&digest(number)).map(|link| link.size)
}

/// What the watch delivers, with all before it.
fn watched(state: &mut State, key: Key, revision: u64, value: Option<&[u8]>) {
    let bucket = key.bucket();
    state.apply_watched(key, revision, value);
    state.set_applied(bucket, revision);
}

#[test]
fn the_higher_revision_wins_whoever_brings_it() {
    let mut state = State::default();
    state.apply_own(link(1), 5, Some(&link_of(5)));
    watched(&mut state, link(1), 4, Some(&link_of(4)));
    assert_eq!(size(&state, 1), Some(5));
    watched(&mut state, link(1), 5, Some(&link_of(5)));
    watched(&mut state, link(1), 6, Some(&link_of(6)));
    state.apply_own(link(1), 5, Some(&link_of(5)));
    assert_eq!(size(&state, 1), Some(6));
}

#[test]
fn an_own_deletion_outlives_what_the_watch_delivers_late() {
    let mut state = State::default();
    watched(&mut state, link(1), 1, Some(&link_of(1)));
    state.apply_own(link(1), 3, None);
    watched(&mut state, link(1), 2, Some(&link_of(2)));
    assert_eq!(size(&state, 1), None);
    watched(&mut state, link(1), 3, None);
    watched(&mut state, link(1), 4, Some(&link_of(4)));
    assert_eq!(size(&state, 1), Some(4));
}

#[test]
fn an_own_write_that_is_told_late_does_not_bring_back_what_was_deleted() {
    let mut state = State::default();
    watched(&mut state, link(1), 1, Some(&link_of(1)));
    watched(&mut state, link(1), 2, None);
    state.apply_own(link(1), 1, Some(&link_of(1)));
    assert_eq!(size(&state, 1), None);
    assert!(state.repositories.is_empty() && state.holders.is_empty());
}

#[test]
fn a_listing_forgets_what_it_did_not_show_and_keeps_own_writes_after_it_began() {
    let mut state = State::default();
    for revision in 1..=3 {
        watched(&mut state, link(u8::try_from(revision).unwrap()), revision, Some(&link_of(revision)));
    }
    // The second was deleted and the third written anew while nobody watched.
    state.apply_own(link(9), 12, Some(&link_of(12)));
    state.apply_watched(link(1), 1, Some(&link_of(1)));
    state.apply_watched(link(3), 8, Some(&link_of(8)));
    state.sweep(Bucket::Records, &HashSet::from([1, 8]), 10);
    assert_eq!([1, 2, 3, 9].map(|number| size(&state, number)), [Some(1), None, Some(8), Some(12)]);
}

#[test]
fn what_refers_holds_and_owns_follows_the_records() {
    let mut state = State::default();
    let (subject, key) = (digest(7), Key::Manifest(team(), digest(1)));
    let manifest = |subject: Option<&Digest>| -> Vec<u8> {
        json!({ "media_type": "x", "size": 1, "touched": 1, "subject": subject }).to_string().into()
    };
    let referrers = |state: &State| {
        let contents = state.repositories.get(&team());
        contents.and_then(|all| all.referrers.get(&subject)).map_or(0, |all| all.len())
    };
    watched(&mut state, key.clone(), 1, Some(&manifest(Some(&subject))));
    watched(&mut state, key.clone(), 2, Some(&manifest(Some(&subject))));
    watched(&mut state, link(1), 3, Some(&link_of(1)));
    assert_eq!((referrers(&state), state.holders[&digest(1)]), (1, 2));
    watched(&mut state, key.clone(), 4, Some(&manifest(None)));
    assert_eq!((referrers(&state), state.holders[&digest(1)]), (0, 2));
    watched(&mut state, key, 5, None);
    watched(&mut state, link(1), 6, None);
    assert!(state.holders.is_empty() && state.repositories.is_empty());

    let (first, second) = (UploadId::random(), UploadId::random());
    let blob = |upload: UploadId| -> Vec<u8> {
        json!({ "size": 1, "upload": upload, "runs": [], "touched": 1 }).to_string().into()
    };
    watched(&mut state, Key::Blob(digest(1)), 7, Some(&blob(first)));
    watched(&mut state, Key::Blob(digest(1)), 8, Some(&blob(second)));
    assert_eq!((state.owners.get(&first), state.owners.get(&second)), (None, Some(&digest(1))));
    watched(&mut state, Key::Blob(digest(1)), 9, None);
    assert!(state.owners.is_empty());
}

#[test]
fn a_repository_exists_while_an_upload_is_under_way() {
    let mut state = State::default();
    let key = Key::Upload(UploadId::random());
    let upload = json!({
        "repository": "team/app", "algorithm": "sha256", "hash": "", "offset": 0, "runs": [],
        "reserved": 0, "touched": 1,
    });
    let upload: Vec<u8> = upload.to_string().into();
    for revision in 1..=2 {
        watched(&mut state, key.clone(), revision, Some(&upload));
        assert_eq!(state.repositories[&team()].uploads, 1);
    }
    watched(&mut state, key, 3, None);
    assert!(state.repositories.is_empty());
}

#[test]
fn what_cannot_be_read_leaves_what_was_known() {
    let mut state = State::default();
    watched(&mut state, link(1), 1, Some(&link_of(1)));
    watched(&mut state, link(1), 2, Some(b"of a newer version"));
    assert_eq!(size(&state, 1), Some(1));
}

#[test]
fn a_record_that_cannot_be_read_is_counted_until_it_is_another_or_gone() {
    let mut state = State::default();
    watched(&mut state, link(1), 1, Some(&link_of(5)));
    for (revision, value, expected) in [
        (2, Some(&b"{\"later\": 1}"[..]), 1),
        (3, Some(b"{\"later\": 2}"), 1),
        (4, Some(&link_of(6)), 0),
        (5, Some(b"[]"), 1),
        (6, None, 0),
        (7, Some(b"[]"), 1),
    ] {
        watched(&mut state, link(1), revision, value);
        assert_eq!(state.unreadable(), expected, "{revision}");
    }
    state.sweep(Bucket::Records, &HashSet::from([7]), 8);
    assert_eq!(state.unreadable(), 1);
    state.sweep(Bucket::Records, &HashSet::new(), 9);
    assert_eq!(state.unreadable(), 0);
}
