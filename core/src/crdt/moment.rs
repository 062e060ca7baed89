//! Where a change stands: which op, whose, and when. All that a value that merges may know of it besides what it says.

use crate::codec::{DecodeError, Reader, Writer};
use crate::id::{OpId, ReplicaId};
use crate::time::{Hlc, Timestamp};

/// A change's place in the order that last-writer-wins goes by: the author's time, as far as the server's clock
/// vouches for it ([`Hlc::capped`]), then the author.
///
/// Equal stamps are of one author, and the later op of an author stands later in the log; so who applies changes in the
/// log's order and lets the later of two equal stamps win has a total order, (hlc, replica, place in the log), and needs
/// no op id. An author's clock never repeats a reading, but the writes of one batch share one, and a cap can make two of
/// its stamps equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::exhaustive_structs, reason = "two facts, in the order they are compared in")]
pub struct Stamp {
    /// The author's time, bounded by the server's.
    pub hlc: Hlc,
    /// The author.
    pub replica: ReplicaId,
}

/// One change, without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "an argument; tests of values build it")]
pub struct Moment {
    /// Which op: unique, and what never changes about it, whoever ends up sending it.
    pub op: OpId,
    /// Its author.
    pub replica: ReplicaId,
    /// When its author says it was written.
    pub hlc: Hlc,
    /// When the server took it; `None` for an edit of this device that is not in the log yet.
    pub accepted_at: Option<Timestamp>,
}

impl Moment {
    /// What decides which of two changes is newer.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        let hlc = self.accepted_at.map_or(self.hlc, |accepted_at| self.hlc.capped(accepted_at));
        Stamp { hlc, replica: self.replica }
    }
}

/// Writes a stamp: the hlc's milliseconds as a varint, its counter as a varint, the 16 bytes of the replica.
pub(crate) fn encode_stamp(stamp: Stamp, out: &mut Writer) {
    encode_hlc(stamp.hlc, out);
    out.fixed(stamp.replica.as_bytes());
}

/// Reads what [`encode_stamp`] wrote.
pub(crate) fn decode_stamp(input: &mut Reader) -> Result<Stamp, DecodeError> {
    let hlc = decode_hlc(input)?;
    Ok(Stamp { hlc, replica: ReplicaId::from_bytes(input.fixed("a stamp")?) })
}

pub(super) fn encode_hlc(hlc: Hlc, out: &mut Writer) {
    out.u64(hlc.ms.ms());
    out.u64(hlc.counter.into());
}

pub(super) fn decode_hlc(input: &mut Reader) -> Result<Hlc, DecodeError> {
    const WHAT: &str = "a stamp";
    let ms = Timestamp::from_ms(input.u64(WHAT)?).ok_or(DecodeError::NotCanonical(WHAT))?;
    let counter = u16::try_from(input.u64(WHAT)?).map_err(|_| DecodeError::NotCanonical(WHAT))?;
    Ok(Hlc { ms, counter })
}
