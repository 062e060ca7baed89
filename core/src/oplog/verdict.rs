//! What the server answers about one op: a value, never an error.
//!
//! A *conflict* is nobody's fault: the op was right when it was written. A *rejection* is its author's fault and
//! repeating it will not help. Both are final for this op id.

use super::head::Head;
use crate::codec::{DecodeError, Reader, Writer};
use crate::seq::Seq;

/// One per op, in upload order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// In the log, durably, at this place.
    Accepted {
        /// Its place.
        seq: Seq,
    },
    /// It was in the log already; nothing changed.
    Duplicate {
        /// Where it is.
        seq: Seq,
    },
    /// Concurrent with, or older than, what is there.
    Conflict {
        /// In which way.
        reason: ConflictReason,
        /// What is there, without its state; `None` when nothing is.
        head: Option<Box<Head>>,
    },
    /// Wrong in itself.
    Rejected {
        /// In which way.
        reason: RejectReason,
    },
}

impl Verdict {
    /// Where the op is in the log, if it is.
    #[must_use]
    pub const fn seq(&self) -> Option<Seq> {
        match self {
            Self::Accepted { seq } | Self::Duplicate { seq } => Some(*seq),
            _ => None,
        }
    }
}

/// Why an op lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConflictReason {
    /// Neither had seen the other.
    Concurrent,
    /// What is there had seen everything the op had.
    Stale,
    /// A full state replaced the log, and the op was written without having seen it.
    Superseded,
    /// It was to be made, but exists.
    Exists,
    /// The head has another version, or there is none.
    VersionMismatch,
    /// The log already has a full state; only one replica seeds a log.
    AlreadySeeded,
}

/// Why an op is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectReason {
    /// Another op has this id: one id has one effect, for ever.
    OpIdReused,
    /// The author's counter skips; `expected` is the next one.
    CounterGap {
        /// The counter that would have been right.
        expected: u64,
    },
    /// The author's counter was used by another op: this replica is a copy, or came back from an old backup.
    CounterReused {
        /// The highest counter known here.
        last: u64,
    },
    /// This policy needs the op's clock to name its author.
    ReplicaMissingFromClock,
    /// The clock names a replica that never wrote here.
    UnknownReplica,
    /// The clock claims to have seen ops of a replica that this log never had.
    ClockAhead,
    /// The log has as many authoring replicas as it may.
    TooManyReplicas,
    /// The collection takes new entities only.
    AppendOnly,
    /// The collection takes a change only with a precondition; a repair must name the position it was made for.
    PreconditionRequired,
    /// A full-state op comes alone.
    FullStateNotAlone,
    /// The collection belongs to the engine.
    ReservedCollection,
    /// Another op of the same atomic batch was not accepted, so none was.
    BatchAborted,
    /// The log takes sealed payloads only.
    SealedRequired,
    /// The log takes no sealed payloads.
    SealedForbidden,
    /// The payload is sealed under an older key epoch than the log is at, or not in this engine's envelope. Sealed again
    /// under the current one the op keeps its id, clock and counter.
    KeyEpochStale {
        /// The log's key epoch.
        current: u32,
    },
    /// The payload is sealed under a key epoch that the log has not come to: it was rotated on a server that is gone.
    KeyEpochAhead {
        /// The log's key epoch.
        current: u32,
    },
}

impl Verdict {
    /// Canonical bytes, as kept in receipts and sent in the binary wire: a tag, then the fields.
    pub fn encode(&self, out: &mut Writer) {
        match self {
            Self::Accepted { seq } => tagged(out, 1, seq.get()),
            Self::Duplicate { seq } => tagged(out, 2, seq.get()),
            Self::Conflict { reason, head } => {
                out.u8(3);
                out.u8(reason.code());
                match head {
                    None => out.u8(0),
                    Some(head) => {
                        out.u8(1);
                        head.encode(out);
                    }
                }
            }
            Self::Rejected { reason } => {
                out.u8(4);
                let (code, value) = reason.code();
                tagged(out, code, value);
            }
        }
    }

    /// The inverse of [`Verdict::encode`].
    ///
    /// # Errors
    /// When the bytes are not canonical or hold a code this version does not know.
    pub fn decode(input: &mut Reader) -> Result<Self, DecodeError> {
        const WHAT: &str = "a verdict";
        let seq = |input: &mut Reader| Seq::new(input.u64(WHAT)?).ok_or(DecodeError::NotCanonical(WHAT));
        Ok(match input.u8(WHAT)? {
            1 => Self::Accepted { seq: seq(input)? },
            2 => Self::Duplicate { seq: seq(input)? },
            3 => {
                let reason = ConflictReason::from_code(input.u8(WHAT)?)?;
                let head = match input.u8(WHAT)? {
                    0 => None,
                    1 => Some(Box::new(Head::decode(input)?)),
                    _ => return Err(DecodeError::NotCanonical(WHAT)),
                };
                Self::Conflict { reason, head }
            }
            4 => {
                let code = input.u8(WHAT)?;
                Self::Rejected { reason: RejectReason::from_code(code, input.u64(WHAT)?)? }
            }
            other => return Err(DecodeError::Unknown { what: WHAT, value: other.into() }),
        })
    }
}

fn tagged(out: &mut Writer, tag: u8, value: u64) {
    out.u8(tag);
    out.u64(value);
}

impl ConflictReason {
    /// Every reason with its byte code and its name on the JSON wire.
    pub const ALL: [(Self, u8, &'static str); 6] = [
        (Self::Concurrent, 1, "CONCURRENT"),
        (Self::Stale, 2, "STALE"),
        (Self::Superseded, 3, "SUPERSEDED"),
        (Self::Exists, 4, "EXISTS"),
        (Self::VersionMismatch, 5, "VERSION_MISMATCH"),
        (Self::AlreadySeeded, 6, "ALREADY_SEEDED"),
    ];

    fn code(self) -> u8 {
        Self::ALL.iter().find(|(reason, ..)| *reason == self).map_or(0, |(_, code, _)| *code)
    }

    fn from_code(code: u8) -> Result<Self, DecodeError> {
        let known = Self::ALL.iter().find(|(_, known, _)| *known == code);
        known.map(|(reason, ..)| *reason).ok_or(DecodeError::Unknown { what: "a conflict reason", value: code.into() })
    }

    /// The stable name on the JSON wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(reason, ..)| *reason == self).map_or("", |(_, _, name)| *name)
    }
}

impl RejectReason {
    /// Every reason with its byte code and its name on the JSON wire; the numbers inside are examples.
    pub const ALL: [(Self, u8, &'static str); 16] = [
        (Self::OpIdReused, 1, "OP_ID_REUSED"),
        (Self::CounterGap { expected: 0 }, 2, "COUNTER_GAP"),
        (Self::CounterReused { last: 0 }, 3, "COUNTER_REUSED"),
        (Self::ReplicaMissingFromClock, 4, "REPLICA_MISSING_FROM_CLOCK"),
        (Self::UnknownReplica, 5, "UNKNOWN_REPLICA"),
        (Self::ClockAhead, 6, "CLOCK_AHEAD"),
        (Self::TooManyReplicas, 7, "TOO_MANY_REPLICAS"),
        (Self::AppendOnly, 8, "APPEND_ONLY"),
        (Self::PreconditionRequired, 9, "PRECONDITION_REQUIRED"),
        (Self::FullStateNotAlone, 10, "FULL_STATE_NOT_ALONE"),
        (Self::ReservedCollection, 11, "RESERVED_COLLECTION"),
        (Self::BatchAborted, 12, "BATCH_ABORTED"),
        (Self::SealedRequired, 13, "SEALED_REQUIRED"),
        (Self::SealedForbidden, 14, "SEALED_FORBIDDEN"),
        (Self::KeyEpochStale { current: 0 }, 15, "KEY_EPOCH_STALE"),
        (Self::KeyEpochAhead { current: 0 }, 16, "KEY_EPOCH_AHEAD"),
    ];

    /// The number some reasons carry: the expected or the last counter, or the log's key epoch.
    #[must_use]
    pub fn number(self) -> Option<u64> {
        match self {
            Self::CounterGap { expected } => Some(expected),
            Self::CounterReused { last } => Some(last),
            Self::KeyEpochStale { current } | Self::KeyEpochAhead { current } => Some(current.into()),
            _ => None,
        }
    }

    /// The same reason with this number, where it has one. A key epoch above `u32::MAX` becomes that.
    #[must_use]
    pub fn with_number(self, number: u64) -> Self {
        let epoch = u32::try_from(number).unwrap_or(u32::MAX);
        match self {
            Self::CounterGap { .. } => Self::CounterGap { expected: number },
            Self::CounterReused { .. } => Self::CounterReused { last: number },
            Self::KeyEpochStale { .. } => Self::KeyEpochStale { current: epoch },
            Self::KeyEpochAhead { .. } => Self::KeyEpochAhead { current: epoch },
            other => other,
        }
    }

    fn entry(self) -> Option<&'static (Self, u8, &'static str)> {
        Self::ALL.iter().find(|(reason, ..)| reason.with_number(0) == self.with_number(0))
    }

    fn code(self) -> (u8, u64) {
        (self.entry().map_or(0, |(_, code, _)| *code), self.number().unwrap_or(0))
    }

    fn from_code(code: u8, number: u64) -> Result<Self, DecodeError> {
        let known = Self::ALL.iter().find(|(_, known, _)| *known == code);
        let unknown = DecodeError::Unknown { what: "a reject reason", value: code.into() };
        let reason = known.map(|(reason, ..)| reason.with_number(number)).ok_or(unknown)?;
        // A number that the reason has no place for would be a second spelling.
        if reason.number().unwrap_or(0) == number {
            Ok(reason)
        } else {
            Err(DecodeError::NotCanonical("a reject reason"))
        }
    }

    /// The stable name on the JSON wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.entry().map_or("", |(_, _, name)| *name)
    }
}
