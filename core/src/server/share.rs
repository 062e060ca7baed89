//! Sharing a folder: its bytes are brought to a log of their own, then one transaction moves the tree.
//!
//! What must hold: until that transaction nothing is otherwise than before, but for a log that is empty and whose bytes the
//! sweep takes again if nobody goes on; a call that is repeated goes on where the last one stopped.
//!
//! *Next:* the rule is in `decide/share.rs`.

use bytes::BytesMut;

use super::blobs::{refuse_blob, refuse_fault};
use super::manifests::wrong_manifest;
use super::{Server, permit, refuse_store};
use crate::access::{Access, Caller};
use crate::blob::{BlobRefused, Need};
use crate::call::{ErrorCode, ManifestKept, Refusal, Reply, Share, Shared};
use crate::decide::{
    self, PieceStep, Scope, ShareFault, View, group_records, scan_key, scan_of, scan_reads, share_folder, token_records,
};
use crate::digest::BlobId;
use crate::id::{LogId, LogKey, ReplicaId};
use crate::limits;
use crate::oplog::EntityKey;
use crate::seq::Seq;
use crate::store::{ByteRange, StoreExt as _};
use crate::time::Env;
use crate::tree::Content;

/// How often a share is decided anew because others commit or grant meanwhile.
const ROUNDS_MAX: usize = 16;
/// What a blob costs at least of what one call copies: fetching it takes its time, however small it is.
const BLOB_COST: u64 = 64 << 10;

/// What one call still copies.
struct Step(u64);

impl Step {
    const fn is_over(&self) -> bool {
        self.0 == 0
    }

    fn pay(&mut self, bytes: u64) {
        self.0 = self.0.saturating_sub(bytes.max(BLOB_COST));
    }
}

impl Server {
    pub(super) async fn share_folder(
        &self,
        caller: &Caller,
        log: LogKey,
        asked: Share,
        env: Env,
    ) -> Result<Reply, Refusal> {
        let Share { id, replica, folder, to, mount, .. } = asked;
        if replica == ReplicaId::SERVER || caller.replica.is_some_and(|own| own != replica) {
            let detail = "the share is asked for as a replica that is not the caller's";
            return Err(Refusal::new(ErrorCode::ForbiddenReplica, detail));
        }
        if to == LogId::SYSTEM || to == log.log {
            return Err(Refusal::new(ErrorCode::Malformed, "a folder becomes a log of its own"));
        }
        let to = LogKey { bucket: log.bucket, log: to };
        let mut step = Step(limits::SHARE_STEP_BYTES);
        for _ in 0..ROUNDS_MAX {
            let (records, found_at) = self.who_names_logs(log).await?;
            let share = decide::Share { log, to, id, replica, folder, mount, records, found_at };
            let fingerprint = share.fingerprint();
            let scope = Scope::logs(share.reads()).map_err(|_| Refusal::new(ErrorCode::Malformed, "too many logs"))?;
            let rule = move |view: &View| share_folder(&share, &env, view);
            match self.store.decide(scope, rule).await.map_err(refuse_store)? {
                decide::Shared::Done(ends) => {
                    self.wake(log, ends.log.end()).await;
                    self.wake(to, ends.to.end()).await;
                    if let Some(seq) = ends.system {
                        self.tell(log.bucket, seq).await;
                    }
                    return Ok(Reply::Shared(Shared::Done { seq: ends.log.last }));
                }
                decide::Shared::Known(known) => {
                    self.entry_again(log, known, fingerprint).await?;
                    return Ok(Reply::Shared(Shared::Done { seq: known.seq }));
                }
                decide::Shared::Begun | decide::Shared::Regranted => {}
                decide::Shared::Needs(contents) => {
                    let left = self.bring(log, to, &contents, &mut step, env).await?;
                    if left > 0 {
                        return Ok(Reply::Shared(Shared::Copying { left }));
                    }
                }
                decide::Shared::Refused(fault) => return Err(refuse(&fault)),
            }
        }
        Err(Refusal::new(ErrorCode::Busy, "the folder, or who may use it, is changed all the time"))
    }

    /// The records of groups and tokens that say something of single logs, and the system log's end before they were read.
    async fn who_names_logs(&self, log: LogKey) -> Result<(Vec<EntityKey>, Seq), Refusal> {
        let system = LogKey { bucket: log.bucket, log: LogId::SYSTEM };
        let bounds = self.store.bounds(system).await.map_err(refuse_store)?;
        let text = log.log.to_string();
        let mut found = Vec::new();
        for collection in [group_records(), token_records()] {
            let mut after: Option<EntityKey> = None;
            loop {
                let page = self.records(log.bucket, &collection, after.as_ref(), limits::LIST_ITEMS_MAX).await?;
                let is_last = page.len() < limits::LIST_ITEMS_MAX;
                after = page.last().map(|(key, _)| key.clone());
                // A record is JSON, and names a log by its text.
                let names = |state: &[u8]| state.windows(text.len()).any(|part| part == text.as_bytes());
                found.extend(page.into_iter().filter(|(_, record)| names(&record.state)).map(|(key, _)| key));
                if is_last {
                    break;
                }
            }
        }
        Ok((found, bounds.map_or(Seq::ZERO, |bounds| bounds.last)))
    }

    /// Brings what these contents need to the other log; of how many something is still missing when the step is over.
    async fn bring(
        &self,
        from: LogKey,
        to: LogKey,
        contents: &[Content],
        step: &mut Step,
        env: Env,
    ) -> Result<usize, Refusal> {
        self.blob_store()?;
        for (at, part) in contents.chunks(limits::LIST_ITEMS_MAX / 2).enumerate() {
            let mut blobs = Vec::new();
            for content in part {
                if content.manifest.is_none() {
                    blobs.push((content.blob, content.bytes));
                }
                if let Some(attributes) = content.attributes {
                    blobs.push((attributes, self.there(from, attributes).await?.0.size));
                }
            }
            let left = contents.len() - at * (limits::LIST_ITEMS_MAX / 2);
            if !self.copy_blobs(from, to, blobs, step, env).await? {
                return Ok(left);
            }
            let manifests = part.iter().filter_map(|content| Some((content, content.manifest?)));
            for (content, manifest) in manifests {
                self.copy_scan(from, to, content.blob).await?;
                if !self.copy_manifest(from, to, manifest, step, env).await? {
                    return Ok(left);
                }
            }
        }
        Ok(0)
    }

    async fn there(&self, log: LogKey, blob: BlobId) -> Result<(crate::blob::BlobRecord, crate::blob::Place), Refusal> {
        let none = || Refusal::new(ErrorCode::BlobNotFound, format!("the bytes of blob {blob} are not there"));
        self.readable(log, blob).await?.ok_or_else(none)
    }

    async fn copy_manifest(
        &self,
        from: LogKey,
        to: LogKey,
        manifest: BlobId,
        step: &mut Step,
        env: Env,
    ) -> Result<bool, Refusal> {
        let (record, place) = self.there(from, manifest).await?;
        let list = self.read_manifest(from, &record, place).await?;
        let pieces = PieceStep::pieces_of(&list).map_err(|_| wrong_manifest(manifest))?;
        if !self.copy_blobs(from, to, pieces, step, env).await?
            || !self.copy_blobs(from, to, vec![(manifest, record.size)], step, env).await?
        {
            return Ok(false);
        }
        match self.keep_manifest(to, manifest, env).await? {
            ManifestKept::Kept { .. } => Ok(true),
            ManifestKept::Needs(_) => Err(Refusal::new(ErrorCode::Busy, "what was copied is being swept")),
        }
    }

    /// Copies what the other log does not have; `false` when the step was over before that. What it has is leased.
    async fn copy_blobs(
        &self,
        from: LogKey,
        to: LogKey,
        mut blobs: Vec<(BlobId, u64)>,
        step: &mut Step,
        env: Env,
    ) -> Result<bool, Refusal> {
        blobs.sort_unstable();
        blobs.dedup();
        for part in blobs.chunks(limits::LIST_ITEMS_MAX) {
            let needs = self.needs(to, part.to_vec(), env).await?;
            let mut batch: Vec<(BlobId, bytes::Bytes)> = Vec::new();
            let mut held = 0;
            for ((blob, size), need) in part.iter().copied().zip(needs) {
                self.copy_scan(from, to, blob).await?;
                match need {
                    Need::Have => continue,
                    Need::Send => {}
                    Need::Later => return Err(refuse_fault(BlobRefused::Going(blob).into())),
                }
                if step.is_over() {
                    self.take_batch(to, batch, env).await?;
                    return Ok(false);
                }
                step.pay(size);
                let (record, place) = self.there(from, blob).await?;
                let mut source = self.open_at(from, &record, place, ByteRange::default()).await?;
                if size > limits::BLOB_PUT_BYTES_MAX {
                    let operator = Caller::operator(to.bucket);
                    self.put_blob(&operator, to.log, (blob, size), &mut *source, env).await?;
                    continue;
                }
                let mut bytes = BytesMut::new();
                while let Some(more) = source.next().await.map_err(|error| refuse_blob(&error))? {
                    bytes.extend_from_slice(&more);
                }
                if held + bytes.len() > limits::BLOB_BATCH_BYTES_MAX {
                    self.take_batch(to, std::mem::take(&mut batch), env).await?;
                    held = 0;
                }
                held += bytes.len();
                batch.push((blob, bytes.freeze()));
            }
            self.take_batch(to, batch, env).await?;
        }
        Ok(true)
    }

    async fn take_batch(&self, to: LogKey, batch: Vec<(BlobId, bytes::Bytes)>, env: Env) -> Result<(), Refusal> {
        if !batch.is_empty() {
            self.put_blobs(&Caller::operator(to.bucket), to.log, batch, env).await?;
        }
        Ok(())
    }

    /// What was found in bytes is so wherever they lie, whatever the policies are. It is there before they are: nobody reads
    /// them where a call is cut off.
    async fn copy_scan(&self, from: LogKey, to: LogKey, blob: BlobId) -> Result<(), Refusal> {
        let note = self.store.head(from, &scan_key(blob)).await.map_err(refuse_store)?;
        let said = scan_of(note.as_ref()).map_err(|error| Refusal::new(ErrorCode::LogDamaged, error.to_string()))?;
        if let Some(said) = said.filter(|said| said.blob == blob) {
            let reads = scan_reads(std::iter::once(blob));
            self.blob_rule(to, reads, move |view| decide::bring_scan(to, &said, view)).await?;
        }
        Ok(())
    }

    /// Whether mounts may be made of these logs: who makes them may read them, and each is a tree that was shared.
    pub(super) async fn mountable(&self, caller: &Caller, logs: impl Iterator<Item = LogId>) -> Result<(), Refusal> {
        for log in logs {
            let key = permit(caller, Access::Read, log)?;
            self.bounds(key).await?;
            let Reply::TreeTerms(terms) = self.tree_terms(key).await? else { continue };
            if terms.shared.is_none() {
                return Err(Refusal::new(ErrorCode::MountNested, "only the log of a shared folder is mounted"));
            }
        }
        Ok(())
    }
}

fn refuse(fault: &ShareFault) -> Refusal {
    let code = match fault {
        ShareFault::NoLog => ErrorCode::LogNotFound,
        ShareFault::Damaged | ShareFault::Unreadable(_) => ErrorCode::LogDamaged,
        ShareFault::Record => ErrorCode::Internal,
        ShareFault::NotFound => ErrorCode::NodeNotFound,
        ShareFault::NotAFolder => ErrorCode::NotAFolder,
        ShareFault::Nested => ErrorCode::MountNested,
        ShareFault::TooMany => ErrorCode::ShareTooLarge,
        ShareFault::LogExists => ErrorCode::LogExists,
        ShareFault::MountTaken => ErrorCode::RequestIdReused,
        ShareFault::Mount(crate::tree::Refusal::QuotaExceeded) => ErrorCode::QuotaExceeded,
        ShareFault::Mount(_) => ErrorCode::OpInvalid,
        ShareFault::Grants => ErrorCode::LimitOutOfRange,
        ShareFault::Manifest(_) => ErrorCode::ManifestWrong,
        ShareFault::Size(_) => ErrorCode::BlobMismatch,
    };
    Refusal::new(code, fault.to_string())
}
