//! Manifests: their pieces are kept for as long as they are, and make the files that they name.
//!
//! A list is read once, and its pieces are counted, or released, a thousand a transaction. What must hold: wherever this is
//! cut off, the next call or the next sweep goes on there; a file that its pieces do not make is never taken for it.
//!
//! *Next:* the rules are in `decide/manifests.rs`; `sweep` releases what a manifest kept.

use super::blobs::{refuse_blob, refuse_fault};
use super::{Server, refuse_store};
use crate::blob::{BlobRecord, Judged, Manifest, Place};
use crate::call::{ErrorCode, ManifestKept, Refusal};
use crate::decide::{self, BlobFault, PieceStep, PiecesStepped, blob_key, blob_notes, blob_of};
use crate::digest::BlobId;
use crate::id::LogKey;
use crate::limits;
use crate::store::{Announced, BlobError, ByteRange};
use crate::time::Env;

/// What came of looking at files that are too large to be looked at when their manifests were kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs, reason = "plain counts")]
pub struct JudgedManifests {
    /// Blobs whose records were looked at.
    pub seen: usize,
    /// Files that their pieces make.
    pub right: usize,
    /// Files that their pieces do not make; they are not read any more.
    pub wrong: usize,
    /// Files whose pieces cannot be read now; they are looked at again.
    pub unread: usize,
}

/// A manifest with its different pieces.
struct List {
    blob: BlobId,
    manifest: Manifest,
    pieces: Vec<(BlobId, u64)>,
}

impl List {
    fn step(&self, from: usize, pieces: std::ops::Range<usize>) -> PieceStep {
        let count = |number| u32::try_from(number).unwrap_or(u32::MAX);
        PieceStep {
            manifest: self.blob,
            file: self.manifest.file(),
            bytes: self.manifest.size(),
            of: count(self.pieces.len()),
            from: count(from),
            pieces: self.pieces.get(pieces).unwrap_or_default().to_vec(),
        }
    }
}

impl Server {
    pub(super) async fn keep_manifest(&self, log: LogKey, manifest: BlobId, env: Env) -> Result<ManifestKept, Refusal> {
        self.blob_store()?;
        self.bounds(log).await?;
        let Some((record, place)) = self.readable(log, manifest).await? else {
            return Ok(ManifestKept::Needs(vec![manifest]));
        };
        let list = self.list(log, &record, place).await?;
        let mut at = record.listed.map_or(0, |listed| listed.counted as usize);
        loop {
            let step = list.step(at, at..list.pieces.len().min(at + limits::LIST_ITEMS_MAX));
            let reads = step.reads();
            let rule = move |view: &decide::View| decide::count_pieces(log, &step, env.now, view);
            match self.blob_rule(log, reads, rule).await? {
                PiecesStepped::At(counted) => at = counted as usize,
                PiecesStepped::Missing(missing) => return Ok(ManifestKept::Needs(missing)),
                PiecesStepped::Wrong | PiecesStepped::Needed => return Err(wrong_manifest(manifest)),
            }
            if at >= list.pieces.len() {
                break;
            }
        }
        let judged = match record.listed.map(|listed| listed.judged) {
            Some(Judged::Right) => Judged::Right,
            _ if list.manifest.size() > limits::FILE_JUDGED_AT_ONCE_BYTES_MAX => Judged::Later,
            _ => self.judge(log, &list.manifest).await.map_err(|error| refuse_blob(&error))?,
        };
        let whole = self.settle_manifest(log, &list, judged).await?;
        match judged {
            Judged::Wrong => {
                self.release(log, &list, at, env).await?;
                Err(wrong_manifest(manifest))
            }
            _ if whole => Ok(ManifestKept::Kept { judged: judged == Judged::Right }),
            _ => Err(Refusal::new(ErrorCode::Busy, "the manifest is being swept; a moment later it can be kept")),
        }
    }

    /// Reads files that were too large for it when their manifests were kept, of `limit` blobs of a log, from after one on;
    /// says what was found and where to go on, `None` at the end.
    ///
    /// # Errors
    /// [`ErrorCode::NoBlobs`], else the stores' failures.
    pub async fn judge_manifests(
        &self,
        log: LogKey,
        after: Option<BlobId>,
        limit: usize,
    ) -> Result<(JudgedManifests, Option<BlobId>), Refusal> {
        self.blob_store()?;
        let after = after.map(blob_key);
        let page = self.store.heads(log, &blob_notes(), after.as_ref(), limit).await.map_err(refuse_store)?;
        let mut done = JudgedManifests::default();
        let mut last = None;
        for (_, head) in &page.heads {
            let record = blob_of(Some(head)).map_err(|error| refuse_fault(BlobFault::Unreadable(error)))?;
            let Some(record) = record else { continue };
            (last, done.seen) = (Some(record.blob), done.seen + 1);
            let due = record.listed.is_some_and(|listed| listed.is_whole() && listed.judged == Judged::Later);
            let Some(place) = record.readable().filter(|_| due) else { continue };
            match self.judge_later(log, &record, place).await? {
                Some(Judged::Right) => done.right += 1,
                Some(Judged::Wrong) => done.wrong += 1,
                _ => done.unread += 1,
            }
        }
        Ok((done, last.filter(|_| page.more)))
    }

    /// `None` when the pieces, or their list, cannot be read.
    async fn judge_later(&self, log: LogKey, record: &BlobRecord, place: Place) -> Result<Option<Judged>, Refusal> {
        let list = match self.list(log, record, place).await {
            Err(refusal) if is_lost(&refusal) => return Ok(None),
            list => list?,
        };
        match self.judge(log, &list.manifest).await {
            Ok(judged) => {
                self.settle_manifest(log, &list, judged).await?;
                Ok(Some(judged))
            }
            Err(error) => {
                let refusal = refuse_blob(&error);
                if is_lost(&refusal) { Ok(None) } else { Err(refusal) }
            }
        }
    }

    async fn list(&self, log: LogKey, record: &BlobRecord, place: Place) -> Result<List, Refusal> {
        let blob = record.blob;
        let manifest = self.read_manifest(log, record, place).await?;
        let pieces = PieceStep::pieces_of(&manifest).map_err(|_| wrong_manifest(blob))?;
        Ok(List { blob, manifest, pieces })
    }

    /// Whether the pieces make the file. Each is held against its own name while it is read.
    async fn judge(&self, log: LogKey, manifest: &Manifest) -> Result<Judged, BlobError> {
        let mut announced = Announced::new(manifest.file(), manifest.size());
        let mut source = self.open_pieces(log, manifest, ByteRange::default());
        while let Some(bytes) = source.next().await? {
            announced.take(&bytes)?;
        }
        match announced.finish() {
            Ok(()) => Ok(Judged::Right),
            Err(BlobError::Mismatch { .. }) => Ok(Judged::Wrong),
            Err(other) => Err(other),
        }
    }

    async fn settle_manifest(&self, log: LogKey, list: &List, judged: Judged) -> Result<bool, Refusal> {
        let step = list.step(0, 0..0);
        let reads = step.reads();
        self.blob_rule(log, reads, move |view| decide::judge_manifest(log, &step, judged, view)).await
    }

    /// Releases what a manifest keeps, unless somebody needs it; whether its list could be read.
    pub(super) async fn release_manifest(&self, log: LogKey, record: &BlobRecord, env: Env) -> Result<bool, Refusal> {
        let (Some(place), Some(listed)) = (record.readable(), record.listed) else { return Ok(true) };
        let list = match self.list(log, record, place).await {
            Err(refusal) if is_lost(&refusal) => return Ok(false),
            list => list?,
        };
        self.release(log, &list, listed.counted as usize, env).await.map(|()| true)
    }

    async fn release(&self, log: LogKey, list: &List, counted: usize, env: Env) -> Result<(), Refusal> {
        let mut at = counted;
        while at > 0 {
            let step = list.step(at, at.saturating_sub(limits::LIST_ITEMS_MAX)..at);
            let reads = step.reads();
            let rule = move |view: &decide::View| decide::release_pieces(log, &step, env.now, view);
            match self.blob_rule(log, reads, rule).await? {
                PiecesStepped::At(counted) => at = counted as usize,
                _ => return Ok(()),
            }
        }
        Ok(())
    }
}

/// Whether bytes are gone or damaged, which another try does not change.
const fn is_lost(refusal: &Refusal) -> bool {
    matches!(refusal.code, ErrorCode::BlobNotFound | ErrorCode::BlobDamaged | ErrorCode::ManifestWrong)
}

/// What a caller is told who refers to a manifest of something else.
pub(super) fn wrong_manifest(manifest: BlobId) -> Refusal {
    Refusal::new(ErrorCode::ManifestWrong, format!("the pieces of manifest {manifest} do not make the file"))
}
