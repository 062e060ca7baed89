//! Why a call was not answered: a stable code, what to do about it, and a sentence for people.

use std::num::NonZeroU32;
use std::sync::Arc;

use crate::oplog::{Gap, LogBounds};
use crate::seq::Cursor;
use crate::store::StoreError;

/// What a client does about a refusal. Part of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Advice {
    /// Repeat the same call with the same ids after a while.
    Retry,
    /// Repeating will not help: the call must be changed.
    Fix,
    /// The credentials are not good, or not good enough.
    SignIn,
    /// The client's position does not fit the log: read, or seed, before writing again.
    Resync,
    /// An operator must look.
    Operator,
}

impl Advice {
    /// The stable name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Fix => "fix",
            Self::SignIn => "sign_in",
            Self::Resync => "resync",
            Self::Operator => "operator",
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $advice:ident, $status:literal;)*) => {
        /// A stable reason. Names never change meaning; new ones may come.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* $variant,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name on the wire.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What a client does about it.
            #[must_use]
            pub const fn advice(self) -> Advice {
                match self { $(Self::$variant => Advice::$advice,)* }
            }

            /// The nearest meaning among the status codes of RFC 9110, for transports that have them.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// The code with this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.name() == name)
            }
        }
    };
}

codes! {
    /// The request does not read: syntax, an unknown field, a value out of range.
    Malformed = "MALFORMED", Fix, 400;
    /// The body is in a form this server does not read.
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE", Fix, 415;
    /// No such route.
    NoSuchRoute = "NO_SUCH_ROUTE", Fix, 404;
    /// The route exists, not for this method.
    MethodNotAllowed = "METHOD_NOT_ALLOWED", Fix, 405;
    /// The body is larger than allowed, as received or decoded.
    BodyTooLarge = "BODY_TOO_LARGE", Fix, 413;
    /// The head of the request is larger than allowed.
    HeadTooLarge = "HEAD_TOO_LARGE", Fix, 431;
    /// The body arrives more slowly than allowed.
    BodyTooSlow = "BODY_TOO_SLOW", Retry, 408;
    /// No ops, or more than a batch takes.
    BatchSize = "BATCH_SIZE", Fix, 413;
    /// One op breaks a rule on single ops; nothing of the batch was stored.
    OpInvalid = "OP_INVALID", Fix, 422;
    /// A page or listing size out of range.
    LimitOutOfRange = "LIMIT_OUT_OF_RANGE", Fix, 400;
    /// The client speaks a protocol version this server no longer or not yet speaks.
    UpgradeRequired = "UPGRADE_REQUIRED", Fix, 426;
    /// No credentials, or none that are known.
    Unauthenticated = "UNAUTHENTICATED", SignIn, 401;
    /// Known, but not allowed to do this.
    Forbidden = "FORBIDDEN", SignIn, 403;
    /// An op is written as a replica that is not the caller's.
    ForbiddenReplica = "FORBIDDEN_REPLICA", Fix, 403;
    /// No such log, or none that the caller may know of.
    LogNotFound = "LOG_NOT_FOUND", Fix, 404;
    /// The request id was used for another request.
    RequestIdReused = "REQUEST_ID_REUSED", Fix, 409;
    /// The log's policy on sealed payloads, fixed when it was made, does not allow this.
    SealingPolicy = "SEALING_POLICY", Fix, 409;
    /// The key epoch is not the one the log is at.
    KeyEpochMoved = "KEY_EPOCH_MOVED", Resync, 409;
    /// The log has moved on since the caller looked.
    LogMoved = "LOG_MOVED", Resync, 409;
    /// The stored log contradicts itself and takes no writes; other logs are not affected.
    LogDamaged = "LOG_DAMAGED", Operator, 500;
    /// The client has history, the server has none.
    GapServerEmpty = "GAP_SERVER_EMPTY", Resync, 409;
    /// The client is ahead of the server.
    GapClientAhead = "GAP_CLIENT_AHEAD", Resync, 409;
    /// What the client needs next was pruned.
    GapPruned = "GAP_PRUNED", Resync, 410;
    /// The stored log misses a seq.
    GapHole = "GAP_HOLE", Operator, 500;
    /// Client and server have different histories of the same log.
    GapDiverged = "GAP_DIVERGED", Resync, 409;
    /// The client's position is in another log of the same name.
    GapForeignLog = "GAP_FOREIGN_LOG", Resync, 409;
    /// A plain snapshot is not what replaying the log gives.
    SnapshotMismatch = "SNAPSHOT_MISMATCH", Fix, 409;
    /// The history holds sealed ops; only a client can build its state.
    SealedHistory = "SEALED_HISTORY", Fix, 409;
    /// The history holds ops this server does not know how to apply.
    UnknownHistory = "UNKNOWN_HISTORY", Fix, 409;
    /// The state is too large, or too many ops away, to be built in one call.
    ReplayTooLarge = "REPLAY_TOO_LARGE", Fix, 413;
    /// The seq to go back to is not in the log.
    NoSuchSeq = "NO_SUCH_SEQ", Fix, 400;
    /// The newest op is not a restore.
    NothingToUndo = "NOTHING_TO_UNDO", Fix, 409;
    /// No such blob in this log.
    BlobNotFound = "BLOB_NOT_FOUND", Fix, 404;
    /// The bytes are not those of the blob that was named.
    BlobMismatch = "BLOB_MISMATCH", Fix, 422;
    /// The node lives, so it is not purged.
    NotInTrash = "NOT_IN_TRASH", Fix, 409;
    /// The blob is no manifest, or its pieces do not make the file that it, or whoever refers to it, names.
    ManifestWrong = "MANIFEST_WRONG", Fix, 422;
    /// The blob is larger than allowed, or than announced.
    BlobTooLarge = "BLOB_TOO_LARGE", Fix, 413;
    /// An upload does not go on there; asking how far it is says where.
    UploadOffset = "UPLOAD_OFFSET", Resync, 409;
    /// The log's quota does not hold it; nothing was taken.
    QuotaExceeded = "QUOTA_EXCEEDED", Fix, 413;
    /// The stored bytes of the blob are not its bytes any more.
    BlobDamaged = "BLOB_DAMAGED", Operator, 500;
    /// The blob waits to be scanned, and is not read before.
    ScanPending = "SCAN_PENDING", Retry, 423;
    /// Something was found in the blob.
    Quarantined = "QUARANTINED", Operator, 423;
    /// The blob cannot be scanned, and what cannot be is not read.
    ScanRejected = "SCAN_REJECTED", Operator, 423;
    /// No file or folder of that id lives in the log's tree.
    NodeNotFound = "NODE_NOT_FOUND", Fix, 404;
    /// The node is a file, a mount or the root, and not a folder in the tree.
    NotAFolder = "NOT_A_FOLDER", Fix, 409;
    /// Shared folders do not nest: there would be a mount in one, or of what is none.
    MountNested = "MOUNT_NESTED", Fix, 409;
    /// There is more in the folder than one share takes.
    ShareTooLarge = "SHARE_TOO_LARGE", Fix, 413;
    /// The log that is to be made is there already.
    LogExists = "LOG_EXISTS", Fix, 409;
    /// No such group.
    GroupNotFound = "GROUP_NOT_FOUND", Fix, 404;
    /// No such token.
    TokenNotFound = "TOKEN_NOT_FOUND", Fix, 404;
    /// No such link, or nothing there below it.
    LinkNotFound = "LINK_NOT_FOUND", Fix, 404;
    /// The link has ended, or what it led to is gone.
    LinkGone = "LINK_GONE", Fix, 410;
    /// The link has a password, and this is not it.
    LinkPassword = "LINK_PASSWORD", SignIn, 401;
    /// The password was guessed wrong too often; nobody may guess for a while.
    TooManyGuesses = "TOO_MANY_GUESSES", Retry, 429;
    /// This server keeps no passwords.
    NoPasswords = "NO_PASSWORDS", Fix, 501;
    /// This server keeps no blobs.
    NoBlobs = "NO_BLOBS", Fix, 501;
    /// All capacity is taken.
    Busy = "BUSY", Retry, 503;
    /// The store cannot be reached.
    Unavailable = "UNAVAILABLE", Retry, 503;
    /// It took longer than it may.
    Timeout = "TIMEOUT", Retry, 504;
    /// The commit was cut off; the same request with the same ids finds out.
    OutcomeUnknown = "OUTCOME_UNKNOWN", Retry, 503;
    /// The server is stopping.
    ShuttingDown = "SHUTTING_DOWN", Retry, 503;
    /// No room left on the server.
    StorageFull = "STORAGE_FULL", Operator, 507;
    /// A bug; the detail names a request id to look for in the server's log.
    Internal = "INTERNAL", Operator, 500;
}

/// A refused call.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Refusal {
    /// Why. Stable.
    pub code: ErrorCode,
    /// For people. Not part of the API.
    pub detail: String,
    /// Where the log ends, when the position was the problem.
    pub end: Option<Cursor>,
    /// Which op of a batch, counted from 0, when one was the problem.
    pub index: Option<usize>,
    /// Milliseconds a caller waits at least before it asks again, when the server said so. 32 bits keep a refusal small
    /// enough to be returned by value.
    pub retry_after_ms: Option<NonZeroU32>,
    /// What the store met. For the server's own log; never sent.
    pub source: Option<Arc<StoreError>>,
}

impl Refusal {
    /// A refusal with a sentence for people.
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), end: None, index: None, retry_after_ms: None, source: None }
    }

    /// With the op that was the problem.
    #[must_use]
    pub const fn at_op(mut self, index: usize) -> Self {
        self.index = Some(index);
        self
    }

    /// With the time in milliseconds to wait at least: 0 is none, and more than 49 days are 49 days.
    #[must_use]
    pub fn with_retry_after(mut self, ms: u64) -> Self {
        self.retry_after_ms = NonZeroU32::new(u32::try_from(ms).unwrap_or(u32::MAX));
        self
    }

    /// With the end of the log.
    #[must_use]
    pub const fn with_end(mut self, end: Cursor) -> Self {
        self.end = Some(end);
        self
    }

    /// The refusal of a cursor that does not fit.
    #[must_use]
    pub fn gap(gap: Gap, bounds: Option<&LogBounds>) -> Self {
        let (code, detail) = match gap {
            Gap::ServerEmpty => (ErrorCode::GapServerEmpty, "the server has no history of this log"),
            Gap::ClientAhead => (ErrorCode::GapClientAhead, "the cursor is past the end of the log"),
            Gap::Pruned => (ErrorCode::GapPruned, "the ops after the cursor were pruned; start from a snapshot"),
            Gap::Hole => (ErrorCode::GapHole, "the stored log misses a seq"),
            Gap::Diverged => (ErrorCode::GapDiverged, "the log's history is not the one the cursor was made in"),
            Gap::ForeignLog => (ErrorCode::GapForeignLog, "the cursor belongs to another log"),
        };
        let refusal = Self::new(code, detail);
        match bounds {
            Some(bounds) => refusal.with_end(bounds.end()),
            None => refusal,
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.detail)
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| -> &(dyn std::error::Error + 'static) { source.as_ref() })
    }
}
