//! Counting.

use super::{Value, edit};
use crate::client::{Receipt, ReplicaError, Write};
use crate::crdt::{Counter, CounterEdit};
use crate::oplog::OpKind;

impl Value<Counter> {
    /// Counts up, or down when `by` is negative. Needs nothing of what is there.
    ///
    /// # Errors
    /// As [`Replica::write`](crate::client::Replica::write).
    pub async fn add(&self, by: i64) -> Result<Receipt, ReplicaError> {
        self.send(self.adding(by)).await
    }

    /// [`Value::add`] as a write.
    #[must_use]
    pub fn adding(&self, by: i64) -> Write {
        self.write(OpKind::Update, &CounterEdit::Add(by))
    }

    /// Sets what is seen here back to zero; what others count meanwhile stays.
    ///
    /// # Errors
    /// As [`Value::load`] and [`Replica::write`](crate::client::Replica::write).
    pub async fn reset(&self) -> Result<Receipt, ReplicaError> {
        edit!(self, self.resetting().await?)
    }

    /// [`Value::reset`] as a write.
    ///
    /// # Errors
    /// As [`Value::load`].
    pub async fn resetting(&self) -> Result<Write, ReplicaError> {
        let seen = self.look(Counter::seen).await?;
        Ok(self.write(OpKind::Update, &CounterEdit::Reset(seen)))
    }

    /// Deletes it as it is seen here. What others count meanwhile brings it back with that.
    ///
    /// # Errors
    /// As [`Value::load`] and [`Replica::write`](crate::client::Replica::write).
    pub async fn delete(&self) -> Result<Receipt, ReplicaError> {
        edit!(self, {
            let seen = self.look(Counter::seen).await?;
            self.write(OpKind::Delete, &CounterEdit::Delete(seen))
        })
    }

    /// The number; 0 when nobody counted.
    ///
    /// # Errors
    /// As [`Value::load`].
    pub async fn get(&self) -> Result<i64, ReplicaError> {
        self.look(Counter::value).await
    }
}
