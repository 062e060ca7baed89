//! What scanners say of a log's blobs, kept beside the log in its own transactions.
//!
//! What is judged is a blob, or a file in pieces under its own SHA-256: pieces of something bad may be good one by one.
//!
//! Three kinds of notes: the log's [terms](ScanTerms), one; a [record](ScanRecord) for each blob that was judged; and a place
//! in the queue for each that waits, made in the transaction that stores the blob, so that none is forgotten whoever dies.
//! What must hold: a blob that waits stays in the queue until a verdict on it is kept.

use super::blobs::{BlobFault, blob_key, blob_notes, blob_of};
use super::manifests::{file_key, manifest_of};
use super::{Choice, Forget, LogWrites, Reads, View, note_head};
use crate::blob::{Engine, Listed, ScanPolicy, ScanRecord, ScanTerms};
use crate::codec::DecodeError;
use crate::digest::BlobId;
use crate::id::{EntityId, LogKey};
use crate::oplog::{Collection, EntityKey, Head};
use crate::time::Timestamp;

/// The note of a log's terms.
#[must_use]
pub fn scan_terms_key() -> EntityKey {
    EntityKey { collection: Collection::system("sys.scanning"), entity: EntityId::from_bytes([0; 16]) }
}

/// The notes of blobs that were judged.
#[must_use]
pub fn scan_notes() -> Collection {
    Collection::system("sys.scan")
}

/// The notes of blobs that wait.
#[must_use]
pub fn unscanned_notes() -> Collection {
    Collection::system("sys.unscanned")
}

/// The note of what was said of a blob; found like [the blob's own](blob_key).
#[must_use]
pub fn scan_key(blob: BlobId) -> EntityKey {
    EntityKey { collection: scan_notes(), ..blob_key(blob) }
}

/// The place of a blob in the queue.
#[must_use]
pub fn unscanned_key(blob: BlobId) -> EntityKey {
    EntityKey { collection: unscanned_notes(), ..blob_key(blob) }
}

/// A log's terms, by the note.
///
/// # Errors
/// When it does not read.
pub fn scan_terms_of(note: Option<&Head>) -> Result<ScanTerms, DecodeError> {
    note.and_then(Head::live_state)
        .map_or_else(|| Ok(ScanTerms::default()), |state| ScanTerms::from_bytes(state.clone()))
}

/// What was said of a blob, by the note.
///
/// # Errors
/// When it does not read.
pub fn scan_of(note: Option<&Head>) -> Result<Option<ScanRecord>, DecodeError> {
    note.and_then(Head::live_state).map(|state| ScanRecord::from_bytes(state.clone())).transpose()
}

/// What the rules on what is said of these blobs read.
#[must_use]
pub fn scan_reads(blobs: impl Iterator<Item = BlobId>) -> Reads {
    let keys = blobs.flat_map(|blob| [blob_key(blob), file_key(blob), scan_key(blob), unscanned_key(blob)]);
    let mut heads: Vec<EntityKey> = keys.chain([scan_terms_key()]).collect();
    heads.sort_unstable();
    heads.dedup();
    Reads { heads, ..Reads::default() }
}

/// A place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a row")]
pub struct Unscanned {
    /// Whose.
    pub blob: BlobId,
    /// How often it failed there.
    pub failures: u32,
    /// When it is tried again.
    pub not_before: Timestamp,
}

/// How long a blob that failed waits; twice as long with each failure.
const PUT_OFF_MS: u64 = 60_000;
/// How long at most: what always fails costs its time four times a day.
const PUT_OFF_MS_MAX: u64 = 6 * 60 * 60 * 1_000;

impl Unscanned {
    /// One that is due at once.
    #[must_use]
    pub fn new(blob: BlobId) -> Self {
        Self { blob, failures: 0, not_before: Timestamp::default() }
    }

    /// The same after one more failure.
    #[must_use]
    pub fn failed(self, now: Timestamp) -> Self {
        let wait_ms = PUT_OFF_MS.saturating_mul(1 << self.failures.min(32)).min(PUT_OFF_MS_MAX);
        Self { failures: self.failures.saturating_add(1), not_before: now.plus_ms(wait_ms), ..self }
    }

    /// Its bytes: the blob's name; of one that failed, how often and until when (ms since 1970), big-endian, behind it.
    #[must_use]
    pub fn to_bytes(&self) -> bytes::Bytes {
        let mut out = self.blob.as_bytes().to_vec();
        if self.failures > 0 {
            out.extend_from_slice(&self.failures.to_be_bytes());
            out.extend_from_slice(&self.not_before.ms().to_be_bytes());
        }
        out.into()
    }

    /// The inverse of [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// When the bytes are not canonical.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let bad = || DecodeError::NotCanonical("a place in the queue");
        let (name, rest) = bytes.split_first_chunk::<32>().ok_or_else(bad)?;
        let fresh = Self::new(BlobId::from_bytes(*name));
        let Some((failures, until)) = rest.split_first_chunk::<4>() else {
            return if rest.is_empty() { Ok(fresh) } else { Err(bad()) };
        };
        let until = <[u8; 8]>::try_from(until).ok().map(u64::from_be_bytes);
        let not_before = until.and_then(Timestamp::from_ms).ok_or_else(bad)?;
        let failures = Some(u32::from_be_bytes(*failures)).filter(|failures| *failures > 0).ok_or_else(bad)?;
        Ok(Self { failures, not_before, ..fresh })
    }
}

/// What the rules have read of the blobs and are about to write.
struct Book<'v> {
    view: &'v View,
    log: LogKey,
    writes: LogWrites,
    gone: Vec<EntityKey>,
}

impl<'v> Book<'v> {
    fn open(log: LogKey, view: &'v View) -> Result<Self, BlobFault> {
        let bounds = view.log(log).bounds.clone().ok_or(BlobFault::NoLog)?;
        Ok(Self { view, log, writes: LogWrites::new(log, bounds), gone: Vec::new() })
    }

    fn note(&self, key: &EntityKey) -> Option<&'v Head> {
        self.view.log(self.log).heads.get(key)
    }

    /// Whether it is somebody's content and its bytes are there, or its pieces.
    fn is_there(&self, blob: BlobId) -> Result<bool, DecodeError> {
        let record = blob_of(self.note(&blob_key(blob)))?;
        let own = record.is_some_and(|record| record.blob == blob && !record.pack && record.readable().is_some());
        Ok(own || manifest_of(self.note(&file_key(blob))).is_some())
    }

    fn scan(&self, blob: BlobId) -> Result<Option<ScanRecord>, DecodeError> {
        Ok(scan_of(self.note(&scan_key(blob)))?.filter(|kept| kept.blob == blob))
    }

    fn set(&mut self, key: EntityKey, state: bytes::Bytes) {
        if let Some(bounds) = &self.writes.bounds {
            let head = note_head(bounds, state);
            self.writes.heads.push((key, head));
        }
    }

    /// Puts a blob that is not there yet into the queue, or forgets that it failed there.
    fn queue(&mut self, blob: BlobId) {
        let fresh = Unscanned::new(blob).to_bytes();
        if self.note(&unscanned_key(blob)).and_then(Head::live_state) != Some(&fresh) {
            self.set(unscanned_key(blob), fresh);
        }
    }

    fn forget(&mut self, key: EntityKey) {
        if self.note(&key).is_some() {
            self.gone.push(key);
        }
    }

    fn done<R>(mut self, answer: R) -> Choice<Result<R, BlobFault>> {
        if self.writes.heads.is_empty() && self.gone.is_empty() {
            return Choice::Done(Ok(answer), None);
        }
        if !self.gone.is_empty() {
            self.writes.forget = Forget::Heads(self.gone);
        }
        Choice::Done(Ok(answer), Some(self.writes.alone()))
    }
}

fn decide<R>(
    log: LogKey,
    view: &View,
    rule: impl FnOnce(&mut Book<'_>) -> Result<R, BlobFault>,
) -> Choice<Result<R, BlobFault>> {
    let judged = Book::open(log, view).and_then(|mut book| rule(&mut book).map(|answer| (book, answer)));
    match judged {
        Ok((book, answer)) => book.done(answer),
        Err(fault) => Choice::Done(Err(fault), None),
    }
}

/// Says whether a log's blobs are scanned from now on. What was found stays found. Needs [`scan_reads`].
#[must_use]
pub fn set_scanning(log: LogKey, policy: ScanPolicy, view: &View) -> Choice<Result<(), BlobFault>> {
    decide(log, view, |book| {
        let mut terms = scan_terms_of(book.note(&scan_terms_key()))?;
        if terms.policy == policy {
            return Ok(());
        }
        // What comes while nothing is scanned is in no queue.
        if policy == ScanPolicy::Off || terms.policy == ScanPolicy::Off {
            terms = ScanTerms::default();
        }
        terms.policy = policy;
        book.set(scan_terms_key(), terms.to_bytes());
        Ok(())
    })
}

/// Keeps what an engine said, unless something newer is kept or the blob has gone; whether it counts. The blob waits no more
/// unless a newer engine has been seen since. Needs [`scan_reads`] of it.
#[must_use]
pub fn keep_scan(log: LogKey, said: &ScanRecord, view: &View) -> Choice<Result<bool, BlobFault>> {
    decide(log, view, |book| {
        let (there, kept) = (book.is_there(said.blob)?, book.scan(said.blob)?);
        let counts = there && kept.as_ref().is_none_or(|kept| kept.yields_to(said));
        if counts {
            book.set(scan_key(said.blob), said.to_bytes());
        }
        let kept = if counts { Some(said) } else { kept.as_ref() };
        let terms = scan_terms_of(book.note(&scan_terms_key()))?;
        if !there || !terms.engine.as_ref().is_some_and(|newest| ScanRecord::is_due(kept, newest)) {
            book.forget(unscanned_key(said.blob));
        }
        Ok(counts)
    })
}

/// Keeps what was said of bytes in another log, unless something newer is kept, for a blob that comes here next. Needs
/// [`scan_reads`] of it.
#[must_use]
pub fn bring_scan(log: LogKey, said: &ScanRecord, view: &View) -> Choice<Result<(), BlobFault>> {
    decide(log, view, |book| {
        if book.scan(said.blob)?.is_none_or(|kept| kept.yields_to(said)) {
            book.set(scan_key(said.blob), said.to_bytes());
        }
        Ok(())
    })
}

/// Lets a blob wait no more that is gone, or was judged by the newest engine. Needs [`scan_reads`] of it.
#[must_use]
pub fn settle_scan(log: LogKey, blob: BlobId, engine: &Engine, view: &View) -> Choice<Result<(), BlobFault>> {
    decide(log, view, |book| {
        let terms = scan_terms_of(book.note(&scan_terms_key()))?;
        let newest = terms.engine.as_ref().unwrap_or(engine);
        if !book.is_there(blob)? || !ScanRecord::is_due(book.scan(blob)?.as_ref(), newest) {
            book.forget(unscanned_key(blob));
        }
        Ok(())
    })
}

/// A blob failed, and waits longer for the next try with each time; nothing is noted of one that waits no more. Needs
/// [`scan_reads`] of it.
#[must_use]
pub fn put_off_scan(log: LogKey, blob: BlobId, now: Timestamp, view: &View) -> Choice<Result<(), BlobFault>> {
    decide(log, view, |book| {
        let key = unscanned_key(blob);
        if let Some(note) = book.note(&key).and_then(Head::live_state) {
            let before = Unscanned::from_bytes(note)?;
            if before.blob == blob {
                book.set(key, before.failed(now).to_bytes());
            }
        }
        Ok(())
    })
}

/// A page of a log's blobs, for an engine that is new to them.
#[derive(Debug, Clone)]
#[allow(clippy::exhaustive_structs, reason = "arguments of one rule")]
pub struct ScanPage {
    /// After this one.
    pub from: Option<BlobId>,
    /// These.
    pub blobs: Vec<BlobId>,
    /// The last of them; `None` at the end of all.
    pub next: Option<BlobId>,
}

/// Notes that an engine was seen, and goes a page further through the blobs that were there before it: those that are due
/// get a place in the queue. Nothing happens when somebody else went further meanwhile. Needs [`scan_reads`] of the page.
#[must_use]
pub fn queue_scans(log: LogKey, engine: &Engine, page: &ScanPage, view: &View) -> Choice<Result<(), BlobFault>> {
    decide(log, view, |book| {
        let mut terms = scan_terms_of(book.note(&scan_terms_key()))?.seen(engine);
        if terms.policy == ScanPolicy::Off || terms.passed || terms.at != page.from {
            return Ok(());
        }
        let newest = terms.engine.as_ref().unwrap_or(engine);
        for blob in page.blobs.iter().copied() {
            if book.is_there(blob)? && ScanRecord::is_due(book.scan(blob)?.as_ref(), newest) {
                book.queue(blob);
            }
        }
        (terms.at, terms.passed) = (page.next, page.next.is_none());
        book.set(scan_terms_key(), terms.to_bytes());
        Ok(())
    })
}

/// Lets a blob be read, whatever was found in it; `false` when it is not there. Needs [`scan_reads`] of it.
#[must_use]
pub fn release_scan(log: LogKey, blob: BlobId, now: Timestamp, view: &View) -> Choice<Result<bool, BlobFault>> {
    decide(log, view, |book| {
        if !book.is_there(blob)? {
            return Ok(false);
        }
        let kept = book.scan(blob)?;
        book.set(scan_key(blob), ScanRecord::released(blob, kept, now).to_bytes());
        book.forget(unscanned_key(blob));
        Ok(true)
    })
}

/// Forgets what was said of a blob, and has it judged again where blobs are scanned; `false` when nothing is said of it.
/// Needs [`scan_reads`] of it.
#[must_use]
pub fn forget_scan(log: LogKey, blob: BlobId, view: &View) -> Choice<Result<bool, BlobFault>> {
    decide(log, view, |book| {
        let known = book.scan(blob)?.is_some();
        if known {
            book.forget(scan_key(blob));
            let scanned = scan_terms_of(book.note(&scan_terms_key()))?.policy != ScanPolicy::Off;
            if scanned && book.is_there(blob)? {
                book.queue(blob);
            }
        }
        Ok(known)
    })
}

/// The blobs of a page of [their notes](blob_notes) that are somebody's content, and the files that manifests among them make.
///
/// # Errors
/// When a note does not read.
pub fn contents_of(notes: &[(EntityKey, Head)]) -> Result<Vec<BlobId>, DecodeError> {
    debug_assert!(notes.iter().all(|(key, _)| key.collection == blob_notes()));
    let mut blobs = Vec::with_capacity(notes.len());
    for (_, head) in notes {
        if let Some(record) = blob_of(Some(head))?.filter(|record| !record.pack) {
            let file = record.listed.filter(Listed::is_whole).map(|listed| listed.file);
            blobs.extend([Some(record.blob), file].into_iter().flatten());
        }
    }
    Ok(blobs)
}
