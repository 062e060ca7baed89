//! The log as it was at an earlier seq, to look at: built from what this device keeps, and changed by nothing after.
//!
//! What must hold: a view at a seq is what every reader of the log showed when it stood there, whatever was written since;
//! it never ends inside an atomic batch; a place that is not kept here is an error, never a guess. Memory is that of one
//! state, at most [`limits::REPLAY_BYTES_MAX`] bytes, however long the history.
//!
//! Next: `restore`, which makes such a state the present one again.

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::error::ReplicaError;
use super::handle::Fields;
use super::mirror::Unreadable;
use super::replica::{Inner, Replica};
use crate::clock::VectorClock;
use crate::id::EntityId;
use crate::limits;
use crate::oplog::{Collection, EntityKey, LogBounds, LogState, LoggedOp, ReplayStop, Schema};
use crate::seq::{Anchor, Cursor, Seq};
use crate::store::{PageLimit, StoreExt};

/// The log at a seq, readable like the present. What was only written here and is not in the log is not in it.
#[derive(Debug, Clone)]
pub struct Past {
    schema: std::sync::Arc<Schema>,
    pub(super) state: LogState,
    pub(super) cursor: Cursor,
    pub(super) schema_version: u32,
    /// What the log had seen.
    pub(super) clock: VectorClock,
    pub(super) unread: Vec<(Seq, Unreadable)>,
}

/// A class of entities as it was.
#[derive(Debug, Clone)]
pub struct PastEntities<'p> {
    past: &'p Past,
    collection: Collection,
}

/// One entity as it was, as a map of fields.
#[derive(Debug, Clone)]
pub struct PastMap<'p> {
    past: &'p Past,
    key: EntityKey,
}

impl Replica {
    /// The log as it was right after the op at `seq`; [`Seq::ZERO`] is before the first.
    ///
    /// # Errors
    /// [`ReplicaError::NotKept`] before what this device keeps, [`ReplicaError::Beyond`] past its copy's end,
    /// [`ReplicaError::InsideBatch`] where a batch has not ended, [`ReplicaError::StateTooLarge`], a key that is missing,
    /// [`ReplicaError::Gap`] when the copy began anew meanwhile, the store's.
    pub async fn at(&self, seq: Seq) -> Result<Past, ReplicaError> {
        self.inner.past(seq).await
    }

    /// Where this device's copy of the log ends: the newest place to look at.
    ///
    /// # Errors
    /// The store's.
    pub async fn end(&self) -> Result<Cursor, ReplicaError> {
        let bounds = self.inner.store.bounds(self.inner.places.mirror).await?;
        Ok(bounds.map_or(Cursor::START, |bounds| bounds.end()))
    }
}

impl Inner {
    pub(super) async fn past(&self, to: Seq) -> Result<Past, ReplicaError> {
        match self.look_back(to).await {
            // History was let go of meanwhile, or left: what is kept now may reach back to there still.
            Err(ReplicaError::Gap(_)) => self.look_back(to).await,
            seen => seen,
        }
    }

    async fn look_back(&self, to: Seq) -> Result<Past, ReplicaError> {
        let bounds = self.store.bounds(self.places.mirror).await?;
        let end = bounds.as_ref().map_or(Seq::ZERO, |bounds| bounds.last);
        if to > end {
            return Err(ReplicaError::Beyond { seq: to, end });
        }
        let schema = std::sync::Arc::clone(&self.schema);
        let nothing = Past {
            schema,
            state: LogState::default(),
            cursor: Cursor::START,
            schema_version: 1,
            clock: VectorClock::new(),
            unread: Vec::new(),
        };
        let Some(bounds) = bounds else { return Ok(nothing) };
        let (mut past, mut rest) = (self.nearest(&bounds, to, nothing).await?, 0);
        while past.cursor.seq < to {
            let page = self.store.ops_after(self.places.mirror, past.cursor.seq, PageLimit::default()).await?;
            if let Some(gap) = page.gap(past.cursor) {
                return Err(ReplicaError::Gap(gap));
            }
            for logged in page.ops.iter().take_while(|logged| logged.seq <= to) {
                if let Some(why) = self.step(&mut past, logged)? {
                    past.unread.push((logged.seq, why));
                }
                if let Ok(op) = logged.op.read() {
                    let _ = past.clock.join(op.clock());
                }
                past.cursor = logged.cursor();
                rest = logged.batch_rest;
            }
        }
        if rest > 0 { Err(ReplicaError::InsideBatch(to)) } else { Ok(past) }
    }

    /// The newest state kept at or before `to` that needs no op before it: a full state in the log, the snapshot that the
    /// copy began from, or the log's very start.
    async fn nearest(&self, bounds: &LogBounds, to: Seq, nothing: Past) -> Result<Past, ReplicaError> {
        let snapshot = self.store.snapshot(self.places.mirror, to).await?;
        let snapshot = snapshot.filter(|snapshot| snapshot.seq >= bounds.first.before());
        let full = bounds.full_state.as_ref().map(|mark| mark.seq).filter(|seq| *seq <= to && *seq >= bounds.first);
        match (snapshot, full) {
            (Some(snapshot), full) if full.is_none_or(|seq| snapshot.seq >= seq) => {
                let state = LogState::from_bytes(self.opened(&snapshot)?.bytes().clone())?;
                let (cursor, schema_version, clock) = (snapshot.cursor(), snapshot.schema_version, snapshot.clock);
                Ok(Past { state, cursor, schema_version, clock, ..nothing })
            }
            (_, Some(seq)) => {
                let clock = bounds.full_state.as_ref().map(|mark| mark.seen.clone()).unwrap_or_default();
                Ok(Past { cursor: Cursor { seq: seq.before(), anchor: None }, clock, ..nothing })
            }
            (_, None) if bounds.first == Seq::FIRST => {
                let anchor = Some(Anchor::genesis(self.places.mirror, bounds.tip.origin));
                Ok(Past { cursor: Cursor { seq: Seq::ZERO, anchor }, ..nothing })
            }
            (_, None) => Err(ReplicaError::NotKept(to)),
        }
    }

    /// Applies one op by the rules that the copy itself was made by: what has no effect there has none here.
    fn step(&self, past: &mut Past, logged: &LoggedOp) -> Result<Option<Unreadable>, ReplicaError> {
        let Ok(op) = logged.op.read() else { return Ok(Some(Unreadable::Unknown)) };
        let payload = match self.means().read(&op)? {
            Ok(payload) => payload,
            Err(why) => return Ok(Some(why)),
        };
        match past.state.apply_opened(logged, &op, &payload, &self.schema) {
            Ok(_) => {
                past.schema_version = past.schema_version.max(op.schema_version());
                Ok(None)
            }
            Err(ReplayStop::Unfit { .. }) => Ok(Some(Unreadable::Unfit)),
            Err(ReplayStop::TooLarge { seq }) => Err(ReplicaError::StateTooLarge(seq)),
            Err(_) => Ok(Some(Unreadable::Unknown)),
        }
    }
}

impl Past {
    /// Where in the log it is.
    #[must_use]
    pub const fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Ops since the state it was built from that have no effect in it, with the reason.
    #[must_use]
    pub fn unread(&self) -> &[(Seq, Unreadable)] {
        &self.unread
    }

    /// That it leaves out nothing which another build would read.
    pub(super) fn is_whole(&self) -> Result<(), ReplicaError> {
        match self.unread.iter().find(|(_, why)| *why == Unreadable::Unknown) {
            Some((seq, _)) => Err(ReplicaError::NotUnderstood(*seq)),
            None => Ok(()),
        }
    }

    /// The entities of a collection.
    ///
    /// # Errors
    /// When the name cannot be one.
    pub fn collection(&self, name: &str) -> Result<PastEntities<'_>, ReplicaError> {
        Ok(PastEntities { past: self, collection: Collection::new(name)? })
    }

    /// What a reader of an entity saw: for maps, a JSON object.
    ///
    /// # Errors
    /// That the state does not read.
    pub fn state(&self, key: &EntityKey) -> Result<Option<Bytes>, ReplicaError> {
        let reducer = &self.schema.rules(&key.collection).reducer;
        Ok(self.state.get(key).map(|state| reducer.view(state)).transpose()?.flatten())
    }

    /// Entities that read differently in `other`, in key order: what restoring one of the two would change.
    ///
    /// # Errors
    /// That a state does not read.
    pub fn differs(&self, other: &Self) -> Result<Vec<EntityKey>, ReplicaError> {
        let keys: std::collections::BTreeSet<&EntityKey> =
            self.state.iter().chain(other.state.iter()).map(|(key, _)| key).collect();
        let mut found = Vec::new();
        for key in keys {
            if self.state(key)? != other.state(key)? {
                found.push(key.clone());
            }
        }
        Ok(found)
    }
}

impl<'p> PastEntities<'p> {
    /// The map with a name of the application's choosing.
    #[must_use]
    pub fn named(&self, name: &str) -> PastMap<'p> {
        self.map(EntityId::named(name))
    }

    /// The map with an id.
    #[must_use]
    pub fn map(&self, entity: EntityId) -> PastMap<'p> {
        PastMap { past: self.past, key: EntityKey { collection: self.collection.clone(), entity } }
    }

    /// Ids of the entities that existed, in order, after one, at most `limit` (up to [`limits::LIST_ITEMS_MAX`]).
    ///
    /// # Errors
    /// That a state does not read.
    pub fn ids(&self, after: Option<EntityId>, limit: usize) -> Result<Vec<EntityId>, ReplicaError> {
        let limit = limit.min(limits::LIST_ITEMS_MAX);
        let mut found = Vec::new();
        for (key, _) in self.past.state.iter().filter(|(key, _)| key.collection == self.collection) {
            if found.len() == limit {
                break;
            }
            if after.is_none_or(|after| key.entity > after) && self.past.state(key)?.is_some() {
                found.push(key.entity);
            }
        }
        Ok(found)
    }
}

impl PastMap<'_> {
    /// Which entity it is.
    #[must_use]
    pub const fn key(&self) -> &EntityKey {
        &self.key
    }

    /// The map as a value; `None` when it did not exist.
    ///
    /// # Errors
    /// That the fields are not those of `T`.
    pub fn get<T: DeserializeOwned>(&self) -> Result<Option<T>, ReplicaError> {
        Ok(self.past.state(&self.key)?.map(|state| serde_json::from_slice(&state)).transpose()?)
    }

    /// One field; `None` when it or the map did not exist.
    ///
    /// # Errors
    /// As [`PastMap::get`].
    pub fn field<T: DeserializeOwned>(&self, field: &str) -> Result<Option<T>, ReplicaError> {
        let Some(fields) = self.get::<Fields>()? else { return Ok(None) };
        Ok(fields.get(field).map(|value| serde_json::from_str(value.get())).transpose()?)
    }
}
