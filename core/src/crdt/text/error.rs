//! Why the text refuses something. In every case it is as it was before.

use crate::codec::DecodeError;
use crate::id::ReplicaId;

/// Why an edit, a delta or an encoding was refused. The text is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// A position behind the end, or a range that ends there.
    #[error("position {at} is not within the {len} characters of the text")]
    OutOfBounds {
        /// The position given, or the end of the range.
        at: u64,
        /// Length of the text at that version, in characters.
        len: u64,
    },
    /// A UTF-16 or byte position that is not between two characters.
    #[error("position {at} lies inside a character")]
    InsideCharacter {
        /// The position given.
        at: u64,
    },
    /// It builds on an event that has not arrived here: apply the author's deltas first.
    #[error("refers to event {seq} of {replica}, which is not here")]
    Unseen {
        /// Who made the event.
        replica: ReplicaId,
        /// Its number among that author's events, from 0.
        seq: u64,
    },
    /// Another event has this name already: two replicas write under one id, or somebody forges.
    #[error("event {seq} of {replica} is already here with other content")]
    Forked {
        /// Who made the event.
        replica: ReplicaId,
        /// Its number among that author's events, from 0.
        seq: u64,
    },
    /// It needs history that was collected.
    #[error("refers to history that was collected")]
    Collected,
    /// The document would outgrow what positions and versions can count.
    #[error("the text would have more than {max} events or bytes of inserted text")]
    TooLarge {
        /// The limit crossed.
        max: u64,
    },
    /// It would leave more concurrent versions open than one edit can join.
    #[error("more than {max} concurrent versions would be open", max = crate::limits::TEXT_PARENTS_MAX)]
    TooManyVersions,
    /// The bytes are not a delta, a snapshot, a version or an anchor.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A section of a snapshot is damaged.
    #[error("{0} does not match its checksum")]
    Checksum(&'static str),
}
