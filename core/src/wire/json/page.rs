//! A page of a log, for whole and for partial readers.

use super::*;
use crate::call::LeftOut;
use crate::digest::Digest;
use crate::oplog::OpBytes;

/// A page of a log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PageJson {
    ops: Vec<PageOpJson>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<LeftOutJson>,
    next: Cursor,
    end: Seq,
    more: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct PageOpJson {
    seq: Seq,
    accepted_at: Timestamp,
    #[serde(default, skip_serializing_if = "is_zero")]
    batch_rest: u32,
    op: OpJson,
}

/// Of an op that concerns nothing a partial reader asked for.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct LeftOutJson {
    seq: Seq,
    accepted_at: Timestamp,
    #[serde(default, skip_serializing_if = "is_zero")]
    batch_rest: u32,
    digest: Digest,
    replica: ReplicaId,
    counter: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    full_state: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(value: &u32) -> bool {
    *value == 0
}

impl PageJson {
    /// The JSON form of a page.
    ///
    /// # Errors
    /// When a stored op does not read.
    pub fn of(page: &Page) -> Result<Self, WireError> {
        let op = |(index, op): (usize, &PageOp)| {
            let read = op.op.read().map_err(|error| WireError::Op { index, error })?;
            Ok::<_, WireError>(PageOpJson {
                seq: op.seq,
                accepted_at: op.accepted_at,
                batch_rest: op.batch_rest,
                op: OpJson::of(&read)?,
            })
        };
        let ops = page.ops.iter().enumerate().map(op).collect::<Result<_, _>>()?;
        let left_out = page.left_out.iter().map(|op| {
            let LeftOut { seq, accepted_at, batch_rest, digest, replica, counter, full_state } = *op;
            LeftOutJson { seq, accepted_at, batch_rest, digest, replica, counter, full_state }
        });
        Ok(Self { ops, left_out: left_out.collect(), next: page.next, end: page.end, more: page.more })
    }

    /// The page.
    ///
    /// # Errors
    /// When one of the ops is not an op.
    pub fn read(self) -> Result<Page, WireError> {
        let op = |(index, op): (usize, PageOpJson)| {
            let raw: OpBytes = op.op.read(index)?.raw().clone();
            Ok::<_, WireError>(PageOp { seq: op.seq, accepted_at: op.accepted_at, batch_rest: op.batch_rest, op: raw })
        };
        let ops = self.ops.into_iter().enumerate().map(op).collect::<Result<_, _>>()?;
        let left_out = self.left_out.into_iter().map(|op| {
            let LeftOutJson { seq, accepted_at, batch_rest, digest, replica, counter, full_state } = op;
            LeftOut { seq, accepted_at, batch_rest, digest, replica, counter, full_state }
        });
        Ok(Page { ops, left_out: left_out.collect(), next: self.next, end: self.end, more: self.more })
    }
}
