//! Bodies of answers.

use super::*;
use crate::oplog::{ConflictReason, FullStateMark, HeadState, Holder, Holders, RejectReason, Sealing};
use crate::seq::Anchor;
use crate::store::LogSummary;

/// The answer to a push.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PushedJson {
    verdicts: Vec<VerdictJson>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    replayed: bool,
    accepted_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    newer: Option<PageJson>,
}

/// `verdict` is `accepted`, `duplicate`, `conflict` or `rejected`; the others say which and where.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct VerdictJson {
    verdict: String,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    seq: Option<Seq>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    counter: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    key_epoch: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    head: Option<HeadJson>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct HeadJson {
    version: Seq,
    op: OpId,
    replica: ReplicaId,
    clock: VectorClock,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    deleted_at: Option<Timestamp>,
}

impl VerdictJson {
    fn of(verdict: &Verdict) -> Self {
        let named = |name: &str| Self { verdict: name.to_owned(), ..Self::default() };
        match verdict {
            Verdict::Accepted { seq } => Self { seq: Some(*seq), ..named("accepted") },
            Verdict::Duplicate { seq } => Self { seq: Some(*seq), ..named("duplicate") },
            Verdict::Conflict { reason, head } => Self {
                reason: Some(reason.name().to_owned()),
                head: head.as_deref().map(HeadJson::of),
                ..named("conflict")
            },
            Verdict::Rejected { reason } => {
                let named = Self { reason: Some(reason.name().to_owned()), ..named("rejected") };
                match reason {
                    RejectReason::KeyEpochStale { .. } | RejectReason::KeyEpochAhead { .. } => {
                        Self { key_epoch: reason.number(), ..named }
                    }
                    _ => Self { counter: reason.number(), ..named },
                }
            }
        }
    }

    fn read(self) -> Result<Verdict, WireError> {
        let missing = |what: &str| WireError::Json(format!("a verdict without {what}"));
        let name = self.reason.unwrap_or_default();
        Ok(match self.verdict.as_str() {
            "accepted" => Verdict::Accepted { seq: self.seq.ok_or_else(|| missing("seq"))? },
            "duplicate" => Verdict::Duplicate { seq: self.seq.ok_or_else(|| missing("seq"))? },
            "conflict" => {
                let reason = ConflictReason::ALL.iter().find(|(_, _, known)| *known == name);
                let reason = reason.map(|(reason, ..)| *reason).ok_or_else(|| missing("a known reason"))?;
                Verdict::Conflict { reason, head: self.head.map(|head| Box::new(head.read())) }
            }
            "rejected" => {
                let reason = RejectReason::ALL.iter().find(|(_, _, known)| *known == name);
                let reason = reason.map(|(reason, ..)| *reason).ok_or_else(|| missing("a known reason"))?;
                Verdict::Rejected { reason: reason.with_number(self.counter.or(self.key_epoch).unwrap_or(0)) }
            }
            _ => return Err(missing("a known name")),
        })
    }
}

impl HeadJson {
    fn of(head: &Head) -> Self {
        let deleted_at = match head.state {
            HeadState::Tombstone(since) => Some(since),
            HeadState::Live(_) => None,
        };
        Self { version: head.version, op: head.op, replica: head.replica, clock: head.clock.clone(), deleted_at }
    }

    fn read(self) -> Head {
        let state = self.deleted_at.map_or(HeadState::Live(None), HeadState::Tombstone);
        Head { version: self.version, op: self.op, replica: self.replica, clock: self.clock, state }
    }
}

impl PushedJson {
    /// The JSON form of a push's answer.
    ///
    /// # Errors
    /// When a stored op does not read.
    pub fn of(pushed: &Pushed) -> Result<Self, WireError> {
        Ok(Self {
            verdicts: pushed.verdicts.iter().map(VerdictJson::of).collect(),
            replayed: pushed.replayed,
            accepted_at: pushed.accepted_at,
            newer: pushed.newer.as_ref().map(PageJson::of).transpose()?,
        })
    }

    /// The answer.
    ///
    /// # Errors
    /// When a verdict has no known name or a field is missing.
    pub fn read(self) -> Result<Pushed, WireError> {
        let verdicts = self.verdicts.into_iter().map(VerdictJson::read).collect::<Result<_, _>>()?;
        let newer = self.newer.map(PageJson::read).transpose()?;
        Ok(Pushed { verdicts, replayed: self.replayed, accepted_at: self.accepted_at, newer })
    }
}

/// A log's bounds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct LogJson {
    /// Which log.
    pub log: LogId,
    /// When it was made.
    pub created_at: Timestamp,
    /// First seq kept.
    pub first: Seq,
    /// The running hash before the first seq kept.
    pub base: Anchor,
    /// Where it ends.
    pub end: Cursor,
    /// What its replicas have written.
    pub clock: VectorClock,
    /// The newest full-state op.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    pub full_state: Option<FullStateJson>,
    /// The snapshot kept.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    pub snapshot: Option<Seq>,
    /// Bytes of its ops.
    pub bytes: u64,
    /// Whether it takes no writes because it contradicts itself.
    pub damaged: bool,
    /// Whether its payloads are sealed.
    pub sealing: Sealing,
    /// The key epoch that sealed payloads are under; 0 until the first.
    pub key_epoch: u32,
    /// Made by this call.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub created: bool,
}

/// A log's newest full-state op.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct FullStateJson {
    /// Its place.
    pub seq: Seq,
    /// Its id.
    pub op: OpId,
    /// What it had seen.
    pub clock: VectorClock,
    /// What the whole log had seen when it was accepted.
    pub seen: VectorClock,
}

impl LogJson {
    /// The JSON form of bounds.
    #[must_use]
    pub fn of(log: LogId, bounds: &LogBounds, created: bool) -> Self {
        Self {
            log,
            created_at: bounds.created_at,
            first: bounds.first,
            base: bounds.base,
            end: bounds.end(),
            clock: bounds.clock.clone(),
            full_state: bounds.full_state.as_ref().map(|mark| FullStateJson {
                seq: mark.seq,
                op: mark.op,
                clock: mark.clock.clone(),
                seen: mark.seen.clone(),
            }),
            snapshot: Some(bounds.snapshot).filter(|seq| *seq > Seq::ZERO),
            bytes: bounds.bytes,
            damaged: bounds.damaged,
            sealing: bounds.sealing,
            key_epoch: bounds.key_epoch,
            created,
        }
    }

    /// The bounds.
    ///
    /// # Errors
    /// When the end has no anchor.
    pub fn read(self) -> Result<LogBounds, WireError> {
        let tip = self.end.anchor.ok_or_else(|| WireError::Json("a log's end has an anchor".into()))?;
        let full_state = self.full_state.map(|mark| FullStateMark {
            seq: mark.seq,
            op: mark.op,
            clock: mark.clock,
            seen: mark.seen,
        });
        Ok(LogBounds {
            created_at: self.created_at,
            first: self.first,
            last: self.end.seq,
            base: self.base,
            tip,
            clock: self.clock,
            full_state,
            snapshot: self.snapshot.unwrap_or(Seq::ZERO),
            bytes: self.bytes,
            damaged: self.damaged,
            sealing: self.sealing,
            key_epoch: self.key_epoch,
        })
    }
}

/// A listing of logs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct LogsJson {
    /// In id order.
    pub logs: Vec<LogJson>,
}

impl LogsJson {
    /// The JSON form of a listing.
    #[must_use]
    pub fn of(logs: &[LogSummary]) -> Self {
        Self { logs: logs.iter().map(|summary| LogJson::of(summary.log, &summary.bounds, false)).collect() }
    }

    /// The listing.
    ///
    /// # Errors
    /// When the end of one has no anchor.
    pub fn read(self) -> Result<Vec<LogSummary>, WireError> {
        self.logs.into_iter().map(|log| Ok(LogSummary { log: log.log, bounds: log.read()? })).collect()
    }
}

/// A listing of restore points, newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct RestorePointsJson {
    /// The points.
    pub restore_points: Vec<RestorePointJson>,
}

/// A full-state op worth going back to, or to before.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct RestorePointJson {
    /// Where.
    pub seq: Seq,
    /// Its id.
    pub op: OpId,
    /// Why it was written.
    pub kind: String,
    /// By whom.
    pub replica: ReplicaId,
    /// When, by its author.
    pub hlc: Hlc,
    /// When, by the server.
    pub accepted_at: Timestamp,
}

impl RestorePointsJson {
    /// The JSON form of a listing.
    #[must_use]
    pub fn of(points: &[RestorePoint]) -> Self {
        let point = |point: &RestorePoint| RestorePointJson {
            seq: point.seq,
            op: point.op,
            kind: kind_name(OpKind::FullState(point.kind)),
            replica: point.replica,
            hlc: point.hlc,
            accepted_at: point.accepted_at,
        };
        Self { restore_points: points.iter().map(point).collect() }
    }

    /// The listing.
    ///
    /// # Errors
    /// When a kind is not that of a full state.
    pub fn read(self) -> Result<Vec<RestorePoint>, WireError> {
        let point = |point: RestorePointJson| match kind_of(&point.kind)? {
            OpKind::FullState(kind) => Ok(RestorePoint {
                seq: point.seq,
                op: point.op,
                kind,
                replica: point.replica,
                hlc: point.hlc,
                accepted_at: point.accepted_at,
            }),
            _ => Err(WireError::Json("a restore point of another kind".into())),
        };
        self.restore_points.into_iter().map(point).collect()
    }
}

/// The answer to a restore.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct RestoredJson {
    /// The full-state op that did it.
    pub seq: Seq,
    /// The log's end after it.
    pub end: Cursor,
}

/// The answer to an acknowledgement.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct AcknowledgedJson {
    /// Every replica that counts has everything up to here.
    pub stable: Seq,
    /// How many count.
    pub devices: usize,
}

/// Which replicas hold a log, and how far.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct DevicesJson {
    /// Every replica that counts has everything up to here.
    pub stable: Seq,
    /// When a replica last found no place among those that are counted.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    pub crowded_at: Option<Timestamp>,
    /// Those that are counted, by name.
    pub devices: Vec<DeviceJson>,
}

/// What one replica holds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct DeviceJson {
    /// Which.
    pub replica: ReplicaId,
    /// Everything up to here.
    pub seq: Seq,
    /// When it last said so.
    pub heard_at: Timestamp,
}

impl DevicesJson {
    /// The JSON form of a list of holders.
    #[must_use]
    pub fn of(holders: &Holders) -> Self {
        let device = |(replica, Holder { seq, heard_at }): (ReplicaId, Holder)| DeviceJson { replica, seq, heard_at };
        let (stable, crowded_at) = (holders.stable(), holders.crowded_at());
        Self { stable, crowded_at, devices: holders.iter().map(device).collect() }
    }

    /// The holders.
    #[must_use]
    pub fn read(self) -> Holders {
        let holder = |device: DeviceJson| (device.replica, Holder { seq: device.seq, heard_at: device.heard_at });
        Holders::listed(self.devices.into_iter().map(holder), self.stable, self.crowded_at)
    }
}

/// A new token.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct TokenJson {
    /// Its id, to revoke it by.
    pub id: TokenId,
    /// The token itself, shown only now.
    pub token: String,
}
