//! Blobs and those who look into them: who may read what, what was said, and the job that asks.
//!
//! The job is a step that is repeated: it lets an engine that is new to the log begin with the blobs that are there, and shows
//! it those that wait. What must hold: a step that dies anywhere leaves every blob judged or waiting; two servers that run the
//! job at once do the work twice, and no harm; a blob that fails each time is tried less and less often.
//!
//! *Next:* `decide/scans.rs` for the rules, [`ScanRecord`](crate::blob::ScanRecord) for what counts.

use super::blobs::refuse_fault;
use super::{Server, refuse_store};
use crate::blob::{Engine, ScanPolicy, ScanRecord, ScanTerms, Unread};
use crate::call::{Advice, ErrorCode, Refusal, Reply};
use crate::codec::DecodeError;
use crate::decide::{
    self, BlobFault, ScanPage, Unscanned, blob_key, blob_notes, contents_of, scan_key, scan_notes, scan_of, scan_reads,
    scan_terms_key, scan_terms_of, unscanned_notes,
};
use crate::digest::BlobId;
use crate::id::LogKey;
use crate::limits;
use crate::store::{ByteRange, ScanError, Scanner, StoreExt};
use crate::time::Env;

/// What a step of scanning did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs, reason = "plain counts")]
pub struct ScannedBlobs {
    /// Blobs that were judged.
    pub judged: usize,
    /// Blobs that wait on, because something went wrong.
    pub failed: usize,
    /// What went wrong last, for an operator.
    pub fault: Option<String>,
    /// Whether the step ended before what there is to do.
    pub more: bool,
}

impl Server {
    pub(super) async fn set_scanning(&self, log: LogKey, policy: ScanPolicy) -> Result<Reply, Refusal> {
        self.blob_store()?;
        let reads = scan_reads(std::iter::empty());
        self.blob_rule(log, reads, move |view| decide::set_scanning(log, policy, view)).await?;
        Ok(Reply::Done)
    }

    pub(super) async fn scans(&self, log: LogKey, after: Option<BlobId>, limit: usize) -> Result<Reply, Refusal> {
        if limit == 0 || limit > limits::LIST_ITEMS_MAX {
            let detail = format!("a listing has 1 to {} items", limits::LIST_ITEMS_MAX);
            return Err(Refusal::new(ErrorCode::LimitOutOfRange, detail));
        }
        self.bounds(log).await?;
        let policy = self.scan_terms(log).await?.policy;
        let after = after.map(scan_key);
        let notes = self.notes(log, &scan_notes(), after.as_ref(), limit).await?;
        let scans = notes.into_iter().map(|(_, note)| ScanRecord::from_bytes(note).map_err(unreadable));
        Ok(Reply::Scans { policy, scans: scans.collect::<Result<_, _>>()? })
    }

    pub(super) async fn release_blob(&self, log: LogKey, blob: BlobId, env: Env) -> Result<Reply, Refusal> {
        let reads = scan_reads([blob].into_iter());
        self.blob_rule(log, reads, move |view| decide::release_scan(log, blob, env.now, view)).await.and_then(found)
    }

    pub(super) async fn rescan_blob(&self, log: LogKey, blob: BlobId) -> Result<Reply, Refusal> {
        let reads = scan_reads([blob].into_iter());
        self.blob_rule(log, reads, move |view| decide::forget_scan(log, blob, view)).await.and_then(found)
    }

    pub(super) async fn scan_terms(&self, log: LogKey) -> Result<ScanTerms, Refusal> {
        let note = self.store.head(log, &scan_terms_key()).await.map_err(refuse_store)?;
        scan_terms_of(note.as_ref()).map_err(unreadable)
    }

    /// Whether a blob may be read.
    pub(super) async fn admit(&self, log: LogKey, blob: BlobId) -> Result<(), Refusal> {
        let note = self.store.head(log, &scan_key(blob)).await.map_err(refuse_store)?;
        let kept = scan_of(note.as_ref()).map_err(unreadable)?.filter(|kept| kept.blob == blob);
        // Most are clean, and then the policy does not matter.
        let policy = match &kept {
            Some(kept) if ScanRecord::admit(Some(kept), ScanPolicy::UntilClean).is_ok() => return Ok(()),
            _ => self.scan_terms(log).await?.policy,
        };
        ScanRecord::admit(kept.as_ref(), policy).map_err(|unread| {
            let code = match unread {
                Unread::Pending => ErrorCode::ScanPending,
                Unread::Quarantined(_) => ErrorCode::Quarantined,
                Unread::Rejected(_) => ErrorCode::ScanRejected,
            };
            Refusal::new(code, unread.to_string())
        })
    }

    /// Shows up to `limit` blobs of a log to a scanner, those that wait after one on; says what was done and where to go on,
    /// `None` at the end of those that wait. A log that is not scanned costs one read.
    ///
    /// # Errors
    /// [`ErrorCode::Unavailable`] when the scanner does not say who it is; nothing was changed. [`ErrorCode::NoBlobs`], else
    /// the stores' failures: what was judged before stays judged. A blob that fails is counted and waits: a minute, then twice
    /// as long each time, at most six hours; until then it is passed over.
    pub async fn scan_blobs(
        &self,
        log: LogKey,
        scanner: &dyn Scanner,
        after: Option<BlobId>,
        limit: usize,
        env: Env,
    ) -> Result<(ScannedBlobs, Option<BlobId>), Refusal> {
        self.blob_store()?;
        let terms = self.scan_terms(log).await?;
        if terms.policy == ScanPolicy::Off {
            return Ok((ScannedBlobs::default(), None));
        }
        let engine = scanner.engine().await.map_err(|error| down(&error))?;
        let engine = Engine::new(&engine.name, engine.version);
        let mut done = ScannedBlobs { more: self.queue_page(log, terms, &engine, limit).await?, ..Default::default() };
        let after = after.map(decide::unscanned_key);
        let waiting = self.notes(log, &unscanned_notes(), after.as_ref(), limit).await?;
        let waiting = waiting.iter().map(|(_, note)| Unscanned::from_bytes(note).map_err(unreadable));
        let waiting: Vec<Unscanned> = waiting.collect::<Result<_, _>>()?;
        let next = waiting.last().map(|last| last.blob).filter(|_| waiting.len() >= limit);
        // One that fails each time must not take its time from the others in every round.
        for due in waiting.iter().filter(|waiting| waiting.not_before <= env.now) {
            match self.scan_one(log, scanner, &engine, due.blob, env).await? {
                Ok(judged) => done.judged += usize::from(judged),
                Err(fault) => (done.failed, done.fault) = (done.failed + 1, Some(fault)),
            }
        }
        done.more |= next.is_some();
        Ok((done, next))
    }

    /// Goes a page further with an engine that is new here; whether there is more.
    async fn queue_page(&self, log: LogKey, terms: ScanTerms, engine: &Engine, limit: usize) -> Result<bool, Refusal> {
        let terms = terms.seen(engine);
        if terms.passed {
            return Ok(false);
        }
        let after = terms.at.map(blob_key);
        let page = self.store.heads(log, &blob_notes(), after.as_ref(), limit).await.map_err(refuse_store)?;
        let last = page.heads.last().map(|(_, head)| decide::blob_of(Some(head)).map_err(unreadable)).transpose()?;
        let next = last.flatten().map(|record| record.blob).filter(|_| page.more);
        let page = ScanPage { from: terms.at, blobs: contents_of(&page.heads).map_err(unreadable)?, next };
        let (engine, reads) = (engine.clone(), scan_reads(page.blobs.iter().copied()));
        self.blob_rule(log, reads, move |view| decide::queue_scans(log, &engine, &page, view)).await?;
        Ok(next.is_some())
    }

    /// Has one blob judged, if it is due; whether it was, or why it waits on.
    async fn scan_one(
        &self,
        log: LogKey,
        scanner: &dyn Scanner,
        engine: &Engine,
        blob: BlobId,
        env: Env,
    ) -> Result<Result<bool, String>, Refusal> {
        let (reads, engine) = (scan_reads([blob].into_iter()), engine.clone());
        let note = self.store.head(log, &scan_key(blob)).await.map_err(refuse_store)?;
        let kept = scan_of(note.as_ref()).map_err(unreadable)?;
        let found = match self.find(log, blob).await {
            Ok(found) => Some(found).filter(|_| ScanRecord::is_due(kept.as_ref(), &engine)),
            Err(refusal) if matches!(refusal.code, ErrorCode::BlobNotFound | ErrorCode::ManifestWrong) => None,
            Err(refusal) => return Err(refusal),
        };
        let Some(found) = found else {
            self.blob_rule(log, reads, move |view| decide::settle_scan(log, blob, &engine, view)).await?;
            return Ok(Ok(false));
        };
        // A blob that cannot be read must not keep the others waiting.
        let finding = match self.open_found(log, &found, ByteRange::default()).await {
            Ok(mut bytes) => scanner.scan(found.size(), &mut *bytes).await.map_err(|error| {
                let is_its_own = !matches!(error, ScanError::Down(_));
                (is_its_own, error.to_string())
            }),
            Err(refusal) => Err((refusal.code.advice() != Advice::Retry, refusal.to_string())),
        };
        match finding {
            Ok(finding) => {
                let said = ScanRecord::of(blob, engine, finding, env.now);
                self.blob_rule(log, reads, move |view| decide::keep_scan(log, &said, view)).await?;
                Ok(Ok(true))
            }
            Err((is_its_own, fault)) => {
                if is_its_own {
                    self.blob_rule(log, reads, move |view| decide::put_off_scan(log, blob, env.now, view)).await?;
                }
                Ok(Err(format!("{blob}: {fault}")))
            }
        }
    }
}

fn found(there: bool) -> Result<Reply, Refusal> {
    if there { Ok(Reply::Done) } else { Err(Refusal::new(ErrorCode::BlobNotFound, "nothing is said of such a blob")) }
}

fn unreadable(error: DecodeError) -> Refusal {
    refuse_fault(BlobFault::Unreadable(error))
}

fn down(error: &ScanError) -> Refusal {
    Refusal::new(ErrorCode::Unavailable, error.to_string())
}
