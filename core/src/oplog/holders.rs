//! Which replicas hold a log, and how far: what a server knows of where its ops have arrived.
//!
//! A replica says up to where it has the log durably; the *stable frontier* is what all of them have. What must hold: the
//! frontier only rises; it counts every replica that was heard of and is not retired, and stops rising while there are more
//! of them than are counted, so that it never claims what nobody can know. A replica that is silent for longer than
//! [`limits::REPLICA_SILENT_MS_MAX`] is retired: it holds nobody back, and counts again when it comes back. One that comes
//! late has less than the frontier until it has caught up.
//!
//! Where next: `decide::acknowledge`, the rule that keeps this as a note beside the log.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::codec::{DecodeError, Reader, Writer};
use crate::id::ReplicaId;
use crate::limits;
use crate::seq::Seq;
use crate::time::Timestamp;

const FORMAT: u8 = 1;

/// What one replica holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "plain data")]
pub struct Holder {
    /// Everything up to here, durably, as it last said.
    pub seq: Seq,
    /// When it said so, by the server's clock; while it says nothing new, within [`limits::ACKNOWLEDGE_MS_MAX`].
    pub heard_at: Timestamp,
}

/// Who holds a log, and how far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holders {
    held: BTreeMap<ReplicaId, Holder>,
    stable: Seq,
    /// When a replica last found no place here; 0 for never.
    crowded_at: Timestamp,
}

impl Holders {
    /// The stable frontier: every replica that counted when it rose to here had everything up to here.
    #[must_use]
    pub const fn stable(&self) -> Seq {
        self.stable
    }

    /// The replicas that are counted, with what they hold.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (ReplicaId, Holder)> + '_ {
        self.held.iter().map(|(replica, holder)| (*replica, *holder))
    }

    /// When a replica last found no place among those that are counted, if that ever was.
    #[must_use]
    pub fn crowded_at(&self) -> Option<Timestamp> {
        Some(self.crowded_at).filter(|at| *at > Timestamp::default())
    }

    /// Takes what a replica says it holds; whether that is worth keeping. What comes again within
    /// [`limits::ACKNOWLEDGE_MS_MIN`], or says the same within [`limits::ACKNOWLEDGE_MS_MAX`], is not: then nothing changes.
    /// A replica that says less than before, since its disk was put back, holds less from now on.
    pub fn hear(&mut self, replica: ReplicaId, seq: Seq, now: Timestamp) -> bool {
        let since = |then: Timestamp| now.ms().abs_diff(then.ms());
        if let Some(known) = self.held.get(&replica) {
            let quiet = since(known.heard_at);
            let moved = known.seq != seq && quiet >= limits::ACKNOWLEDGE_MS_MIN;
            if !moved && quiet < limits::ACKNOWLEDGE_MS_MAX {
                return false;
            }
        } else if self.held.len() >= limits::REPLICAS_COUNTED_MAX
            && self.crowded_at().is_some_and(|at| since(at) < limits::ACKNOWLEDGE_MS_MAX)
        {
            return false;
        }
        let silent = |then: Timestamp| now.ms().saturating_sub(then.ms()) > limits::REPLICA_SILENT_MS_MAX;
        self.held.retain(|known, holder| *known == replica || !silent(holder.heard_at));
        if self.held.contains_key(&replica) || self.held.len() < limits::REPLICAS_COUNTED_MAX {
            self.held.insert(replica, Holder { seq, heard_at: now });
        } else {
            self.crowded_at = now;
        }
        let all = self.held.values().map(|holder| holder.seq).min();
        if let Some(all) = all.filter(|_| self.crowded_at().is_none_or(silent)) {
            self.stable = self.stable.max(all);
        }
        true
    }

    /// Canonical bytes: format 1, varint stable, varint crowded_at ms or 0, count, per replica in order: 16 replica, varint
    /// seq, varint heard_at ms.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Writer::with_capacity(32 + self.held.len() * 30);
        out.u8(FORMAT);
        out.u64(self.stable.get());
        out.u64(self.crowded_at.ms());
        out.len(self.held.len());
        for (replica, holder) in &self.held {
            out.fixed(replica.as_bytes());
            out.u64(holder.seq.get());
            out.u64(holder.heard_at.ms());
        }
        out.finish()
    }

    /// The inverse of [`Holders::to_bytes`].
    ///
    /// # Errors
    /// When the bytes are not canonical.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        const WHAT: &str = "the holders of a log";
        const BAD: DecodeError = DecodeError::NotCanonical(WHAT);
        let mut input = Reader::new(bytes);
        let version = input.u8(WHAT)?;
        if version != FORMAT {
            return Err(DecodeError::Unknown { what: WHAT, value: version.into() });
        }
        let seq = |input: &mut Reader| Seq::new(input.u64(WHAT)?).ok_or(BAD);
        let time = |input: &mut Reader| Timestamp::from_ms(input.u64(WHAT)?).ok_or(BAD);
        let mut holders = Self { stable: seq(&mut input)?, crowded_at: time(&mut input)?, held: BTreeMap::new() };
        for _ in 0..input.count(18, WHAT)? {
            let replica = ReplicaId::from_bytes(input.fixed(WHAT)?);
            if holders.held.last_key_value().is_some_and(|(last, _)| *last >= replica) {
                return Err(BAD);
            }
            let holder = Holder { seq: seq(&mut input)?, heard_at: time(&mut input)? };
            holders.held.insert(replica, holder);
        }
        input.finish()?;
        if holders.held.len() <= limits::REPLICAS_COUNTED_MAX { Ok(holders) } else { Err(BAD) }
    }

    /// What an answer to somebody who asks lists, put together again.
    #[must_use]
    pub fn listed(
        held: impl IntoIterator<Item = (ReplicaId, Holder)>,
        stable: Seq,
        crowded_at: Option<Timestamp>,
    ) -> Self {
        Self { held: held.into_iter().collect(), stable, crowded_at: crowded_at.unwrap_or_default() }
    }
}
