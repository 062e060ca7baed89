//! What a file contains: one blob, or the pieces that a manifest lists, read as one.
//!
//! What must hold: each blob is read only if it may be; what comes is as long as the file's content says, or ends with an error.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use super::Server;
use crate::blob::{Manifest, Piece};
use crate::call::{ErrorCode, Refusal};
use crate::digest::BlobId;
use crate::id::LogKey;
use crate::store::{BlobError, BlobSource, ByteRange};
use crate::tree::Content;

impl Server {
    /// The bytes of a content, or a part of them.
    pub(super) async fn open_content(
        &self,
        log: LogKey,
        content: &Content,
        range: ByteRange,
    ) -> Result<Box<dyn BlobSource>, Refusal> {
        let Some(manifest) = content.manifest else { return self.open_admitted(log, content.blob, range).await };
        let manifest = self.manifest(log, manifest).await?;
        if (manifest.file(), manifest.size()) != (content.blob, content.bytes) {
            return Err(Refusal::new(ErrorCode::BlobDamaged, "the manifest is another file's"));
        }
        let wanted = range.within(manifest.size());
        let parts = manifest.within(wanted.start, wanted.end).map(|(start, piece)| {
            let from = wanted.start.saturating_sub(start);
            (piece, ByteRange { start: from, end: Some((wanted.end - start).min(piece.len.into())) })
        });
        let mut pieces = Pieces { server: self.clone(), log, parts: parts.collect(), at: 0, open: None };
        // What may not be read is refused before anything is answered, at least where reading begins.
        pieces.open_next().await?;
        Ok(Box::new(pieces))
    }

    async fn open_admitted(&self, log: LogKey, blob: BlobId, range: ByteRange) -> Result<Box<dyn BlobSource>, Refusal> {
        let found = self.stored(log, blob).await?;
        self.admit(log, blob).await?;
        self.open_stored(log, blob, found, range).await
    }

    async fn manifest(&self, log: LogKey, blob: BlobId) -> Result<Manifest, Refusal> {
        let damaged = |error: String| Refusal::new(ErrorCode::BlobDamaged, error);
        let mut source = self.open_admitted(log, blob, ByteRange::default()).await?;
        let mut held = BytesMut::new();
        while let Some(bytes) = source.next().await.map_err(|error| super::refuse_blob(&error))? {
            held.extend_from_slice(&bytes);
        }
        Manifest::from_bytes(held.freeze()).map_err(|error| damaged(error.to_string()))
    }
}

/// Pieces of a file, opened one after the other.
struct Pieces {
    server: Server,
    log: LogKey,
    parts: Vec<(Piece, ByteRange)>,
    at: usize,
    open: Option<Box<dyn BlobSource>>,
}

impl Pieces {
    async fn open_next(&mut self) -> Result<(), Refusal> {
        self.open = None;
        if let Some((piece, part)) = self.parts.get(self.at).copied() {
            let whole = part.start == 0 && part.end == Some(piece.len.into());
            // A whole read is verified.
            let part = if whole { ByteRange::default() } else { part };
            self.open = Some(self.server.open_admitted(self.log, piece.blob, part).await?);
            self.at += 1;
        }
        Ok(())
    }
}

#[async_trait]
impl BlobSource for Pieces {
    async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        while let Some(source) = &mut self.open {
            if let Some(bytes) = source.next().await? {
                return Ok(Some(bytes));
            }
            self.open_next().await.map_err(|refusal| BlobError::Unavailable(Box::new(refusal)))?;
        }
        Ok(None)
    }
}
