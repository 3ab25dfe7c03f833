//! One blob on its way here: shared by everybody who wants it, tried again from each who may have it
//! until it is here or nobody wants it any more, and begun where it stopped, also after a restart.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use runtime::Backoff;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, watch},
    time::Instant,
};

use super::{
    Core,
    error::TravelError,
    flight::Opened,
    landing::{Landing, Place},
    progress::{Progress, Urgency},
    source::{Bytestream, Source},
    wants::{Want, Wants},
};
use crate::{
    Digest, Repository, UploadId,
    records::{Seconds, UploadRecord, now},
};

/// How long a blob that a client asked for is tried for after the last one asked.
const WANTED: Duration = Duration::from_secs(300);
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Between two attempts while the storage is full: each costs a window of the link, and what makes room
/// takes its time.
const FULL_WAIT: Duration = Duration::from_secs(300);

/// One blob on its way here.
#[derive(Debug)]
pub(crate) struct Fetch {
    pub(crate) digest: Digest,
    pub(crate) since: Seconds,
    wants: Mutex<Wants>,
    pub(crate) progress: watch::Sender<Progress>,
    /// Until when a client is thought to want it.
    client: Mutex<Option<Instant>>,
    kept: AtomicBool,
    /// Somebody asked: no more waiting.
    nudge: Notify,
}

impl Fetch {
    pub(crate) fn new(digest: Digest) -> Self {
        Self {
            digest,
            since: now(),
            wants: Mutex::default(),
            progress: watch::Sender::default(),
            client: Mutex::default(),
            kept: AtomicBool::new(false),
            nudge: Notify::new(),
        }
    }

    /// Somebody wants it.
    pub(crate) fn want(&self, urgency: Urgency) {
        match urgency {
            Urgency::Client => {
                let until = Instant::now() + WANTED;
                *self.client.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
                self.nudge.notify_one();
            }
            Urgency::Kept => self.kept.store(true, Ordering::Relaxed),
        }
    }

    /// Whether a client waits for it, or did a moment ago.
    pub(crate) fn is_urgent(&self) -> bool {
        let until = *self.client.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| until > Instant::now())
    }

    fn is_wanted(&self) -> bool {
        self.is_urgent() || self.kept.load(Ordering::Relaxed)
    }

    pub(super) fn wants(&self) -> MutexGuard<'_, Wants> {
        self.wants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The repositories that are to have it.
    pub(crate) fn repositories(&self) -> Vec<Repository> {
        let all: BTreeSet<Repository> = self.all_wants().into_iter().map(|want| want.repository).collect();
        all.into_iter().collect()
    }

    pub(super) fn all_wants(&self) -> Vec<Want> {
        self.wants().all().to_vec()
    }

    /// A repository is to have it. Where it may come from another side than before, that is tried at once.
    pub(crate) fn add(&self, want: Want) {
        if self.wants().add(want) {
            self.nudge.notify_one();
        }
    }

    /// Tries until it is here, or cannot come, or nobody wants it any more. Each who may have it is asked
    /// in turn; only after all of them is there a pause.
    pub(super) async fn run(&self, core: &Core) -> Result<(), TravelError> {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        let mut in_a_row = 0;
        let mut last = TravelError::Stopping;
        loop {
            let next = self.wants().next();
            let Some(want) = next else { return Err(last) };
            let before = self.progress.borrow().offset;
            let attempt = core.stop.run_until_cancelled(self.attempt(core, &want)).await;
            let error = match attempt {
                None => return Err(TravelError::Stopping),
                Some(Ok(())) => return Ok(()),
                Some(Err(error)) => error,
            };
            if self.progress.borrow().offset > before {
                backoff.reset();
            }
            last = error.clone();
            if error.is_final() {
                self.wants().refuse(&want, &error);
                self.progress.send_modify(|progress| progress.flows = false);
                continue;
            }
            self.wants().failed(&want);
            in_a_row += 1;
            let is_round = in_a_row >= self.wants().sides();
            self.note(&error, is_round);
            if !self.is_wanted() {
                return Err(error);
            }
            if is_round {
                in_a_row = 0;
                self.pause(core, if error.is_full() { FULL_WAIT } else { backoff.wait() }).await?;
            }
        }
    }

    fn note(&self, error: &TravelError, is_round: bool) {
        tracing::debug!(blob.digest = %self.digest, "{} waits: {error}", self.digest);
        self.progress.send_modify(|progress| {
            progress.flows = false;
            progress.failures += u64::from(is_round);
            progress.error = Some(error.clone());
        });
    }

    async fn pause(&self, core: &Core, wait: Duration) -> Result<(), TravelError> {
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(()),
            () = self.nudge.notified() => Ok(()),
            () = core.stop.cancelled() => Err(TravelError::Stopping),
        }
    }

    async fn attempt(&self, core: &Core, want: &Want) -> Result<(), TravelError> {
        let _slot = self.slot(core, &want.source).await?;
        let landing = Landing::new(core, &self.digest, &want.source);
        let (repository, upload) = loop {
            match landing.place() {
                Place::Here => return self.share(core).await,
                Place::Theirs(upload, record) => {
                    // Another brings it, of this hub or on this node: its record tells how far it is.
                    self.progress.send_modify(|progress| {
                        progress.size = record.travels.as_ref().map(|travels| travels.size);
                        progress.offset = record.offset;
                        progress.upload = Some(upload);
                        progress.flows = true;
                    });
                    landing.changed().await;
                }
                Place::Ours(upload, record) => {
                    self.go_on(core, &landing, want, (upload, &record)).await?;
                    break (record.repository.clone(), upload);
                }
                Place::Nowhere => {
                    if let Some(begun) = self.begin(core, &landing, want).await? {
                        break begun;
                    }
                }
            }
        };
        landing.commit(&repository, upload).await?;
        self.share(core).await
    }

    /// Goes on with an upload up to its end.
    async fn go_on(
        &self,
        core: &Core,
        landing: &Landing<'_>,
        want: &Want,
        (upload, record): (UploadId, &UploadRecord),
    ) -> Result<(), TravelError> {
        let size = record.travels.as_ref().map_or(0, |travels| travels.size);
        self.progress.send_modify(|progress| {
            progress.size = Some(size);
            progress.offset = record.offset;
            progress.upload = Some(upload);
        });
        if record.offset == size {
            return Ok(());
        }
        let opened = self.open(want, record.offset).await?;
        if opened.size != size {
            landing.cancel(&record.repository, upload).await?;
            return Err(want.source.tampered(&self.digest));
        }
        self.receive(core, landing, (&record.repository, upload), opened).await
    }

    /// Begins an upload and brings it to its end; `None` when another daemon was faster.
    async fn begin(
        &self,
        core: &Core,
        landing: &Landing<'_>,
        want: &Want,
    ) -> Result<Option<(Repository, UploadId)>, TravelError> {
        let first = want.repository.clone();
        self.progress.send_modify(|progress| (progress.offset, progress.upload) = (0, None));
        self.fits(core, want).await?;
        let opened = self.open(want, 0).await?;
        let upload = landing.begin(&first, opened.size).await?;
        if !landing.is_first(upload).await? {
            landing.cancel(&first, upload).await?;
            return Ok(None);
        }
        self.receive(core, landing, (&first, upload), opened).await?;
        Ok(Some((first, upload)))
    }

    /// Asks how long it is, where a quota may refuse it: to open it asks for its first bytes already, and
    /// a link may be paid by the byte.
    async fn fits(&self, core: &Core, want: &Want) -> Result<(), TravelError> {
        let Some(usage) = core.storage.usage(&want.repository) else { return Ok(()) };
        let size = want.source.stat(&want.repository, &self.digest).await?;
        let wanted = size.ok_or_else(|| TravelError::Unknown { side: want.source.side() })?;
        Ok(usage.check_ahead(wanted)?)
    }

    async fn open(&self, want: &Want, offset: u64) -> Result<Opened<Bytestream>, TravelError> {
        let opened = want.source.open(&want.repository, &self.digest, offset).await?;
        self.wants().know(want);
        Ok(opened)
    }

    /// Stores what comes of an upload, from where it is.
    async fn receive(
        &self,
        core: &Core,
        landing: &Landing<'_>,
        (repository, upload): (&Repository, UploadId),
        mut opened: Opened<Bytestream>,
    ) -> Result<(), TravelError> {
        let mut offset = self.progress.borrow().offset;
        self.progress.send_modify(|progress| {
            progress.size = Some(opened.size);
            progress.upload = Some(upload);
            progress.flows = true;
            progress.error = None;
        });
        while offset < opened.size {
            let (stored, error) = landing.append(repository, upload, offset, &mut opened.bytes).await?;
            core.counters.arrived(&landing.side(), stored - offset);
            self.progress.send_modify(|progress| progress.offset = stored);
            if let Some(error) = error {
                return Err(error);
            }
            offset = stored;
        }
        Ok(())
    }

    /// Few blobs that nobody waits for travel at a time, so that the link is free for those that
    /// somebody does wait for.
    async fn slot(&self, core: &Core, source: &Source) -> Result<OwnedSemaphorePermit, TravelError> {
        while !self.is_urgent() {
            tokio::select! {
                slot = source.kept().acquire_owned() => return slot.map_err(|_| TravelError::Stopping),
                () = self.nudge.notified() => {}
            }
        }
        core.fetches.clients.clone().acquire_owned().await.map_err(|_| TravelError::Stopping)
    }
}

/// The fetches under way.
pub(crate) type Shared = Arc<Fetch>;
