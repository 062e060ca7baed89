//! Row ↔ type. What does not read back as what was stored is [`StoreErrorKind::Corrupt`], never skipped.
//!
//! [`StoreErrorKind::Corrupt`]: syncline::store::StoreErrorKind::Corrupt

use bytes::Bytes;
use sqlx::postgres::PgRow;
use sqlx::{Decode, Postgres, Row as _, Type, ValueRef as _};
use syncline::codec::{Reader, Writer};
use syncline::oplog::{Collection, EntityKey, LogBounds, LoggedOp, OpBytes, Payload, Snapshot};
use syncline::store::StoreError;
use syncline::{Anchor, Digest, EntityId, Seq, Timestamp, VectorClock};

use crate::error::{Phase, classify, corrupt, fault};

/// The columns of one row, by place.
pub(crate) struct Columns<'r> {
    row: &'r PgRow,
    operation: &'static str,
}

impl<'r> Columns<'r> {
    pub(crate) const fn of(row: &'r PgRow, operation: &'static str) -> Self {
        Self { row, operation }
    }

    pub(crate) fn get<T: Decode<'r, Postgres> + Type<Postgres>>(&self, column: usize) -> Result<T, StoreError> {
        self.row.try_get(column).map_err(|error| match classify(self.operation, Phase::Work, error).into_error() {
            error if error.kind() == syncline::store::StoreErrorKind::Corrupt => error,
            error => self.corrupt("a column of another type").caused_by(error),
        })
    }

    pub(crate) fn is_null(&self, column: usize) -> Result<bool, StoreError> {
        let value = self.row.try_get_raw(column);
        value.map(|value| value.is_null()).map_err(|error| classify(self.operation, Phase::Work, error).into_error())
    }

    pub(crate) fn bytes(&self, column: usize) -> Result<Bytes, StoreError> {
        self.get::<&[u8]>(column).map(Bytes::copy_from_slice)
    }

    pub(crate) fn fixed<const N: usize>(&self, column: usize) -> Result<[u8; N], StoreError> {
        let bytes = self.get::<&[u8]>(column)?;
        bytes.try_into().map_err(|_| self.corrupt("bytes of another length"))
    }

    /// [`Columns::fixed`], or nothing where nothing is stored.
    pub(crate) fn maybe_fixed<const N: usize>(&self, column: usize) -> Result<Option<[u8; N]>, StoreError> {
        if self.is_null(column)? { Ok(None) } else { self.fixed(column).map(Some) }
    }

    /// [`Columns::seq`], or nothing where nothing is stored.
    pub(crate) fn maybe_seq(&self, column: usize) -> Result<Option<Seq>, StoreError> {
        if self.is_null(column)? { Ok(None) } else { self.seq(column).map(Some) }
    }

    pub(crate) fn seq(&self, column: usize) -> Result<Seq, StoreError> {
        u64::try_from(self.get::<i64>(column)?).ok().and_then(Seq::new).ok_or_else(|| self.corrupt("a seq below 0"))
    }

    pub(crate) fn time(&self, column: usize) -> Result<Timestamp, StoreError> {
        let ms = u64::try_from(self.get::<i64>(column)?).ok();
        ms.and_then(Timestamp::from_ms).ok_or_else(|| self.corrupt("a time out of range"))
    }

    pub(crate) fn small(&self, column: usize) -> Result<u32, StoreError> {
        u32::try_from(self.get::<i64>(column)?).map_err(|_| self.corrupt("a number out of range"))
    }

    pub(crate) fn digest(&self, column: usize) -> Result<Digest, StoreError> {
        self.fixed(column).map(Digest::from_bytes)
    }

    pub(crate) fn anchor(&self, column: usize) -> Result<Anchor, StoreError> {
        self.fixed(column).map(Anchor::from_bytes)
    }

    pub(crate) fn entity_key(&self, collection: usize, entity: usize) -> Result<EntityKey, StoreError> {
        let name = self.get::<&str>(collection)?;
        let collection = Collection::new(name).map_err(|error| self.corrupt("a collection").caused_by(error))?;
        Ok(EntityKey { collection, entity: EntityId::from_bytes(self.fixed(entity)?) })
    }

    /// Seq, digest, anchor, time, rest of the batch and bytes, from `first` on.
    pub(crate) fn logged_op(&self, first: usize) -> Result<LoggedOp, StoreError> {
        let seq = self.seq(first)?;
        let bytes = self.bytes(first + 5)?;
        let op = OpBytes::stored(bytes, self.digest(first + 1)?)
            .map_err(|error| corrupt(self.operation, format!("the op at seq {seq}")).caused_by(error))?;
        let (anchor, accepted_at) = (self.anchor(first + 2)?, self.time(first + 3)?);
        Ok(LoggedOp { seq, anchor, accepted_at, batch_rest: self.small(first + 4)?, op })
    }

    pub(crate) fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let mut clock = Reader::new(self.bytes(2)?);
        let decoded = VectorClock::decode(&mut clock).and_then(|decoded| clock.finish().map(|()| decoded));
        let payload = self.bytes(5)?;
        Ok(Snapshot {
            seq: self.seq(0)?,
            anchor: self.anchor(1)?,
            clock: decoded.map_err(|error| self.corrupt("a clock").caused_by(error))?,
            schema_version: self.small(3)?,
            payload: match self.small(4)? {
                0 => Payload::Json(payload),
                1 => Payload::Plain(payload),
                2 => Payload::Sealed(payload),
                _ => return Err(self.corrupt("a payload of an unknown form")),
            },
        })
    }

    pub(crate) fn corrupt(&self, what: &'static str) -> StoreError {
        corrupt(self.operation, what)
    }
}

pub(crate) fn bounds(operation: &'static str, bytes: Bytes) -> Result<LogBounds, StoreError> {
    LogBounds::from_bytes(bytes).map_err(|error| corrupt(operation, "the bounds of a log").caused_by(error))
}

/// A seq as Postgres keeps it; [`Seq::MAX`] is the largest `BIGINT`.
pub(crate) const fn number(seq: Seq) -> i64 {
    seq.get().cast_signed()
}

/// A time as Postgres keeps it; the largest has 48 bits.
pub(crate) const fn millis(time: Timestamp) -> i64 {
    time.ms().cast_signed()
}

pub(crate) fn clock_bytes(clock: &VectorClock) -> Bytes {
    let mut out = Writer::default();
    clock.encode(&mut out);
    out.finish()
}

pub(crate) fn payload_form(operation: &'static str, payload: &Payload) -> Result<i64, StoreError> {
    match payload {
        Payload::Json(_) => Ok(0),
        Payload::Plain(_) => Ok(1),
        Payload::Sealed(_) => Ok(2),
        _ => Err(fault(operation, "a payload of a form this adapter does not know")),
    }
}
