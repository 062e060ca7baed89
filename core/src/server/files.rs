//! Reading blobs, and files that are kept in pieces.
//!
//! A file is read by the name of its one blob, or by its own SHA-256 where a manifest keeps it: then its pieces are read one
//! after the other. What must hold: a whole read does not end unless all of it hashes to the name that was asked for, and
//! pieces that were found not to make their file are not read as it.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use super::blobs::{key, refuse_blob, refuse_fault};
use super::manifests::wrong_manifest;
use super::{Server, permit, refuse_store};
use crate::access::{Access, Caller};
use crate::blob::{BlobRecord, Judged, Listed, Manifest, Place};
use crate::call::{ErrorCode, Refusal};
use crate::decide::{BlobFault, blob_key, blob_of, file_key, manifest_of};
use crate::digest::BlobId;
use crate::id::{LogId, LogKey};
use crate::limits;
use crate::store::{BlobError, BlobSource, ByteRange, StoreExt as _, Verified};

/// Bytes of the longest manifest: each piece a name and a length.
const MANIFEST_BYTES_MAX: u64 = 64 + 37 * limits::MANIFEST_PIECES_MAX as u64;

/// What lies under a name.
pub(super) enum Found {
    Blob(BlobRecord, Place),
    File(BlobRecord, Place, Listed),
}

impl Found {
    pub(super) const fn size(&self) -> u64 {
        match self {
            Self::Blob(record, _) => record.size,
            Self::File(_, _, listed) => listed.bytes,
        }
    }
}

impl Server {
    /// A blob's bytes in number.
    ///
    /// # Errors
    /// As [`open_blob`](Self::open_blob).
    pub async fn blob_size(&self, caller: &Caller, log: LogId, blob: BlobId) -> Result<u64, Refusal> {
        let log = permit(caller, Access::Read, log)?;
        self.blob_store()?;
        let found = self.find(log, blob).await?;
        self.admit_found(log, blob, &found).await?;
        Ok(found.size())
    }

    /// A blob's size, and its bytes or a part of them. A file that a manifest keeps is read by its own SHA-256, too.
    ///
    /// # Errors
    /// [`ErrorCode::BlobNotFound`] when it did not come through this log, or was swept; [`ErrorCode::ManifestWrong`] when it
    /// is a manifest whose pieces do not make its file, or that file; [`ErrorCode::ScanPending`], [`ErrorCode::Quarantined`] and
    /// [`ErrorCode::ScanRejected`]; [`ErrorCode::NoBlobs`]; else the stores' failures. The source ends with [`BlobError::Corrupt`] when what is stored is damaged.
    pub async fn open_blob(
        &self,
        caller: &Caller,
        log: LogId,
        blob: BlobId,
        range: ByteRange,
    ) -> Result<(u64, Box<dyn BlobSource>), Refusal> {
        let log = permit(caller, Access::Read, log)?;
        self.open_admitted(log, blob, range).await
    }

    /// The same, for whoever may read the log.
    pub(super) async fn open_admitted(
        &self,
        log: LogKey,
        blob: BlobId,
        range: ByteRange,
    ) -> Result<(u64, Box<dyn BlobSource>), Refusal> {
        self.blob_store()?;
        let found = self.find(log, blob).await?;
        self.admit_found(log, blob, &found).await?;
        Ok((found.size(), self.open_found(log, &found, range).await?))
    }

    /// Whether what was found may be read. Who may not read a file does not hear of its pieces either.
    async fn admit_found(&self, log: LogKey, blob: BlobId, found: &Found) -> Result<(), Refusal> {
        if let Found::Blob(BlobRecord { listed: Some(listed), .. }, _) = found {
            self.admit(log, listed.file).await?;
        }
        self.admit(log, blob).await
    }

    pub(super) async fn open_found(
        &self,
        log: LogKey,
        found: &Found,
        range: ByteRange,
    ) -> Result<Box<dyn BlobSource>, Refusal> {
        match found {
            Found::Blob(record, place) => self.open_at(log, record, *place, range).await,
            Found::File(record, place, _) => {
                let manifest = self.read_manifest(log, record, *place).await?;
                Ok(self.open_file(log, &manifest, range))
            }
        }
    }

    pub(super) async fn find(&self, log: LogKey, blob: BlobId) -> Result<Found, Refusal> {
        if let Some((record, place)) = self.readable(log, blob).await? {
            let wrong = record.listed.is_some_and(|listed| listed.judged == Judged::Wrong);
            return if wrong { Err(wrong_manifest(blob)) } else { Ok(Found::Blob(record, place)) };
        }
        let none = || Refusal::new(ErrorCode::BlobNotFound, "no such blob");
        let note = self.store.head(log, &file_key(blob)).await.map_err(refuse_store)?;
        let manifest = manifest_of(note.as_ref()).ok_or_else(none)?;
        let (record, place) = self.readable(log, manifest).await?.ok_or_else(none)?;
        match record.listed.filter(|listed| listed.file == blob) {
            Some(listed) if listed.judged == Judged::Wrong => Err(wrong_manifest(manifest)),
            Some(listed) if listed.is_whole() => Ok(Found::File(record, place, listed)),
            _ => Err(none()),
        }
    }

    /// What a log knows of a blob whose bytes can be read, and where they lie.
    pub(super) async fn readable(&self, log: LogKey, blob: BlobId) -> Result<Option<(BlobRecord, Place)>, Refusal> {
        let note = self.store.head(log, &blob_key(blob)).await.map_err(refuse_store)?;
        let record = blob_of(note.as_ref()).map_err(|error| refuse_fault(BlobFault::Unreadable(error)))?;
        let found = record.filter(|record| record.blob == blob && !record.pack);
        Ok(found.and_then(|record| Some((record, record.readable()?))))
    }

    pub(super) async fn open_at(
        &self,
        log: LogKey,
        record: &BlobRecord,
        place: Place,
        range: ByteRange,
    ) -> Result<Box<dyn BlobSource>, Refusal> {
        let (store, blob, size) = (self.blob_store()?, record.blob, record.size);
        let source = match place {
            Place::Own => store.open(key(log, blob), range).await,
            Place::Packed { pack, offset } => {
                let part = range.within(size);
                let whole = part == (0..size);
                let part = ByteRange { start: offset + part.start, end: Some(offset + part.end) };
                let source = store.open(key(log, pack), part).await;
                source.map(|source| {
                    if whole { Box::new(Verified::whole(source, blob, size)) as Box<dyn BlobSource> } else { source }
                })
            }
        };
        source.map_err(|error| refuse_blob(&error))
    }

    /// The list that a manifest's bytes are.
    pub(super) async fn read_manifest(
        &self,
        log: LogKey,
        record: &BlobRecord,
        place: Place,
    ) -> Result<Manifest, Refusal> {
        if record.size > MANIFEST_BYTES_MAX {
            return Err(wrong_manifest(record.blob));
        }
        let mut source = self.open_at(log, record, place, ByteRange::default()).await?;
        let mut held = BytesMut::new();
        while let Some(bytes) = source.next().await.map_err(|error| refuse_blob(&error))? {
            held.extend_from_slice(&bytes);
        }
        Manifest::from_bytes(held.freeze()).map_err(|error| Refusal::new(ErrorCode::ManifestWrong, error.to_string()))
    }

    /// A file's bytes, or a part of them, out of its pieces.
    pub(super) fn open_file(&self, log: LogKey, manifest: &Manifest, range: ByteRange) -> Box<dyn BlobSource> {
        let whole = range.within(manifest.size()) == (0..manifest.size());
        let source = self.open_pieces(log, manifest, range);
        if whole { Box::new(Verified::whole(source, manifest.file(), manifest.size())) } else { source }
    }

    /// The same, without judging what the pieces make.
    pub(super) fn open_pieces(&self, log: LogKey, manifest: &Manifest, range: ByteRange) -> Box<dyn BlobSource> {
        let part = range.within(manifest.size());
        let piece = |(start, piece): (u64, crate::blob::Piece)| {
            let len = u64::from(piece.len);
            let (from, to) = (part.start.saturating_sub(start), (part.end - start).min(len));
            let range =
                if (from, to) == (0, len) { ByteRange::default() } else { ByteRange { start: from, end: Some(to) } };
            (piece.blob, range)
        };
        let rest: Vec<_> = manifest.within(part.start, part.end).map(piece).collect();
        Box::new(Pieces { server: self.clone(), log, open: None, rest: rest.into_iter() })
    }
}

/// Pieces of a file, one after the other. Each is opened when the one before has ended.
struct Pieces {
    server: Server,
    log: LogKey,
    open: Option<Box<dyn BlobSource>>,
    rest: std::vec::IntoIter<(BlobId, ByteRange)>,
}

#[async_trait]
impl BlobSource for Pieces {
    async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        loop {
            if let Some(open) = &mut self.open {
                if let Some(bytes) = open.next().await? {
                    return Ok(Some(bytes));
                }
                self.open = None;
            }
            let Some((blob, range)) = self.rest.next() else { return Ok(None) };
            let failed = |refusal: Refusal| BlobError::Unavailable(Box::new(refusal));
            let (record, place) =
                self.server.readable(self.log, blob).await.map_err(failed)?.ok_or(BlobError::NotFound)?;
            self.open = Some(self.server.open_at(self.log, &record, place, range).await.map_err(failed)?);
        }
    }
}
