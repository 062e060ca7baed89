//! Manifests as references: the pieces of a file are kept for as long as its manifest is.
//!
//! A step counts, or releases, the next of a manifest's pieces, and writes how far it came in the same transaction. What must
//! hold: no step counts a piece whose bytes are not there; a manifest is referred to only while all its pieces are; steps of
//! two servers at once are one after the other, and the later finds that it has been done.
//!
//! *Next:* [`Listed`] is what a manifest's record says; the server's `manifests.rs` reads the lists and takes the steps.

use super::blobs::{BlobBook, BlobFault, blob_reads};
use super::scans::{scan_key, scan_terms_key};
use super::{Choice, Forget, LogWrites, Reads, View, note_head};
use crate::blob::{BlobRecord, Judged, Listed, Manifest, Swept};
use crate::digest::{BlobId, Digest};
use crate::id::{EntityId, LogKey};
use crate::oplog::{Collection, EntityKey, Head};
use crate::time::Timestamp;

/// Different pieces of one manifest, counted or released in one transaction.
#[derive(Debug, Clone)]
#[allow(clippy::exhaustive_structs, reason = "arguments of one rule")]
pub struct PieceStep {
    /// Which manifest.
    pub manifest: BlobId,
    /// The SHA-256 of the file.
    pub file: Digest,
    /// Bytes of the file.
    pub bytes: u64,
    /// Different pieces in all.
    pub of: u32,
    /// So many are counted when the step begins.
    pub from: u32,
    /// The next ones in the order of their names, with their bytes: to be counted, those behind `from`; to be released, the
    /// last before it.
    pub pieces: Vec<(BlobId, u64)>,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "every outcome needs its own next step")]
pub enum PiecesStepped {
    /// So many are counted now; by this step, or by somebody else's when the step did not begin there.
    At(u32),
    /// The bytes of these are not there; nothing was changed.
    Missing(Vec<BlobId>),
    /// They are not the file's, as was found before; nothing was changed.
    Wrong,
    /// Somebody needs it again; nothing was changed.
    Needed,
}

/// The note that names the manifest of a file, for readers who know the file's own SHA-256.
#[must_use]
pub fn file_key(file: Digest) -> EntityKey {
    let mut entity = [0; 16];
    entity.copy_from_slice(&file.as_bytes()[..16]);
    EntityKey { collection: Collection::system("sys.file"), entity: EntityId::from_bytes(entity) }
}

/// The manifest that a file's note names.
#[must_use]
pub fn manifest_of(note: Option<&Head>) -> Option<BlobId> {
    note.and_then(Head::live_state).and_then(|bytes| <[u8; 32]>::try_from(&bytes[..]).ok()).map(Digest::from_bytes)
}

impl PieceStep {
    /// The different pieces of a manifest in the order of their names, with their bytes.
    ///
    /// # Errors
    /// A piece that is there twice, with another length each time: no bytes are both.
    pub fn pieces_of(manifest: &Manifest) -> Result<Vec<(BlobId, u64)>, BlobId> {
        let mut pieces: Vec<_> = manifest.pieces().iter().map(|piece| (piece.blob, u64::from(piece.len))).collect();
        pieces.sort_unstable();
        pieces.dedup();
        match pieces.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(pair[0].0),
            None => Ok(pieces),
        }
    }

    /// What the rules on it read.
    #[must_use]
    pub fn reads(&self) -> Reads {
        let mut reads = blob_reads(self.pieces.iter().map(|(blob, _)| *blob).chain([self.manifest]));
        reads.heads.extend([file_key(self.file), scan_key(self.file), scan_terms_key()]);
        reads
    }

    fn record(&self, book: &BlobBook) -> Option<(BlobRecord, Listed)> {
        let record = book.get(self.manifest).filter(|record| record.blob == self.manifest && !record.pack)?;
        record.readable()?;
        let fresh = Listed { file: self.file, bytes: self.bytes, pieces: self.of, counted: 0, judged: Judged::NotYet };
        Some((record, record.listed.unwrap_or(fresh)))
    }
}

/// Adds a reference to each piece of a step, and leases the manifest. Needs [`PieceStep::reads`].
#[must_use]
pub fn count_pieces(
    log: LogKey,
    step: &PieceStep,
    now: Timestamp,
    view: &View,
) -> Choice<Result<PiecesStepped, BlobFault>> {
    in_book(log, view, |book| {
        let Some((mut record, mut listed)) = step.record(book) else {
            return Ok((PiecesStepped::Missing(vec![step.manifest]), None));
        };
        if listed.judged == Judged::Wrong {
            return Ok((PiecesStepped::Wrong, None));
        }
        if listed.counted == step.from {
            let mut missing = Vec::new();
            for (blob, size) in &step.pieces {
                match book.get(*blob) {
                    Some(piece) if piece.readable().is_some() => piece.is_of(*blob, *size)?,
                    _ => missing.push(*blob),
                }
            }
            if !missing.is_empty() {
                return Ok((PiecesStepped::Missing(missing), None));
            }
            for (blob, _) in &step.pieces {
                book.refer(*blob);
            }
            listed.counted = listed.counted.saturating_add(count(&step.pieces));
        }
        record.listed = Some(listed);
        record.lease(now);
        book.set(record);
        Ok((PiecesStepped::At(listed.counted), None))
    })
}

/// Takes the references of a step's pieces away, if the sweep would take the manifest. Needs [`PieceStep::reads`].
#[must_use]
pub fn release_pieces(
    log: LogKey,
    step: &PieceStep,
    now: Timestamp,
    view: &View,
) -> Choice<Result<PiecesStepped, BlobFault>> {
    let named = manifest_of(view.log(log).heads.get(&file_key(step.file)));
    in_book(log, view, |book| {
        let Some((mut record, mut listed)) = step.record(book) else { return Ok((PiecesStepped::Needed, None)) };
        if record.swept(now) != Swept::Releases {
            return Ok((PiecesStepped::Needed, None));
        }
        if listed.counted != step.from {
            return Ok((PiecesStepped::At(listed.counted), None));
        }
        for (blob, _) in &step.pieces {
            book.release(*blob);
        }
        listed.counted = listed.counted.saturating_sub(count(&step.pieces));
        record.listed = Some(listed);
        book.set(record);
        if named == Some(step.manifest) {
            book.forget_clean(step.file, view.log(log).heads.get(&scan_key(step.file)))?;
        }
        Ok((PiecesStepped::At(listed.counted), (named == Some(step.manifest)).then_some(Naming::Nobody(step.file))))
    })
}

/// Says whether the pieces of a manifest make its file, once all are counted; from then on it may be referred to, and the file
/// is read by its own name, unless they do not. Answers whether it may. Needs [`PieceStep::reads`].
#[must_use]
pub fn judge_manifest(log: LogKey, step: &PieceStep, judged: Judged, view: &View) -> Choice<Result<bool, BlobFault>> {
    in_book(log, view, |book| {
        let Some((mut record, mut listed)) = step.record(book) else { return Ok((false, None)) };
        let unseen = !listed.is_whole() || !view.log(log).heads.contains_key(&scan_key(step.file));
        // What was found once is so for ever.
        if !matches!(listed.judged, Judged::Right | Judged::Wrong) {
            listed.judged = judged;
        }
        record.listed = Some(listed);
        book.set(record);
        let whole = listed.is_whole();
        if whole && unseen {
            book.show(step.file);
        }
        Ok((whole, whole.then_some(Naming::Manifest(step.file, step.manifest))))
    })
}

/// What becomes of a file's note.
enum Naming {
    Manifest(Digest, BlobId),
    Nobody(Digest),
}

fn count(pieces: &[(BlobId, u64)]) -> u32 {
    u32::try_from(pieces.len()).unwrap_or(u32::MAX)
}

fn in_book<R>(
    log: LogKey,
    view: &View,
    rule: impl FnOnce(&mut BlobBook) -> Result<(R, Option<Naming>), BlobFault>,
) -> Choice<Result<R, BlobFault>> {
    let mut book = match BlobBook::open(log, view) {
        Ok(book) => book,
        Err(fault) => return Choice::Done(Err(fault), None),
    };
    let (answer, naming) = match rule(&mut book) {
        Ok(done) => done,
        Err(fault) => return Choice::Done(Err(fault), None),
    };
    if !book.is_changed() {
        return Choice::Done(Ok(answer), None);
    }
    let bounds = book.bounds.clone();
    let mut writes = LogWrites::new(log, bounds.clone());
    match naming {
        Some(Naming::Manifest(file, manifest)) => {
            let note = bytes::Bytes::copy_from_slice(manifest.as_bytes());
            writes.heads.push((file_key(file), note_head(&bounds, note)));
        }
        Some(Naming::Nobody(file)) => writes.forget = Forget::Heads(vec![file_key(file)]),
        None => {}
    }
    book.write_into(&mut writes);
    Choice::Done(Ok(answer), Some(writes.alone()))
}

/// What a commit that names a manifest is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    Whole,
    Missing,
    Wrong,
}

/// Whether a commit may name this manifest for this file.
pub(super) fn named(book: &BlobBook, manifest: BlobId, file: Digest, bytes: u64) -> Named {
    let record = book.get(manifest).filter(|record| record.blob == manifest && record.readable().is_some());
    match record.and_then(|record| record.listed) {
        None => Named::Missing,
        Some(listed) if listed.judged == Judged::Wrong || (listed.file, listed.bytes) != (file, bytes) => Named::Wrong,
        Some(listed) if listed.is_whole() => Named::Whole,
        Some(_) => Named::Missing,
    }
}
