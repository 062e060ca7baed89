//! Fields in fields.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::{Value, parsed};
use crate::client::{Receipt, ReplicaError, Write};
use crate::crdt::document::{Path, fields_of};
use crate::crdt::{Content, Document, DocumentEdit};
use crate::oplog::OpKind;

impl Value<Document> {
    /// Writes a field; of an object the fields in it, in place of all that is there. Needs nothing of what is there.
    ///
    /// # Errors
    /// When the path or the value is none, or as [`Replica::write`](crate::client::Replica::write).
    pub async fn set<T: Serialize + ?Sized>(&self, path: &[&str], value: &T) -> Result<Receipt, ReplicaError> {
        self.send(self.setting(path, value)?).await
    }

    /// [`Value::set`] as a write.
    ///
    /// # Errors
    /// When the path or the value is none.
    pub fn setting<T: Serialize + ?Sized>(&self, path: &[&str], value: &T) -> Result<Write, ReplicaError> {
        let within = |value, name: &&str| Json::Object([((*name).to_owned(), value)].into_iter().collect());
        let value = path.iter().rev().fold(serde_json::to_value(value)?, within);
        let at = Path::new(path.iter().copied())?;
        let inner = fields_of(&value).into_iter().map(|(path, text)| (path, Some(text)));
        // What was there ends, and what the object holds begins.
        let fields = std::iter::once((at, None)).chain(inner).collect();
        Ok(self.write(OpKind::Update, &DocumentEdit { fields, forget: None }))
    }

    /// Removes a field and what is in it. What somebody writes there later brings it back with that.
    ///
    /// # Errors
    /// When the path is none, or as [`Replica::write`](crate::client::Replica::write).
    pub async fn remove(&self, path: &[&str]) -> Result<Receipt, ReplicaError> {
        let fields = [(Path::new(path.iter().copied())?, None)].into();
        self.send(self.write(OpKind::Update, &DocumentEdit { fields, forget: None })).await
    }

    /// Makes it what a value says, by what differs: fields that are not in the value are removed. The receipt of the
    /// write; `None` when nothing differs.
    ///
    /// # Errors
    /// When the value has no fields, or as [`Value::load`] and [`Replica::write`](crate::client::Replica::write).
    pub async fn put<T: Serialize + ?Sized>(&self, value: &T) -> Result<Option<Receipt>, ReplicaError> {
        let _pass = self.replica.inner.editing.enter().await;
        let value = serde_json::to_value(value)?;
        if !value.is_object() {
            return Err(ReplicaError::NotAnObject);
        }
        let (there, wanted) = (self.load().await?, fields_of(&value));
        let gone = there.iter().map(|(path, _)| path).filter(|path| !wanted.contains_key(*path));
        // What a written field takes the place of need not be removed.
        let over = |path: &Path| wanted.keys().any(|wanted| wanted.holds(path) || path.holds(wanted));
        let mut fields: BTreeMap<_, _> = gone.filter(|path| !over(path)).map(|path| (path.clone(), None)).collect();
        let new = wanted.into_iter().filter(|(path, text)| there.get(path) != Some(text));
        fields.extend(new.map(|(path, text)| (path, Some(text))));
        if fields.is_empty() && there != Document::default() && there.view().ok().flatten().is_some() {
            return Ok(None);
        }
        self.send(self.write(OpKind::Update, &DocumentEdit { fields, forget: None })).await.map(Some)
    }

    /// Deletes it. Fields that somebody writes later bring it back with those.
    ///
    /// # Errors
    /// As [`Replica::write`](crate::client::Replica::write).
    pub async fn delete(&self) -> Result<Receipt, ReplicaError> {
        self.send(self.deleting()).await
    }

    /// Forgets everywhere that fields were removed, when every device of the log is known to have heard of it; `None` when
    /// there are none, or that is not known yet. They take room until then. Worth a call now and then.
    ///
    /// # Errors
    /// As [`Value::load`] and [`Replica::write`](crate::client::Replica::write).
    pub async fn forget_removed(&self) -> Result<Option<Receipt>, ReplicaError> {
        let _pass = self.replica.inner.editing.enter().await;
        let document = self.stable().await?.filter(Document::has_removed);
        let Some(newest) = document.and_then(|document| document.newest()) else { return Ok(None) };
        let edit = DocumentEdit { forget: Some(newest), ..DocumentEdit::default() };
        self.send(self.write(OpKind::Update, &edit)).await.map(Some)
    }

    /// The document as a value; `None` when it does not exist.
    ///
    /// # Errors
    /// As [`Value::load`], or that the fields are not those of `T`.
    pub async fn get<T: DeserializeOwned>(&self) -> Result<Option<T>, ReplicaError> {
        let view = self.replica.state(&self.key).await?;
        view.map(|text| parsed(&text)).transpose()
    }
}
