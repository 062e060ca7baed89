//! Typed handles: a map is an entity whose fields are written and merged one by one.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::error::ReplicaError;
use super::receipt::Receipt;
use super::replica::Replica;
use super::write::Write;
use crate::id::EntityId;
use crate::limits;
use crate::oplog::{Collection, EntityKey, OpKind, Payload, Precondition};

/// A class of entities.
#[derive(Debug, Clone)]
pub struct Entities {
    replica: Replica,
    collection: Collection,
}

/// One entity as a map of fields.
#[derive(Debug, Clone)]
pub struct Map {
    replica: Replica,
    key: EntityKey,
}

pub(super) type Fields = BTreeMap<String, Box<RawValue>>;

impl Replica {
    /// The entities of a collection.
    ///
    /// # Errors
    /// When the name cannot be one, or belongs to the engine.
    pub fn collection(&self, name: &str) -> Result<Entities, ReplicaError> {
        let collection = Collection::new(name)?;
        Ok(Entities { replica: self.clone(), collection })
    }
}

impl Entities {
    pub(super) const fn parts(&self) -> (&Replica, &Collection) {
        (&self.replica, &self.collection)
    }

    /// The map with a name of the application's choosing: the same on every device.
    #[must_use]
    pub fn named(&self, name: &str) -> Map {
        self.map(EntityId::named(name))
    }

    /// The map with an id.
    #[must_use]
    pub fn map(&self, entity: EntityId) -> Map {
        Map { replica: self.replica.clone(), key: EntityKey { collection: self.collection.clone(), entity } }
    }

    /// Ids of the entities that exist as this device sees it, evicted ones among them, in order, after one, at most `limit`
    /// (up to [`limits::LIST_ITEMS_MAX`]).
    ///
    /// # Errors
    /// The store's.
    pub async fn ids(&self, after: Option<EntityId>, limit: usize) -> Result<Vec<EntityId>, ReplicaError> {
        let limit = limit.min(limits::LIST_ITEMS_MAX);
        let inner = &self.replica.inner;
        let mut after = after.map(|entity| EntityKey { collection: self.collection.clone(), entity });
        let mut found = Vec::new();
        inner.settled().await?;
        while found.len() < limit {
            let page = inner.store.heads(inner.places.mirror, &self.collection, after.as_ref(), limit).await?;
            let in_log: Vec<EntityKey> = page.heads.into_iter().map(|(key, _)| key).collect();
            let upto = in_log.last().filter(|_| page.more).cloned();
            let pending = {
                let memory = super::gate::lock(&inner.memory);
                let keys = memory.pending.entities().filter(|key| key.collection == self.collection);
                let state = memory.pending.newest_state().into_iter().flat_map(|(_, state)| state.iter());
                let keys = keys.chain(state.map(|(key, _)| key).filter(|key| key.collection == self.collection));
                let here = keys.filter(|key| after.as_ref().is_none_or(|after| *key > after));
                here.filter(|key| upto.as_ref().is_none_or(|upto| *key <= upto)).cloned().collect::<Vec<_>>()
            };
            let keys: std::collections::BTreeSet<EntityKey> = in_log.into_iter().chain(pending).collect();
            for key in keys {
                let exists = found.len() < limit
                    && match self.replica.state(&key).await {
                        Ok(state) => state.is_some(),
                        Err(ReplicaError::NotHere(key)) => inner.holds(&key),
                        Err(error) => return Err(error),
                    };
                if exists {
                    found.push(key.entity);
                }
            }
            match upto {
                None => break,
                Some(upto) => after = Some(upto),
            }
        }
        Ok(found)
    }
}

impl Replica {
    /// What a reader of an entity sees: for maps, a JSON object.
    ///
    /// # Errors
    /// The store's, or that the state does not read.
    pub async fn state(&self, key: &EntityKey) -> Result<Option<bytes::Bytes>, ReplicaError> {
        let visible = self.inner.visible(key).await?;
        let reducer = &self.inner.schema.rules(&key.collection).reducer;
        match visible {
            None => Ok(None),
            Some(state) => Ok(reducer.view(&state)?),
        }
    }
}

impl Map {
    /// Which entity it is.
    #[must_use]
    pub const fn key(&self) -> &EntityKey {
        &self.key
    }

    /// Sets one field.
    ///
    /// # Errors
    /// As [`Replica::write`], and when the value does not become JSON.
    pub async fn set<T: Serialize + ?Sized>(&self, field: &str, value: &T) -> Result<Receipt, ReplicaError> {
        let value = serde_json::value::to_raw_value(value)?;
        self.update([(field.to_owned(), value)].into()).await
    }

    /// Sets the fields of a value that differ from what is there; the receipt of the write, `None` when none does.
    /// Fields that the value does not have are left alone.
    ///
    /// # Errors
    /// As [`Map::set`], and when the value has no fields.
    pub async fn put<T: Serialize + ?Sized>(&self, value: &T) -> Result<Option<Receipt>, ReplicaError> {
        let value = serde_json::value::to_raw_value(value)?;
        let mut fields: Fields = serde_json::from_str(value.get()).map_err(|_| ReplicaError::NotAnObject)?;
        let state = match self.replica.state(&self.key).await {
            Err(ReplicaError::NotHere(_)) => None,
            state => state?,
        };
        if let Some(state) = state {
            let there: Fields = serde_json::from_slice(&state)?;
            fields.retain(|name, value| there.get(name).is_none_or(|there| there.get() != value.get()));
            if fields.is_empty() {
                return Ok(None);
            }
        }
        self.update(fields).await.map(Some)
    }

    async fn update(&self, fields: Fields) -> Result<Receipt, ReplicaError> {
        let payload = Payload::Json(serde_json::to_vec(&fields)?.into());
        self.write(OpKind::Update, payload).await
    }

    /// Deletes it. Fields that somebody writes later bring it back with those fields.
    ///
    /// # Errors
    /// As [`Replica::write`].
    pub async fn delete(&self) -> Result<Receipt, ReplicaError> {
        self.write(OpKind::Delete, Payload::Plain(bytes::Bytes::new())).await
    }

    async fn write(&self, kind: OpKind, payload: Payload) -> Result<Receipt, ReplicaError> {
        let write = Write { key: self.key.clone(), kind, precondition: Precondition::None, payload };
        self.replica.write(write).await
    }

    /// The map as a value; `None` when it does not exist.
    ///
    /// # Errors
    /// The store's, or that the fields are not those of `T`.
    pub async fn get<T: DeserializeOwned>(&self) -> Result<Option<T>, ReplicaError> {
        let state = self.replica.state(&self.key).await?;
        Ok(state.map(|state| serde_json::from_slice(&state)).transpose()?)
    }

    /// One field; `None` when it or the map does not exist.
    ///
    /// # Errors
    /// As [`Map::get`].
    pub async fn field<T: DeserializeOwned>(&self, field: &str) -> Result<Option<T>, ReplicaError> {
        let Some(fields) = self.get::<Fields>().await? else { return Ok(None) };
        Ok(fields.get(field).map(|value| serde_json::from_str(value.get())).transpose()?)
    }
}
