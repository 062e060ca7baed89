//! The log and its rules: what an op is, how it is judged, and how a reader's position is checked.
//!
//! Everything here is a pure function of its arguments. A payload is never looked at when an op is judged, so
//! it may be ciphertext; an op's bytes are made once, by its author, and never change.
//!
//! Read in this order: [`Draft`] and [`Op`], [`Head`], [`arbitrate`], [`Gap`], [`Snapshot`] and [`LogState`].

mod arbitrate;
mod bounds;
mod change;
mod draft;
mod fields;
mod gap;
mod head;
mod holders;
pub(crate) mod merging;
mod object;
mod op;
mod part;
mod payload;
mod reducer;
mod schema;
mod sealing;
mod snapshot;
mod state;
mod texts;
mod verdict;

pub use arbitrate::{ConflictPolicy, Ruling, arbitrate};
pub use bounds::{FullStateMark, LogBounds};
pub use change::Change;
pub use draft::{Draft, DraftError};
pub use fields::Fields;
pub use gap::Gap;
pub use head::{Head, HeadState};
pub use holders::{Holder, Holders};
pub use merging::Merging;
pub use op::{
    Collection, CollectionError, CorruptOp, EntityKey, FullStateKind, LoggedOp, Op, OpBytes, OpKind, Precondition,
    Subject,
};
pub use part::{KeyPrefix, Part, PartError};
pub use payload::Payload;
pub use reducer::{History, JsonMerge, ReduceError, Reducer, Remainder, Replace};
pub use schema::{Counters, Rules, Schema};
pub use sealing::{Sealing, SealingError};
pub use snapshot::{RestorePoint, Snapshot};
pub use state::{LogState, ReplayStop, StateEntities};
pub use texts::Texts;
pub use verdict::{ConflictReason, RejectReason, Verdict};

pub use crate::crdt::Stamp;
pub use crate::json::{JsonFault, check_json};
