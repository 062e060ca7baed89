//! Bodies of requests, and the op, which goes both ways.

use super::*;

/// An op.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpJson {
    id: OpId,
    replica: ReplicaId,
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    collection: Option<Collection>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    entity: Option<EntityId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    also: Vec<EntityId>,
    #[serde(default)]
    clock: VectorClock,
    hlc: Hlc,
    schema_version: u32,
    #[serde(default)]
    precondition: PreconditionJson,
    payload: PayloadJson,
}

impl OpJson {
    /// The JSON form of an op.
    ///
    /// # Errors
    /// Never for an op that was sealed; its JSON payload is JSON.
    pub fn of(op: &Op) -> Result<Self, WireError> {
        let (collection, entity, also) = match op.subject() {
            Subject::Log => (None, None, Vec::new()),
            Subject::Entity { key, also } => (Some(key.collection.clone()), Some(key.entity), also.clone()),
        };
        Ok(Self {
            id: op.id(),
            replica: op.replica(),
            kind: kind_name(op.kind()),
            collection,
            entity,
            also,
            clock: op.clock().clone(),
            hlc: op.hlc(),
            schema_version: op.schema_version(),
            precondition: match op.precondition() {
                Precondition::None => PreconditionJson::None,
                Precondition::Absent => PreconditionJson::Absent,
                Precondition::Version(version) => PreconditionJson::Version(version),
            },
            payload: PayloadJson::of(op.payload())?,
        })
    }

    /// The op.
    ///
    /// # Errors
    /// When the fields do not make an op.
    pub fn read(self, index: usize) -> Result<Op, WireError> {
        let subject = match (self.collection, self.entity) {
            (Some(collection), Some(entity)) => {
                Subject::Entity { key: EntityKey { collection, entity }, also: self.also }
            }
            (None, None) if self.also.is_empty() => Subject::Log,
            _ => return Err(WireError::Json(format!("op {index}: collection and entity come together"))),
        };
        let draft = Draft {
            id: self.id,
            replica: self.replica,
            subject,
            kind: kind_of(&self.kind)?,
            clock: self.clock,
            hlc: self.hlc,
            schema_version: self.schema_version,
            precondition: match self.precondition {
                PreconditionJson::None => Precondition::None,
                PreconditionJson::Absent => Precondition::Absent,
                PreconditionJson::Version(version) => Precondition::Version(version),
            },
            payload: self.payload.read()?,
        };
        draft.seal().map_err(|error| WireError::Op { index, error })
    }
}

/// The body of a push.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushJson {
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    request: Option<RequestId>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    cursor: Option<Cursor>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    atomic: bool,
    ops: Vec<OpJson>,
}

impl PushJson {
    /// The JSON form of a push.
    ///
    /// # Errors
    /// Never for sealed ops.
    pub fn of(push: &Push) -> Result<Self, WireError> {
        let ops = push.ops.iter().map(OpJson::of).collect::<Result<_, _>>()?;
        Ok(Self { request: push.request, cursor: push.cursor, atomic: push.atomic, ops })
    }

    /// The push; the log is named by the route.
    ///
    /// # Errors
    /// When one of the ops is not an op.
    pub fn read(self, log: LogId) -> Result<Push, WireError> {
        let ops = self.ops.into_iter().enumerate().map(|(index, op)| op.read(index)).collect::<Result<_, _>>()?;
        Ok(Push { log, request: self.request, cursor: self.cursor, atomic: self.atomic, ops })
    }
}

/// A snapshot, both ways.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotJson {
    cursor: Cursor,
    clock: VectorClock,
    schema_version: u32,
    payload: PayloadJson,
}

impl SnapshotJson {
    /// The JSON form of a snapshot.
    ///
    /// # Errors
    /// When a JSON payload is not UTF-8.
    pub fn of(snapshot: &Snapshot) -> Result<Self, WireError> {
        Ok(Self {
            cursor: snapshot.cursor(),
            clock: snapshot.clock.clone(),
            schema_version: snapshot.schema_version,
            payload: PayloadJson::of(&snapshot.payload)?,
        })
    }

    /// The snapshot.
    ///
    /// # Errors
    /// When its cursor has no anchor, or its payload does not read.
    pub fn read(self) -> Result<Snapshot, WireError> {
        let anchor = self.cursor.anchor.ok_or_else(|| WireError::Json("a snapshot's cursor has an anchor".into()))?;
        let payload = self.payload.read()?;
        check_state(&payload)?;
        Ok(Snapshot { seq: self.cursor.seq, anchor, clock: self.clock, schema_version: self.schema_version, payload })
    }
}

/// The body of a restore.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct RestoreJson {
    /// Back to here.
    pub to: Seq,
    /// The log's end as last seen.
    pub seen: Cursor,
    /// Makes a retry harmless.
    pub request: RequestId,
}

/// The body of an undo.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct UndoRestoreJson {
    /// The log's end as last seen.
    pub seen: Cursor,
    /// Makes a retry harmless.
    pub request: RequestId,
}

/// The body of a rotation of keys.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct RotateKeysJson {
    /// The epoch the log is at, as last seen.
    pub from: u32,
}

/// The body of an acknowledgement.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct AcknowledgeJson {
    /// Who holds the log.
    pub replica: ReplicaId,
    /// Everything up to here.
    pub cursor: Cursor,
}

/// The body of a new token.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct MintTokenJson {
    /// For people; 1 to [`TOKEN_NAME_CHARS_MAX`](crate::limits::TOKEN_NAME_CHARS_MAX) characters.
    pub name: String,
    /// What its holder may do.
    pub access: Access,
    /// The logs it is for; absent for all.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    pub logs: Option<Vec<LogId>>,
    /// The replica it is bound to; absent for any.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    pub replica: Option<ReplicaId>,
    /// When it ends, ms since 1970; absent for never.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    pub expires_at: Option<Timestamp>,
}
