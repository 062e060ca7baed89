//! Many small blobs, read together: who follows a tree for the first time asks for thousands.
//!
//! What must hold: a blob is given as if it were asked for alone, whole and verified, or nothing is; what lies side by side
//! in a pack is read in one go.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};

use super::blobs::{key, refuse_blob, refuse_fault};
use super::{Server, permit, refuse_store};
use crate::access::{Access, Caller};
use crate::blob::{Place, ScanRecord};
use crate::call::{ErrorCode, Refusal};
use crate::codec::DecodeError;
use crate::decide::{
    BlobFault, Choice, Reads, Scope, View, blob_key, blob_of, scan_key, scan_of, scan_terms_key, scan_terms_of,
};
use crate::digest::{BlobId, Digest};
use crate::id::{LogId, LogKey};
use crate::limits;
use crate::store::{BlobError, ByteRange, StoreExt as _};

/// Bytes between two blobs of a pack that are read along: it costs less than to ask twice.
const GAP_BYTES: u64 = 64 << 10;

/// A blob that is nothing but its bytes, and may be read.
#[derive(Debug, Clone, Copy)]
struct Plain {
    blob: BlobId,
    size: u64,
    place: Place,
}

impl Server {
    /// Many small blobs at once, each whole and verified, in the order they were asked for.
    ///
    /// # Errors
    /// [`ErrorCode::BatchSize`] for none, more than [`LIST_ITEMS_MAX`](limits::LIST_ITEMS_MAX), or more than
    /// [`BLOB_BATCH_BYTES_MAX`](limits::BLOB_BATCH_BYTES_MAX) bytes; what [`open_blob`](Self::open_blob) says of any of them.
    pub async fn get_blobs(
        &self,
        caller: &Caller,
        log: LogId,
        blobs: Vec<BlobId>,
    ) -> Result<Vec<(BlobId, Bytes)>, Refusal> {
        let log = permit(caller, Access::Read, log)?;
        self.blob_store()?;
        if blobs.is_empty() || blobs.len() > limits::LIST_ITEMS_MAX {
            let detail = format!("1 to {} blobs are read at once, not {}", limits::LIST_ITEMS_MAX, blobs.len());
            return Err(Refusal::new(ErrorCode::BatchSize, detail));
        }
        let plain = self.plain(log, &blobs).await?;
        // What lies in packs is counted before any of it is read, and everything as often as it is given.
        let size = plain.iter().flatten().fold(0_u64, |sum, plain| sum.saturating_add(plain.size));
        check_size(size)?;
        let mut bytes = self.read_packs(log, plain.iter().flatten()).await?;
        let (mut given, mut sum) = (Vec::with_capacity(blobs.len()), 0_u64);
        for (blob, plain) in blobs.into_iter().zip(plain) {
            let found = match bytes.get(&blob) {
                Some(found) => found.clone(),
                None => {
                    let alone = match plain {
                        Some(Plain { place, size, .. }) => self.read_own(log, blob, place, size).await?,
                        // A list of pieces, a file in pieces, or nothing that may be read: as if it were asked for alone.
                        None => self.read_alone(caller, log.log, blob, sum).await?,
                    };
                    bytes.insert(blob, alone.clone());
                    alone
                }
            };
            sum = sum.saturating_add(found.len() as u64);
            check_size(sum)?;
            given.push((blob, found));
        }
        Ok(given)
    }

    /// What the log knows of these, in one look: of each where its bytes lie, if that is all there is to it.
    async fn plain(&self, log: LogKey, blobs: &[BlobId]) -> Result<Vec<Option<Plain>>, Refusal> {
        let keys = blobs.iter().flat_map(|blob| [blob_key(*blob), scan_key(*blob)]);
        let mut heads: Vec<_> = keys.chain([scan_terms_key()]).collect();
        heads.sort_unstable();
        heads.dedup();
        let blobs = blobs.to_vec();
        let rule = move |view: &View| Choice::Done(plain(log, &blobs, view), None);
        let scope = Scope::log(log, Reads { heads, ..Reads::default() });
        let found = self.store.decide(scope, rule).await.map_err(refuse_store)?;
        found.map_err(|error| refuse_fault(BlobFault::Unreadable(error)))
    }

    /// Those that lie in packs.
    async fn read_packs(
        &self,
        log: LogKey,
        plain: impl Iterator<Item = &Plain>,
    ) -> Result<HashMap<BlobId, Bytes>, Refusal> {
        let packed = |plain: &Plain| match plain.place {
            Place::Packed { pack, offset } => Some((pack, offset, plain.size, plain.blob)),
            Place::Own => None,
        };
        let mut packed: Vec<_> = plain.filter_map(packed).collect();
        packed.sort_unstable();
        packed.dedup();
        let mut found = HashMap::new();
        let mut rest = packed.as_slice();
        while let Some((pack, start, size, _)) = rest.first() {
            let (mut end, mut count) = (start + size, 1);
            for (next, offset, size, _) in rest.iter().skip(1) {
                if next != pack || *offset > end.saturating_add(GAP_BYTES) {
                    break;
                }
                (end, count) = (end.max(offset + size), count + 1);
            }
            let (now, later) = rest.split_at(count);
            rest = later;
            let range = ByteRange { start: *start, end: Some(end) };
            let read = self.read_range(log, *pack, range, end - start).await?;
            for (_, offset, size, blob) in now {
                let place = |at: u64| usize::try_from(at - start).unwrap_or(usize::MAX);
                let part = place(*offset)..place(offset + size);
                let bytes = if read.get(part.clone()).is_some() { read.slice(part) } else { Bytes::new() };
                found.insert(*blob, verified(*blob, bytes)?);
            }
        }
        Ok(found)
    }

    async fn read_own(&self, log: LogKey, blob: BlobId, place: Place, size: u64) -> Result<Bytes, Refusal> {
        let (pack, start) = match place {
            Place::Own => (blob, 0),
            Place::Packed { pack, offset } => (pack, offset),
        };
        let range = ByteRange { start, end: Some(start + size) };
        verified(blob, self.read_range(log, pack, range, size).await?)
    }

    /// A part of what lies under one name in the store, not held against anything.
    async fn read_range(&self, log: LogKey, name: BlobId, range: ByteRange, size: u64) -> Result<Bytes, Refusal> {
        let mut source = self.blob_store()?.open(key(log, name), range).await.map_err(|error| refuse_blob(&error))?;
        let mut held = BytesMut::with_capacity(usize::try_from(size).unwrap_or_default());
        while let Some(bytes) = source.next().await.map_err(|error| refuse_blob(&error))? {
            held.extend_from_slice(&bytes);
        }
        Ok(held.freeze())
    }

    async fn read_alone(&self, caller: &Caller, log: LogId, blob: BlobId, held: u64) -> Result<Bytes, Refusal> {
        let (size, mut source) = self.open_blob(caller, log, blob, ByteRange::default()).await?;
        check_size(size.saturating_add(held))?;
        let mut bytes = BytesMut::new();
        while let Some(more) = source.next().await.map_err(|error| refuse_blob(&error))? {
            bytes.extend_from_slice(&more);
        }
        Ok(bytes.freeze())
    }
}

fn plain(log: LogKey, blobs: &[BlobId], view: &View) -> Result<Vec<Option<Plain>>, DecodeError> {
    let heads = &view.log(log).heads;
    let policy = scan_terms_of(heads.get(&scan_terms_key()))?.policy;
    let plain = |blob: &BlobId| {
        let record = blob_of(heads.get(&blob_key(*blob)))?;
        let record = record.filter(|record| record.blob == *blob && !record.pack && record.listed.is_none());
        let Some((size, place)) = record.and_then(|record| Some((record.size, record.readable()?))) else {
            return Ok(None);
        };
        let scan = scan_of(heads.get(&scan_key(*blob)))?.filter(|kept| kept.blob == *blob);
        let may = ScanRecord::admit(scan.as_ref(), policy).is_ok();
        Ok(may.then_some(Plain { blob: *blob, size, place }))
    };
    blobs.iter().map(plain).collect()
}

fn verified(blob: BlobId, bytes: Bytes) -> Result<Bytes, Refusal> {
    if Digest::of(&[&bytes]) == blob { Ok(bytes) } else { Err(refuse_blob(&BlobError::Corrupt { blob })) }
}

fn check_size(bytes: u64) -> Result<(), Refusal> {
    let max = limits::BLOB_BATCH_BYTES_MAX;
    if bytes <= max as u64 {
        return Ok(());
    }
    Err(Refusal::new(ErrorCode::BatchSize, format!("blobs read at once have at most {max} bytes, these have {bytes}")))
}
