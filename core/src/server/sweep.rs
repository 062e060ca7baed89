//! The sweep: what nobody needs goes, in two steps, and what was left over is found.
//!
//! What must hold: the log forgets before bytes are deleted, and says so again before it forgets the name; a manifest goes
//! after what it kept was released.
//!
//! *Next:* [`BlobRecord::swept`](crate::blob::BlobRecord::swept) decides about one.

use std::sync::Arc;

use super::blobs::{blob_space, key, refuse_blob, refuse_fault};
use super::{Server, refuse_store};
use crate::blob::{Place, Swept};
use crate::call::Refusal;
use crate::decide::{self, BlobFault, blob_key, blob_notes, blob_of, blob_reads};
use crate::digest::BlobId;
use crate::id::LogKey;
use crate::limits;
use crate::store::{BlobKey, UploadKey, UploadStat};
use crate::time::Env;

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs, reason = "plain counts")]
pub struct SweptBlobs {
    /// Blobs looked at.
    pub seen: usize,
    /// Blobs whose bytes were deleted.
    pub deleted: usize,
    /// Manifests that nobody needs and nobody can read, so that their pieces stay.
    pub stuck: usize,
}

impl Server {
    /// Sweeps a log's blobs, `limit` at a time, from after one on; says what was done and where to go on, `None` at the end.
    ///
    /// # Errors
    /// [`ErrorCode::NoBlobs`](crate::call::ErrorCode::NoBlobs), else the stores' failures; what was begun is finished by a later sweep.
    pub async fn sweep_blobs(
        &self,
        log: LogKey,
        after: Option<BlobId>,
        limit: usize,
        env: Env,
    ) -> Result<(SweptBlobs, Option<BlobId>), Refusal> {
        let store = Arc::clone(self.blob_store()?);
        let after = after.map(blob_key);
        let page = self.store.heads(log, &blob_notes(), after.as_ref(), limit).await.map_err(refuse_store)?;
        let mut records = Vec::with_capacity(page.heads.len());
        for (_, head) in &page.heads {
            records.extend(blob_of(Some(head)).map_err(|error| refuse_fault(BlobFault::Unreadable(error)))?);
        }
        let seen = records.len();
        let next = records.last().map(|record| record.blob).filter(|_| page.more);
        // Judged again under the lock; most are needed, and cost nothing more.
        let due: Vec<BlobId> = records.iter().filter(|r| r.swept(env.now) != Swept::Kept).map(|r| r.blob).collect();
        if due.is_empty() {
            return Ok((SweptBlobs { seen, deleted: 0, stuck: 0 }, next));
        }
        let mut stuck = 0;
        for record in records.iter().filter(|record| record.swept(env.now) == Swept::Releases) {
            stuck += usize::from(!self.release_manifest(log, record, env).await?);
        }
        let reads = blob_reads(due.iter().copied());
        let going = self.blob_rule(log, reads, move |view| decide::sweep_blobs(log, &due, env.now, view)).await?;
        let own = going.iter().filter(|(_, place)| *place == Place::Own);
        let keys: Vec<BlobKey> = own.map(|(blob, _)| key(log, *blob)).collect();
        if !keys.is_empty() {
            store.delete(&keys).await.map_err(|error| refuse_blob(&error))?;
        }
        let packs = going.iter().filter_map(|(_, place)| match place {
            Place::Own => None,
            Place::Packed { pack, .. } => Some(*pack),
        });
        let gone: Vec<BlobId> = going.iter().map(|(blob, _)| *blob).collect();
        let mut reads = blob_reads(gone.iter().copied().chain(packs));
        reads.heads.extend(gone.iter().map(|blob| decide::scan_key(*blob)));
        let deleted = gone.len();
        if deleted > 0 {
            self.blob_rule(log, reads, move |view| decide::forget_blobs(log, &gone, view)).await?;
        }
        Ok((SweptBlobs { seen, deleted, stuck }, next))
    }

    /// Drops uploads that nobody went on with for a lease, and gives bytes that nothing is known of a record, `limit` at a
    /// time, from after one blob on, so that the sweep takes them in time: somebody died between putting them there and
    /// saying so. Says how many, and where to go on.
    ///
    /// # Errors
    /// As [`sweep_blobs`](Self::sweep_blobs).
    pub async fn adopt_blobs(
        &self,
        log: LogKey,
        after: Option<BlobId>,
        limit: usize,
        env: Env,
    ) -> Result<(usize, Option<BlobId>), Refusal> {
        let store = self.blob_store()?;
        let stale = |stat: &UploadStat| stat.touched.plus_ms(limits::BLOB_LEASE_MS) < env.now;
        if after.is_none() {
            let mut from = None;
            loop {
                let page = store.uploads(blob_space(log), from, limit).await.map_err(|error| refuse_blob(&error))?;
                let key = |stat: &UploadStat| UploadKey { bucket: blob_space(log), upload: stat.upload };
                let gone: Vec<UploadKey> = page.iter().filter(|stat| stale(stat)).map(key).collect();
                store.discard(&gone).await.map_err(|error| refuse_blob(&error))?;
                from = page.last().map(|stat| stat.upload);
                if page.len() < limit {
                    break;
                }
            }
        }
        let listed = store.list(blob_space(log), after, limit).await.map_err(|error| refuse_blob(&error))?;
        let there: Vec<(BlobId, u64)> = listed.iter().map(|stat| (stat.blob, stat.size)).collect();
        let next = there.last().map(|(blob, _)| *blob).filter(|_| there.len() == limit);
        let reads = blob_reads(there.iter().map(|(blob, _)| *blob));
        let found = self.blob_rule(log, reads, move |view| decide::adopt_blobs(log, &there, env.now, view)).await?;
        Ok((found, next))
    }
}
