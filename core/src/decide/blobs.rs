//! What a log knows of its blobs, changed in a transaction: promised, stored, referred to, swept.
//!
//! Each blob has a note beside the log, and one note counts them all; so a commit that refers to a blob and the sweep that
//! would take it are serial, by the log's own lock. What must hold: a rule changes nothing when it answers with a refusal.
//! *Next:* [`blob::BlobRecord`](crate::blob::BlobRecord) is what happens to one.

use std::collections::BTreeMap;

use super::scans::{scan_key, scan_of, scan_terms_key, scan_terms_of, unscanned_key};
use super::{Choice, Forget, LogWrites, Reads, View, note_head};
use crate::blob::{BlobRecord, BlobRefused, BlobState, Need, Place, ScanPolicy, ScanState, Swept, Usage};
use crate::codec::DecodeError;
use crate::digest::BlobId;
use crate::id::{EntityId, LogKey};
use crate::oplog::{Collection, EntityKey, Head, LogBounds};
use crate::time::Timestamp;

/// Why nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlobFault {
    /// A blob cannot be taken.
    #[error(transparent)]
    Refused(#[from] BlobRefused),
    /// The log is not there.
    #[error("no such log")]
    NoLog,
    /// What is kept of a blob does not read.
    #[error("what is kept of a blob does not read: {0}")]
    Unreadable(#[from] DecodeError),
}

/// Bytes that came, and where they lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "arguments of one rule")]
pub struct Came {
    /// Which blob.
    pub blob: BlobId,
    /// Its bytes.
    pub size: u64,
    /// Where they lie.
    pub place: Place,
}

/// What a sweep found to delete; each is to be [forgotten](forget_blobs) once its bytes are gone.
pub type Going = Vec<(BlobId, Place)>;

/// The note of a blob. It is found by the first half of its name; the note says all of it.
#[must_use]
pub fn blob_key(blob: BlobId) -> EntityKey {
    let mut entity = [0; 16];
    entity.copy_from_slice(&blob.as_bytes()[..16]);
    EntityKey { collection: blob_notes(), entity: EntityId::from_bytes(entity) }
}

/// The notes of a log's blobs.
#[must_use]
pub fn blob_notes() -> Collection {
    Collection::system("sys.blob")
}

/// The note that counts a log's blobs.
#[must_use]
pub fn usage_key() -> EntityKey {
    EntityKey { collection: Collection::system("sys.blobs"), entity: EntityId::from_bytes([0; 16]) }
}

/// The record of a blob by its note.
///
/// # Errors
/// When the note does not read.
pub fn blob_of(note: Option<&Head>) -> Result<Option<BlobRecord>, DecodeError> {
    note.and_then(Head::live_state).map(|bytes| BlobRecord::from_bytes(bytes.clone())).transpose()
}

/// What a log's blobs take, by the note.
///
/// # Errors
/// When it does not read.
pub fn usage_of(note: Option<&Head>) -> Result<Usage, DecodeError> {
    note.and_then(Head::live_state).map_or(Ok(Usage::default()), |bytes| Usage::from_bytes(bytes.clone()))
}

/// What the rules on these blobs read.
#[must_use]
pub fn blob_reads(blobs: impl Iterator<Item = BlobId>) -> Reads {
    let mut heads: Vec<EntityKey> = blobs.map(blob_key).chain([usage_key()]).collect();
    heads.sort_unstable();
    heads.dedup();
    Reads { heads, ..Reads::default() }
}

/// The records a rule works on: what was read, under what it has changed so far.
#[derive(Debug)]
pub struct BlobBook {
    pub(super) bounds: LogBounds,
    usage: Usage,
    counted: Usage,
    records: BTreeMap<EntityKey, BlobRecord>,
    /// Whether what is stored now is to be scanned.
    scanned: bool,
    /// What is to wait for a scanner.
    unscanned: Vec<BlobId>,
    /// `None`: forgotten.
    changed: BTreeMap<EntityKey, Option<BlobRecord>>,
}

impl BlobBook {
    /// What was read of a log's blobs.
    ///
    /// # Errors
    /// When the log is not there, or a note does not read.
    pub fn open(log: LogKey, view: &View) -> Result<Self, BlobFault> {
        let seen = view.log(log);
        let bounds = seen.bounds.clone().ok_or(BlobFault::NoLog)?;
        let usage = usage_of(seen.heads.get(&usage_key()))?;
        let mut records = BTreeMap::new();
        for (key, head) in seen.heads.iter().filter(|(key, _)| key.collection == blob_notes()) {
            records.extend(blob_of(Some(head))?.map(|record| (key.clone(), record)));
        }
        let scanned = scan_terms_of(seen.heads.get(&scan_terms_key()))?.policy != ScanPolicy::Off;
        Ok(Self { bounds, usage, counted: usage, records, scanned, unscanned: Vec::new(), changed: BTreeMap::new() })
    }

    /// A blob as it stands now.
    #[must_use]
    pub fn get(&self, blob: BlobId) -> Option<BlobRecord> {
        let key = blob_key(blob);
        self.changed.get(&key).copied().unwrap_or_else(|| self.records.get(&key).copied())
    }

    pub(super) fn set(&mut self, record: BlobRecord) {
        self.changed.insert(blob_key(record.blob), Some(record));
    }

    /// The record of a blob that is to come or has come: the one there is, or a new promise.
    fn known_or_promised(&mut self, blob: BlobId, size: u64, now: Timestamp) -> Result<BlobRecord, BlobRefused> {
        match self.get(blob) {
            // Nobody has seen its bytes: who said another size may have been wrong, and hinders nobody.
            Some(record) if record.blob == blob && record.size != size && record.state == BlobState::Promised => {
                record.uncount(&mut self.usage);
            }
            Some(record) => {
                record.is_of(blob, size)?;
                return Ok(record);
            }
            None => {}
        }
        BlobRecord::promise(blob, size, &mut self.usage, now)
    }

    /// Adds a reference; `false`, and nothing is changed, when the bytes are not there.
    pub fn refer(&mut self, blob: BlobId) -> bool {
        let Some(mut record) = self.get(blob).filter(|record| record.blob == blob) else { return false };
        let referred = record.refer(1);
        if referred {
            self.set(record);
        }
        referred
    }

    /// Takes a reference away; whether there is such a blob.
    pub fn release(&mut self, blob: BlobId) -> bool {
        let Some(mut record) = self.get(blob).filter(|record| record.blob == blob) else { return false };
        record.release(1);
        self.set(record);
        true
    }

    /// Has what is here from now on wait for a scanner, where blobs are scanned.
    pub(super) fn show(&mut self, blob: BlobId) {
        if self.scanned {
            self.unscanned.push(blob);
        }
    }

    /// Forgets that nothing was found in what is gone. What was found is remembered, for the same bytes may come again.
    pub(super) fn forget_clean(&mut self, blob: BlobId, scan: Option<&Head>) -> Result<(), BlobFault> {
        if scan_of(scan)?.is_some_and(|said| said.state == ScanState::Clean) {
            self.changed.insert(scan_key(blob), None);
        }
        Ok(())
    }

    /// Writes what was changed, along with other writes to the log.
    pub fn write_into(self, writes: &mut LogWrites) {
        let mut gone = Vec::new();
        for (key, record) in self.changed {
            match record {
                Some(record) => writes.heads.push((key, note_head(&self.bounds, record.to_bytes()))),
                None => gone.push(key),
            }
        }
        for blob in self.unscanned {
            let state = bytes::Bytes::copy_from_slice(blob.as_bytes());
            writes.heads.push((unscanned_key(blob), note_head(&self.bounds, state)));
        }
        if self.usage != self.counted {
            writes.heads.push((usage_key(), note_head(&self.bounds, self.usage.to_bytes())));
        }
        match &mut writes.forget {
            Forget::Heads(heads) => heads.extend(gone),
            forget if !gone.is_empty() => *forget = Forget::Heads(gone),
            _ => {}
        }
    }

    /// Whether there is anything to write.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        !self.changed.is_empty() || self.usage != self.counted
    }

    fn commit<R>(self, log: LogKey, answer: R) -> Choice<R> {
        if !self.is_changed() {
            return Choice::Done(answer, None);
        }
        let mut writes = LogWrites::new(log, self.bounds.clone());
        self.write_into(&mut writes);
        Choice::Done(answer, Some(writes.alone()))
    }
}

/// A device is about to refer to these blobs: says which to send, and leases all of them. Needs [`blob_reads`].
#[must_use]
pub fn reserve_blobs(
    log: LogKey,
    asked: &[(BlobId, u64)],
    now: Timestamp,
    view: &View,
) -> Choice<Result<Vec<Need>, BlobFault>> {
    decide(log, view, |book| {
        let mut needs = Vec::with_capacity(asked.len());
        for (blob, size) in asked {
            let mut record = book.known_or_promised(*blob, *size, now)?;
            needs.push(record.lease(now));
            book.set(record);
        }
        Ok(needs)
    })
}

/// The bytes of these blobs came and are durable, in this pack if there is one (its name and its size); says where each
/// lies: bytes that came twice lie where they came first. Needs [`blob_reads`] of the blobs and the pack, and
/// [the terms](scan_terms_key) of scanning.
#[must_use]
pub fn settle_blobs(
    log: LogKey,
    pack: Option<(BlobId, u64)>,
    came: &[Came],
    now: Timestamp,
    view: &View,
) -> Choice<Result<Vec<Place>, BlobFault>> {
    decide(log, view, |book| {
        if let Some((blob, size)) = pack {
            let known = book.get(blob);
            let lost = known.filter(|known| known.blob == blob && known.state == BlobState::Promised && !known.pack);
            if let Some(lost) = lost {
                lost.uncount(&mut book.usage);
            }
            let fresh = BlobRecord::pack(blob, size, now);
            let mut record = known.filter(|_| lost.is_none()).unwrap_or(fresh);
            if !record.pack || record.blob != blob {
                return Err(BlobRefused::NameTaken(blob).into());
            }
            if record.lease(now) == Need::Later {
                return Err(BlobRefused::Going(blob).into());
            }
            book.set(record);
        }
        let mut places = Vec::with_capacity(came.len());
        for Came { blob, size, place } in came {
            // What was promised long ago may have been forgotten meanwhile.
            let mut record = book.known_or_promised(*blob, *size, now)?;
            let fresh = record.settle(*place, now);
            places.push(record.readable().ok_or(BlobRefused::Going(*blob))?);
            if let Place::Packed { pack, .. } = place
                && fresh
            {
                book.refer(*pack);
            }
            if fresh {
                book.show(*blob);
            }
            book.set(record);
        }
        Ok(places)
    })
}

/// Sweeps these blobs: each goes one step, if nobody needs it; says whose bytes are to be deleted now. Needs [`blob_reads`].
#[must_use]
pub fn sweep_blobs(log: LogKey, blobs: &[BlobId], now: Timestamp, view: &View) -> Choice<Result<Going, BlobFault>> {
    decide(log, view, |book| {
        let mut going = Vec::new();
        for mut record in blobs.iter().filter_map(|blob| book.get(*blob)).collect::<Vec<_>>() {
            match record.swept(now) {
                Swept::Kept | Swept::Releases => {}
                Swept::Moved(state) => {
                    if let BlobState::Going(place, _) = state {
                        going.push((record.blob, place));
                    }
                    record.state = state;
                    book.set(record);
                }
            }
        }
        Ok(going)
    })
}

/// These bytes lie in the blob store; those that nothing is known of get a record, so that the sweep sees them. Says how
/// many these were. Needs [`blob_reads`].
#[must_use]
pub fn adopt_blobs(
    log: LogKey,
    there: &[(BlobId, u64)],
    now: Timestamp,
    view: &View,
) -> Choice<Result<usize, BlobFault>> {
    decide(log, view, |book| {
        let lost: Vec<_> = there.iter().filter(|(blob, _)| book.get(*blob).is_none()).collect();
        for (blob, size) in &lost {
            let record = BlobRecord::found(*blob, *size, &mut book.usage, now);
            book.set(record);
        }
        Ok(lost.len())
    })
}

/// The bytes of these blobs are gone: forgets them, and what they were packed in loses their references. Needs
/// [`blob_reads`] of the blobs and the packs, and the [scans](scan_key) of the blobs.
#[must_use]
pub fn forget_blobs(log: LogKey, gone: &[BlobId], view: &View) -> Choice<Result<(), BlobFault>> {
    decide(log, view, |book| {
        for record in gone.iter().filter_map(|blob| book.get(*blob)).collect::<Vec<_>>() {
            let BlobState::Going(place, _) = record.state else { continue };
            record.uncount(&mut book.usage);
            book.changed.insert(blob_key(record.blob), None);
            book.forget_clean(record.blob, view.log(log).heads.get(&scan_key(record.blob)))?;
            if let Place::Packed { pack, .. } = place {
                book.release(pack);
            }
        }
        Ok(())
    })
}

/// Says what a log's blobs may take from now on; what is there already stays.
#[must_use]
pub fn set_quota(log: LogKey, quota: Option<u64>, view: &View) -> Choice<Result<Usage, BlobFault>> {
    decide(log, view, |book| {
        book.usage.quota = quota;
        Ok(book.usage)
    })
}

fn decide<R>(
    log: LogKey,
    view: &View,
    rule: impl FnOnce(&mut BlobBook) -> Result<R, BlobFault>,
) -> Choice<Result<R, BlobFault>> {
    let mut book = match BlobBook::open(log, view) {
        Ok(book) => book,
        Err(fault) => return Choice::Done(Err(fault), None),
    };
    match rule(&mut book) {
        Ok(answer) => match book.commit(log, answer) {
            Choice::Done(answer, writes) => Choice::Done(Ok(answer), writes),
            Choice::Read(more) => Choice::Read(more),
        },
        Err(fault) => Choice::Done(Err(fault), None),
    }
}
