//! Metrics of what others count: looked at when somebody reads them.

use std::sync::Arc;

use super::{Family, Kind, Metrics};
use crate::{Storage, Travel, collect::Collector};

/// Has storage, travel and the collector asked.
pub(crate) fn count(metrics: &Metrics, storage: &Storage, travel: &Travel, collector: &Arc<Collector>) {
    let of = storage.clone();
    metrics.add_source(move || stored(&of));
    let of = travel.clone();
    metrics.add_source(move || travelled(&of));
    let of = Arc::clone(collector);
    metrics.add_source(move || collected(&of));
}

fn gauge(name: &'static str, help: &'static str, value: u64) -> Family {
    Family::single(name, Kind::Gauge, help, value)
}

fn counter(name: &'static str, help: &'static str, value: u64) -> Family {
    Family::single(name, Kind::Counter, help, value)
}

fn stored(storage: &Storage) -> Vec<Family> {
    let (counts, cache, quotas) = (storage.index().counts(), storage.cache().usage(), storage.usages());
    let of_quotas = |name, help, of: fn(&crate::storage::Usage) -> u64| {
        let values = quotas.iter().map(|usage| (usage.namespace.to_string(), of(usage)));
        Family::labelled(name, Kind::Gauge, help, "namespace", values)
    };
    vec![
        gauge("leafbox_registry_uploads_open", "Uploads under way.", counts.uploads as u64),
        gauge("leafbox_registry_repositories", "Repositories.", counts.repositories as u64),
        gauge("leafbox_registry_tags", "Tags.", counts.tags as u64),
        gauge("leafbox_registry_manifests", "Manifests.", counts.manifests as u64),
        gauge("leafbox_registry_blobs", "Blobs.", counts.blobs as u64),
        gauge(
            "leafbox_registry_storage_full",
            "1 while JetStream has no room for anything new.",
            u64::from(storage.chunks().room().is_full()),
        ),
        counter("leafbox_registry_cache_hits_total", "Blobs that were asked for and cached.", cache.hits),
        counter("leafbox_registry_cache_misses_total", "Blobs that were asked for and not.", cache.misses),
        gauge("leafbox_registry_cache_bytes", "Bytes of the cache on disk.", cache.bytes),
        gauge("leafbox_registry_cache_limit_bytes", "Bytes that it may have.", cache.limit),
        of_quotas("leafbox_registry_quota_bytes", "Bytes that a namespace may have.", |usage| usage.quota),
        of_quotas("leafbox_registry_quota_used_bytes", "Bytes that it has.", |usage| usage.stored),
        of_quotas(
            "leafbox_registry_quota_reserved_bytes",
            "Bytes that its uploads under way may still bring.",
            |usage| usage.reserved,
        ),
    ]
}

fn travelled(travel: &Travel) -> Vec<Family> {
    let (fetches, announcements) = travel.backlog();
    let bytes = travel.counters().now();
    let values = [
        ("from_hub", bytes.from_hub),
        ("from_leaves", bytes.from_leaves),
        ("from_upstreams", bytes.from_upstreams),
        ("sent", bytes.sent),
    ];
    let values = values.map(|(way, bytes)| (way.to_owned(), bytes));
    vec![
        gauge("leafbox_registry_travel_fetches", "Blobs on their way here.", fetches as u64),
        gauge(
            "leafbox_registry_travel_announcements",
            "Tags that wait to be at the hub too.",
            announcements as u64,
        ),
        Family::labelled(
            "leafbox_registry_travel_bytes_total",
            Kind::Counter,
            "Bytes that travelled.",
            "way",
            values,
        ),
    ]
}

fn collected(collector: &Collector) -> Vec<Family> {
    let (totals, _) = collector.totals();
    vec![
        counter("leafbox_registry_gc_passes_total", "Collections that came to an end.", totals.passes),
        counter("leafbox_registry_gc_failures_total", "Collections that did not.", totals.failures),
        counter("leafbox_registry_gc_freed_bytes_total", "Bytes freed in the stream.", totals.bytes),
        counter("leafbox_registry_gc_blobs_total", "Blobs purged.", totals.blobs),
        counter("leafbox_registry_gc_uploads_total", "Uploads that expired.", totals.uploads),
    ]
}
