//! `leafbox registry gc`: a pass of the collector, now.

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use registry::{
    Storage,
    audit::Audit,
    collect::{Collector, Outcome, Policy, Report, Step},
    records::now,
};

use super::{audited::audited, list::when, storage};
use crate::{
    figures::{amount, count, span},
    say,
    session::Session,
};

pub(super) async fn run(session: &Session, dry_run: bool, at_once: bool, as_json: bool) -> Result<()> {
    let mut policy = Policy::from(&session.settings.fleet.registry);
    if at_once {
        policy.grace = 0;
    }
    let name = format!("leafbox registry gc on {}", session.settings.node.name);
    let report = if dry_run {
        Collector::new(storage::open(session).await?, policy, name).rehearse().await?
    } else {
        let collects = async |storage: &Storage, audit: &Audit| {
            collect(&Collector::new(storage.clone(), policy, name).audited_by(audit.clone())).await
        };
        audited(session, collects).await?
    };
    if as_json {
        say!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report, session.settings.fleet.registry.grace.0.as_secs());
    }
    Ok(())
}

/// One pass, while it is shown how far it is.
async fn collect(collector: &Collector) -> Result<Report> {
    let bar = ProgressBar::no_length();
    bar.set_style(ProgressStyle::with_template("{spinner} {msg}")?);
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    let shown = bar.clone();
    let outcome = collector.pass(&move |step| shown.set_message(words(step))).await;
    bar.finish_and_clear();
    match outcome? {
        Outcome::Done(report) => Ok(report),
        Outcome::Busy(lease) => bail!(
            "{} collects at the moment: try again when it is done, in {} at the latest if it died",
            lease.holder,
            span(lease.until.saturating_sub(now()))
        ),
    }
}

fn words(step: Step) -> String {
    match step {
        Step::Tags => "tags, by retention".to_owned(),
        Step::Manifests => "manifests that no tag leads to".to_owned(),
        Step::Links => "blobs that no manifest mentions".to_owned(),
        Step::Blobs { done, all } => format!("purging blobs: {done} of {all}"),
        Step::Stray => "chunks that belong to nothing".to_owned(),
        Step::Uploads => "uploads that have expired".to_owned(),
    }
}

fn print(report: &Report, grace: u64) {
    let verb = if report.dry_run { "would delete" } else { "deleted" };
    let rows = [
        (report.tags, "tag", "by the rules in `registry.retain`"),
        (report.manifests, "manifest", "to which no tag leads"),
        (report.links, "link", "to blobs that no manifest of their repository mentions"),
    ];
    for (number, thing, why) in rows {
        if number > 0 {
            say!("{verb} {} {why}", count(number, thing));
        }
    }
    if report.blobs > 0 {
        say!("{verb} {} that no repository has: {}", count(report.blobs, "blob"), amount(report.bytes));
    }
    if report.uploads > 0 {
        say!(
            "{verb} {} that came to nothing: {}",
            count(report.uploads, "upload"),
            amount(report.upload_bytes)
        );
    }
    if report.stray > 0 {
        say!("{verb} the chunks of {} that nothing knows", count(report.stray, "upload"));
    }
    if report.is_empty() {
        say!("there is nothing to {}", if report.dry_run { "delete now" } else { "delete" });
    }
    if let Some(next) = report.next {
        say!(
            "{} in use no more, {} that nothing else keeps: deleted from {} on",
            if report.waiting == 1 { "1 more is".to_owned() } else { format!("{} more are", report.waiting) },
            amount(report.waiting_bytes),
            when(next)
        );
        say!("(`registry.grace` in fleet.toml is {}; --now does not wait)", span(grace));
    }
    if report.unreadable > 0 {
        say!(
            "{} of another version of leafbox: no blob is deleted until this node has that version",
            count(report.unreadable, "record")
        );
    }
    if report.touched > 0 {
        say!("{} left alone, since somebody came to use it meanwhile", report.touched);
    }
    if report.blobs + report.uploads + report.stray > 0 && !report.dry_run {
        say!("The space is free in JetStream now; the disk follows minutes later (`leafbox registry du`).");
    }
}
