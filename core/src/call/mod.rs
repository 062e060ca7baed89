//! What a client and a server say to each other, as values. No transport is known here.
//!
//! One [`Call`] variant per thing a client can ask, one [`Reply`] per answer, a [`Refusal`] where there is none.

mod access;
mod code;
mod page;
mod share;

pub use access::{Group, Link, NewLink, Token};
pub use code::{Advice, ErrorCode, Refusal};
pub(crate) use page::Place;
pub use page::{LeftOut, Page, PageOp};
pub use share::{Share, Shared};

use std::sync::Arc;

use crate::access::{Access, Bearer, LinkToken};
use crate::blob::{ScanPolicy, ScanRecord};
use crate::decide::{NewTerms, TreeTerms};
use crate::digest::BlobId;
use crate::id::{EntityId, GroupId, LinkId, LogId, OpId, ReplicaId, RequestId, TokenId};
use crate::oplog::{Holders, LogBounds, Op, Part, RestorePoint, Sealing, Snapshot, Verdict};
use crate::seq::{Cursor, Seq};
use crate::store::{LogSummary, NodePage, NodeQuery, PageLimit};
use crate::time::Timestamp;
use crate::tree::{self, Answer, Label, Revision};

/// A question to a server. The bucket is the caller's.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Call {
    /// Make a log, if it is not there. One that is there with another policy is refused.
    CreateLog {
        /// Which.
        log: LogId,
        /// Whether its payloads are sealed; fixed for ever.
        sealing: Sealing,
    },
    /// Raise a log's key epoch by one: from then on nothing sealed under an older key is taken. Whoever rotates has a new
    /// key ready and brings it to the devices that are to keep reading.
    RotateKeys {
        /// Which log.
        log: LogId,
        /// The epoch it is at, as last seen; somebody else may have rotated since.
        from: u32,
    },
    /// A log's bounds.
    Status(LogId),
    /// The bucket's logs in id order, after one.
    Logs {
        /// After this one.
        after: Option<LogId>,
        /// At most this many, 1 to [`limits::LIST_ITEMS_MAX`](crate::limits::LIST_ITEMS_MAX).
        limit: usize,
    },
    /// Delete a log that still ends where the caller saw it end, and take what groups were granted of it.
    DeleteLog {
        /// Which.
        log: LogId,
        /// Its end as last seen.
        seen: Cursor,
    },
    /// Add ops, and hear what is new.
    Push(Push),
    /// Read on from a cursor.
    Pull {
        /// Which log.
        log: LogId,
        /// From where.
        cursor: Cursor,
        /// How much.
        limit: PageLimit,
    },
    /// The newest snapshot, for a reader that starts late.
    GetSnapshot(LogId),
    /// Offer a snapshot made by a client.
    PutSnapshot {
        /// Of which log.
        log: LogId,
        /// The snapshot.
        snapshot: Box<Snapshot>,
    },
    /// Places worth going back to, newest first.
    RestorePoints {
        /// Which log.
        log: LogId,
        /// At most this many.
        limit: usize,
    },
    /// Make the state at a seq the present one again, by a full-state op.
    Restore {
        /// Which log.
        log: LogId,
        /// Back to here.
        to: Seq,
        /// The log's end as last seen; nothing may have been added since.
        seen: Cursor,
        /// Makes a retry harmless.
        request: RequestId,
    },
    /// Take the last restore, or import, back, as long as nothing was added after it.
    UndoRestore {
        /// Which log.
        log: LogId,
        /// The log's end as last seen.
        seen: Cursor,
        /// Makes a retry harmless.
        request: RequestId,
    },
    /// Say up to where a replica holds a log durably, and hear what all of them hold. Changes nothing that anybody reads.
    Acknowledge {
        /// Which log.
        log: LogId,
        /// Who holds it.
        replica: ReplicaId,
        /// Everything up to here. It must be a place in the log's history.
        cursor: Cursor,
    },
    /// Which replicas hold a log, and how far.
    Devices(LogId),
    /// Say which of these blobs, each with its size in bytes, have to be sent before an op may refer to them; all of them
    /// are kept for [`limits::BLOB_LEASE_MS`](crate::limits::BLOB_LEASE_MS) from now on.
    Reserve {
        /// Into which log.
        log: LogId,
        /// 1 to [`limits::LIST_ITEMS_MAX`](crate::limits::LIST_ITEMS_MAX) blobs.
        blobs: Vec<(BlobId, u64)>,
    },
    /// Keep the pieces that a manifest lists for as long as the manifest is kept, so that a commit may refer to it. The
    /// manifest and all its pieces were sent before. Repeating goes on where it was cut off, and is harmless.
    KeepManifest {
        /// Into which log.
        log: LogId,
        /// Which manifest.
        manifest: BlobId,
    },
    /// Change a log's tree of files.
    Commit(Commit),
    /// Make a folder of a log's tree the tree of a log of its own, and mount that in its place. Who administers the log may.
    ShareFolder(Share),
    /// Nodes of a log's tree of files.
    Nodes {
        /// Of which log.
        log: LogId,
        /// Which.
        asked: NodeQuery,
        /// At most this many, 1 to [`limits::TREE_PAGE_NODES_MAX`](crate::limits::TREE_PAGE_NODES_MAX).
        limit: usize,
    },
    /// The contents that a file had, oldest first.
    Revisions {
        /// Of which log.
        log: LogId,
        /// Which file.
        node: EntityId,
        /// Those behind this seq.
        after: Seq,
        /// At most this many, 1 to [`limits::LIST_ITEMS_MAX`](crate::limits::LIST_ITEMS_MAX).
        limit: usize,
    },
    /// Purge what was deleted: a dead node with everything in it is forgotten, and its contents are swept in time.
    PurgeTrash {
        /// From which log's tree.
        log: LogId,
        /// Which node. One that is not there is no error.
        node: EntityId,
    },
    /// What a log's tree of files takes, and how much of it there is.
    TreeTerms(LogId),
    /// Say what a log's tree of files takes from now on; what is there stays.
    SetTreeTerms {
        /// Which log.
        log: LogId,
        /// What it takes.
        terms: NewTerms,
    },
    /// What a log's blobs take, and may take.
    BlobUsage(LogId),
    /// Say what a log's blobs may take.
    SetBlobQuota {
        /// Which log.
        log: LogId,
        /// Bytes; `None`: as many as there is room for.
        quota: Option<u64>,
    },
    /// Say whether a log's blobs are scanned, and read before they are.
    SetScanning {
        /// Which log.
        log: LogId,
        /// The policy.
        policy: ScanPolicy,
    },
    /// What scanners said of a log's blobs, by their names.
    Scans {
        /// Of which log.
        log: LogId,
        /// After this one.
        after: Option<BlobId>,
        /// At most this many, 1 to [`limits::LIST_ITEMS_MAX`](crate::limits::LIST_ITEMS_MAX).
        limit: usize,
    },
    /// Let a blob be read, whatever a scanner says of it.
    ReleaseBlob {
        /// Of which log.
        log: LogId,
        /// Which.
        blob: BlobId,
    },
    /// Forget what was said of a blob, a release too, and have it judged again.
    RescanBlob {
        /// Of which log.
        log: LogId,
        /// Which.
        blob: BlobId,
    },
    /// Make a public link to a file or folder.
    MakeLink(NewLink),
    /// The links of a log, by id.
    Links {
        /// Of which log.
        log: LogId,
        /// After this one.
        after: Option<LinkId>,
        /// At most this many, 1 to [`limits::LIST_ITEMS_MAX`](crate::limits::LIST_ITEMS_MAX).
        limit: usize,
    },
    /// End a link.
    RevokeLink {
        /// Of which log.
        log: LogId,
        /// Which.
        link: LinkId,
    },
    /// Make a bearer token.
    MintToken {
        /// For people.
        name: String,
        /// What its holder may do.
        access: Access,
        /// The logs it is for; `None` for all.
        logs: Option<Vec<LogId>>,
        /// The replica it is bound to; `None` for any.
        replica: Option<ReplicaId>,
        /// When it ends.
        expires_at: Option<Timestamp>,
    },
    /// End a bearer token, and every one whose place it took.
    RevokeToken(TokenId),
    /// Make another token take a token's place, which lets in for
    /// [`limits::TOKEN_FORMER_MS`](crate::limits::TOKEN_FORMER_MS) yet. Its holder may, and who administers the bucket.
    RotateToken(TokenId),
    /// The tokens of the bucket, by id, without their secrets, which nobody knows.
    Tokens {
        /// After this one.
        after: Option<TokenId>,
        /// At most this many, 1 to [`limits::LIST_ITEMS_MAX`](crate::limits::LIST_ITEMS_MAX).
        limit: usize,
    },
    /// Make a group of those who hold tokens.
    CreateGroup {
        /// For people.
        name: String,
    },
    /// The groups of the bucket, by id.
    Groups {
        /// After this one.
        after: Option<GroupId>,
        /// At most this many, 1 to [`limits::LIST_ITEMS_MAX`](crate::limits::LIST_ITEMS_MAX).
        limit: usize,
    },
    /// End a group, with all that it is granted.
    DeleteGroup(GroupId),
    /// Put a token into a group or take it out.
    SetMember {
        /// Which group.
        group: GroupId,
        /// Which token.
        token: TokenId,
        /// Whether it is to be in it.
        member: bool,
    },
    /// Say what a group's members may do to a log. Who administers the log may, and grants no more than that log.
    SetGrant {
        /// Which group.
        group: GroupId,
        /// Which log.
        log: LogId,
        /// What they may do; `None`: nothing by this group.
        access: Option<Access>,
    },
    /// A [`Push`](Call::Push), [`Pull`](Call::Pull) or [`GetSnapshot`](Call::GetSnapshot) whose answer is to say in full
    /// only what a part of the log's entities is concerned with: [`Page::only`], [`Snapshot::only`]. Other calls are
    /// refused as [`ErrorCode::Malformed`].
    Partly {
        /// The entities.
        part: Part,
        /// What is asked.
        call: Box<Call>,
    },
}

/// Ops to add.
#[derive(Debug, Clone)]
#[allow(clippy::exhaustive_structs, reason = "arguments of one call")]
pub struct Push {
    /// Where to.
    pub log: LogId,
    /// Kept on retries, so that a retry gets the first answer again. Without one, an op that was accepted is a duplicate
    /// the second time, but one that lost finds its counter spent (`COUNTER_REUSED`): give one whenever an answer may
    /// get lost.
    pub request: Option<RequestId>,
    /// Where the author stands. With it, newer ops of others come back along with the verdicts.
    pub cursor: Option<Cursor>,
    /// All or nothing.
    pub atomic: bool,
    /// 1 to [`limits::BATCH_OPS_MAX`](crate::limits::BATCH_OPS_MAX) ops in the order they were written.
    pub ops: Vec<Op>,
}

/// Changes to a tree of files, made on a device.
#[derive(Debug, Clone)]
#[allow(clippy::exhaustive_structs, reason = "arguments of one call")]
pub struct Commit {
    /// Whose tree.
    pub log: LogId,
    /// Kept on retries: it has one effect, and a retry gets the first answer again for as long as the log keeps it.
    pub id: OpId,
    /// Whose copy of the tree it was made on.
    pub replica: ReplicaId,
    /// What the names of conflict copies call the device.
    pub label: Label,
    /// What is to be done.
    pub ops: Arc<tree::Commit>,
}

/// What became of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a device must act on each")]
pub enum Committed {
    /// It was decided. What it did to the tree is in the log.
    Done {
        /// Where it stands in the log; `None` when it changed nothing.
        seq: Option<Seq>,
        /// One answer per op.
        answers: Vec<Answer>,
        /// The log's end, as far as the answer knows.
        end: Cursor,
    },
    /// These blobs have to be sent first, and of manifests the pieces [kept](Call::KeepManifest); then the same commit again.
    /// Nothing was changed.
    Needs(Vec<BlobId>),
}

/// What became of a manifest whose pieces are to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a device must act on each")]
pub enum ManifestKept {
    /// All pieces are kept, and the manifest itself for [`limits::BLOB_LEASE_MS`](crate::limits::BLOB_LEASE_MS) from now on.
    Kept {
        /// Whether they were read and make the file. Of a file of more than
        /// [`limits::FILE_JUDGED_AT_ONCE_BYTES_MAX`](crate::limits::FILE_JUDGED_AT_ONCE_BYTES_MAX) bytes the server finds
        /// out later; until then it is taken for right.
        judged: bool,
    },
    /// These have to be sent first; then the same call again. At most
    /// [`limits::LIST_ITEMS_MAX`](crate::limits::LIST_ITEMS_MAX) of those that are missing.
    Needs(Vec<BlobId>),
}

/// What a purge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "the answer of one call")]
pub struct Purged {
    /// Nodes that went.
    pub nodes: u64,
    /// Whether there are more than one call takes: then the same call again.
    pub more: bool,
}

/// The verdicts on a push.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "the answer of one call")]
pub struct Pushed {
    /// One per op, in order.
    pub verdicts: Vec<Verdict>,
    /// A remembered answer to a repeated request.
    pub replayed: bool,
    /// The server's time: when the ops that this call accepted were accepted, and a hint for a clock that is off.
    pub accepted_at: Timestamp,
    /// What is new since the author's cursor; absent when no cursor was given or a gap showed. Its own ops come along
    /// when others wrote in between. When nobody did, there are no ops and `next` is the end after its own: the author
    /// extends its anchor with the digests of its accepted ops and finds the same.
    pub newer: Option<Page>,
}

/// A server's answer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Reply {
    /// To [`Call::CreateLog`], [`Call::Status`] and [`Call::RotateKeys`].
    Log {
        /// Which.
        log: LogId,
        /// Its bounds.
        bounds: Box<LogBounds>,
        /// Made by this call.
        created: bool,
    },
    /// To [`Call::Logs`].
    Logs(Vec<LogSummary>),
    /// To [`Call::DeleteLog`], [`Call::RevokeToken`], [`Call::RevokeLink`], [`Call::DeleteGroup`],
    /// [`Call::SetMember`], [`Call::SetGrant`], [`Call::SetScanning`], [`Call::ReleaseBlob`] and
    /// [`Call::RescanBlob`].
    Done,
    /// To [`Call::Push`].
    Pushed(Pushed),
    /// To [`Call::Pull`].
    Pulled(Page),
    /// To [`Call::GetSnapshot`]; `None` when reading from the start is as good.
    Snapshot(Option<Box<Snapshot>>),
    /// To [`Call::PutSnapshot`].
    SnapshotKept,
    /// To [`Call::RestorePoints`].
    RestorePoints(Vec<RestorePoint>),
    /// To [`Call::Restore`] and [`Call::UndoRestore`].
    Restored {
        /// The full-state op that did it.
        seq: Seq,
        /// The log's end after it.
        end: Cursor,
    },
    /// To [`Call::Acknowledge`].
    Acknowledged {
        /// The stable frontier: every replica that counts has everything up to here.
        stable: Seq,
        /// How many count.
        devices: usize,
    },
    /// To [`Call::Devices`].
    Devices(Box<Holders>),
    /// To [`Call::KeepManifest`].
    ManifestKept(ManifestKept),
    /// To [`Call::Commit`].
    Committed(Committed),
    /// To [`Call::ShareFolder`].
    Shared(Shared),
    /// To [`Call::Nodes`].
    Nodes(NodePage),
    /// To [`Call::Revisions`].
    Revisions(Vec<Revision>),
    /// To [`Call::PurgeTrash`].
    Purged(Purged),
    /// To [`Call::TreeTerms`] and [`Call::SetTreeTerms`].
    TreeTerms(TreeTerms),
    /// To [`Call::Reserve`]: one per blob, in order.
    Needs(Vec<crate::blob::Need>),
    /// To [`Call::BlobUsage`] and [`Call::SetBlobQuota`].
    BlobUsage(crate::blob::Usage),
    /// To [`Call::Scans`].
    Scans {
        /// The log's policy.
        policy: ScanPolicy,
        /// What was said of each blob that was judged, the first half of their names in order.
        scans: Vec<ScanRecord>,
    },
    /// To [`Call::MakeLink`]: the only time the address is shown.
    LinkMade {
        /// Its id, to revoke it by.
        id: LinkId,
        /// Its address.
        token: LinkToken,
    },
    /// To [`Call::Links`].
    Links(Vec<Link>),
    /// To [`Call::Tokens`].
    Tokens(Vec<Token>),
    /// To [`Call::CreateGroup`].
    GroupMade(GroupId),
    /// To [`Call::Groups`].
    Groups(Vec<Group>),
    /// To [`Call::MintToken`] and [`Call::RotateToken`]: the only time the secret is shown.
    Token {
        /// Its id, to revoke it by.
        id: TokenId,
        /// The token.
        bearer: Bearer,
    },
}
