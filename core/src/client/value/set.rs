//! Elements.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Value, edit, parsed, text};
use crate::client::{Receipt, ReplicaError, Write};
use crate::crdt::Set;
use crate::oplog::OpKind;

impl Value<Set> {
    /// Adds an element, also where it is there already: an add that somebody else's remove did not see keeps it.
    ///
    /// # Errors
    /// When it does not become JSON, or as [`Value::load`] and [`Replica::write`](crate::client::Replica::write).
    pub async fn add<T: Serialize + ?Sized>(&self, value: &T) -> Result<Receipt, ReplicaError> {
        edit!(self, self.adding([value]).await?)
    }

    /// Adding elements, as one write.
    ///
    /// # Errors
    /// As [`Value::add`].
    pub async fn adding<T: Serialize>(&self, values: impl IntoIterator<Item = T>) -> Result<Write, ReplicaError> {
        let texts = texts(values)?;
        let edit = self.look_or_blind(|set| set.adding(texts.clone())).await?;
        Ok(self.write(OpKind::Update, &edit))
    }

    /// Removes an element as it is seen here; `None` when it is not there.
    ///
    /// # Errors
    /// As [`Value::add`].
    pub async fn remove<T: Serialize + ?Sized>(&self, value: &T) -> Result<Option<Receipt>, ReplicaError> {
        let _pass = self.replica.inner.editing.enter().await;
        match self.removing([value]).await? {
            Some(write) => self.send(write).await.map(Some),
            None => Ok(None),
        }
    }

    /// Removing elements, as one write; `None` when none of them is there.
    ///
    /// # Errors
    /// As [`Value::add`].
    pub async fn removing<T: Serialize>(
        &self,
        values: impl IntoIterator<Item = T>,
    ) -> Result<Option<Write>, ReplicaError> {
        let texts = texts(values)?;
        let edit = self.look(|set| set.removing(texts)).await?;
        Ok(edit.map(|edit| self.write(OpKind::Update, &edit)))
    }

    /// Removes every element that is seen here; `None` when there is none.
    ///
    /// # Errors
    /// As [`Value::load`] and [`Replica::write`](crate::client::Replica::write).
    pub async fn delete(&self) -> Result<Option<Receipt>, ReplicaError> {
        let _pass = self.replica.inner.editing.enter().await;
        match self.look(|set| set.removing(set.iter().cloned().collect::<Vec<_>>())).await? {
            Some(edit) => self.send(self.write(OpKind::Delete, &edit)).await.map(Some),
            None => Ok(None),
        }
    }

    /// Whether an element is in it.
    ///
    /// # Errors
    /// As [`Value::add`].
    pub async fn contains<T: Serialize + ?Sized>(&self, value: &T) -> Result<bool, ReplicaError> {
        let text = text(value)?;
        self.look(|set| set.contains(&text)).await
    }

    /// The elements, in byte order of their JSON texts.
    ///
    /// # Errors
    /// As [`Value::load`], or that one is no `T`.
    pub async fn get<T: DeserializeOwned>(&self) -> Result<Vec<T>, ReplicaError> {
        self.look(|set| set.iter().map(|text| parsed(text)).collect()).await?
    }
}

fn texts<T: Serialize>(values: impl IntoIterator<Item = T>) -> Result<Vec<Bytes>, ReplicaError> {
    values.into_iter().map(|value| text(&value)).collect()
}
