//! One value.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Value, parsed, text};
use crate::client::{Receipt, ReplicaError, Write};
use crate::crdt::{Register, RegisterEdit};
use crate::oplog::OpKind;

impl Value<Register> {
    /// Writes it. Needs nothing of what is there.
    ///
    /// # Errors
    /// When it does not become JSON, or as [`Replica::write`](crate::client::Replica::write).
    pub async fn set<T: Serialize + ?Sized>(&self, value: &T) -> Result<Receipt, ReplicaError> {
        self.send(self.setting(value)?).await
    }

    /// [`Value::set`] as a write.
    ///
    /// # Errors
    /// When it does not become JSON.
    pub fn setting<T: Serialize + ?Sized>(&self, value: &T) -> Result<Write, ReplicaError> {
        Ok(self.write(OpKind::Update, &RegisterEdit(Some(text(value)?))))
    }

    /// Deletes it; a newer write brings it back.
    ///
    /// # Errors
    /// As [`Replica::write`](crate::client::Replica::write).
    pub async fn delete(&self) -> Result<Receipt, ReplicaError> {
        self.send(self.write(OpKind::Delete, &RegisterEdit(None))).await
    }

    /// The value; `None` when nobody wrote one.
    ///
    /// # Errors
    /// As [`Value::load`], or that it is no `T`.
    pub async fn get<T: DeserializeOwned>(&self) -> Result<Option<T>, ReplicaError> {
        self.look(|register| register.get().map(|text| parsed(text)).transpose()).await?
    }
}
