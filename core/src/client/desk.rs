//! What a replica keeps beside the log itself: who it is, what waits to be sent, what was sent and not answered yet, what
//! was parked, which conflicts there were.
//!
//! All of it are heads of a log of its own in the same store (the *desk*), next to the *mirror*, the copy of the server's
//! log. One transaction changes both, so that no crash can come between applying an op and moving the cursor, or
//! between taking a write off the queue and finding it in the log.

use std::sync::Arc;

use bytes::Bytes;

use super::entry::WriteNo;
use crate::clock::VectorClock;
use crate::codec::{DecodeError, Reader, Writer};
use crate::digest::Digest;
use crate::id::{EntityId, LogId, LogKey, OpId, ReplicaId, RequestId};
use crate::oplog::{Collection, EntityKey, Head, HeadState, OpBytes, Part, Sealing};
use crate::seq::Seq;
use crate::time::{Hlc, Timestamp};

/// The two local logs that stand for one log of a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    /// The copy of the log, under the name that the server and everybody else has for it.
    pub(super) mirror: LogKey,
    /// What is kept beside it.
    pub(super) desk: LogKey,
}

impl Places {
    pub(super) fn of(log: LogKey) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&Digest::of(&[b"syncline/replica/desk\0", log.log.as_bytes()]).as_bytes()[..16]);
        Self { mirror: log, desk: LogKey { bucket: log.bucket, log: LogId::from_bytes(id) } }
    }
}

/// The collections of the desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drawer {
    Identity,
    Queue,
    Sent,
    Parked,
    Conflicts,
    Unread,
    Points,
    Own,
}

impl Drawer {
    pub(super) fn collection(self) -> Collection {
        Collection::system(match self {
            Self::Identity => "sys.replica",
            Self::Queue => "sys.queue",
            Self::Sent => "sys.sent",
            Self::Parked => "sys.parked",
            Self::Conflicts => "sys.conflict",
            Self::Unread => "sys.unread",
            Self::Points => "sys.point",
            Self::Own => "sys.own",
        })
    }

    /// Numbers sort as they count.
    pub(super) fn key(self, number: u64) -> EntityKey {
        let mut entity = [0; 16];
        entity[8..].copy_from_slice(&number.to_be_bytes());
        EntityKey { collection: self.collection(), entity: EntityId::from_bytes(entity) }
    }

    /// Where a full state of the log is noted: the newest sorts first.
    pub(super) fn point(seq: Seq) -> EntityKey {
        Self::Points.key(Seq::MAX.get() - seq.get())
    }

    /// The full state that such a key is of.
    pub(super) fn seq_of_point(key: &EntityKey) -> Option<Seq> {
        Seq::MAX.get().checked_sub(number(key)).and_then(Seq::new)
    }
}

/// The number in a key of a drawer.
pub(super) fn number(key: &EntityKey) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&key.entity.as_bytes()[8..]);
    u64::from_be_bytes(number)
}

/// A head that only carries bytes.
pub(super) fn note(state: Bytes) -> Head {
    Head {
        version: Seq::ZERO,
        op: OpId::from_bytes([0; 16]),
        replica: ReplicaId::SERVER,
        clock: VectorClock::new(),
        state: HeadState::Live(Some(state)),
    }
}

/// Who this replica is and how far it has counted. Durable before anything that uses it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// Who holds the replica open. Whoever opens it later takes it over, and the earlier holder's writes fail.
    pub(super) lease: [u8; 16],
    /// The author of its ops.
    pub(super) replica: ReplicaId,
    /// The counter of the newest op it made for sending.
    pub(super) counter: u64,
    /// Its clock; never goes back.
    pub(super) hlc: Hlc,
    /// The next write's number.
    pub(super) next: WriteNo,
    /// It has once read the log to its end: it may upload.
    pub(super) synced: bool,
    /// The mirror is of a history the server no longer has; the next page begins it anew.
    pub(super) renew: bool,
    /// Ops in a batch; less than the limit when something on the way takes less.
    pub(super) batch_max: u32,
    /// When a server last answered.
    pub(super) contact: Timestamp,
    /// The place of the newest op that this device sent.
    pub(super) newest: Seq,
    /// Every device has everything up to here, as far as was heard of this history.
    pub(super) stable: Seq,
    /// The log's policy on sealed payloads, once heard.
    pub(super) sealing: Option<Sealing>,
    /// The highest key epoch of which something was opened here, or to which this device rotated; 0 before the first.
    pub(super) key_epoch: u32,
    /// The entities that the mirror is about; `None` for all.
    pub(super) part: Option<Arc<Part>>,
}

impl Identity {
    pub(super) fn key() -> EntityKey {
        Drawer::Identity.key(0)
    }

    /// Version byte 2, then the fields in order; the policy as 0 or its code and 1.
    pub(super) fn to_bytes(&self) -> Bytes {
        let mut out = Writer::with_capacity(96);
        out.u8(2);
        out.fixed(&self.lease);
        out.fixed(self.replica.as_bytes());
        out.u64(self.counter);
        out.u64(self.hlc.ms.ms());
        out.u64(self.hlc.counter.into());
        out.u64(self.next.0);
        out.u8(u8::from(self.synced));
        out.u8(u8::from(self.renew));
        out.u64(self.batch_max.into());
        out.u64(self.contact.ms());
        out.u64(self.newest.get());
        out.u64(self.stable.get());
        out.u8(self.sealing.map_or(0, |sealing| sealing.code() + 1));
        out.u64(self.key_epoch.into());
        match &self.part {
            None => out.u8(0),
            Some(part) => {
                out.u8(1);
                out.bytes(part.to_string().as_bytes());
            }
        }
        out.finish()
    }

    pub(super) fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        const WHAT: &str = "a replica's identity";
        const BAD: DecodeError = DecodeError::NotCanonical(WHAT);
        let mut input = Reader::new(bytes);
        let version = input.u8(WHAT)?;
        if version != 2 {
            return Err(DecodeError::Unknown { what: WHAT, value: version.into() });
        }
        let identity = Self {
            lease: input.fixed(WHAT)?,
            replica: ReplicaId::from_bytes(input.fixed(WHAT)?),
            counter: input.u64(WHAT)?,
            hlc: Hlc {
                ms: Timestamp::from_ms(input.u64(WHAT)?).ok_or(BAD)?,
                counter: u16::try_from(input.u64(WHAT)?).map_err(|_| BAD)?,
            },
            next: WriteNo(input.u64(WHAT)?),
            synced: input.u8(WHAT)? == 1,
            renew: input.u8(WHAT)? == 1,
            batch_max: u32::try_from(input.u64(WHAT)?).map_err(|_| BAD)?,
            contact: Timestamp::from_ms(input.u64(WHAT)?).ok_or(BAD)?,
            newest: Seq::new(input.u64(WHAT)?).ok_or(BAD)?,
            stable: Seq::new(input.u64(WHAT)?).ok_or(BAD)?,
            sealing: match input.u8(WHAT)? {
                0 => None,
                code => Some(Sealing::from_code(code - 1).ok_or(BAD)?),
            },
            key_epoch: u32::try_from(input.u64(WHAT)?).map_err(|_| BAD)?,
            part: match input.u8(WHAT)? {
                0 => None,
                1 => {
                    let text = input.bytes(WHAT)?;
                    let part = std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
                    Some(Arc::new(part.ok_or(BAD)?))
                }
                other => return Err(DecodeError::Unknown { what: WHAT, value: other.into() }),
            },
        };
        input.finish()?;
        Ok(identity)
    }
}

/// Which queue a batch was made from. Each has at most one batch under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// Ops the server had accepted once and lost: as they are, before everything else.
    Again,
    /// Writes made here.
    New,
}

impl Lane {
    pub(super) fn key(self) -> EntityKey {
        Drawer::Sent.key(match self {
            Self::Again => 0,
            Self::New => 1,
        })
    }
}

/// A batch that was sent, or is about to be: kept until every op of it is decided, so that a lost answer can be asked for
/// again with the same ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) request: RequestId,
    pub(super) atomic: bool,
    pub(super) items: Vec<Item>,
}

/// One op of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// The write it carries; 0 for an op that only spends a counter.
    pub(super) no: WriteNo,
    /// Earlier writes that it makes needless.
    pub(super) covers: Vec<WriteNo>,
    /// Where the server put it, once known.
    pub(super) seq: Option<Seq>,
    /// The op as it is sent.
    pub(super) op: OpBytes,
}

impl Item {
    /// An op that only spends a counter in front of the next item.
    pub(super) const fn filler(op: OpBytes) -> Self {
        Self { no: WriteNo(0), covers: Vec::new(), seq: None, op }
    }

    /// Whether it carries no write.
    pub(super) const fn is_filler(&self) -> bool {
        self.no.0 == 0
    }
}

impl Sent {
    /// Version byte 1, request, atomic, items: write, covered writes, seq or 0, op.
    pub(super) fn to_bytes(&self) -> Bytes {
        let mut out =
            Writer::with_capacity(64 + self.items.iter().map(|item| item.op.bytes().len() + 16).sum::<usize>());
        out.u8(1);
        out.fixed(self.request.as_bytes());
        out.u8(u8::from(self.atomic));
        out.len(self.items.len());
        for item in &self.items {
            out.u64(item.no.0);
            out.len(item.covers.len());
            item.covers.iter().for_each(|no| out.u64(no.0));
            out.u64(item.seq.map_or(0, Seq::get));
            out.bytes(item.op.bytes());
        }
        out.finish()
    }

    pub(super) fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        const WHAT: &str = "a batch that was sent";
        let mut input = Reader::new(bytes);
        let version = input.u8(WHAT)?;
        if version != 1 {
            return Err(DecodeError::Unknown { what: WHAT, value: version.into() });
        }
        let request = RequestId::from_bytes(input.fixed(WHAT)?);
        let atomic = input.u8(WHAT)? == 1;
        let count = input.count(4, WHAT)?;
        let items = (0..count).map(|_| {
            let no = WriteNo(input.u64(WHAT)?);
            let covers = input.count(1, WHAT)?;
            let covers = (0..covers).map(|_| input.u64(WHAT).map(WriteNo)).collect::<Result<_, _>>()?;
            let seq = Seq::new(input.u64(WHAT)?).filter(|seq| *seq > Seq::ZERO);
            let op = input.bytes(WHAT)?;
            let digest = Digest::of(&[&op]);
            let op = OpBytes::stored(op, digest).map_err(|_| DecodeError::NotCanonical(WHAT))?;
            Ok(Item { no, covers, seq, op })
        });
        let items = items.collect::<Result<Vec<_>, DecodeError>>()?;
        input.finish()?;
        Ok(Self { request, atomic, items })
    }

    /// Whether every op of it has its place.
    pub(super) fn is_settled(&self) -> bool {
        self.items.iter().all(|item| item.seq.is_some())
    }
}
