//! Values in an order.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Value, edit, parsed, text};
use crate::client::{Receipt, ReplicaError, Write};
use crate::crdt::{ItemId, List, ListEdit};
use crate::oplog::OpKind;

impl Value<List> {
    /// Inserts a value, which has this index then.
    ///
    /// # Errors
    /// When the list is shorter, the value does not become JSON, or as [`Value::load`] and
    /// [`Replica::write`](crate::client::Replica::write).
    pub async fn insert<T: Serialize + ?Sized>(&self, index: usize, value: &T) -> Result<Receipt, ReplicaError> {
        edit!(self, self.inserting(index, [value]).await?)
    }

    /// Appends a value.
    ///
    /// # Errors
    /// As [`Value::insert`].
    pub async fn push<T: Serialize + ?Sized>(&self, value: &T) -> Result<Receipt, ReplicaError> {
        edit!(self, {
            let (texts, session) = ([text(value)?], self.session());
            let edits = self.look(|list| list.inserting(list.len(), texts, session)).await??;
            self.write(OpKind::Update, &edits)
        })
    }

    /// Inserting values one after the other, as one write. There is at least one.
    ///
    /// # Errors
    /// As [`Value::insert`].
    pub async fn inserting<T: Serialize>(
        &self,
        index: usize,
        values: impl IntoIterator<Item = T>,
    ) -> Result<Write, ReplicaError> {
        let texts = values.into_iter().map(|value| text(&value)).collect::<Result<Vec<_>, _>>()?;
        let session = self.session();
        let edits = self.look(|list| list.inserting(index, texts, session)).await??;
        Ok(self.write(OpKind::Update, &edits))
    }

    /// Gives the element at an index another value. Whoever moves it meanwhile takes that along.
    ///
    /// # Errors
    /// When there is none, or as [`Value::insert`].
    pub async fn set<T: Serialize + ?Sized>(&self, index: usize, value: &T) -> Result<Receipt, ReplicaError> {
        edit!(self, self.setting(index, value).await?)
    }

    /// [`Value::set`] as a write.
    ///
    /// # Errors
    /// As [`Value::set`].
    pub async fn setting<T: Serialize + ?Sized>(&self, index: usize, value: &T) -> Result<Write, ReplicaError> {
        let text = text(value)?;
        let edits = self.look(|list| list.setting(index, text)).await??;
        Ok(self.write(OpKind::Update, &edits))
    }

    /// Moves the element at an index, which has the index `to` then. Of two that move one element, one counts.
    ///
    /// # Errors
    /// When there are no such indexes, or as [`Value::insert`].
    pub async fn move_to(&self, from: usize, to: usize) -> Result<Receipt, ReplicaError> {
        edit!(self, self.moving(from, to).await?)
    }

    /// [`Value::move_to`] as a write.
    ///
    /// # Errors
    /// As [`Value::move_to`].
    pub async fn moving(&self, from: usize, to: usize) -> Result<Write, ReplicaError> {
        let session = self.session();
        let edits = self.look(|list| list.moving(from, to, session)).await??;
        Ok(self.write(OpKind::Update, &edits))
    }

    /// Removes elements from an index on, for good.
    ///
    /// # Errors
    /// When there are fewer, or as [`Value::insert`].
    pub async fn remove(&self, index: usize, count: usize) -> Result<Receipt, ReplicaError> {
        edit!(self, self.removing(index, count).await?)
    }

    /// [`Value::remove`] as a write.
    ///
    /// # Errors
    /// As [`Value::remove`].
    pub async fn removing(&self, index: usize, count: usize) -> Result<Write, ReplicaError> {
        let edits = self.look(|list| list.removing(index, count)).await??;
        Ok(self.write(OpKind::Update, &edits))
    }

    /// Removes every element that is seen here; `None` when there is none.
    ///
    /// # Errors
    /// As [`Value::load`] and [`Replica::write`](crate::client::Replica::write).
    pub async fn delete(&self) -> Result<Option<Receipt>, ReplicaError> {
        let _pass = self.replica.inner.editing.enter().await;
        let edits: Vec<ListEdit> = self.look(|list| list.removing(0, list.len())).await??;
        if edits.is_empty() {
            return Ok(None);
        }
        self.send(self.write(OpKind::Delete, &edits)).await.map(Some)
    }

    /// The elements in order.
    ///
    /// # Errors
    /// As [`Value::load`], or that one is no `T`.
    pub async fn get<T: DeserializeOwned>(&self) -> Result<Vec<T>, ReplicaError> {
        self.look(|list| list.iter().map(|(_, text)| parsed(text)).collect()).await?
    }

    /// The elements in order, with their names: an element keeps its name wherever it goes.
    ///
    /// # Errors
    /// As [`Value::get`].
    pub async fn items<T: DeserializeOwned>(&self) -> Result<Vec<(ItemId, T)>, ReplicaError> {
        self.look(|list| list.iter().map(|(id, text)| Ok((id, parsed(text)?))).collect()).await?
    }
}
