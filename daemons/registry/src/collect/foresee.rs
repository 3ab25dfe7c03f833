//! What a pass would do, from the index alone.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{
    Policy,
    report::Report,
    retention::{self, Leads},
    verdict::{Verdict, is_over, verdict},
};
use crate::{
    Digest, Index, Repository, Tag, UploadId,
    index::{Tagged, Versioned},
    records::{LinkRecord, ManifestRecord, Seconds, UploadRecord},
};

/// What a repository holds.
pub(super) struct Contents {
    pub(super) tags: Vec<(Tag, Tagged)>,
    pub(super) manifests: BTreeMap<Digest, Versioned<ManifestRecord>>,
    pub(super) links: Vec<(Digest, Versioned<LinkRecord>)>,
}

impl Contents {
    pub(super) fn of(index: &Index, repository: &Repository) -> Self {
        Self {
            tags: index.tags(repository).unwrap_or_default(),
            manifests: index.manifests(repository).into_iter().collect(),
            links: index.links(repository),
        }
    }

    /// The manifests, and what becomes of each.
    pub(super) fn judge_manifests(
        &self,
        policy: &Policy,
        repository: &Repository,
        now: Seconds,
    ) -> Vec<(Digest, Verdict)> {
        let governed = retention::is_governed(&policy.retain, repository);
        let kept = if governed {
            let leads = |record: &ManifestRecord| Leads {
                manifests: record.manifests.clone(),
                subject: record.subject.clone(),
            };
            let leads = self.manifests.iter().map(|(digest, record)| (digest.clone(), leads(record)));
            retention::reached(self.tags.iter().map(|(_, entry)| entry.digest.clone()), &leads.collect())
        } else {
            BTreeSet::new()
        };
        let judged = self.manifests.iter().map(|(digest, record)| {
            let needed = !governed || kept.contains(digest);
            (digest.clone(), verdict(needed, record.idle, now, policy.grace))
        });
        judged.collect()
    }

    /// The links, and what becomes of each.
    pub(super) fn judge_links(&self, policy: &Policy, now: Seconds) -> Vec<(&Digest, Verdict)> {
        let mentioned: HashSet<&Digest> =
            self.manifests.values().flat_map(|manifest| manifest.blobs.iter()).collect();
        let judged = self.links.iter().map(|(digest, link)| {
            (digest, verdict(mentioned.contains(digest), link.idle, now, policy.grace))
        });
        judged.collect()
    }
}

/// What a pass would do at `now`: the deletions as if the index stayed as it is. Chunks that belong to
/// nothing are not known to the index.
pub(super) fn foresee(index: &Index, policy: &Policy, now: Seconds) -> Report {
    let unreadable = index.unreadable() as u64;
    let mut report = Report { dry_run: true, at: now, unreadable, ..Report::default() };
    let mut kept: HashSet<Digest> = HashSet::new();
    for repository in index.repositories() {
        let mut contents = Contents::of(index, &repository);
        let surplus: BTreeSet<_> = retention::surplus(&policy.retain, &repository, &contents.tags)
            .into_iter()
            .map(|(tag, _)| tag.clone())
            .collect();
        report.tags += surplus.len() as u64;
        contents.tags.retain(|(tag, _)| !surplus.contains(tag));
        if unreadable > 0 {
            continue;
        }
        for (digest, verdict) in contents.judge_manifests(policy, &repository, now) {
            let idle = contents.manifests.get(&digest).and_then(|record| record.idle);
            if count(&mut report, verdict, idle, now, policy) {
                report.manifests += 1;
                contents.manifests.remove(&digest);
            }
        }
        kept.extend(contents.manifests.keys().cloned());
        for ((digest, verdict), (_, link)) in contents.judge_links(policy, now).iter().zip(&contents.links) {
            if count(&mut report, *verdict, link.idle, now, policy) {
                report.links += 1;
            } else {
                kept.insert((*digest).clone());
            }
        }
    }
    let uploads = index.uploads();
    let pinned: HashSet<UploadId> = uploads.iter().map(|(id, _)| *id).collect();
    for (digest, blob) in index.blobs().into_iter().filter(|_| unreadable == 0) {
        let free = !kept.contains(&digest) && !pinned.contains(&blob.upload);
        if free && (blob.dying || is_over(blob.touched, now, policy.grace)) {
            report.blobs += 1;
            report.bytes += blob.size;
        }
    }
    let expires = |upload: &UploadRecord| is_over(upload.touched, now, upload.kept_for(policy.upload_expiry));
    for (_, upload) in uploads.iter().filter(|(_, upload)| expires(upload)) {
        report.uploads += 1;
        report.upload_bytes += upload.offset;
    }
    report
}

/// Counts a verdict, and says whether the record goes in the same pass.
fn count(
    report: &mut Report,
    verdict: Verdict,
    idle: Option<Seconds>,
    now: Seconds,
    policy: &Policy,
) -> bool {
    match verdict {
        Verdict::Keep | Verdict::Clear => return false,
        Verdict::Delete => return true,
        Verdict::Mark => report.marked += 1,
        Verdict::Wait => {}
    }
    if policy.grace == 0 {
        return true;
    }
    report.waiting += 1;
    let since = if verdict == Verdict::Mark { now } else { idle.unwrap_or(now) };
    let end = since.saturating_add(policy.grace);
    report.next = Some(report.next.map_or(end, |next| next.min(end)));
    false
}
