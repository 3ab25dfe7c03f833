//! One blob on its way here: shared by everybody who wants it, tried again until it is here or nobody
//! wants it any more, and begun where it stopped, also after a restart.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
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
    source::{Bytestream, Source},
};
use crate::{
    Digest, Repository, UploadId,
    records::{Seconds, UploadRecord, now},
};

/// How long a blob that a client asked for is tried for after the last one asked.
const WANTED: Duration = Duration::from_secs(300);
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How far a blob is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// Its bytes, once they are known.
    pub(crate) size: Option<u64>,
    /// How many are stored here.
    pub(crate) offset: u64,
    /// The upload that they are in.
    pub(crate) upload: Option<UploadId>,
    /// Bytes come at the moment.
    pub(crate) flows: bool,
    /// Attempts that failed.
    pub(crate) failures: u64,
    /// Why the last of them did.
    pub(crate) error: Option<TravelError>,
    /// It is here, or will not come.
    pub(crate) ended: Option<Result<(), TravelError>>,
}

/// Who wants a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// A client waits for it.
    Client,
    /// A manifest here needs it, and goes on needing it.
    Kept,
}

/// One blob on its way here.
#[derive(Debug)]
pub(crate) struct Fetch {
    pub(crate) digest: Digest,
    pub(crate) source: Source,
    pub(crate) since: Seconds,
    /// The repositories that are to have it.
    repositories: Mutex<BTreeSet<Repository>>,
    pub(crate) progress: watch::Sender<Progress>,
    /// Until when a client is thought to want it.
    client: Mutex<Option<Instant>>,
    kept: AtomicBool,
    /// Somebody asked: no more waiting.
    nudge: Notify,
}

impl Fetch {
    pub(crate) fn new(digest: Digest, source: Source, repository: Repository) -> Self {
        Self {
            digest,
            source,
            since: now(),
            repositories: Mutex::new(BTreeSet::from([repository])),
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

    pub(crate) fn repositories(&self) -> Vec<Repository> {
        self.repositories.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub(crate) fn has(&self, repository: &Repository) -> bool {
        self.repositories.lock().unwrap_or_else(PoisonError::into_inner).contains(repository)
    }

    /// Another repository is to have it too, of which the source said that it has it there.
    pub(crate) fn join(&self, repository: Repository) {
        self.repositories.lock().unwrap_or_else(PoisonError::into_inner).insert(repository);
    }

    /// Tries until it is here, or cannot come, or nobody wants it any more.
    pub(super) async fn run(&self, core: &Core) -> Result<(), TravelError> {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        loop {
            let before = self.progress.borrow().offset;
            let attempt = core.stop.run_until_cancelled(self.attempt(core)).await;
            let error = match attempt {
                None => return Err(TravelError::Stopping),
                Some(Ok(())) => return Ok(()),
                Some(Err(error)) if error.is_final() => return Err(error),
                Some(Err(error)) => error,
            };
            if self.progress.borrow().offset > before {
                backoff.reset();
            }
            tracing::debug!(blob.digest = %self.digest, "{} waits: {error}", self.digest);
            self.progress.send_modify(|progress| {
                progress.flows = false;
                progress.failures += 1;
                progress.error = Some(error.clone());
            });
            if !self.is_wanted() {
                return Err(error);
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.wait()) => {}
                () = self.nudge.notified() => {}
                () = core.stop.cancelled() => return Err(TravelError::Stopping),
            }
        }
    }

    async fn attempt(&self, core: &Core) -> Result<(), TravelError> {
        let _slot = self.slot(core).await?;
        let landing = Landing::new(core, &self.digest, &self.source);
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
                    self.go_on(core, &landing, upload, &record).await?;
                    break (record.repository.clone(), upload);
                }
                Place::Nowhere => {
                    if let Some(begun) = self.begin(core, &landing).await? {
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
        upload: UploadId,
        record: &UploadRecord,
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
        let opened = self.source.open(&self.first()?, &self.digest, record.offset).await?;
        if opened.size != size {
            landing.cancel(&record.repository, upload).await?;
            return Err(self.source.tampered(&self.digest));
        }
        self.receive(core, landing, &record.repository, upload, opened).await
    }

    /// Begins an upload and brings it to its end; `None` when another daemon was faster.
    async fn begin(
        &self,
        core: &Core,
        landing: &Landing<'_>,
    ) -> Result<Option<(Repository, UploadId)>, TravelError> {
        let first = self.first()?;
        self.progress.send_modify(|progress| (progress.offset, progress.upload) = (0, None));
        let opened = self.source.open(&first, &self.digest, 0).await?;
        let upload = landing.begin(&first, opened.size).await?;
        if !landing.is_first(upload).await? {
            landing.cancel(&first, upload).await?;
            return Ok(None);
        }
        self.receive(core, landing, &first, upload, opened).await?;
        Ok(Some((first, upload)))
    }

    /// Stores what comes of an upload, from where it is.
    async fn receive(
        &self,
        core: &Core,
        landing: &Landing<'_>,
        repository: &Repository,
        upload: UploadId,
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
            core.counters.arrived(&self.source.side(), stored - offset);
            self.progress.send_modify(|progress| progress.offset = stored);
            if let Some(error) = error {
                return Err(error);
            }
            offset = stored;
        }
        Ok(())
    }

    /// A repository in which the source has the blob.
    fn first(&self) -> Result<Repository, TravelError> {
        self.repositories().into_iter().next().ok_or(TravelError::Stopping)
    }

    /// Gives it to each repository that is to have it, where the source has it in that repository.
    async fn share(&self, core: &Core) -> Result<(), TravelError> {
        for repository in self.repositories() {
            if core.storage.blob(&repository, &self.digest).await?.is_some() {
                continue;
            }
            if self.source.stat(&repository, &self.digest).await?.is_none() {
                return Err(TravelError::Unknown { side: self.source.side() });
            }
            core.storage.mount(&repository, &self.digest, None).await?;
        }
        Ok(())
    }

    /// Few blobs that nobody waits for travel at a time, so that the link is free for those that
    /// somebody does wait for.
    async fn slot(&self, core: &Core) -> Result<OwnedSemaphorePermit, TravelError> {
        while !self.is_urgent() {
            tokio::select! {
                slot = self.source.kept().acquire_owned() => return slot.map_err(|_| TravelError::Stopping),
                () = self.nudge.notified() => {}
            }
        }
        core.fetches.clients.clone().acquire_owned().await.map_err(|_| TravelError::Stopping)
    }
}

/// The fetches under way.
pub(crate) type Shared = Arc<Fetch>;
