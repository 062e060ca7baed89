//! Writes deltas by the documentation of the format, apart from the product: what the product reads must be what is
//! written down, and a test can say what no honest replica would.

use bytes::Bytes;
use syncline::ReplicaId;
use syncline::codec::Writer;

use crate::traces::Patch;

/// One author as their deltas show them.
#[derive(Debug, Default, Clone)]
pub(crate) struct Speaker {
    pub(crate) seq: u64,
    cursor: i64,
    roster: Vec<(ReplicaId, u64)>,
}

impl Speaker {
    /// A delta of edits whose first event has seen `parents`, in the order of names; `own` says the author's previous one
    /// is among them, too.
    pub(crate) fn say(&mut self, own: bool, parents: &[(ReplicaId, u64)], patches: &[Patch]) -> Bytes {
        let mut out = Writer::default();
        out.u64(self.seq);
        if !(parents.is_empty() && (own || self.seq == 0)) {
            out.u64((parents.len() as u64) << 3 | u64::from(own) << 2 | 3);
            for (replica, seq) in parents {
                let last = match self.roster.iter().position(|(known, _)| known == replica) {
                    Some(at) => {
                        out.u64(at as u64 + 1);
                        std::mem::replace(&mut self.roster[at].1, *seq)
                    }
                    None => {
                        out.u64(0);
                        out.fixed(replica.as_bytes());
                        self.roster.push((*replica, *seq));
                        0
                    }
                };
                out.u64(zigzag(i64::try_from(*seq).unwrap() - i64::try_from(last).unwrap()));
            }
        }
        for Patch(at, deleted, inserted) in patches {
            let at = i64::try_from(*at).unwrap();
            if *deleted > 0 {
                out.u64((*deleted as u64) << 2 | 1);
                out.u64(zigzag(at - self.cursor));
                self.cursor = at;
                self.seq += *deleted as u64;
            }
            if !inserted.is_empty() {
                let chars = inserted.chars().count();
                out.u64((inserted.len() as u64) << 2);
                out.u64(zigzag(at - self.cursor));
                out.fixed(inserted.as_bytes());
                self.cursor = at + i64::try_from(chars).unwrap();
                self.seq += chars as u64;
            }
        }
        out.finish()
    }
}

pub(crate) fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}
