//! Typed handles for values that merge: a counter, a document, a list, a register, a set, a tree.
//!
//! An edit says what it saw where that matters (which adds a remove takes away, between which places an insert goes), so it
//! is made from the state as this device shows it, one after the other. Every edit call is one op and gives its receipt; the
//! calls named *-ing give the write itself, for [`Replica::write_batch`](super::Replica::write_batch): each says what it does to what is shown
//! before the batch.
//!
//! Where next: [`crdt`](crate::crdt), what the types are.

mod counter;
mod document;
mod list;
mod register;
mod set;
mod text;
mod tree;

pub use text::{SharedText, Typing};

use std::marker::PhantomData;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::ReplicaError;
use super::gate::lock;
use super::handle::Entities;
use super::parsed::Upto;
use super::receipt::Receipt;
use super::replica::Replica;
use super::write::Write;
use crate::crdt::position::SessionName;
use crate::crdt::{Content, Counter, Document, List, Register, Set, Tree};
use crate::id::EntityId;
use crate::oplog::merging::apply;
use crate::oplog::{Change, EntityKey, Head, OpKind, Payload, Precondition, ReduceError};
use crate::store::StoreExt;
use crate::time::Timestamp;

/// One entity as a value of type `C`.
#[derive(Debug, Clone)]
pub struct Value<C> {
    replica: Replica,
    key: EntityKey,
    content: PhantomData<fn() -> C>,
}

impl Entities {
    /// The value with an id, in a collection of such values.
    ///
    /// # Errors
    /// [`ReplicaError::WrongType`], when the schema says that the collection holds something else.
    pub fn value<C: Content>(&self, entity: EntityId) -> Result<Value<C>, ReplicaError> {
        let (replica, collection) = self.parts();
        let reducer = &replica.inner.schema.rules(collection).reducer;
        if reducer.holds() != Some(C::NAME) {
            return Err(ReplicaError::WrongType { collection: collection.clone(), asked: C::NAME });
        }
        let key = EntityKey { collection: collection.clone(), entity };
        Ok(Value { replica: replica.clone(), key, content: PhantomData })
    }

    /// The counter with a name of the application's choosing: the same on every device.
    ///
    /// # Errors
    /// As [`Entities::value`].
    pub fn counter(&self, name: &str) -> Result<Value<Counter>, ReplicaError> {
        self.value(EntityId::named(name))
    }

    /// The document with a name.
    ///
    /// # Errors
    /// As [`Entities::value`].
    pub fn document(&self, name: &str) -> Result<Value<Document>, ReplicaError> {
        self.value(EntityId::named(name))
    }

    /// The list with a name.
    ///
    /// # Errors
    /// As [`Entities::value`].
    pub fn list(&self, name: &str) -> Result<Value<List>, ReplicaError> {
        self.value(EntityId::named(name))
    }

    /// The register with a name.
    ///
    /// # Errors
    /// As [`Entities::value`].
    pub fn register(&self, name: &str) -> Result<Value<Register>, ReplicaError> {
        self.value(EntityId::named(name))
    }

    /// The set with a name.
    ///
    /// # Errors
    /// As [`Entities::value`].
    pub fn set(&self, name: &str) -> Result<Value<Set>, ReplicaError> {
        self.value(EntityId::named(name))
    }

    /// The tree with a name.
    ///
    /// # Errors
    /// As [`Entities::value`].
    pub fn tree(&self, name: &str) -> Result<Value<Tree>, ReplicaError> {
        self.value(EntityId::named(name))
    }
}

impl<C: Content> Value<C> {
    /// Which entity it is.
    #[must_use]
    pub const fn key(&self) -> &EntityKey {
        &self.key
    }

    /// The value itself, as this device shows it: what is in the log, with what was written here and is not.
    ///
    /// # Errors
    /// The store's, [`ReplicaError::NotHere`], or that the state does not read.
    pub async fn load(&self) -> Result<C, ReplicaError> {
        self.look(Clone::clone).await
    }

    /// Looks at the value as this device shows it. What was looked at is kept, so that the next look costs what was
    /// written since.
    ///
    /// # Errors
    /// As [`Value::load`].
    pub async fn look<T>(&self, look: impl FnOnce(&C) -> T) -> Result<T, ReplicaError> {
        let (content, upto) = self.fetch().await?;
        let seen = look(&content);
        if let Some(upto) = upto {
            lock(&self.replica.inner.parsed).put(&self.key, upto, content);
        }
        Ok(seen)
    }

    /// What can be said without knowing: on a device that does not hold the entity, of an empty value.
    async fn look_or_blind<T>(&self, look: impl Fn(&C) -> T) -> Result<T, ReplicaError> {
        match self.look(&look).await {
            Err(ReplicaError::NotHere(_)) => Ok(look(&C::default())),
            seen => seen,
        }
    }

    /// The value as it is now, and up to which write, where it may be kept.
    async fn fetch(&self) -> Result<(Box<C>, Option<Upto>), ReplicaError> {
        let inner = &self.replica.inner;
        let known = lock(&inner.parsed).take::<C>(&self.key);
        if let Some((upto, mut content)) = known
            && let Some((upto, entries)) = inner.since(&self.key, upto).await?
        {
            for entry in &entries {
                // As in what is shown: what cannot be opened or does not apply is passed over.
                let Ok(payload) = inner.means().open(&entry.op) else { continue };
                let _ = apply(&mut *content, &Change::opened(&entry.op, Timestamp::MAX, &payload));
            }
            return Ok((content, Some(upto)));
        }
        let (state, upto) = inner.seen(&self.key).await?;
        let content = state.map(read).transpose()?.unwrap_or_default();
        Ok((Box::new(content), upto))
    }

    fn write(&self, kind: OpKind, edit: &C::Edit) -> Write {
        let payload = Payload::Plain(C::write_edit(edit));
        Write { key: self.key.clone(), kind, precondition: Precondition::None, payload }
    }

    /// A delete that says nothing else.
    fn deleting(&self) -> Write {
        let payload = Payload::Plain(Bytes::new());
        Write { key: self.key.clone(), kind: OpKind::Delete, precondition: Precondition::None, payload }
    }

    /// The value in the log, where every device that counts has all that was said of it, and nothing waits here.
    async fn stable(&self) -> Result<Option<C>, ReplicaError> {
        stable_state(&self.replica, &self.key).await?.map(read).transpose()
    }

    async fn send(&self, write: Write) -> Result<Receipt, ReplicaError> {
        self.replica.write(write).await
    }

    /// What this device's runs of inserts are called while it is open.
    fn session(&self) -> SessionName {
        let lease = lock(&self.replica.inner.memory).identity.lease;
        let mut name = [0; 6];
        name.copy_from_slice(&lease[..6]);
        SessionName(name)
    }
}

/// The state in the log, where every device that counts has all that was said of it, and nothing waits here.
async fn stable_state(replica: &Replica, key: &EntityKey) -> Result<Option<Vec<u8>>, ReplicaError> {
    let inner = &replica.inner;
    let (stable, waits) = {
        let memory = lock(&inner.memory);
        (memory.identity.stable, memory.pending.newest_of(key).is_some())
    };
    let head = inner.store.head(inner.places.mirror, key).await?;
    let known = head.filter(|head| head.version <= stable && !waits);
    Ok(known.as_ref().and_then(Head::live_state).map(|state| state.to_vec()))
}

fn read<C: Content>(state: Vec<u8>) -> Result<C, ReplicaError> {
    Ok(C::decode(state.into()).map_err(|_| ReduceError::Unfit(C::NAME))?)
}

/// A value's JSON text in one spelling: an object's fields are in byte order, whatever the type says.
fn text<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, ReplicaError> {
    Ok(serde_json::to_vec(&serde_json::to_value(value)?)?.into())
}

fn parsed<T: DeserializeOwned>(text: &[u8]) -> Result<T, ReplicaError> {
    Ok(serde_json::from_slice(text)?)
}

/// Waits for earlier edits of this replica that were made from what they saw, makes one, and writes it.
macro_rules! edit {
    ($self:ident, $write:expr) => {{
        let _pass = $self.replica.inner.editing.enter().await;
        let write = $write;
        $self.send(write).await
    }};
}
use edit;
