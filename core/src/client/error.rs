//! Why a replica cannot do something.

use crate::codec::DecodeError;
use crate::oplog::{CollectionError, DraftError, EntityKey, PartError, ReduceError};
use crate::store::StoreError;

use super::entry::WriteNo;
use super::sealer::Unopened;
use super::transport::CallError;

/// Why a replica cannot do something. Nothing was changed, except where [`StoreError`] says that the outcome is unknown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplicaError {
    /// The local store.
    #[error("the local store: {0}")]
    Store(#[from] StoreError),
    /// The replica was opened again since, in this process or another one; this handle is of no use any more.
    #[error("the replica was opened elsewhere since")]
    TakenOver,
    /// The store keeps this log for a server, or for another program. A replica needs a store of its own.
    #[error("the store holds this log, but not as a replica's copy")]
    NotAReplica,
    /// The local history no longer goes on from there; begin again from the start.
    #[error("the history does not go on from there: {0:?}")]
    Gap(crate::oplog::Gap),
    /// What was to be written is not allowed.
    #[error("the write cannot be made: {0}")]
    Draft(#[from] DraftError),
    /// A name is not one.
    #[error("{0}")]
    Collection(#[from] CollectionError),
    /// The local store holds something that does not read.
    #[error("the local store holds what does not read: {0}")]
    Corrupt(DraftError),
    /// A batch takes 1 to [`limits::BATCH_OPS_MAX`](crate::limits::BATCH_OPS_MAX) writes.
    #[error("a batch takes 1 to {max} writes, not {given}", max = crate::limits::BATCH_OPS_MAX)]
    BatchSize {
        /// How many were given.
        given: usize,
    },
    /// In a batch, an entity whose writes name the version they build on can be written once: the version that a first
    /// write of the same batch will make has no number yet. Say both in one write.
    #[error("an entity of {0} can be written once in a batch")]
    TwiceInBatch(crate::oplog::Collection),
    /// The value does not become JSON, or the stored JSON not the type asked for.
    #[error("the value does not fit: {0}")]
    Json(#[from] serde_json::Error),
    /// A map is made of fields, so only an object can be put into it.
    #[error("only a value with fields can be put into a map")]
    NotAnObject,
    /// The schema says that the collection holds something else.
    #[error("the entities of {collection} are not each {asked}")]
    WrongType {
        /// The collection.
        collection: crate::oplog::Collection,
        /// What was asked for.
        asked: &'static str,
    },
    /// A text has no such place.
    #[error(transparent)]
    Text(#[from] crate::crdt::text::TextError),
    /// A document has no such field.
    #[error("{0}")]
    Path(#[from] crate::crdt::document::PathError),
    /// A list has no such place.
    #[error("{0}")]
    List(#[from] crate::crdt::ListError),
    /// A tree has no such place.
    #[error("{0}")]
    Tree(#[from] crate::crdt::TreeError),
    /// The entity's state does not read in its collection.
    #[error("the stored state does not read: {0}")]
    Unfit(#[from] ReduceError),
    /// A key is missing, or something was altered.
    #[error("{0}")]
    Unopened(#[from] Unopened),
    /// Something cannot be sealed.
    #[error(transparent)]
    Unsealed(#[from] super::sealer::Unsealed),
    /// The log's policy on sealed payloads, which this is, is not one that this replica was opened for.
    #[error("the log's sealing is {0}, and this replica was opened for another")]
    Sealing(crate::oplog::Sealing),
    /// The log's key epoch is not the one before.
    #[error("the log is at key epoch {current}, so it cannot be rotated to {to}")]
    Rotation {
        /// Where the log is.
        current: u32,
        /// Where it was to go.
        to: u32,
    },
    /// There is no such parked write or conflict.
    #[error("there is no write {0} among them")]
    NoSuchWrite(WriteNo),
    /// This device's copy begins later: it started from a snapshot, or dropped what is older.
    #[error("the history at seq {0} is not kept here")]
    NotKept(crate::seq::Seq),
    /// The copy here does not reach so far.
    #[error("seq {seq} is past this copy's end at {end}")]
    Beyond {
        /// What was asked for.
        seq: crate::seq::Seq,
        /// Where the copy ends.
        end: crate::seq::Seq,
    },
    /// A batch applies whole or not at all, so nobody ever stood there.
    #[error("seq {0} is inside an atomic batch")]
    InsideBatch(crate::seq::Seq),
    /// The state at this seq is larger than [`limits::REPLAY_BYTES_MAX`](crate::limits::REPLAY_BYTES_MAX).
    #[error("the state at seq {0} is larger than {max} bytes", max = crate::limits::REPLAY_BYTES_MAX)]
    StateTooLarge(crate::seq::Seq),
    /// The op at this seq is from a newer build, so a state built here would leave out what it says.
    #[error("the op at seq {0} is from a newer build")]
    NotUnderstood(crate::seq::Seq),
    /// Before the first op there is nothing to go back to.
    #[error("there is nothing before the first op to go back to")]
    NothingThere,
    /// The newest thing here is no restore.
    #[error("the newest op is not a restore; restore to a seq instead")]
    NothingToUndo,
    /// It may be in the log by now; sync first.
    #[error("the write {0} is being sent; sync first")]
    UnderWay(WriteNo),
    /// The entity is not in the part of the log that this replica holds, or was evicted: whether it exists, and what it
    /// says, is not known here. [`Replica::fetch`](super::Replica::fetch) brings an evicted one back,
    /// [`Replica::widen`](super::Replica::widen) takes in one that is outside.
    #[error("{}/{} is not here", .0.collection, .0.entity)]
    NotHere(EntityKey),
    /// The entity has writes that are not in the log yet, so it stays.
    #[error("{}/{} has writes that wait", .0.collection, .0.entity)]
    Waits(EntityKey),
    /// The server has lost the log. A replica that holds a part of it cannot fill it again, and what it wrote would stand in
    /// the way of one that can: nothing is sent before one has.
    #[error("the server has lost the log, and this replica holds only a part of it")]
    CannotFill,
    /// Only a replica that holds a part of its log can hold less or more of it.
    #[error("the replica holds all of its log")]
    NotPartial,
    /// What was asked for is no part of a log.
    #[error("{0}")]
    Part(#[from] PartError),
    /// The log moved on, or is another one, each time the entities had been read: nothing was taken in.
    #[error("the log did not stand still while entities were fetched")]
    Moving,
    /// The server, or the way to it.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The conversation stopped; an application must decide.
    #[error("syncing stopped: {0}")]
    Stopped(String),
}

impl From<DecodeError> for ReplicaError {
    fn from(error: DecodeError) -> Self {
        Self::Corrupt(error.into())
    }
}
