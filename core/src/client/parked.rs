//! Writes that were refused: kept with the reason, out of everybody's way, for the application to look at.

use bytes::Bytes;

use super::entry::{Entry, WriteNo};
use crate::codec::{DecodeError, Reader, Writer};
use crate::oplog::{DraftError, Op, RejectReason, Verdict};

/// Why a write was parked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParkReason {
    /// The server's verdict on the op.
    Rejected(RejectReason),
    /// The server would not take the request with this op in it: its stable code and its words.
    Refused {
        /// [`ErrorCode::name`](crate::call::ErrorCode::name).
        code: String,
        /// For people.
        detail: String,
    },
    /// It could not be made ready for sending.
    Unsendable(String),
    /// Another write of the same atomic batch was parked or lost.
    Batch,
}

/// A parked write.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parked {
    /// Why.
    pub reason: ParkReason,
    pub(super) entry: Entry,
}

impl Parked {
    /// Which write.
    #[must_use]
    pub const fn no(&self) -> WriteNo {
        self.entry.no
    }

    /// What it says; its payload is readable.
    #[must_use]
    pub const fn op(&self) -> &Op {
        &self.entry.op
    }

    /// The reason, then the queued write.
    pub(super) fn to_bytes(&self) -> Bytes {
        let mut out = Writer::default();
        match &self.reason {
            ParkReason::Rejected(reason) => {
                out.u8(0);
                Verdict::Rejected { reason: *reason }.encode(&mut out);
            }
            ParkReason::Refused { code, detail } => {
                out.u8(1);
                out.bytes(code.as_bytes());
                out.bytes(detail.as_bytes());
            }
            ParkReason::Unsendable(why) => {
                out.u8(2);
                out.bytes(why.as_bytes());
            }
            ParkReason::Batch => out.u8(3),
        }
        out.bytes(&self.entry.to_bytes());
        out.finish()
    }

    pub(super) fn from_bytes(no: WriteNo, bytes: Bytes) -> Result<Self, DraftError> {
        const WHAT: &str = "a parked write";
        let mut input = Reader::new(bytes);
        let text = |input: &mut Reader| {
            let bytes = input.bytes(WHAT)?;
            String::from_utf8(bytes.to_vec()).map_err(|_| DecodeError::NotCanonical(WHAT))
        };
        let reason = match input.u8(WHAT)? {
            0 => match Verdict::decode(&mut input)? {
                Verdict::Rejected { reason } => ParkReason::Rejected(reason),
                _ => return Err(DecodeError::NotCanonical(WHAT).into()),
            },
            1 => ParkReason::Refused { code: text(&mut input)?, detail: text(&mut input)? },
            2 => ParkReason::Unsendable(text(&mut input)?),
            3 => ParkReason::Batch,
            other => return Err(DecodeError::Unknown { what: WHAT, value: other.into() }.into()),
        };
        let entry = Entry::from_bytes(no, input.bytes(WHAT)?)?;
        input.finish()?;
        Ok(Self { reason, entry })
    }
}
