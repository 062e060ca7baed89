//! A note to a task: text that nobody wants to find overwritten, so a change says which version it changes.
//!
//! It is an entity of its own beside its task. Two devices that change a note without knowing of each other end in an
//! open conflict on the one that came second, with both texts in it, until somebody chooses.

use std::sync::Arc;

use serde_json::{Value, json};
use syncline::EntityId;
use syncline::client::{Map, Receipt, Replica};
use syncline::oplog::{Collection, ConflictPolicy, Fields, Rules, Schema};
use syncline_desk::Fault;

/// The collection of notes.
pub(crate) const NOTES: &str = "task-notes";

/// The rules of the list: the server's usual ones, where of each field the newest edit wins; but what is written to a
/// note states its version. Every server honours that, so none has to be told about notes.
///
/// # Errors
/// Never, as long as the collection's name is one.
pub(crate) fn schema() -> Result<Schema, Fault> {
    let notes = Collection::new(NOTES).map_err(|error| Fault::new(error.to_string()))?;
    let rules = Rules { policy: ConflictPolicy::Precondition, reducer: Arc::new(Fields) };
    Ok(Schema::default().with(notes, rules))
}

/// The content of a note.
pub(crate) fn content(text: &str) -> Value {
    json!({ "text": text })
}

/// The note of a task, if it has one.
///
/// # Errors
/// The store's.
pub(crate) async fn read(replica: &Replica, task: EntityId) -> Result<Option<String>, Fault> {
    let text = note(replica, task)?.field::<Value>("text").await?;
    Ok(text.and_then(|text| text.as_str().map(str::to_owned)).filter(|text| !text.is_empty()))
}

/// Changes the note of a task.
///
/// # Errors
/// The replica's.
pub(crate) async fn write(replica: &Replica, task: EntityId, text: &str) -> Result<Receipt, Fault> {
    Ok(note(replica, task)?.set("text", text).await?)
}

/// Deletes the note of a task, if it has one.
///
/// # Errors
/// The replica's.
pub(crate) async fn delete(replica: &Replica, task: EntityId) -> Result<Option<Receipt>, Fault> {
    if read(replica, task).await?.is_none() {
        return Ok(None);
    }
    Ok(Some(note(replica, task)?.delete().await?))
}

fn note(replica: &Replica, task: EntityId) -> Result<Map, Fault> {
    Ok(replica.collection(NOTES)?.map(task))
}
