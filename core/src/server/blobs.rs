//! Blobs: what to send, taking it in, giving it out, and sweeping what nobody needs.
//!
//! Bytes go between a caller and the [`BlobStore`]; what a log knows of them is decided in its own transactions. What must
//! hold: a blob is readable through a log only after it came through that log, so nobody gets bytes by naming them; bytes
//! are durable before the log says so, and the log forgets before bytes are deleted.
//!
//! *Next:* [`decide::BlobBook`](crate::decide::BlobBook) for the rules.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::{Server, permit, refuse_store};
use crate::access::{Access, Caller};
use crate::blob::{BlobRefused, Need, Place, Usage};
use crate::call::{ErrorCode, Refusal, Reply};
use crate::decide::{self, BlobFault, Came, Choice, Reads, Scope, View, blob_reads, usage_key, usage_of};
use crate::digest::{BlobId, Digest};
use crate::id::{BucketId, LogId, LogKey, UploadId};
use crate::limits;
use crate::store::{
    Announced, Append, BlobError, BlobKey, BlobSource, BlobStore, BytesSource, PutOutcome, StoreExt, UploadKey,
};
use crate::time::Env;

impl Server {
    /// A server that keeps blobs too.
    #[must_use]
    pub fn with_blobs(mut self, blobs: Arc<dyn BlobStore>) -> Self {
        self.blobs = Some(blobs);
        self
    }

    pub(super) fn blob_store(&self) -> Result<&Arc<dyn BlobStore>, Refusal> {
        self.blobs.as_ref().ok_or_else(|| Refusal::new(ErrorCode::NoBlobs, "this server keeps no blobs"))
    }

    pub(super) async fn reserve(&self, log: LogKey, asked: Vec<(BlobId, u64)>, env: Env) -> Result<Reply, Refusal> {
        self.blob_store()?;
        if asked.is_empty() || asked.len() > limits::LIST_ITEMS_MAX {
            let detail = format!("1 to {} blobs are asked for at once, not {}", limits::LIST_ITEMS_MAX, asked.len());
            return Err(Refusal::new(ErrorCode::LimitOutOfRange, detail));
        }
        self.needs(log, asked, env).await.map(Reply::Needs)
    }

    pub(super) async fn needs(&self, log: LogKey, asked: Vec<(BlobId, u64)>, env: Env) -> Result<Vec<Need>, Refusal> {
        let reads = blob_reads(asked.iter().map(|(blob, _)| *blob));
        self.blob_rule(log, reads, move |view| decide::reserve_blobs(log, &asked, env.now, view)).await
    }

    pub(super) async fn blob_usage(&self, log: LogKey) -> Result<Usage, Refusal> {
        self.bounds(log).await?;
        let note = self.store.head(log, &usage_key()).await.map_err(refuse_store)?;
        usage_of(note.as_ref()).map_err(|error| refuse_fault(BlobFault::Unreadable(error)))
    }

    pub(super) async fn set_blob_quota(&self, log: LogKey, quota: Option<u64>) -> Result<Usage, Refusal> {
        self.blob_rule(log, blob_reads(std::iter::empty()), move |view| decide::set_quota(log, quota, view)).await
    }

    /// Takes a blob in. Its bytes are read even when they are here already: who names a blob must have it.
    ///
    /// # Errors
    /// [`ErrorCode::BlobMismatch`] when the bytes are not the ones named, [`ErrorCode::QuotaExceeded`] before any is read,
    /// [`ErrorCode::BlobTooLarge`], [`ErrorCode::NoBlobs`], what `body` failed with, else the stores' failures.
    pub async fn put_blob(
        &self,
        caller: &Caller,
        log: LogId,
        named: (BlobId, u64),
        body: &mut dyn BlobSource,
        env: Env,
    ) -> Result<PutOutcome, Refusal> {
        let log = permit(caller, Access::Write, log)?;
        let store = Arc::clone(self.blob_store()?);
        let (blob, size) = named;
        match self.needs(log, vec![named], env).await?.first() {
            Some(Need::Send) => {}
            // It may lie in a pack; a copy under its own name would be nobody's.
            Some(Need::Have) => return check_only(blob, size, body).await.map(|()| PutOutcome::Present),
            _ => return Err(refuse_fault(BlobRefused::Going(blob).into())),
        }
        let outcome = store.put(key(log, blob), size, body).await.map_err(|error| refuse_blob(&error))?;
        let came = vec![Came { blob, size, place: Place::Own }];
        self.settle(log, None, came, env).await?;
        Ok(outcome)
    }

    /// Takes many small blobs in at once; says of each whether it was new. They lie together in one pack, because an object
    /// each would cost more than its bytes.
    ///
    /// # Errors
    /// As [`put_blob`](Self::put_blob), and [`ErrorCode::BatchSize`] for none, too many, or more than
    /// [`BLOB_BATCH_BYTES_MAX`](limits::BLOB_BATCH_BYTES_MAX) bytes; then nothing was taken.
    pub async fn put_blobs(
        &self,
        caller: &Caller,
        log: LogId,
        blobs: Vec<(BlobId, Bytes)>,
        env: Env,
    ) -> Result<Vec<PutOutcome>, Refusal> {
        let log = permit(caller, Access::Write, log)?;
        let store = Arc::clone(self.blob_store()?);
        check_batch(&blobs)?;
        let asked: Vec<(BlobId, u64)> = blobs.iter().map(|(blob, bytes)| (*blob, bytes.len() as u64)).collect();
        let needs = self.needs(log, asked.clone(), env).await?;
        if let Some(((blob, _), _)) = asked.iter().zip(&needs).find(|(_, need)| **need == Need::Later) {
            return Err(refuse_fault(BlobRefused::Going(*blob).into()));
        }
        let (mut bytes, mut came) = (BytesMut::new(), Vec::new());
        for ((blob, content), need) in blobs.iter().zip(&needs) {
            if *need == Need::Send {
                came.push((*blob, content.len() as u64, bytes.len() as u64));
                bytes.extend_from_slice(content);
            }
        }
        if !came.is_empty() {
            let (bytes, size) = (bytes.freeze(), came.iter().map(|(_, size, _)| size).sum());
            let pack = Digest::of(&[&bytes]);
            // One blob is its own pack.
            let alone = came.len() == 1;
            store.put(key(log, pack), size, &mut BytesSource::new(bytes)).await.map_err(|error| refuse_blob(&error))?;
            let place = |offset| if alone { Place::Own } else { Place::Packed { pack, offset } };
            let came = came.into_iter().map(|(blob, size, offset)| Came { blob, size, place: place(offset) }).collect();
            self.settle(log, (!alone).then_some((pack, size)), came, env).await?;
        }
        let outcome = |need| if need == Need::Send { PutOutcome::Stored } else { PutOutcome::Present };
        Ok(needs.into_iter().map(outcome).collect())
    }

    /// How far an upload of a large blob is: where it goes on. At 0 it begins. All devices that send one blob into one log
    /// share an upload, so what one began another ends. A blob that is here already is at its end.
    ///
    /// # Errors
    /// As [`put_blob`](Self::put_blob) before any bytes are read.
    pub async fn upload_at(&self, caller: &Caller, log: LogId, named: (BlobId, u64), env: Env) -> Result<u64, Refusal> {
        let log = permit(caller, Access::Write, log)?;
        let store = Arc::clone(self.blob_store()?);
        match self.needs(log, vec![named], env).await?.first() {
            Some(Need::Have) => Ok(named.1),
            Some(Need::Send) => {
                let (blob, size) = named;
                // Whoever took its last byte may have died before it said so.
                let there = store.stat(key(log, blob)).await.map_err(|error| refuse_blob(&error))?;
                if there.is_some_and(|stat| stat.size == size) {
                    self.settle(log, None, vec![Came { blob, size, place: Place::Own }], env).await?;
                    return Ok(size);
                }
                let upload = upload_key(log, blob);
                let stat = store.uploaded(upload).await.map_err(|error| refuse_blob(&error))?;
                let Some(at) = stat.map(|stat| stat.size) else { return Ok(0) };
                if at < size {
                    return Ok(at);
                }
                // Or before it was made a blob: to say that all of it came would be to say that it is stored.
                self.finish_upload(log, upload, named, env).await
            }
            _ => Err(refuse_fault(BlobRefused::Going(named.0).into())),
        }
    }

    /// Takes more of a large blob; says how far it is then. With its last byte it is stored.
    ///
    /// # Errors
    /// [`ErrorCode::UploadOffset`] when it does not go on at `offset`, and nothing was changed. Else as
    /// [`put_blob`](Self::put_blob); after [`ErrorCode::BlobMismatch`] the upload begins anew.
    pub async fn append_blob(
        &self,
        caller: &Caller,
        log: LogId,
        named: (BlobId, u64),
        offset: u64,
        body: &mut dyn BlobSource,
        env: Env,
    ) -> Result<u64, Refusal> {
        let log = permit(caller, Access::Write, log)?;
        let store = Arc::clone(self.blob_store()?);
        let (blob, size) = named;
        match self.needs(log, vec![named], env).await?.first() {
            Some(Need::Send) => {}
            Some(Need::Have) if offset == size => return Ok(size),
            Some(Need::Have) => return Err(refuse_blob(&BlobError::WrongOffset { at: size })),
            _ => return Err(refuse_fault(BlobRefused::Going(blob).into())),
        }
        let upload = upload_key(log, blob);
        let append = Append { offset, size_max: size, now: env.now };
        let at = store.append(upload, append, body).await.map_err(|error| refuse_blob(&error))?;
        if at < size {
            return Ok(at);
        }
        self.finish_upload(log, upload, named, env).await
    }

    /// Makes an upload whose bytes have all come a blob.
    async fn finish_upload(
        &self,
        log: LogKey,
        upload: UploadKey,
        (blob, size): (BlobId, u64),
        env: Env,
    ) -> Result<u64, Refusal> {
        let store = self.blob_store()?;
        let mut finished = store.finish(upload.upload, key(log, blob), size).await.map(drop);
        if matches!(finished, Err(BlobError::NotFound)) {
            // Perhaps who else sends it has just finished it.
            let there = store.stat(key(log, blob)).await;
            if there.is_ok_and(|stat| stat.is_some_and(|stat| stat.size == size)) {
                finished = Ok(());
            }
        }
        finished.map_err(|error| refuse_blob(&error))?;
        self.settle(log, None, vec![Came { blob, size, place: Place::Own }], env).await?;
        Ok(size)
    }

    /// Drops what came of an upload. One that is not there is no error.
    ///
    /// # Errors
    /// [`ErrorCode::NoBlobs`], else the store's failure.
    pub async fn drop_upload(&self, caller: &Caller, log: LogId, blob: BlobId) -> Result<(), Refusal> {
        let log = permit(caller, Access::Write, log)?;
        self.blob_store()?.discard(&[upload_key(log, blob)]).await.map(drop).map_err(|error| refuse_blob(&error))
    }

    async fn settle(
        &self,
        log: LogKey,
        pack: Option<(BlobId, u64)>,
        came: Vec<Came>,
        env: Env,
    ) -> Result<Vec<Place>, Refusal> {
        let mut reads = blob_reads(came.iter().map(|came| came.blob).chain(pack.map(|(blob, _)| blob)));
        reads.heads.push(decide::scan_terms_key());
        self.blob_rule(log, reads, move |view| decide::settle_blobs(log, pack, &came, env.now, view)).await
    }

    pub(super) async fn blob_rule<R: Send + 'static>(
        &self,
        log: LogKey,
        reads: Reads,
        rule: impl Fn(&View) -> Choice<Result<R, BlobFault>> + Send + Sync + 'static,
    ) -> Result<R, Refusal> {
        self.store.decide(Scope::log(log, reads), rule).await.map_err(refuse_store)?.map_err(refuse_fault)
    }
}

/// Where a blob of a log lies. Logs do not share bytes: what one sweeps, another may need, and whether somebody else has
/// a blob is nobody's business.
pub(super) fn key(log: LogKey, blob: BlobId) -> BlobKey {
    BlobKey { bucket: blob_space(log), blob }
}

/// The space of a blob store that a log's bytes lie in.
#[must_use]
pub fn blob_space(log: LogKey) -> BucketId {
    let name = Digest::of(&[b"blobs\0", log.bucket.as_bytes(), log.log.as_bytes()]);
    let mut space = [0; 16];
    space.copy_from_slice(&name.as_bytes()[..16]);
    BucketId::from_bytes(space)
}

/// Whoever sends a blob that is here must have it, too.
async fn check_only(blob: BlobId, size: u64, body: &mut dyn BlobSource) -> Result<(), Refusal> {
    let mut announced = Announced::new(blob, size);
    let judged = async {
        while let Some(bytes) = body.next().await? {
            announced.take(&bytes)?;
        }
        announced.finish()
    };
    judged.await.map_err(|error| refuse_blob(&error))
}

/// One upload per log and blob: whoever sends it next goes on with it.
fn upload_key(log: LogKey, blob: BlobId) -> UploadKey {
    let mut upload = [0; 16];
    upload.copy_from_slice(&blob.as_bytes()[..16]);
    UploadKey { bucket: blob_space(log), upload: UploadId::from_bytes(upload) }
}

fn check_batch(blobs: &[(BlobId, Bytes)]) -> Result<(), Refusal> {
    if blobs.is_empty() || blobs.len() > limits::LIST_ITEMS_MAX {
        let detail = format!("1 to {} blobs are sent at once, not {}", limits::LIST_ITEMS_MAX, blobs.len());
        return Err(Refusal::new(ErrorCode::BatchSize, detail));
    }
    let bytes: usize = blobs.iter().map(|(_, bytes)| bytes.len()).sum();
    if bytes > limits::BLOB_BATCH_BYTES_MAX {
        let max = limits::BLOB_BATCH_BYTES_MAX;
        let detail = format!("blobs sent at once have at most {max} bytes, these have {bytes}");
        return Err(Refusal::new(ErrorCode::BatchSize, detail));
    }
    match blobs.iter().position(|(blob, bytes)| Digest::of(&[bytes]) != *blob) {
        None => Ok(()),
        Some(at) => {
            Err(Refusal::new(ErrorCode::BlobMismatch, format!("the bytes of blob {at} are not the ones named")))
        }
    }
}

pub(super) fn refuse_fault(fault: BlobFault) -> Refusal {
    let code = match fault {
        BlobFault::NoLog => ErrorCode::LogNotFound,
        BlobFault::Unreadable(_) => ErrorCode::LogDamaged,
        BlobFault::Refused(BlobRefused::Going(_)) => ErrorCode::Busy,
        BlobFault::Refused(BlobRefused::OverQuota { .. }) => ErrorCode::QuotaExceeded,
        BlobFault::Refused(BlobRefused::TooLarge(_)) => ErrorCode::BlobTooLarge,
        BlobFault::Refused(BlobRefused::Size { .. } | BlobRefused::NameTaken(_)) => ErrorCode::BlobMismatch,
    };
    Refusal::new(code, fault.to_string())
}

/// A blob store's failure as a client is told.
#[must_use]
pub fn refuse_blob(error: &BlobError) -> Refusal {
    let code = match error {
        BlobError::NotFound => ErrorCode::BlobNotFound,
        BlobError::Mismatch { .. } => ErrorCode::BlobMismatch,
        BlobError::TooLarge { .. } => ErrorCode::BlobTooLarge,
        BlobError::TooShort { .. } => ErrorCode::BlobMismatch,
        BlobError::WrongOffset { .. } => ErrorCode::UploadOffset,
        BlobError::Corrupt { .. } => ErrorCode::BlobDamaged,
        BlobError::Full(_) => ErrorCode::StorageFull,
        BlobError::Denied(_) => ErrorCode::Internal,
        BlobError::Unavailable(_) => ErrorCode::Unavailable,
    };
    Refusal::new(code, error.to_string())
}
