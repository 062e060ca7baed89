//! Uploads that may be continued: numbered pieces, each made by one conditional put of its mark and its bytes.
//!
//! What must hold: a piece's mark says how far the upload is behind it and carries the hash of everything so far, so
//! the last piece says all; a number is taken once, by whoever comes first; pieces are removed from the last to the
//! first, so what stays of a removal that died is an upload that is shorter. On finishing all bytes pass and are hashed
//! again: damage on the way is found there, not by a reader.

use std::collections::VecDeque;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use object_store::{GetRange, ObjectStore as _, PutPayload};
use syncline::id::{BucketId, UploadId};
use syncline::store::{Append, BlobError, BlobKey, BlobSource, Gather, PutOutcome, UploadKey, UploadMark, UploadStat};

use crate::Inner;
use crate::error::{from_s3, present};
use crate::layout::piece_of;
use crate::read::Answer;

const MARK_BYTES: u64 = UploadMark::BYTES as u64;

/// An upload's end.
struct Tip {
    mark: UploadMark,
    /// Pieces so far.
    pieces: u32,
}

impl Inner {
    /// How far an upload is. A list may lag behind: its end is looked for by name.
    async fn tip(&self, upload: UploadKey) -> Result<Option<Tip>, BlobError> {
        let mut pieces = self.pieces(upload).await?;
        pieces.sort_unstable_by_key(|(number, _)| *number);
        let mut count = 0;
        let mut bytes = 0;
        for (number, size) in pieces {
            if number == count {
                count += 1;
                bytes += size.saturating_sub(MARK_BYTES);
            }
        }
        while let Some(size) = self.size(&self.layout.piece(upload, count)).await? {
            count += 1;
            bytes += size.saturating_sub(MARK_BYTES);
        }
        let Some(last) = count.checked_sub(1) else { return Ok(None) };
        match self.mark(upload, last).await? {
            Some(mark) if mark.size == bytes => Ok(Some(Tip { mark, pieces: count })),
            // Damaged, or what two uploads of one name left. Its bytes are still where they come from.
            _ => self.remove(upload).await.map(|_| None),
        }
    }

    async fn pieces(&self, upload: UploadKey) -> Result<Vec<(u32, u64)>, BlobError> {
        let listed = self.s3.list(Some(&self.layout.upload(upload)));
        let listed = listed
            .map_err(from_s3)
            .try_filter_map(async |object| Ok(piece_of(&object.location).map(|(_, number)| (number, object.size))));
        listed.try_collect().await
    }

    /// The mark of a piece; `None` when it is not there or does not read.
    async fn mark(&self, upload: UploadKey, number: u32) -> Result<Option<UploadMark>, BlobError> {
        let path = self.layout.piece(upload, number);
        let Some(answer) = present(self.get(&path, Some(GetRange::Bounded(0..MARK_BYTES))).await)? else {
            return Ok(None);
        };
        Ok(UploadMark::from_bytes(&all_of(answer).await?))
    }

    pub(crate) async fn append(
        &self,
        upload: UploadKey,
        append: Append,
        body: &mut dyn BlobSource,
    ) -> Result<u64, BlobError> {
        let tip = self.tip(upload).await?;
        let begun = tip.is_some();
        let mut tip = tip.unwrap_or_else(|| Tip { mark: UploadMark::new(append.now), pieces: 0 });
        if tip.mark.size != append.offset {
            return Err(BlobError::WrongOffset { at: tip.mark.size });
        }
        let mut body = Gather::new(body);
        let mut taken = false;
        while let Some(piece) = body.next(self.part_bytes).await? {
            tip = self.take(upload, append, tip, piece).await?;
            taken = true;
        }
        // Without any bytes: its begin, or a sign of life.
        if !taken && (!begun || tip.mark.touched != append.now) {
            tip = self.take(upload, append, tip, Vec::new()).await?;
        }
        Ok(tip.mark.size)
    }

    async fn take(&self, upload: UploadKey, append: Append, mut tip: Tip, piece: Vec<Bytes>) -> Result<Tip, BlobError> {
        let size = tip.mark.size.saturating_add(piece.iter().map(|chunk| chunk.len() as u64).sum());
        if size > append.size_max {
            return Err(BlobError::TooLarge { size, max: append.size_max });
        }
        tip.mark.touched = append.now;
        piece.iter().for_each(|chunk| tip.mark.take(chunk, append.now));
        let mark = tip.mark.to_bytes();
        let payload: PutPayload = std::iter::once(Bytes::from(mark.clone())).chain(piece).collect();
        let path = self.layout.piece(upload, tip.pieces);
        // What is there may be ours: see `create`. The same mark is of the same bytes.
        let ours = self.create(&path, payload).await?
            || self.mark(upload, tip.pieces).await?.is_some_and(|found| found.to_bytes() == mark);
        if !ours {
            let at = self.tip(upload).await?.map_or(0, |tip| tip.mark.size);
            return Err(BlobError::WrongOffset { at });
        }
        tip.pieces += 1;
        Ok(tip)
    }

    pub(crate) async fn uploaded(&self, upload: UploadKey) -> Result<Option<UploadStat>, BlobError> {
        let stat = |tip: Tip| UploadStat { upload: upload.upload, size: tip.mark.size, touched: tip.mark.touched };
        Ok(self.tip(upload).await?.map(stat))
    }

    pub(crate) async fn finish(&self, upload: UploadKey, key: BlobKey, size: u64) -> Result<PutOutcome, BlobError> {
        let tip = self.tip(upload).await?.ok_or(BlobError::NotFound)?;
        let taken = tip.mark.size;
        if taken < size {
            return Err(BlobError::TooShort { size: taken, announced: size });
        }
        let actual = tip.mark.hasher.finish();
        if taken > size || actual != key.blob {
            self.remove(upload).await?;
            return Err(if taken > size {
                BlobError::TooLarge { size: taken, max: size }
            } else {
                BlobError::Mismatch { expected: key.blob, actual }
            });
        }
        let mut body = Assembled { inner: self, upload, left: (0..tip.pieces).collect(), now: None };
        match self.put(key, size, &mut body).await {
            // The hash was right when they came.
            Err(BlobError::Mismatch { .. } | BlobError::TooLarge { .. } | BlobError::TooShort { .. }) => {
                self.remove(upload).await?;
                Err(BlobError::Corrupt { blob: key.blob })
            }
            Ok(outcome) => {
                // The blob is there; what stays of the upload is found by the sweep.
                let _ = self.remove(upload).await;
                Ok(outcome)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether there was something.
    pub(crate) async fn remove(&self, upload: UploadKey) -> Result<bool, BlobError> {
        let mut pieces = self.pieces(upload).await?;
        pieces.sort_unstable_by(|left, right| right.cmp(left));
        let paths: Vec<_> = pieces.iter().map(|(number, _)| self.layout.piece(upload, *number)).collect();
        self.delete_all(paths).await?;
        Ok(!pieces.is_empty())
    }

    /// Deletes objects, in order; absent ones are no error.
    pub(crate) async fn delete_all(&self, paths: Vec<object_store::path::Path>) -> Result<(), BlobError> {
        let mut deleted = self.s3.delete_stream(stream::iter(paths.into_iter().map(Ok)).boxed());
        while let Some(result) = deleted.next().await {
            present(result)?;
        }
        Ok(())
    }

    pub(crate) async fn uploads(
        &self,
        bucket: BucketId,
        after: Option<UploadId>,
        limit: usize,
    ) -> Result<Vec<UploadStat>, BlobError> {
        let folder = self.layout.uploads(bucket);
        let mut listed = match after {
            None => self.s3.list(Some(&folder)),
            Some(upload) => self.s3.list_with_offset(Some(&folder), &self.layout.behind(UploadKey { bucket, upload })),
        };
        let mut uploads: Vec<UploadId> = Vec::new();
        while let Some(object) = listed.try_next().await.map_err(from_s3)? {
            let Some((upload, _)) = piece_of(&object.location) else { continue };
            if uploads.last() == Some(&upload) || after.is_some_and(|after| upload <= after) {
                continue;
            }
            if uploads.len() == limit {
                break;
            }
            uploads.push(upload);
        }
        let mut stats = Vec::new();
        for upload in uploads {
            stats.extend(self.uploaded(UploadKey { bucket, upload }).await?);
        }
        Ok(stats)
    }
}

async fn all_of(mut answer: Answer) -> Result<BytesMut, BlobError> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = answer.next().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The pieces of an upload, without their marks, one after the other.
struct Assembled<'i> {
    inner: &'i Inner,
    upload: UploadKey,
    left: VecDeque<u32>,
    now: Option<Answer>,
}

#[async_trait]
impl BlobSource for Assembled<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        loop {
            if let Some(answer) = &mut self.now
                && let Some(bytes) = answer.next().await?
            {
                return Ok(Some(bytes));
            }
            self.now = None;
            let Some(number) = self.left.pop_front() else { return Ok(None) };
            let path = self.inner.layout.piece(self.upload, number);
            // A piece without bytes has nothing behind its mark, for which there is no range.
            if self.inner.size(&path).await?.ok_or(BlobError::NotFound)? > MARK_BYTES {
                self.now = Some(self.inner.get(&path, Some(GetRange::Offset(MARK_BYTES))).await.map_err(from_s3)?);
            }
        }
    }
}
